"""httpx over TLS, against FastAPI on hypercorn, with HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE

fastapi = pytest.importorskip('fastapi')
httpx = pytest.importorskip('httpx')
hypercorn = pytest.importorskip('hypercorn')

from fastapi import FastAPI, Request, Response  # noqa: E402
from fastapi.responses import StreamingResponse  # noqa: E402
from hypercorn.asyncio import serve  # noqa: E402
from hypercorn.config import Config  # noqa: E402


def make_app() -> Any:
    app = FastAPI()

    @app.get('/version')
    async def version(request: Request) -> str:
        return str(request.scope['http_version'])

    @app.post('/reverse')
    async def reverse(request: Request) -> Any:
        return Response((await request.body())[::-1])

    @app.get('/ticks')
    async def ticks() -> Any:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(30):
                yield b'%d\n' % number
                await asyncio.sleep(0)

        return StreamingResponse(parts())

    @app.get('/never')
    async def never() -> None:
        await asyncio.sleep(3600)

    return app


@pytest.fixture
async def address(authority: Any, tmp_path: Path) -> AsyncIterator[str]:
    """Where it is served."""
    certificate = authority.issue_cert('localhost')
    config = Config()
    config.certfile, config.keyfile = str(tmp_path / 'chain.pem'), str(tmp_path / 'key.pem')
    Path(config.certfile).write_bytes(b''.join(part.bytes() for part in certificate.cert_chain_pems))
    Path(config.keyfile).write_bytes(certificate.private_key_pem.bytes())
    config.bind = ['127.0.0.1:0']
    config.graceful_timeout = 0.2
    config.errorlog = None
    end = asyncio.Event()
    bound: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    make_sockets = config.create_sockets

    def create_sockets() -> Any:
        sockets = make_sockets()
        bound.set_result(f'https://localhost:{sockets.secure_sockets[0].getsockname()[1]}')
        return sockets

    config.create_sockets = create_sockets  # type: ignore[method-assign]
    server = asyncio.ensure_future(serve(make_app(), config, shutdown_trigger=end.wait))
    yield await asyncio.wait_for(bound, PATIENCE)
    end.set()
    await server


@pytest.fixture(params=[False, True], ids=['HTTP/1.1', 'HTTP/2'])
async def client(request: pytest.FixtureRequest, address: str, client_tls: ssl.SSLContext) -> AsyncIterator[Any]:
    # Each its own context: the client says in it which protocols it speaks.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata='\n'.join(map(ssl.DER_cert_to_PEM_cert, client_tls.get_ca_certs(True))))
    async with httpx.AsyncClient(
        base_url=address, verify=context, http2=request.param, http1=not request.param
    ) as client:
        client.spoken = '2' if request.param else '1.1'
        yield client


async def test_protocol_is_negotiated(client: Any) -> None:
    assert (await client.get('/version')).json() == client.spoken


async def test_large_bodies_both_ways(client: Any) -> None:
    body = os.urandom(1 << 20)
    assert (await client.post('/reverse', content=body)).content == body[::-1]


async def test_many_requests_at_once(client: Any) -> None:
    bodies = [os.urandom(1000) for _ in range(50)]
    responses = await asyncio.gather(*(client.post('/reverse', content=body) for body in bodies))
    assert [response.content for response in responses] == [body[::-1] for body in bodies]


async def test_streamed_response(client: Any) -> None:
    async with client.stream('GET', '/ticks') as response:
        assert [line async for line in response.aiter_lines()] == [str(number) for number in range(30)]


async def test_streamed_request(client: Any) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(100):
            yield b'%03d' % number
            await asyncio.sleep(0)

    expected = b''.join(b'%03d' % number for number in range(100))[::-1]
    assert (await client.post('/reverse', content=parts())).content == expected


async def test_time_limit(client: Any) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await client.get('/never', timeout=0.1)
    assert (await client.get('/version')).json() == client.spoken


async def test_unknown_authority_is_refused(address: str) -> None:
    async with httpx.AsyncClient(verify=ssl.create_default_context()) as client:
        with pytest.raises(httpx.ConnectError, match='CERTIFICATE_VERIFY_FAILED'):
            await client.get(address)
