"""FastAPI on uvicorn, in this process and as a program of its own, with clients of HTTP and of websockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE, until

fastapi = pytest.importorskip('fastapi')
httpx = pytest.importorskip('httpx')
uvicorn = pytest.importorskip('uvicorn')
websockets = pytest.importorskip('websockets')

from fastapi import BackgroundTasks, Depends, FastAPI, Request, UploadFile, WebSocket, WebSocketDisconnect  # noqa: E402
from fastapi.responses import StreamingResponse  # noqa: E402

LOOP = os.environ.get('LIBRARIES_LOOP') or 'asyncio'
"""As uvicorn takes it: the loop that the runner is testing."""


def make_app() -> Any:
    """Make a service that uses threads, streams, background tasks, dependencies with an end, and websockets."""
    events: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        events.append('up')
        yield
        events.append('down')

    app = FastAPI(lifespan=lifespan)
    app.state.events = events

    async def connection() -> AsyncIterator[str]:
        events.append('opened')
        yield 'connection'
        events.append('closed')

    @app.get('/item/{number}')
    async def item(number: int, using: str = Depends(connection)) -> dict[str, Any]:
        return {'number': number, 'using': using}

    @app.get('/thread')
    def thread() -> dict[str, str]:  # a plain function, which FastAPI calls in a thread
        return {'from': 'a thread'}

    @app.post('/later')
    async def later(tasks: BackgroundTasks) -> dict[str, bool]:
        tasks.add_task(events.append, 'afterwards')
        return {'accepted': True}

    @app.post('/upload')
    async def upload(file: UploadFile) -> dict[str, Any]:
        return {'name': file.filename, 'size': len(await file.read())}

    @app.get('/stream')
    async def stream() -> Any:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(50):
                yield b'%d\n' % number
                await asyncio.sleep(0)

        return StreamingResponse(parts(), media_type='text/plain')

    @app.get('/endless')
    async def endless(request: Request) -> Any:
        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b'x' * 65536
                    await asyncio.sleep(0)
            finally:
                events.append('stream ended')

        return StreamingResponse(parts())

    @app.websocket('/ws')
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_json({'echo': await websocket.receive_json()})
        except WebSocketDisconnect as gone:
            events.append(f'left with {gone.code}')

    return app


class Server:
    """uvicorn, serving an app in this loop."""

    def __init__(self, app: Any, **config: Any) -> None:
        self.socket = socket.create_server(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(app, log_level='warning', **config))

    async def __aenter__(self) -> Server:
        self._task = asyncio.ensure_future(self._server._serve([self.socket]))
        await until(lambda: self._server.started or self._task.done())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.should_exit = True
        await self._task


@pytest.fixture(params=['h11', 'httptools'])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Any, int]]:
    """The app, and the port that it is served on."""
    app = make_app()
    async with Server(app, http=request.param) as server:
        yield app, server.port


@pytest.fixture
async def client(served: tuple[Any, int]) -> AsyncIterator[Any]:
    async with httpx.AsyncClient(base_url=f'http://127.0.0.1:{served[1]}') as client:
        yield client


async def test_requests(client: Any, served: tuple[Any, int]) -> None:
    assert (await client.get('/item/7')).json() == {'number': 7, 'using': 'connection'}
    assert (await client.get('/item/seven')).status_code == 422
    assert (await client.get('/thread')).json() == {'from': 'a thread'}
    assert (await client.get('/nothing')).status_code == 404
    assert served[0].state.events[:3] == ['up', 'opened', 'closed']


async def test_many_requests_at_once_in_threads_and_without(client: Any) -> None:
    responses = await asyncio.gather(*(client.get(path) for path in ['/thread', '/item/1'] * 40))
    assert {response.status_code for response in responses} == {200}


async def test_background_task_runs_after_the_response(client: Any, served: tuple[Any, int]) -> None:
    assert (await client.post('/later')).json() == {'accepted': True}
    await until(lambda: 'afterwards' in served[0].state.events)


async def test_upload(client: Any) -> None:
    response = await client.post('/upload', files={'file': ('big.bin', os.urandom(3 << 20))})
    assert response.json() == {'name': 'big.bin', 'size': 3 << 20}


async def test_streamed_response(client: Any) -> None:
    async with client.stream('GET', '/stream') as response:
        assert [line async for line in response.aiter_lines()] == [str(number) for number in range(50)]


async def test_client_that_leaves_ends_the_stream(client: Any, served: tuple[Any, int]) -> None:
    async with client.stream('GET', '/endless') as response:
        async for _ in response.aiter_raw():
            break
    await until(lambda: 'stream ended' in served[0].state.events)


@pytest.mark.parametrize('implementation', ['websockets-sansio', 'wsproto'])
async def test_websocket(implementation: str) -> None:
    app = make_app()
    async with (
        Server(app, ws=implementation) as server,
        websockets.connect(f'ws://127.0.0.1:{server.port}/ws') as socket,
    ):
        for text in ('{"a": 1}', f'["{"long" * 50000}"]'):
            await socket.send(text)
            assert (await socket.recv()).replace(' ', '') == f'{{"echo":{text}}}'.replace(' ', '')
        await socket.close(code=4001)
        await until(lambda: 'left with 4001' in app.state.events)


async def test_tls(authority: Any, client_tls: ssl.SSLContext, tmp_path: Path) -> None:
    certificate = authority.issue_cert('localhost')
    chain, key = tmp_path / 'chain.pem', tmp_path / 'key.pem'
    chain.write_bytes(b''.join(part.bytes() for part in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    async with Server(make_app(), ssl_certfile=chain, ssl_keyfile=key) as server:
        address = f'https://localhost:{server.port}'
        async with httpx.AsyncClient(base_url=address, verify=client_tls) as client:
            assert (await client.get('/item/1')).status_code == 200
            body = os.urandom(1 << 20)
            assert (await client.post('/upload', files={'file': body})).json()['size'] == len(body)


async def test_shutdown_lets_a_request_finish() -> None:
    app = make_app()
    entered, leave = asyncio.Event(), asyncio.Event()

    @app.get('/wait')
    async def wait() -> str:
        entered.set()
        await leave.wait()
        return 'finished'

    async with Server(app) as server, httpx.AsyncClient() as client:
        request = asyncio.ensure_future(client.get(f'http://127.0.0.1:{server.port}/wait'))
        await entered.wait()
        server._server.should_exit = True
        asyncio.get_running_loop().call_later(0.2, leave.set)
        assert (await request).json() == 'finished'
    assert app.state.events == ['up', 'down']


@pytest.mark.parametrize('sent', [signal.SIGTERM, signal.SIGINT])
async def test_uvicorn_as_a_program(tmp_path: Path, sent: signal.Signals) -> None:
    (tmp_path / 'service.py').write_text(
        'import asyncio\n'
        'import fastapi\n'
        'app = fastapi.FastAPI()\n'
        '@app.get("/loop")\n'
        'async def loop():\n'
        '    return type(asyncio.get_running_loop()).__module__.partition(".")[0]\n'
    )
    path = tmp_path / 'socket'
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, '-m', 'uvicorn', 'service:app', '--uds', path, '--loop', LOOP),
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        while b'running on' not in (line := await process.stderr.readline()):
            assert line, 'it ended'
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path))) as client:
            assert (await client.get('http://any/loop')).json() == LOOP.partition(':')[0]
        process.send_signal(sent)
        said = await process.stderr.read()
        await process.wait()
    assert b'Application shutdown complete' in said
    assert b'Traceback' not in said
