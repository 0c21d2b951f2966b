"""What a transport reads at a time."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from recording import Recorder, connected

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


@pytest.mark.parametrize('longest', [4200, 150_000])  # of which many fill a small or a large block well enough
@pytest.mark.parametrize('kept', ['all', 'some', 'none'])
def test_received_bytes_never_change(each: Any, run: Callable[[Any], Any], kept: str, longest: int) -> None:
    """Also where memory is used again: what is kept, what has had a hash, what is shorter than the one before."""
    messages = [bytes([number % 251]) * (1 + number * (longest // 113) % longest) for number in range(400)]
    chosen = {'all': 1, 'some': 3, 'none': 1000}[kept]
    parts: dict[bytes, list[bytes]] = {}
    hashes = []

    def receive(recorder: Recorder, data: bytes) -> None:
        hashes.append(hash(data))
        if len(hashes) % chosen == 0:
            parts.setdefault(data, []).append(data)
        recorder.transport.write(data)

    async def main() -> None:
        async with connected(Recorder(data_received=receive), 'unix') as (_, peer):
            loop = asyncio.get_running_loop()
            for message in messages:
                await loop.sock_sendall(peer, message)
                echo = b''
                while len(echo) < len(message):
                    echo += await loop.sock_recv(peer, 2 * longest)
                assert echo == message

    run(main())
    assert hashes == [hash(message) for message in messages]
    expected = messages[chosen - 1 :: chosen]
    assert [part for same in parts.values() for part in same] == expected
    assert all(data == part and hash(part) == hash(data) for data, same in parts.items() for part in same)


def test_nothing_follows_received_bytes_in_their_memory(each: Any, run: Callable[[Any], Any]) -> None:
    """C that reads them as a string, as int() does, finds their end by the zero behind it."""
    numbers: list[int | str] = []

    def read(recorder: Recorder, data: bytes) -> None:
        try:
            numbers.append(int(data))
        except ValueError as exc:
            numbers.append(str(exc))

    async def main() -> None:
        recorder = Recorder(data_received=read)
        async with connected(recorder, 'unix') as (_, peer):
            for sent in (b' ' * 3000 + b'123456', b' ' * 2000 + b'789', b' ' * 90_000 + b'12', b' ' * 70_000 + b'3'):
                count = len(numbers)
                await asyncio.get_running_loop().sock_sendall(peer, sent)
                await recorder.until(lambda count=count: len(numbers) > count)

    run(main())
    assert numbers == [123456, 789, 12, 3]


@pytest.mark.parametrize(('size', 'count'), [(10, 2000), (1000, 2000), (1100, 2000), (6000, 2000), (70_000, 200)])
def test_bytes_that_are_kept_occupy_little_more_than_they_are(
    ours: Any, run: Callable[[Any], Any], size: int, count: int
) -> None:
    async def main() -> list[bytes]:
        collector = Collector()
        async with connected(collector, 'unix') as (_, peer):
            for number in range(count):
                await asyncio.get_running_loop().sock_sendall(peer, bytes(size))
                while len(collector.parts) <= number:
                    await asyncio.sleep(0)
        return collector.parts

    tracemalloc.start()
    try:
        parts = run(main())
        occupied = sum(trace.size for trace in tracemalloc.take_snapshot().traces)
    finally:
        tracemalloc.stop()
    assert [len(part) for part in parts] == [size] * count
    assert occupied < 600 * count + 1.25 * count * size


@pytest.mark.parametrize('most', [1, 64 * 1024, 64 * 1024 + 1, MOST, MOST + 1, 1 << 20])
def test_sock_recv_returns_what_is_there_however_much_it_asks_for(
    each: Any, run: Callable[[Any], Any], most: int
) -> None:
    sent = bytes(range(251)) * 400

    async def main() -> None:
        loop = asyncio.get_running_loop()
        local, remote = socket.socketpair()
        with local, remote:
            local.setblocking(False)
            remote.sendall(sent)
            first = await loop.sock_recv(local, most)
            assert first == sent[:most]
            rest = b'' if len(first) == len(sent) else await loop.sock_recv(local, 1 << 20)
            assert first + rest == sent
            later = loop.create_task(loop.sock_recv(local, most))
            await asyncio.sleep(0)
            remote.sendall(b'+')
            assert await later == b'+'
            remote.shutdown(socket.SHUT_WR)
            assert await loop.sock_recv(local, most) == b''

    run(main())
