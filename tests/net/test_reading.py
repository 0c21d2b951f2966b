"""What a transport reads at a time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

MOST = 256 * 1024
"""Bytes that asyncio reads at a time, at most."""


class Collector(asyncio.Protocol):
    """Keeps what it receives, as it comes."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.parts.append(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.ended.set_result(exc)


def fill(sock: socket.socket) -> bytes:
    """Send as much as the kernel takes, each byte another than the one a little before it."""
    sent = b''
    pattern = bytes(range(251)) * 4096
    sock.setblocking(False)
    try:
        while True:
            sent += pattern[: sock.send(pattern)]
    except BlockingIOError:
        return sent


async def received(local: socket.socket) -> list[bytes]:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(Collector, sock=local)
    assert await protocol.ended is None
    return protocol.parts


def test_all_that_has_arrived_is_received_at_once(each: Any, run: Callable[[Any], Any]) -> None:
    """Programs that get a part of it take it for all that came, and close, whereupon the peer gets a reset."""
    local, remote = socket.socketpair()
    with remote:
        remote.sendall(data := bytes(range(256)) * 300)
        remote.shutdown(socket.SHUT_WR)
        assert run(received(local)) == [data]


def test_no_more_is_received_at_once_than_by_asyncio(each: Any, run: Callable[[Any], Any]) -> None:
    local, remote = socket.socketpair()
    with remote:
        remote.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MOST)
        sent = fill(remote)
        remote.shutdown(socket.SHUT_WR)
        parts = run(received(local))
    assert b''.join(parts) == sent
    assert max(map(len, parts)) <= MOST
