"""A protocol that tells what it saw, and pairs of a transport and its peer's socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any


class Recorder(asyncio.Protocol):
    """Writes down its calls; `reactions` are called in them, by name, with the recorder and the arguments."""

    def __init__(self, **reactions: Callable[..., Any]) -> None:
        self.reactions = reactions
        self.calls: list[str] = []
        self.data = bytearray()
        self.error: BaseException | None = None
        self.transport: Any = None
        self.happened = asyncio.Event()

    def tell(self, name: str, *arguments: Any) -> Any:
        self.calls.append(name)
        self.happened.set()
        reaction = self.reactions.get(name)
        return None if reaction is None else reaction(self, *arguments)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.tell('connection_made', transport)

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.tell('data_received', data)

    def eof_received(self) -> Any:
        return self.tell('eof_received')

    def pause_writing(self) -> None:
        self.tell('pause_writing')

    def resume_writing(self) -> None:
        self.tell('resume_writing')

    def connection_lost(self, exc: BaseException | None) -> None:
        self.error = exc
        self.tell('connection_lost', exc)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for a call after which the condition holds."""
        while not condition():
            self.happened.clear()
            await self.happened.wait()

    async def call(self, name: str) -> None:
        """Wait until that was called."""
        await self.until(lambda: name in self.calls)


async def some_turns(count: int = 5) -> None:
    """Let the loop make turns, in each of which something is ready."""
    for _ in range(count):
        await asyncio.sleep(0)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two TCP sockets that are connected with each other."""
    with socket.create_server(('127.0.0.1', 0)) as listening:
        one = socket.create_connection(listening.getsockname())
        other, _ = listening.accept()
    return one, other


PAIRS = {'tcp': tcp_pair, 'unix': socket.socketpair}


@contextlib.asynccontextmanager
async def connected(recorder: Any, pair: str = 'tcp') -> AsyncIterator[tuple[Any, socket.socket]]:
    """A transport with that protocol, and its peer: a non-blocking socket."""
    loop = asyncio.get_running_loop()
    sock, peer = PAIRS[pair]()
    peer.setblocking(False)
    transport, _ = await loop.connect_accepted_socket(lambda: recorder, sock)
    try:
        yield transport, peer
    finally:
        peer.close()
        transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
