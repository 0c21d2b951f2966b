"""What an accepted connection tells of itself."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE


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


LINK_LOCAL = """
import asyncio, sys
import sooner

async def main():
    class Told(asyncio.Protocol):
        def connection_made(self, transport):
            told.set_result([transport.get_extra_info(name) for name in ('peername', 'sockname')])

    loop = asyncio.get_running_loop()
    told = loop.create_future()
    server = await loop.create_server(Told, '::', 0)
    _, writer = await asyncio.open_connection('fe80::1%lo', server.sockets[0].getsockname()[1])
    assert await told == [writer.get_extra_info(name) for name in ('sockname', 'peername')], await told
    writer.close()
    server.close()
    print((await told)[1][0])

sooner.run(main())
"""


def test_names_of_a_link_are_told_as_sockets_tell_them(ours: Any) -> None:
    network = 'ip link set lo up && ip -6 address add fe80::1/64 dev lo nodad && exec "$0" "$@"'
    alone = ['unshare', '--net', 'sh', '-c', network]
    if not all(map(shutil.which, ('unshare', 'ip'))) or subprocess.run([*alone[:2], 'true'], check=False).returncode:
        pytest.skip('needs root, unshare and iproute2, for a network of its own')
    done = subprocess.run(
        [*alone, sys.executable, '-c', LINK_LOCAL], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ('fe80::1\n', '', 0)
