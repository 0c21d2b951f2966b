"""When the two ends of a connection are in one loop, the one hears of the other as soon as in asyncio."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest


class Peer(asyncio.Protocol):
    """Notes what happens to it."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def data_received(self, data: bytes) -> None:
        self.events.append(f'received {len(data)}')

    def eof_received(self) -> bool:
        self.events.append('end')
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        self.events.append('lost')


@pytest.mark.parametrize(
    ('act', 'event', 'turns'),
    [
        (lambda transport: transport.write(b'x'), 'received 1', 2),
        (lambda transport: transport.write(bytearray(100_000)), 'received 100000', 2),
        (lambda transport: transport.write_eof(), 'end', 2),
        (lambda transport: transport.close(), 'end', 3),
        (lambda transport: transport.abort(), 'end', 3),
    ],
    ids=['write', 'write much', 'write_eof', 'close', 'abort'],
)
def test_other_end_hears_while_the_loop_is_busy(
    each: Any, run: Callable[[Any], Any], act: Callable[[Any], None], event: str, turns: int
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        transport, _ = await loop.create_connection(Peer, sock=left)
        other, peer = await loop.create_connection(Peer, sock=right)
        for _ in range(5):  # a while after the last poll, but not long
            await asyncio.sleep(0)
        act(transport)
        for _ in range(turns):  # in each of which something is ready
            await asyncio.sleep(0)
        assert peer.events == [event]
        transport.close()
        other.close()

    run(main())
