"""What an accepted connection tells of itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class Told(asyncio.Protocol):
    """Asks its transport when it is made, and again when it is lost."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.lost = asyncio.get_running_loop().create_future()

    def ask(self) -> None:
        names = 'peername', 'sockname', 'cipher'
        self.told.append(tuple(self.transport.get_extra_info(name) for name in names))
        self.told.append((self.transport.get_extra_info('nothing', 'else'),))

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.socket = transport.get_extra_info('socket')
        self.fileno = self.socket.fileno()
        self.family = self.socket.family
        self.nodelay = self.family != socket.AF_UNIX and self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        self.ask()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.ask()
        self.lost.set_result(None)


@pytest.mark.parametrize('family', [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX], ids=lambda family: family.name)
def test_it_knows_its_addresses_and_its_socket_also_after_it_is_lost(
    each: Any, run: Callable[[Any], Any], tmp_path: Path, family: int
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        accepted: asyncio.Future[Told] = loop.create_future()

        def protocol() -> Told:
            accepted.set_result(Told())
            return accepted.result()

        if family == socket.AF_UNIX:
            server = await loop.create_unix_server(protocol, tmp_path / 'socket')
        else:
            server = await loop.create_server(protocol, '127.0.0.1' if family == socket.AF_INET else '::1', 0)
        async with server:
            peer = socket.socket(family)
            peer.setblocking(False)
            await loop.sock_connect(peer, server.sockets[0].getsockname())
            told = await accepted
            addresses = peer.getsockname(), peer.getpeername()
            peer.close()
            await told.lost
        assert told.told == [(*addresses, None), ('else',)] * 2
        assert (told.family, bool(told.nodelay)) == (family, family != socket.AF_UNIX)
        assert told.fileno >= 0

    run(main())
