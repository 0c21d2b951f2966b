"""Pipes, FIFOs, terminals and sockets as transports of one direction: what their protocols are told, on both sides."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import tty
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sooner.net.pipe import ReadPipeTransport, WritePipeTransport

unix_events: Any = asyncio.unix_events
LACKS_PAUSES = 'is_reading' not in vars(unix_events._UnixReadPipeTransport)
"""Whether asyncio's own readers of pipes are from before they know well that they are paused (3.11.4)."""


def skip_if_it_lacks_pauses(each: Any) -> None:
    if each.is_stock and LACKS_PAUSES:
        pytest.skip('asyncio reads on here')


class Reader(asyncio.Protocol):
    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.data = b''
        self.heard = asyncio.Event()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.calls.append('made')

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.heard.set()

    def eof_received(self) -> None:
        self.calls.append('eof')

    def connection_lost(self, exc: BaseException | None) -> None:
        self.calls.append(('lost', type(exc)))
        self.lost.set_result(exc)

    async def has(self, data: bytes) -> None:
        while self.data != data:
            assert data.startswith(self.data)
            self.heard.clear()
            await self.heard.wait()


class Writer(asyncio.BaseProtocol):
    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.resumed = asyncio.Event()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.calls.append('made')

    def pause_writing(self) -> None:
        self.calls.append('pause')

    def resume_writing(self) -> None:
        self.calls.append('resume')
        self.resumed.set()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.calls.append(('lost', type(exc)))
        self.lost.set_result(exc)


def pipe_ends(tmp_path: Path) -> tuple[int, int]:
    return os.pipe()


def fifo_ends(tmp_path: Path) -> tuple[int, int]:
    os.mkfifo(tmp_path / 'fifo')
    read = os.open(tmp_path / 'fifo', os.O_RDONLY | os.O_NONBLOCK)
    return read, os.open(tmp_path / 'fifo', os.O_WRONLY)


def socket_ends(tmp_path: Path) -> tuple[int, int]:
    left, right = socket.socketpair()
    return left.detach(), right.detach()


def terminal_ends(tmp_path: Path) -> tuple[int, int]:
    master, slave = os.openpty()
    tty.setraw(slave)
    return master, slave


KINDS: dict[str, Callable[[Path], tuple[int, int]]] = {
    'pipe': pipe_ends,
    'fifo': fifo_ends,
    'socket': socket_ends,
    'terminal': terminal_ends,
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ends(kind: str, tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    """What is read and what is written, as unbuffered files."""
    yield from open_ends(kind, tmp_path)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    yield from open_ends('pipe', tmp_path)


def unbuffered(file: Any, mode: str) -> Any:
    return open(file, mode, 0)


def open_ends(kind: str, tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    read, write = KINDS[kind](tmp_path)
    files = unbuffered(read, 'rb'), unbuffered(write, 'wb')
    yield files
    for file in files:
        file.close()


async def connect_reader(file: Any) -> tuple[Any, Any]:
    return await asyncio.get_running_loop().connect_read_pipe(Reader, file)


async def connect_writer(file: Any) -> tuple[Any, Any]:
    return await asyncio.get_running_loop().connect_write_pipe(Writer, file)


def drain(fd: int) -> bytes:
    """Read all that is there."""
    os.set_blocking(fd, False)
    found = b''
    try:
        while data := os.read(fd, 1 << 20):
            found += data
    except BlockingIOError:
        pass
    return found


# Reading.


def test_what_is_written_is_received_and_then_the_end(each: Any, run: Any, ends: Any) -> None:
    async def main() -> None:
        transport, protocol = await connect_reader(ends[0])
        assert protocol.calls == ['made']
        assert transport.get_extra_info('pipe') is ends[0]
        assert not os.get_blocking(ends[0].fileno())
        os.write(ends[1].fileno(), b'one')
        await protocol.has(b'one')
        os.write(ends[1].fileno(), b'two')
        await protocol.has(b'onetwo')
        ends[1].close()
        await protocol.lost
        assert protocol.calls[-1][0] == 'lost'
        assert transport.is_closing()
        await asyncio.sleep(0)
        assert ends[0].closed

    run(main())


def test_hang_up_of_a_terminal_is_the_end(ours: Any, run: Any, tmp_path: Path) -> None:
    read, write = terminal_ends(tmp_path)

    async def main() -> None:
        _transport, protocol = await connect_reader(unbuffered(read, 'rb'))
        os.write(write, b'last words')
        await protocol.has(b'last words')
        os.close(write)
        assert await protocol.lost is None
        assert protocol.calls == ['made', 'eof', ('lost', type(None))]

    run(main())


def test_data_before_the_end_is_delivered(each: Any, run: Any, pipe: Any) -> None:
    os.write(pipe[1].fileno(), b'x' * 60_000)
    pipe[1].close()

    async def main() -> None:
        _transport, protocol = await connect_reader(pipe[0])
        assert await protocol.lost is None
        assert len(protocol.data) == 60_000
        assert protocol.calls == ['made', 'eof', ('lost', type(None))]

    run(main())


def test_paused_reader_receives_nothing_until_it_is_resumed(each: Any, run: Any, ends: Any) -> None:
    skip_if_it_lacks_pauses(each)

    async def main() -> None:
        transport, protocol = await connect_reader(ends[0])
        assert transport.is_reading()
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        os.write(ends[1].fileno(), b'data')
        for _ in range(5):
            await asyncio.sleep(0)
        assert protocol.data == b''
        transport.resume_reading()
        transport.resume_reading()
        await protocol.has(b'data')
        transport.close()
        assert not transport.is_reading()
        transport.resume_reading()
        await protocol.lost

    run(main())


def test_reader_that_pauses_when_it_is_made_receives_nothing(each: Any, run: Any, pipe: Any) -> None:
    skip_if_it_lacks_pauses(each)

    class Pauses(Reader):
        def connection_made(self, transport: Any) -> None:
            transport.pause_reading()

    async def main() -> None:
        os.write(pipe[1].fileno(), b'data')
        transport, protocol = await asyncio.get_running_loop().connect_read_pipe(Pauses, pipe[0])
        for _ in range(5):
            await asyncio.sleep(0)
        assert protocol.data == b''
        transport.resume_reading()
        await protocol.has(b'data')
        transport.close()
        await protocol.lost

    run(main())


def test_closed_reader_is_told_once(each: Any, run: Any, ends: Any) -> None:
    async def main() -> None:
        transport, protocol = await connect_reader(ends[0])
        transport.close()
        transport.close()
        assert transport.is_closing()
        assert await protocol.lost is None
        assert protocol.calls == ['made', ('lost', type(None))]
        await asyncio.sleep(0)
        assert ends[0].closed

    run(main())


def test_protocol_can_be_changed_while_reading(each: Any, run: Any, pipe: Any) -> None:
    async def main() -> None:
        transport, first = await connect_reader(pipe[0])
        second = Reader()
        os.write(pipe[1].fileno(), b'one')
        await first.has(b'one')
        transport.set_protocol(second)
        assert transport.get_protocol() is second
        os.write(pipe[1].fileno(), b'two')
        await second.has(b'two')
        assert first.data == b'one'
        transport.close()
        await second.lost

    run(main())


def test_protocol_that_fails_to_receive_closes_the_transport(
    ours: Any, run: Any, pipe: Any, reports: list[dict[str, Any]]
) -> None:
    class Fails(Reader):
        def data_received(self, data: bytes) -> None:
            raise ZeroDivisionError

    async def main() -> None:
        os.write(pipe[1].fileno(), b'data')
        _, protocol = await asyncio.get_running_loop().connect_read_pipe(Fails, pipe[0])
        assert isinstance(await protocol.lost, ZeroDivisionError)

    run(main())
    assert [type(report['exception']) for report in reports] == [ZeroDivisionError]


def test_protocol_that_fails_at_the_end_is_closed_all_the_same(
    each: Any, run: Any, pipe: Any, reports: list[dict[str, Any]]
) -> None:
    class Fails(Reader):
        def eof_received(self) -> None:
            raise ZeroDivisionError

    async def main() -> None:
        _, protocol = await asyncio.get_running_loop().connect_read_pipe(Fails, pipe[0])
        pipe[1].close()
        await protocol.lost

    run(main())
    assert [type(report['exception']) for report in reports] == [ZeroDivisionError]


def test_error_of_reading_is_told(ours: Any, run: Any, tmp_path: Path, reports: list[dict[str, Any]]) -> None:
    listener = socket.create_server(('127.0.0.1', 0))
    left = socket.create_connection(listener.getsockname())
    right, _ = listener.accept()
    listener.close()

    async def main() -> None:
        _, protocol = await connect_reader(left)
        right.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        right.close()  # a reset
        assert isinstance(await protocol.lost, ConnectionResetError)

    run(main())
    assert [type(report['exception']) for report in reports] == [ConnectionResetError]


def test_device_that_cannot_be_watched_is_read_to_its_end(ours: Any, run: Any) -> None:
    async def main() -> None:
        _, protocol = await connect_reader(unbuffered('/dev/null', 'rb'))
        assert await protocol.lost is None
        transport, protocol = await connect_reader(unbuffered('/dev/zero', 'rb'))
        await protocol.heard.wait()
        transport.pause_reading()
        await asyncio.sleep(0)
        received = len(protocol.data)
        assert received > 0
        await asyncio.sleep(0)
        assert len(protocol.data) == received
        protocol.heard.clear()
        transport.resume_reading()
        await protocol.heard.wait()
        transport.close()
        await protocol.lost
        assert set(protocol.data) == {0}

    run(main())


def test_streams_read_pipes(each: Any, run: Any, pipe: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe[0])
        assert (type(reader) is asyncio.StreamReader) == each.is_stock  # a faster one
        os.write(pipe[1].fileno(), b'line\nrest')
        assert await reader.readline() == b'line\n'
        pipe[1].close()
        assert await reader.read() == b'rest'
        transport.close()

    run(main())


def test_stream_that_has_enough_pauses_its_pipe(each: Any, run: Any, pipe: Any) -> None:
    skip_if_it_lacks_pauses(each)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=1000)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe[0])
        os.write(pipe[1].fileno(), bytes(3000))
        while transport.is_reading():
            await asyncio.sleep(0)
        assert await reader.readexactly(2999) == bytes(2999)
        assert transport.is_reading()
        os.write(pipe[1].fileno(), b'more')
        assert await reader.readexactly(5) == b'\0more'
        transport.close()

    run(main())


# Writing.


@pytest.mark.parametrize('convert', [bytes, bytearray, memoryview])
def test_bytes_are_written_at_once(each: Any, run: Any, ends: Any, convert: Any) -> None:
    async def main() -> None:
        transport, protocol = await connect_writer(ends[1])
        transport.write(convert(b'data'))
        transport.write(convert(b''))
        assert transport.get_write_buffer_size() == 0
        os.set_blocking(ends[0].fileno(), False)
        assert os.read(ends[0].fileno(), 100) == b'data'
        transport.writelines([b'more', b'', b'still'])
        assert os.read(ends[0].fileno(), 100) == b'morestill'
        transport.close()
        assert await protocol.lost is None
        assert protocol.calls == ['made', ('lost', type(None))]

    run(main())


def test_more_than_fits_is_written_as_it_is_read(each: Any, run: Any, ends: Any) -> None:
    data = bytes(range(256)) * 2000

    async def main() -> None:
        transport, protocol = await connect_writer(ends[1])
        transport.set_write_buffer_limits(high=1000, low=100)
        buffer = bytearray(data)
        transport.write(buffer)
        buffer[:] = bytes(len(buffer))  # what was written is what was there then
        assert protocol.calls == ['made', 'pause']
        assert transport.get_write_buffer_size() > 1000
        transport.close()
        received, reader = await connect_reader(ends[0])
        await protocol.lost
        assert protocol.calls == ['made', 'pause', 'resume', ('lost', type(None))]
        await reader.has(data)
        received.close()
        await reader.lost

    run(main())


def test_order_is_kept_across_the_buffer(each: Any, run: Any, pipe: Any) -> None:
    async def main() -> None:
        transport, _protocol = await connect_writer(pipe[1])
        for number in range(200):
            transport.write(bytes([number]) * 5000)
        transport.write_eof()
        _, reader = await connect_reader(pipe[0])
        await reader.lost
        assert reader.data == b''.join(bytes([number]) * 5000 for number in range(200))

    run(main())


def test_abort_drops_what_waits(ours: Any, run: Any, ends: Any) -> None:
    async def main() -> None:
        transport, protocol = await connect_writer(ends[1])
        transport.write(b'x' * 5_000_000)
        transport.abort()
        assert transport.get_write_buffer_size() == 0
        transport.abort()
        assert await protocol.lost is None

    run(main())


@pytest.mark.parametrize('kind', ['pipe', 'fifo', 'socket'])
def test_idle_writer_notices_that_its_reader_has_gone(each: Any, run: Any, ends: Any) -> None:
    async def main() -> None:
        _transport, protocol = await connect_writer(ends[1])
        ends[0].close()
        assert await protocol.lost is None
        assert protocol.calls == ['made', ('lost', type(None))]

    run(main())


@pytest.mark.parametrize('kind', ['pipe', 'fifo'])
def test_writer_with_something_to_write_is_told_of_a_broken_pipe(each: Any, run: Any, ends: Any) -> None:
    async def main() -> None:
        transport, protocol = await connect_writer(ends[1])
        transport.write(b'x' * 1_000_000)
        ends[0].close()
        assert isinstance(await protocol.lost, BrokenPipeError)

    run(main())


@pytest.mark.parametrize('kind', ['pipe', 'fifo', 'socket'])
def test_write_to_nobody_is_a_broken_pipe(each: Any, run: Any, ends: Any) -> None:
    async def main() -> None:
        transport, protocol = await connect_writer(ends[1])
        ends[0].close()
        transport.write(b'data')
        assert transport.is_closing()
        assert isinstance(await protocol.lost, BrokenPipeError)

    run(main())


def test_data_for_somebody_else_does_not_end_writing(ours: Any, run: Any, tmp_path: Path) -> None:
    """A socket may be read elsewhere, and a FIFO opened for both ways is readable by what is written to it."""
    os.mkfifo(tmp_path / 'both')

    async def main() -> None:
        left, right = socket.socketpair()
        left.send(b'an answer')
        both = unbuffered(os.open(tmp_path / 'both', os.O_RDWR), 'r+b')
        for file, received in ((right, left.recv), (both, both.read)):
            transport, protocol = await connect_writer(file)
            transport.write(b'data')
            for _ in range(5):
                await asyncio.sleep(0)
            assert not transport.is_closing()
            assert received(100) == b'data'
            transport.close()
            await protocol.lost
        left.close()

    run(main())


def test_what_is_no_bytes_is_refused(ours: Any, run: Any, pipe: Any) -> None:
    async def main() -> None:
        transport, protocol = await connect_writer(pipe[1])
        for wrong in ('text', 3, None, [1]):
            with pytest.raises(TypeError):
                transport.write(wrong)
        transport.write(memoryview(bytearray(range(10)))[::2])
        assert drain(pipe[0].fileno()) == bytes(range(0, 10, 2))
        transport.close()
        await protocol.lost

    run(main())


def test_writes_in_vain_are_counted_and_warned_of(
    each: Any, run: Any, pipe: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        transport, protocol = await connect_writer(pipe[1])
        transport.close()
        await protocol.lost
        for _ in range(5):
            transport.write(b'data')
        assert not caplog.records
        transport.write(b'data')
        assert 'pipe closed by peer' in caplog.text

    run(main())


def test_end_can_be_written(each: Any, run: Any, pipe: Any) -> None:
    async def main() -> None:
        transport, protocol = await connect_writer(pipe[1])
        assert transport.can_write_eof()
        transport.write(b'data')
        transport.write_eof()
        transport.write_eof()
        assert await protocol.lost is None
        assert drain(pipe[0].fileno()) == b'data'

    run(main())


def test_error_of_a_device_is_told(each: Any, run: Any) -> None:
    async def main() -> None:
        transport, protocol = await connect_writer(unbuffered('/dev/full', 'wb'))
        transport.write(b'data')
        exc = await protocol.lost
        assert exc.errno == errno.ENOSPC

    run(main())


def test_null_device_takes_everything(each: Any, run: Any) -> None:
    async def main() -> None:
        transport, protocol = await connect_writer(unbuffered('/dev/null', 'wb'))
        transport.write(b'x' * 1_000_000)
        assert transport.get_write_buffer_size() == 0
        transport.close()
        assert await protocol.lost is None

    run(main())


def test_drain_waits_for_the_reader(each: Any, run: Any, pipe: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, pipe[1])
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        writer.write(b'x' * 1_000_000)
        draining = asyncio.create_task(writer.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        _received, reader = await connect_reader(pipe[0])
        await draining
        transport.abort()
        await reader.lost

    run(main())


# Both.


def test_regular_files_are_refused(each: Any, run: Any, tmp_path: Path) -> None:
    with (tmp_path / 'file').open('w+b') as file:
        for connect in (connect_reader, connect_writer):
            with pytest.raises(ValueError, match='only'):
                run(connect(file))
        file.write(b'still open')


def test_closed_files_are_refused(ours: Any, run: Any) -> None:
    file = unbuffered('/dev/null', 'rb')
    file.close()
    with pytest.raises(ValueError, match='closed file'):
        run(connect_reader(file))


def test_one_file_may_be_read_and_written(each: Any, run: Any, tmp_path: Path) -> None:
    master, slave = terminal_ends(tmp_path)

    async def main() -> None:
        file = unbuffered(slave, 'r+b')
        reading, reader = await connect_reader(file)
        writing, writer = await connect_writer(file)
        writing.write(b'out')
        assert os.read(master, 100) == b'out'
        os.write(master, b'in')
        await reader.has(b'in')
        writing.write(b'again')
        assert os.read(master, 100) == b'again'
        writing.close()
        reading.close()
        await writer.lost
        await reader.lost

    run(main())
    os.close(master)


def test_they_pass_for_asyncios(each: Any, run: Any, pipe: Any) -> None:
    async def main() -> None:
        reading, reader = await connect_reader(pipe[0])
        writing, writer = await connect_writer(pipe[1])
        assert isinstance(reading, asyncio.ReadTransport)
        assert isinstance(writing, asyncio.WriteTransport)
        assert isinstance(writing, asyncio.Transport)  # as asyncio's, which inherits its flow control from one
        if not each.is_stock:
            assert type(reading) is ReadPipeTransport
            assert type(writing) is WritePipeTransport
        writing.close()
        await reader.lost
        await writer.lost

    run(main())


def test_methods_can_be_replaced(ours: Any, run: Any, pipe: Any) -> None:
    async def main() -> None:
        transport, protocol = await connect_writer(pipe[1])
        written = []
        transport.write = written.append
        transport.write(b'data')
        assert written == [b'data']
        transport.close()
        await protocol.lost

    run(main())


def test_forgotten_transport_is_warned_of(ours: Any, make_loop: Any, pipe: Any) -> None:
    loop = make_loop(ours.make_loop)
    transport, _ = loop.run_until_complete(connect_writer(pipe[1]))
    assert 'open' in repr(transport)
    loop.close()
    del _
    with pytest.warns(ResourceWarning, match='unclosed transport <WritePipeTransport'):
        del transport
    assert pipe[1].closed


def test_debug_mode_tells_of_the_end(
    each: Any, loop: Any, run: Any, pipe: Any, caplog: pytest.LogCaptureFixture
) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 1000

    async def main() -> None:
        _transport, protocol = await connect_reader(pipe[0])
        pipe[1].close()
        await protocol.lost

    with caplog.at_level('DEBUG', 'asyncio'):
        run(main())
    assert 'was closed by peer' in caplog.text


def test_cancelled_connection_closes_the_file(each: Any, run: Any, pipe: Any) -> None:
    async def main() -> None:
        task = asyncio.create_task(connect_reader(pipe[0]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(3):
            await asyncio.sleep(0)
        assert pipe[0].closed

    with warnings.catch_warnings():
        warnings.simplefilter('ignore', ResourceWarning)
        run(main())
