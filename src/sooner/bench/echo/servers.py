"""The servers: each answers what it gets with the same bytes, and is written as a program would write it.

A function takes the loop and where to listen, and returns when it does: the port, 0 for a path. Nothing here may
import sooner (see the package above).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

Loop = asyncio.AbstractEventLoop

HOST = '127.0.0.1'

#: Connections that may wait to be accepted: all that a load opens at once.
BACKLOG = 1024

#: Bytes that a program asks for at a time.
CHUNK = 64 * 1024

GREETING = b'Hello, world!'


@dataclass(frozen=True)
class Place:
    """Where a server listens: on a free port of loopback, or at a path. The certificate is for those that use TLS."""

    path: str = ''
    certificate: str = ''
    key: str = ''

    def tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


NOWHERE = Place()


class Echo(asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class EchoBuffered(asyncio.BufferedProtocol):
    transport: asyncio.Transport

    def __init__(self) -> None:
        self.buffer = bytearray(4 * CHUNK)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.transport.write(self.buffer[:nbytes])  # a copy, because the transport may keep what the socket leaves


class EchoInParts(Echo):
    """Writes its answer piece by piece, as protocols with headers and frames do."""

    parts: int

    def data_received(self, data: bytes) -> None:
        step = -(-len(data) // self.parts)
        for start in range(0, len(data), step):
            self.transport.write(data[start : start + step])


class EchoInTwoParts(EchoInParts):
    parts = 2


class EchoInEightParts(EchoInParts):
    parts = 8


class EchoDatagrams(asyncio.DatagramProtocol):
    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


async def echo_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    writer.close()


async def echo_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def echo_socket(loop: Loop, connection: socket.socket) -> None:
    with connection:
        while data := await loop.sock_recv(connection, CHUNK):
            await loop.sock_sendall(connection, data)


class Listening(NamedTuple):
    port: int
    #: What a program keeps as long as it serves; not every loop does that for it.
    kept: object


def listening(server: asyncio.Server) -> Listening:
    return Listening(server.sockets[0].getsockname()[1], server)


def report_failure(task: asyncio.Task[None]) -> None:
    """Let the loop's exception handler know why a task ended that should not have."""
    task.result()


# Protocols


async def protocol(loop: Loop, place: Place) -> Listening:
    return listening(await loop.create_server(Echo, HOST, 0, backlog=BACKLOG))


async def buffered(loop: Loop, place: Place) -> Listening:
    return listening(await loop.create_server(EchoBuffered, HOST, 0, backlog=BACKLOG))


async def two_writes(loop: Loop, place: Place) -> Listening:
    return listening(await loop.create_server(EchoInTwoParts, HOST, 0, backlog=BACKLOG))


async def eight_writes(loop: Loop, place: Place) -> Listening:
    return listening(await loop.create_server(EchoInEightParts, HOST, 0, backlog=BACKLOG))


async def tls(loop: Loop, place: Place) -> Listening:
    return listening(await loop.create_server(Echo, HOST, 0, backlog=BACKLOG, ssl=place.tls()))


async def unix(loop: Loop, place: Place) -> Listening:
    return Listening(0, await loop.create_unix_server(Echo, place.path, backlog=BACKLOG))


async def udp(loop: Loop, place: Place) -> Listening:
    transport, _ = await loop.create_datagram_endpoint(EchoDatagrams, (HOST, 0))
    return Listening(transport.get_extra_info('sockname')[1], transport)


# Streams


async def streams(loop: Loop, place: Place) -> Listening:
    return listening(await asyncio.start_server(echo_stream, HOST, 0, backlog=BACKLOG))


async def lines(loop: Loop, place: Place) -> Listening:
    return listening(await asyncio.start_server(echo_lines, HOST, 0, backlog=BACKLOG))


async def tls_streams(loop: Loop, place: Place) -> Listening:
    return listening(await asyncio.start_server(echo_stream, HOST, 0, backlog=BACKLOG, ssl=place.tls()))


async def unix_streams(loop: Loop, place: Place) -> Listening:
    return Listening(0, await asyncio.start_unix_server(echo_stream, place.path, backlog=BACKLOG))


# Sockets


async def sockets(loop: Loop, place: Place) -> Listening:
    listener = socket.create_server((HOST, 0), backlog=BACKLOG)
    listener.setblocking(False)
    tasks = set()

    async def accept() -> None:
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(echo_socket(loop, connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    accepting = loop.create_task(accept())
    accepting.add_done_callback(report_failure)
    return Listening(listener.getsockname()[1], accepting)


# HTTP


async def greet(scope: Any, receive: Any, send: Any) -> None:
    """Answer, as an ASGI application."""
    headers = [(b'content-type', b'text/plain'), (b'content-length', b'%d' % len(GREETING))]
    await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
    await send({'type': 'http.response.body', 'body': GREETING})


async def uvicorn(loop: Loop, place: Place) -> Listening:
    from uvicorn import Config, Server

    quiet = {'log_level': 'warning', 'access_log': False}
    server = Server(Config(greet, HOST, 0, http='httptools', ws='none', loop='none', lifespan='off', **quiet))
    serving = loop.create_task(server.serve())
    serving.add_done_callback(report_failure)
    while not server.started:
        await asyncio.sleep(0.01)
    return Listening(server.servers[0].sockets[0].getsockname()[1], serving)


async def aiohttp(loop: Loop, place: Place) -> Listening:
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=GREETING, content_type='text/plain')

    application = web.Application()
    application.router.add_get('/', answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0, backlog=BACKLOG).start()
    return Listening(runner.addresses[0][1], runner)


SERVERS: dict[str, Callable[[Loop, Place], Awaitable[Listening]]] = {
    server.__name__: server
    for server in (
        protocol, buffered, two_writes, eight_writes, tls, unix, udp,
        streams, lines, tls_streams, unix_streams,
        sockets, uvicorn, aiohttp,
    )
}  # fmt: skip
