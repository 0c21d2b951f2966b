"""aiohttp: its server and its client, with each other."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import until

aiohttp = pytest.importorskip('aiohttp')
from aiohttp import web  # noqa: E402  (after it was asked for)

BIG = bytes(range(256)) * 32768  # 8 MiB


class Service:
    """What the tests talk to, and what it saw."""

    def __init__(self, files: Path) -> None:
        (files / 'big.bin').write_bytes(BIG)
        self.app = web.Application(client_max_size=2 * len(BIG))
        self.app.add_routes(
            [
                web.get('/hello/{name}', self.hello),
                web.post('/echo', self.echo),
                web.post('/count', self.count),
                web.get('/ticks', self.ticks),
                web.get('/big', self.big),
                web.get('/slow', self.slow),
                web.get('/ws', self.websocket),
                web.static('/files', files),
            ]
        )
        self.peers: set[Any] = set()
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def hello(self, request: Any) -> Any:
        self.peers.add(request.transport.get_extra_info('peername'))
        return web.json_response({'hello': request.match_info['name'], 'secure': request.secure})

    async def echo(self, request: Any) -> Any:
        return web.Response(body=await request.read(), headers={'X-Type': request.headers['Content-Type']})

    async def count(self, request: Any) -> Any:
        size = 0
        async for chunk in request.content.iter_chunked(65536):
            size += len(chunk)
        return web.json_response({'size': size})

    async def ticks(self, request: Any) -> Any:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for number in range(100):
            await response.write(b'tick %d\n' % number)
            await asyncio.sleep(0)
        await response.write_eof()
        return response

    async def big(self, request: Any) -> Any:
        response = web.StreamResponse(headers={'Content-Length': str(len(BIG))})
        await response.prepare(request)
        for start in range(0, len(BIG), 1 << 18):
            await response.write(BIG[start : start + (1 << 18)])
        return response

    async def slow(self, request: Any) -> Any:
        self.entered.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def websocket(self, request: Any) -> Any:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                if message.data == 'bye':
                    await socket.close(code=4000, message=b'as you wish')
                else:
                    await socket.send_str(message.data.upper())
            elif message.type is aiohttp.WSMsgType.BINARY:
                await socket.send_bytes(message.data[::-1])
        return socket


@pytest.fixture
async def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


@pytest.fixture
async def serve(service: Service) -> AsyncIterator[Callable[..., Any]]:
    """Starts the service on a site; gives the address of a TCP site."""
    runner = web.AppRunner(service.app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()

    async def start(kind: Any = web.TCPSite, *args: Any, **kwargs: Any) -> Any:
        site = kind(runner, *(args or ('localhost', 0)), **kwargs)
        await site.start()
        return next(iter(runner.addresses), None)

    yield start
    await runner.cleanup()


@pytest.fixture
async def client(serve: Callable[..., Any]) -> AsyncIterator[Any]:
    """A session for the service, over TCP."""
    address = await serve()
    async with aiohttp.ClientSession(f'http://localhost:{address[1]}') as session:
        yield session


async def test_requests_share_a_connection(client: Any, service: Service) -> None:
    for name in ('ann', 'bob', 'cleo'):
        async with client.get(f'/hello/{name}') as response:
            assert response.status == 200
            assert await response.json() == {'hello': name, 'secure': False}
    assert len(service.peers) == 1


async def test_a_hundred_requests_at_once(client: Any) -> None:
    async def one(number: int) -> str:
        async with client.get(f'/hello/{number}') as response:
            return str((await response.json())['hello'])

    assert await asyncio.gather(*map(one, range(100))) == [str(number) for number in range(100)]


async def test_form_with_a_file(client: Any, tmp_path: Path) -> None:
    file = tmp_path / 'file.bin'
    file.write_bytes(BIG[: 1 << 20])
    form = aiohttp.FormData()
    with file.open('rb') as opened:
        form.add_field('file', opened, filename='file.bin')
        async with client.post('/echo', data=form) as response:
            body = await response.read()
    assert response.headers['X-Type'].startswith('multipart/form-data')
    assert BIG[: 1 << 20] in body


async def test_upload_from_a_generator_is_streamed(client: Any) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(BIG), 1 << 19):
            yield BIG[start : start + (1 << 19)]
            await asyncio.sleep(0)

    async with client.post('/count', data=chunks()) as response:
        assert await response.json() == {'size': len(BIG)}


async def test_chunked_download_arrives_in_order(client: Any) -> None:
    async with client.get('/ticks') as response:
        lines = [line async for line in response.content]
    assert lines == [b'tick %d\n' % number for number in range(100)]


async def test_slow_reader_gets_every_byte(client: Any) -> None:
    async with client.get('/big') as response:
        body = bytearray()
        async for chunk in response.content.iter_chunked(1 << 16):
            body += chunk
            await asyncio.sleep(0)
    assert bytes(body) == BIG


async def test_file_is_sent_whole_and_in_part(client: Any) -> None:
    async with client.get('/files/big.bin') as response:
        assert await response.read() == BIG
    async with client.get('/files/big.bin', headers={'Range': 'bytes=1000-70999'}) as response:
        assert response.status == 206
        assert await response.read() == BIG[1000:71000]


async def test_client_that_gives_up_cancels_the_handler(client: Any, service: Service) -> None:
    with pytest.raises(TimeoutError):
        async with client.get('/slow', timeout=aiohttp.ClientTimeout(total=0.05)):
            pass
    await asyncio.wait_for(service.cancelled.wait(), 20)


async def test_task_that_is_cancelled_closes_its_connection(
    client: Any, service: Service, background: Callable[..., Any]
) -> None:
    task = background(client.get('/slow'))
    await service.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(service.cancelled.wait(), 20)


async def test_websocket_talks_both_ways_and_closes_with_a_code(client: Any) -> None:
    async with client.ws_connect('/ws', heartbeat=10) as socket:
        await socket.send_str('hello')
        assert await socket.receive_str() == 'HELLO'
        await socket.send_bytes(BIG[: 1 << 20])
        assert await socket.receive_bytes() == BIG[: 1 << 20][::-1]
        await socket.send_str('bye')
        message = await socket.receive()
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert (message.data, message.extra) == (4000, 'as you wish')


async def test_tls(serve: Callable[..., Any], server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    address = await serve(ssl_context=server_tls)
    url = f'https://localhost:{address[1]}'
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(ssl=client_tls)) as session:
        async with session.get('/hello/tls') as response:
            assert await response.json() == {'hello': 'tls', 'secure': True}
        async with session.get('/big') as response:
            assert await response.read() == BIG
    async with aiohttp.ClientSession(url) as session:  # which does not know the authority
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get('/hello/tls')


async def test_unix_socket(serve: Callable[..., Any], tmp_path: Path) -> None:
    path = str(tmp_path / 'socket')
    await serve(web.UnixSite, path)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session,
        session.get('http://any/hello/unix') as response,
    ):
        assert (await response.json())['hello'] == 'unix'


async def test_refused_connection_is_told() -> None:
    with socket.socket() as bound:  # and not listening
        bound.bind(('127.0.0.1', 0))
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError) as caught:
                await session.get(f'http://127.0.0.1:{bound.getsockname()[1]}/')
    assert isinstance(caught.value.os_error, ConnectionRefusedError)


async def test_shutdown_closes_what_is_open(service: Service) -> None:
    runner = web.AppRunner(service.app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, '127.0.0.1', 0).start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession(f'http://127.0.0.1:{port}') as session:
        request = asyncio.ensure_future(session.get('/slow'))
        await service.entered.wait()
        await runner.cleanup()
        with pytest.raises(aiohttp.ClientConnectionError):
            await request
    await until(service.cancelled.is_set)
