"""Ten thousand connections at a time: all are served, and each takes little memory, which is given back."""

from __future__ import annotations

import asyncio
import gc
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sooner

CONNECTIONS = 10_000
SPARE_FILES = 200
BYTES = 2500
"""Of memory for an idle connection. Compiled, 830 to 990 were measured; uvloop takes 1,250, and asyncio 3,000."""

CLIENTS = """
import socket, struct, sys
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
peers = []
for number in range(count):
    peer = socket.create_connection((host, port))
    # They will reset their connections: so many ports must not stay taken after the test.
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    peers.append(peer)
for number, peer in enumerate(peers):
    peer.sendall(b'%d' % number)
for number, peer in enumerate(peers):
    if peer.recv(100) != b'%d' % number:
        sys.exit(f'connection {number} was answered wrongly')
print('served', flush=True)
sys.stdin.readline()
"""


class Echo(asyncio.Protocol):
    __slots__ = ('transport',)
    count = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        Echo.count += 1

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        Echo.count -= 1


@pytest.fixture
def _many_files() -> Any:
    """Room for that many files, here and in the program that connects."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = CONNECTIONS + SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f'{needed} files are needed, and the system allows {hard}')
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory() -> int:
    """Tell the bytes of this process that are in memory."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(sys.platform != 'linux', reason='it reads /proc, and needs the addresses of Linux')
@pytest.mark.usefixtures('_many_files')
def test_ten_thousand_are_served_in_little_memory(ours: Any, loop: Any, run: Callable[[Any], Any]) -> None:
    async def main() -> None:
        server = await loop.create_server(Echo, '127.0.0.1', 0, backlog=1000)
        gc.collect()
        before = memory()
        host, port = server.sockets[0].getsockname()
        clients = subprocess.Popen(
            [sys.executable, '-c', CLIENTS, host, str(port), str(CONNECTIONS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with clients:
            assert clients.stdin is not None
            assert clients.stdout is not None
            assert await loop.run_in_executor(None, clients.stdout.readline) == 'served\n'
            assert Echo.count == CONNECTIONS
            taken = (memory() - before) / CONNECTIONS
            clients.stdin.close()
            while Echo.count:
                await asyncio.sleep(0.01)
        server.close()
        await server.wait_closed()
        if sooner.build_info().compiled and not hasattr(sys, 'gettotalrefcount'):
            assert taken < BYTES

    run(main())
