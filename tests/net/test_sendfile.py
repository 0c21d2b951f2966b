"""Sending files: by the system where it can, by reading and writing where it can't."""

from __future__ import annotations

import asyncio
import io
import random
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[[Any], Any]
CONTENT = random.Random(1).randbytes(3_000_000)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Any]:
    path = tmp_path / 'file'
    path.write_bytes(CONTENT)
    with path.open('rb') as file:
        yield file


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    with one, other:
        one.setblocking(False)
        other.setblocking(False)
        yield one, other


async def receive(sock: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        received += await asyncio.get_running_loop().sock_recv(sock, 1 << 20)
    return bytes(received)


@pytest.mark.parametrize(
    ('offset', 'count'), [(0, None), (1000, None), (0, 5), (10, 2_000_000), (0, 10_000_000), (3_000_000, None)]
)
@pytest.mark.parametrize('native', [True, False])
def test_a_part_of_a_file_is_sent(
    each: Any, loop: Any, run: Run, pair: Any, file: Any, offset: int, count: int | None, native: bool
) -> None:
    one, other = pair
    expected = CONTENT[offset:] if count is None else CONTENT[offset : offset + count]
    source = file if native else io.BytesIO(CONTENT)

    async def main() -> None:
        sending = asyncio.ensure_future(loop.sock_sendfile(one, source, offset, count, fallback=not native))
        assert await receive(other, len(expected)) == expected
        assert await sending == len(expected)
        if expected:  # else Pythons disagree on whether the file is to be touched
            assert source.tell() == offset + len(expected)

    run(main())


def test_where_a_file_stands_of_which_nothing_was_sent_is_as_in_asyncio(
    ours: Any, loop: Any, make_loop: Any, pair: Any, file: Any
) -> None:
    positions = []
    for each in (make_loop(asyncio.new_event_loop), loop):
        file.seek(7)
        assert each.run_until_complete(each.sock_sendfile(pair[0], file, len(CONTENT), fallback=False)) == 0
        positions.append(file.tell())
    assert positions[0] == positions[1]


def test_what_is_no_file_is_refused_without_a_fallback(each: Any, loop: Any, run: Run, pair: Any) -> None:
    with pytest.raises(asyncio.SendfileNotAvailableError):
        run(loop.sock_sendfile(pair[0], io.BytesIO(CONTENT), fallback=False))


def test_a_cancelled_transfer_leaves_the_file_behind_what_was_sent(
    each: Any, loop: Any, run: Run, pair: Any, file: Any
) -> None:
    one, other = pair
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)

    async def main() -> None:
        sending = asyncio.ensure_future(loop.sock_sendfile(one, file, 10))
        received = await receive(other, 1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await loop.sock_sendall(one, b'end')
        while not received.endswith(b'end'):
            received += await loop.sock_recv(other, 1 << 20)
        assert file.tell() == 10 + len(received) - len(b'end')
        assert CONTENT[10 : file.tell()] == received[:-3]

    run(main())


def test_a_reset_in_the_middle_is_told(each: Any, loop: Any, run: Run, pair: Any, file: Any) -> None:
    one, other = pair
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)

    async def main() -> None:
        sending = asyncio.ensure_future(loop.sock_sendfile(one, file))
        await receive(other, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        other.close()
        with pytest.raises(ConnectionError):
            await sending
        assert 0 < file.tell() < len(CONTENT)

    run(main())


def test_others_have_their_turns_while_a_file_is_sent(ours: Any, loop: Any, run: Run, pair: Any, file: Any) -> None:
    one, other = pair
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)

    async def main() -> int:
        receiving = asyncio.ensure_future(receive(other, len(CONTENT)))
        sending = asyncio.ensure_future(loop.sock_sendfile(one, file))
        turns = 0
        while not sending.done():
            await asyncio.sleep(0)
            turns += 1
        assert await receiving == CONTENT
        return turns

    assert run(main()) > 2


@pytest.mark.parametrize('native', [True, False])
def test_a_transport_sends_a_file_between_what_is_written(
    each: Any, loop: Any, run: Run, pair: Any, file: Any, native: bool
) -> None:
    class Reader(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            answers.append(data)

    one, other = pair
    answers: list[bytes] = []
    source = file if native else io.BytesIO(CONTENT)

    async def main() -> None:
        transport, _ = await loop.create_connection(Reader, sock=one)
        for _ in range(2):
            transport.write(bytes(300_000))
            sending = asyncio.ensure_future(loop.sendfile(transport, source, 7, fallback=not native))
            assert await receive(other, 300_000 + len(CONTENT) - 7) == bytes(300_000) + CONTENT[7:]
            assert await sending == len(CONTENT) - 7
            transport.write(b'end')
            assert await receive(other, 3) == b'end'
        other.send(b'thanks')
        while not answers:
            await asyncio.sleep(0)
        assert answers == [b'thanks']
        transport.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    run(main())


def test_a_file_cannot_be_sent_as_datagrams(each: Any, loop: Any, run: Run, file: Any) -> None:
    async def main() -> None:
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ('127.0.0.1', 0))
        with pytest.raises(RuntimeError, match='not supported'):
            await loop.sendfile(transport, file)
        transport.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    run(main())
