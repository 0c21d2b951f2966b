"""When the two ends of a connection are in one loop, the one hears of the other as soon as in asyncio."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Callable
from typing import Any

import pytest
from patience import PATIENCE
from recording import some_turns


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
        await some_turns(5)  # a while after the last poll, but not long
        act(transport)
        await some_turns(turns)  # in each of which something is ready
        assert peer.events == [event]
        transport.close()
        other.close()

    run(main())


class DatagramPeer(Peer, asyncio.DatagramProtocol):
    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.data_received(data)


@pytest.mark.parametrize('end', [False, True], ids=['write', 'close'])
def test_reader_of_a_pipe_hears_while_the_loop_is_busy(each: Any, run: Callable[[Any], Any], end: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        read, write = os.pipe()
        writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(write, 'wb', 0))
        reader, peer = await loop.connect_read_pipe(Peer, os.fdopen(read, 'rb', 0))
        await some_turns(5)
        if end:
            writer.close()
        else:
            writer.write(b'x')
        await some_turns(4 if end else 2)
        assert peer.events[:1] == (['end'] if end else ['received 1'])
        writer.close()
        reader.close()
        await asyncio.sleep(0)

    run(main())


def test_receiver_of_a_datagram_hears_while_the_loop_is_busy(each: Any, run: Callable[[Any], Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, peer = await loop.create_datagram_endpoint(DatagramPeer, ('127.0.0.1', 0))
        await some_turns(5)
        transport.sendto(b'x', transport.get_extra_info('sockname'))
        assert select.select([transport.get_extra_info('socket')], [], [], PATIENCE)[0]
        await some_turns(2)
        assert peer.events == ['received 1']
        transport.close()
        await asyncio.sleep(0)

    run(main())


def test_other_end_of_a_socket_hears_while_the_loop_is_busy(each: Any, run: Callable[[Any], Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        with left:
            left.setblocking(False)
            other, peer = await loop.create_connection(Peer, sock=right)
            await some_turns(5)
            await loop.sock_sendall(left, b'x')
            await some_turns(2)
            assert peer.events == ['received 1']
            other.close()
            await asyncio.sleep(0)

    run(main())
