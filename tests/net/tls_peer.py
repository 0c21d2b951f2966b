"""The other end of a TLS connection, whose every byte a test has in its hands, and an application that takes notes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any

CERTIFICATES = Path(__file__).parent / 'certificates'
"""Made with openssl, valid for a hundred years: an authority, and what it certified: localhost, and a client."""

RECORD = 16 * 1024
FOREVER = 3600.0


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / 'server.pem')
    return context


def client_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATES / 'authority.pem'))


class Notes(asyncio.Protocol):
    """Writes down what it is told. `on` are functions of the protocol that are called when it hears something."""

    def __init__(self, **on: Any) -> None:
        self.events: list[Any] = []
        self.data = b''
        self.transport: Any = None
        self.error: Any = None
        self.lost = asyncio.Event()
        self.heard = asyncio.Event()
        self.on = on

    def note(self, event: str) -> None:
        self.events.append(event)
        self.heard.set()
        if event in self.on:
            self.on[event](self)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.note('made')

    def data_received(self, data: bytes) -> None:
        assert data, 'no bytes are no data'
        self.data += data
        if not self.events or self.events[-1] != 'data' or 'data' in self.on:
            self.note('data')
        self.heard.set()

    def eof_received(self) -> None:
        self.note('eof')

    def connection_lost(self, exc: BaseException | None) -> None:
        self.error = exc
        self.lost.set()
        self.note('lost')

    def pause_writing(self) -> None:
        self.note('pause')

    def resume_writing(self) -> None:
        self.note('resume')

    async def until(self, event: str) -> None:
        while event not in self.events:
            self.heard.clear()
            await self.heard.wait()

    async def until_received(self, size: int) -> bytes:
        while len(self.data) < size:
            self.heard.clear()
            await self.heard.wait()
        return self.data


class BufferedNotes(Notes, asyncio.BufferedProtocol):
    """The same, of a protocol that brings its own buffer."""

    def __init__(self, size: int = 1000, **on: Any) -> None:
        super().__init__(**on)
        self.buffer = bytearray(size)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self.buffer)

    def buffer_updated(self, nbytes: int) -> None:
        assert nbytes > 0
        self.data_received(bytes(self.buffer[:nbytes]))


class Peer:
    """One end of a socket pair with TLS by hand; the other is the loop's."""

    def __init__(self, *, server: bool, context: ssl.SSLContext | None = None, hostname: str = 'localhost') -> None:
        self.local, self.sock = socket.socketpair()
        self.local.setblocking(False)
        self.sock.setblocking(False)
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.server = server
        if context is None:
            context = server_context() if server else client_context()
        self.tls = context.wrap_bio(
            self.incoming, self.outgoing, server_side=server, server_hostname=None if server else hostname
        )
        self.raw = b''
        self.ended = False

    async def send_raw(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def receive_raw(self) -> bytes:
        """Feed TLS with what comes; b'' at the end, also if that is a reset."""
        data = b''
        with contextlib.suppress(ConnectionError):
            data = await asyncio.get_running_loop().sock_recv(self.sock, 64 * 1024)
        self.raw += data
        self.incoming.write(data)
        if not data and not self.ended:
            self.ended = True
            self.incoming.write_eof()
        return data

    async def flush(self) -> None:
        if self.outgoing.pending:
            await self.send_raw(self.outgoing.read())

    async def do(self, method: Any, *args: Any) -> Any:
        """Do something with the SSLObject, and whatever the wire has to do for that."""
        while True:
            try:
                result = method(*args)
            except ssl.SSLWantReadError:
                await self.flush()
                await self.receive_raw()
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    await self.flush()
                raise
            else:
                await self.flush()
                return result

    async def shake_hands(self) -> None:
        await self.do(self.tls.do_handshake)

    async def write(self, data: bytes) -> None:
        for start in range(0, len(data), RECORD):
            self.tls.write(data[start : start + RECORD])
        await self.flush()

    async def read(self, size: int) -> bytes:
        data = b''
        while len(data) < size:
            chunk = await self.do(self.tls.read, min(size - len(data), RECORD))  # it makes room for as much
            if not chunk:
                break
            data += chunk
        return data

    async def read_first(self) -> bytes:
        """Shake hands and read a byte: in TLS 1.3 a server is told of a failure only then."""
        await self.shake_hands()
        return await self.read(1)

    async def close(self) -> None:
        """Exchange close_notify."""
        await self.do(self.tls.unwrap)

    def records(self) -> list[int]:
        """The lengths of the records that were received."""
        found, data = [], self.raw
        while len(data) >= 5:
            length = int.from_bytes(data[3:5], 'big')
            found.append(length)
            data = data[5 + length :]
        return found


async def connect(
    protocol: Any, *, peer_is_server: bool = False, context: Any = None, peer_context: Any = None, **kwargs: Any
) -> tuple[Any, Peer]:
    """Connect a protocol of the running loop with a peer; return the protocol's transport and the peer."""
    peer = Peer(server=peer_is_server, context=peer_context)
    opened = asyncio.ensure_future(open_end(peer.local, protocol, client=peer_is_server, context=context, **kwargs))
    try:
        await peer.shake_hands()
        return await opened, peer
    except BaseException:
        peer.sock.close()
        opened.cancel()
        await asyncio.gather(opened, return_exceptions=True)
        raise


async def open_end(sock: socket.socket, protocol: Any, *, client: bool, context: Any = None, **kwargs: Any) -> Any:
    """Make a transport of a socket whose other end a peer has."""
    loop = asyncio.get_running_loop()
    if client:
        kwargs.setdefault('server_hostname', 'localhost')
        transport, _ = await loop.create_connection(
            lambda: protocol, sock=sock, ssl=client_context() if context is None else context, **kwargs
        )
    else:
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, sock, ssl=server_context() if context is None else context, **kwargs
        )
    return transport
