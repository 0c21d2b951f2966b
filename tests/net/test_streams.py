"""Streams made by asyncio's own functions: what they are under a loop of ours, and that they do as asyncio's.

What readers do with what they are fed is compared in tests/oracle/test_stream_readers.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import select
import socket
import struct
import sys
import tracemalloc
import warnings
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE

import sooner

Run = Callable[[Any], Any]
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def accepting(connected: asyncio.Future[Pair]) -> Callable[[Any, Any], None]:
    return lambda reader, writer: connected.set_result((reader, writer))


@contextlib.asynccontextmanager
async def connection(**options: Any) -> AsyncIterator[tuple[Pair, Pair]]:
    """Both ends of a TCP connection, as (reader, writer): the one who connected, the one who was connected to."""
    connected = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(accepting(connected), '127.0.0.1', 0, **options)
    client = await asyncio.open_connection(*server.sockets[0].getsockname(), **options)
    accepted = await connected
    try:
        yield client, accepted
    finally:
        client[1].close()
        accepted[1].close()
        server.close()
        for _, writer in (client, accepted):
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def is_fast(reader: asyncio.StreamReader) -> bool:
    return type(reader) is not asyncio.StreamReader


async def echo_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async for line in reader:
        writer.write(line)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say something of every size to who echoes lines, and hear it again by every way to read."""
    lines = [b'x' * size + b'\n' for size in (0, 1, 1000, 60_000)]
    for line in lines:
        writer.write(line)
        await writer.drain()
        assert await reader.readline() == line
        writer.writelines([line[:1], line[1:]])
        assert await reader.readexactly(len(line)) == line
        writer.write(line)
        assert await reader.readuntil(b'\n') == line
        writer.write(line)
        received = b''
        while received != line:
            received += await reader.read(100)
    writer.write(b'the rest')
    writer.write_eof()
    assert await reader.read() == b'the rest'
    assert reader.at_eof()
    writer.close()
    await writer.wait_closed()


# What they are.


def test_streams_are_asyncios_to_who_asks(ours: Any, run: Run) -> None:
    async def main() -> None:
        async with connection() as ends:
            for reader, writer in ends:
                assert is_fast(reader)
                assert isinstance(reader, asyncio.StreamReader)
                assert isinstance(writer, asyncio.StreamWriter)
                assert isinstance(writer.transport.get_protocol(), asyncio.StreamReaderProtocol)
                assert repr(reader).startswith('<StreamReader transport=')
                assert repr(writer).startswith('<StreamWriter transport=')

    run(main())


def test_asyncio_is_left_as_it_is(ours: Any, run: Run) -> None:
    before = [dict(vars(each)) for each in (asyncio, asyncio.streams, asyncio.StreamReader, asyncio.StreamWriter)]

    async def main() -> None:
        async with connection():
            now = [dict(vars(each)) for each in (asyncio, asyncio.streams, asyncio.StreamReader, asyncio.StreamWriter)]
            assert now == before

    run(main())


def test_they_can_be_refused(ours: Any, loop: Any, run: Run) -> None:
    assert loop.fast_streams
    loop.fast_streams = False

    async def main() -> None:
        async with connection() as ends:
            for reader, writer in ends:
                assert type(reader) is asyncio.StreamReader
                assert type(writer) is asyncio.StreamWriter
            (reader, writer), (other, _) = ends
            writer.write(b'line\n')
            assert await other.readline() == b'line\n'

    run(main())


@pytest.mark.parametrize('name', ['readline', 'feed_data'])
def test_what_somebody_put_on_asyncios_class_is_called(
    ours: Any, run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    calls = []
    original = getattr(asyncio.StreamReader, name)

    def replacement(*arguments: Any) -> Any:
        calls.append(arguments[0])
        return original(*arguments)

    monkeypatch.setattr(asyncio.StreamReader, name, replacement)

    async def main() -> None:
        async with connection() as ((reader, _), (_, writer)):
            writer.write(b'line\n')
            assert await reader.readline() == b'line\n'
            assert reader in calls

    run(main())


def test_what_somebody_put_on_the_objects_is_called(ours: Any, run: Run) -> None:
    received = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        data_received = protocol.data_received
        protocol.data_received = lambda data: (received.append(data), data_received(data))[1]  # type: ignore[method-assign]
        left, right = socket.socketpair()
        transport, _ = await loop.create_connection(lambda: protocol, sock=left)
        with right:
            right.send(b'line\n')
            assert await reader.readline() == b'line\n'
        transport.close()

    run(main())
    assert received == [b'line\n']


def test_subclasses_are_left_alone(ours: Any, run: Run) -> None:
    class Reader(asyncio.StreamReader):
        def feed_data(self, data: bytes) -> None:
            super().feed_data(data.upper())

    class Protocol(asyncio.StreamReaderProtocol):
        pass

    async def talk(reader: asyncio.StreamReader, protocol: asyncio.StreamReaderProtocol) -> bytes:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        transport, _ = await loop.create_connection(lambda: protocol, sock=left)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        with right:
            right.send(b'line\n')
            line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line

    async def main() -> None:
        loop = asyncio.get_running_loop()
        mine: asyncio.StreamReader = Reader(loop=loop)
        assert await talk(mine, asyncio.StreamReaderProtocol(mine, loop=loop)) == b'LINE\n'
        assert type(mine) is Reader
        stock = asyncio.StreamReader(loop=loop)
        assert await talk(stock, Protocol(stock, loop=loop)) == b'line\n'
        assert type(stock) is asyncio.StreamReader

    run(main())


# Where they work.


def test_streams_of_tcp(each: Any, run: Run) -> None:
    async def main() -> None:
        async with await asyncio.start_server(echo_lines, '127.0.0.1', 0) as server:
            await converse(*await asyncio.open_connection(*server.sockets[0].getsockname()))

    run(main())


def test_streams_of_unix_sockets(each: Any, run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with await asyncio.start_unix_server(echo_lines, tmp_path / 'socket'):
            reader, writer = await asyncio.open_unix_connection(tmp_path / 'socket')
            assert is_fast(reader) != each.is_stock
            await converse(reader, writer)

    run(main())


def test_streams_of_pipes(each: Any, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        source, sink = os.pipe()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(source, 'rb'))
        with os.fdopen(sink, 'wb', buffering=0) as pipe:
            pipe.write(b'line\nrest')
            assert await reader.readline() == b'line\n'
        assert await reader.read() == b'rest'
        transport.close()

    run(main())


# Coroutines, to who asks.


def test_operations_pass_for_coroutines(ours: Any, run: Run) -> None:
    # Before 3.12 nothing but the code of a function of Python's tells inspect.
    asked = inspect.iscoroutinefunction if sys.version_info >= (3, 12) else asyncio.iscoroutinefunction

    async def main() -> None:
        async with connection() as ((reader, _), (_, writer)):
            for method in (reader.read, reader.readexactly, reader.readuntil, reader.readline, writer.drain):
                assert asked(method)
            operation = reader.readline()
            assert isinstance(operation, Coroutine)
            assert asyncio.iscoroutine(operation)
            assert inspect.isawaitable(operation)
            assert operation.__name__ == 'readline'
            assert operation.__qualname__ == 'StreamReader.readline'
            assert 'StreamReader.readline' in repr(operation)
            with pytest.raises(AttributeError, match='no attribute'):
                _ = operation.nothing  # type: ignore[attr-defined]
            operation.close()

    run(main())


def test_operations_can_be_waited_for_in_every_way(each: Any, run: Run) -> None:
    async def main() -> None:
        async with connection() as ((reader, _), (_, writer)):
            for wait in (
                asyncio.create_task,
                asyncio.ensure_future,
                asyncio.gather,
                asyncio.shield,
                lambda operation: asyncio.wait_for(operation, 100),
            ):
                waiting = asyncio.ensure_future(wait(reader.readline()))
                await asyncio.sleep(0)
                writer.write(b'line\n')
                assert await waiting in (b'line\n', [b'line\n'])
                writer.write(b'line\n')
                assert await wait(reader.readline()) in (b'line\n', [b'line\n'])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.001)
            writer.write(b'x')
            assert await reader.read(1) == b'x'

    run(main())


def test_the_loop_runs_an_operation(each: Any, loop: Any, run: Run) -> None:
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    left, right = socket.socketpair()
    transport, _ = run(loop.create_connection(lambda: protocol, sock=left))
    with right:
        right.send(b'line\n')
        assert run(reader.readline()) == b'line\n'
    transport.close()
    run(asyncio.sleep(0))
    run(asyncio.sleep(0))


def test_nothing_is_read_before_the_await(each: Any, run: Run) -> None:
    async def main() -> None:
        async with connection() as ((reader, _), _):
            reader.feed_data(b'ab')
            later = reader.read(1)
            assert await reader.read(1) == b'a'
            assert await later == b'b'

    run(main())


def test_an_operation_is_awaited_once(each: Any, run: Run) -> None:
    async def main() -> None:
        async with connection() as ((reader, _), (_, writer)):
            reader.feed_data(b'ab')
            operation = reader.read(1)
            assert await operation == b'a'
            with pytest.raises(RuntimeError, match='cannot reuse already awaited coroutine'):
                await operation
            drain = writer.drain()
            await drain
            with pytest.raises(RuntimeError, match='cannot reuse already awaited coroutine'):
                drain.throw(ValueError)
            assert await reader.read(1) == b'b'
            waiting = reader.read(1)

            async def wait() -> bytes:
                return await waiting

            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match='coroutine is being awaited already'):
                await waiting
            writer.write(b'x')
            assert await task == b'x'

    run(main())


def test_an_operation_that_nobody_awaits_warns(each: Any, run: Run) -> None:
    async def main() -> None:
        async with connection() as ((reader, _), (_, other)):
            for name, call in (('StreamReader.read', reader.read), ('StreamWriter.drain', other.drain)):
                with pytest.warns(RuntimeWarning, match=f"coroutine '{name}' was never awaited"):
                    call()

    run(main())


def test_a_task_that_dies_waiting_lets_another_wait(each: Any, run: Run) -> None:
    async def main() -> None:
        async with connection() as ((reader, _), (_, writer)):
            operation = reader.read(1)
            operation.send(None)
            with pytest.raises(RuntimeError, match=r'read\(\) called while another coroutine is already waiting'):
                await reader.read(1)
            del operation
            writer.write(b'x')
            assert await reader.read(1) == b'x'

    run(main())


# Bytes.


def test_what_was_received_is_handed_on_uncopied(ours: Any, run: Run) -> None:
    if sys.implementation.name != 'cpython':
        pytest.skip("identity is CPython's")

    async def main() -> None:
        async with connection() as ((reader, _), _):
            data = b'data' * 100
            for read in (lambda: reader.read(1000), lambda: reader.readexactly(400)):
                reader.feed_data(data)
                assert await read() is data
            line = data + b'\n'
            reader.feed_data(line)
            assert await reader.readline() is line

    run(main())


def test_bytes_that_come_one_by_one_take_little_memory(ours: Any, run: Run) -> None:
    async def main() -> None:
        async with connection(limit=2**20) as ((reader, _), _):
            tracemalloc.start()
            try:
                for _ in range(100_000):
                    reader.feed_data(b'x')
                assert tracemalloc.get_traced_memory()[0] < 300_000
            finally:
                tracemalloc.stop()
            assert await reader.readexactly(100_000) == b'x' * 100_000

    run(main())


def test_a_reader_that_does_not_read_stops_the_peer(each: Any, run: Run) -> None:
    async def main() -> None:
        async with connection(limit=1000) as ((reader, _), (_, writer)):
            writer.write(b'x' * 2**20)
            while not reader._paused:  # type: ignore[attr-defined]
                await asyncio.sleep(0)
            assert len(reader._buffer) < 2**19  # type: ignore[attr-defined]
            assert await reader.readexactly(2**20) == b'x' * 2**20

    run(main())


def test_what_comes_for_a_reader_that_is_gone_is_dropped(each: Any, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        right.setblocking(False)
        with right:
            reader, writer = await asyncio.open_connection(sock=left)
            gone = weakref.ref(reader)
            protocol = writer.transport.get_protocol()
            transport = writer.transport
            del reader, writer
            gc.collect()
            assert gone() is None or each.is_stock
            for _ in range(20):
                await loop.sock_sendall(right, b'x' * 100_000)  # more than anybody would keep
        while not transport.is_closing() and not getattr(protocol, '_connection_lost', True):
            await asyncio.sleep(0)
            transport.close()

    if hasattr(asyncio.StreamWriter, '__del__'):  # newer ones of 3.11 and 3.12, and all since
        pytest.skip('this Python closes a connection with its writer')
    run(main())


def test_a_waiting_read_keeps_the_reader(each: Any, run: Run) -> None:
    async def main() -> None:
        left, right = socket.socketpair()
        with right:
            reader, writer = await asyncio.open_connection(sock=left)
            task = asyncio.create_task(reader.readline())
            writer._reader = None  # type: ignore[attr-defined]
            del reader
            await asyncio.sleep(0)
            gc.collect()
            right.send(b'line\n')
            assert await task == b'line\n'
        writer.close()
        await writer.wait_closed()

    run(main())


def test_a_reset_reaches_the_reader(each: Any, run: Run) -> None:
    async def main() -> None:
        async with connection() as ((reader, writer), (_, other)):
            task = asyncio.create_task(reader.read(1))
            await asyncio.sleep(0)
            other.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            other.transport.abort()
            with pytest.raises(ConnectionResetError):
                await task
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
            with pytest.raises(ConnectionResetError):
                await writer.drain()

    run(main())


# Writing.


@contextlib.asynccontextmanager
async def writer_without_reader(accepted: bool) -> AsyncIterator[tuple[asyncio.StreamWriter, socket.socket]]:
    """A writer, of an accepted connection or of the end that connected, and the socket of a peer."""
    left, right = socket.socketpair()
    with right:
        if accepted:
            loop = asyncio.get_running_loop()
            connected = loop.create_future()
            reader = asyncio.StreamReader(loop=loop)
            protocol = asyncio.StreamReaderProtocol(reader, accepting(connected), loop=loop)
            await loop.connect_accepted_socket(lambda: protocol, left)
            reader, writer = await connected
        else:
            reader, writer = await asyncio.open_connection(sock=left)
        try:
            yield writer, right
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


both_ends = pytest.mark.parametrize('accepted', [False, True], ids=['connecting', 'accepted'])


@both_ends
@pytest.mark.parametrize(
    ('chunk', 'high'),
    [
        (1, 0),
        (1, 1000),
        (1000, 0),
        (1000, 2**20),
        (100_000, 1000),
        (100_000, 2**20),
        (2_000_000, 0),
        (2_000_000, 2**20),
    ],
)
def test_who_drains_keeps_little_in_memory(each: Any, run: Run, accepted: bool, chunk: int, high: int) -> None:
    async def write(writer: asyncio.StreamWriter, sizes: list[int]) -> None:
        while True:
            writer.write(b'x' * chunk)
            await writer.drain()
            sizes.append(writer.transport.get_write_buffer_size())

    async def main() -> None:
        async with writer_without_reader(accepted) as (writer, peer):
            writer.transport.set_write_buffer_limits(high)
            sizes: list[int] = []
            task = asyncio.create_task(write(writer, sizes))
            for _ in range(3):  # it gives way where it has to wait, and not before
                await asyncio.sleep(0)
            assert high < writer.transport.get_write_buffer_size() <= high + chunk
            assert all(size <= high for size in sizes)
            waited = len(sizes)
            peer.setblocking(False)
            while len(sizes) == waited:  # and goes on when there is room
                with contextlib.suppress(BlockingIOError):
                    peer.recv(100_000)
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

    run(main())


@both_ends
def test_what_was_drained_is_on_its_way(each: Any, run: Run, accepted: bool) -> None:
    async def main() -> None:
        async with writer_without_reader(accepted) as (writer, peer):
            writer.write(b'data')
            await writer.drain()  # which does not give way
            assert peer.recv(10, socket.MSG_DONTWAIT) == b'data'

    run(main())


@both_ends
def test_several_drain_at_once(each: Any, run: Run, accepted: bool) -> None:
    async def main() -> None:
        async with writer_without_reader(accepted) as (writer, peer):
            writer.write(b'x' * 2**22)
            tasks = [asyncio.create_task(writer.drain()) for _ in range(3)]
            await asyncio.sleep(0)
            tasks[1].cancel()
            await asyncio.sleep(0)
            assert [task.done() for task in tasks] == [False, True, False]
            peer.setblocking(False)
            while not tasks[0].done():
                with contextlib.suppress(BlockingIOError):
                    peer.recv(100_000)
                await asyncio.sleep(0)
            await tasks[0]
            await tasks[2]
            writer.write(b'x' * 2**22)
            task = asyncio.create_task(writer.drain())
            await asyncio.sleep(0)
            writer.transport.abort()
            await task  # closed without an error

    run(main())


def test_drain_of_a_closing_writer_gives_way(each: Any, run: Run) -> None:
    async def main() -> None:
        async with connection() as ends:
            for _, writer in ends:
                writer.close()
                turns: list[int] = []
                asyncio.get_running_loop().call_soon(turns.append, 1)
                with contextlib.suppress(ConnectionResetError):
                    await writer.drain()
                assert turns
                await writer.wait_closed()
                with pytest.raises(ConnectionResetError, match='Connection lost'):
                    await writer.drain()

    run(main())


def test_a_writer_that_nobody_closed_says_so(each: Any, run: Run) -> None:
    if sys.version_info < (3, 13):
        pytest.skip('new in Python 3.13')

    async def main() -> None:
        left, right = socket.socketpair()
        with right:
            _, writer = await asyncio.open_connection(sock=left)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter('always')
                del writer, _
                gc.collect()
            assert any('unclosed <StreamWriter' in str(warning.message) for warning in caught)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    run(main())


# Callbacks.


@pytest.mark.parametrize('fails', [False, True])
def test_an_exception_of_the_callback_is_reported(
    each: Any, run: Run, reports: list[dict[str, Any]], fails: bool
) -> None:
    if fails and 'Unhandled' not in inspect.getsource(asyncio.StreamReaderProtocol.connection_made):
        pytest.skip('asyncio says nothing here, and leaves the connection open')

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if fails:
            raise ValueError('in the callback')
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(handle, '127.0.0.1', 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b''
            writer.close()
            await writer.wait_closed()

    run(main())
    assert [context['message'] for context in reports] == ['Unhandled exception in client_connected_cb'] * fails


def test_a_plain_function_is_called_back(each: Any, run: Run) -> None:
    def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'hello')
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(handle, '127.0.0.1', 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b'hello'
            writer.close()
            await writer.wait_closed()

    run(main())


def test_readers_die_with_their_connection(ours: Any, run: Run) -> None:
    async def main() -> list[weakref.ref[Any]]:
        async with connection() as ((reader, writer), (other, accepted)):
            writer.write(b'line\n')
            await writer.drain()
            assert await other.readline() == b'line\n'
            await accepted.drain()
            return [weakref.ref(each) for each in (reader, writer, other, accepted)]

    dying: Awaitable[Any] = main()
    references = run(dying)
    del dying
    run(asyncio.sleep(0))
    gc.collect()
    assert [reference() for reference in references] == [None] * 4


def test_loop_without_fast_streams_is_told_by_its_attribute() -> None:
    loop = sooner.new_event_loop()
    try:
        assert loop.fast_streams is True
    finally:
        loop.close()


def test_limit_may_be_any_number(each: Any, run: Run) -> None:
    async def main() -> None:
        local, peer = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=local, limit=10.5)  # type: ignore[arg-type]
        peer.send(b'line\n' + bytes(30))
        assert await reader.readline() == b'line\n'
        with pytest.raises(ValueError, match='limit'):
            await reader.readline()
        writer.close()
        peer.close()
        await writer.wait_closed()

    run(main())


def test_drain_tells_at_once_that_the_peer_is_gone(each: Any, run: Run) -> None:
    async def main() -> None:
        async with connection() as ((reader, writer), (_, accepted)):
            accepted.transport.abort()
            await reader.read()
            told: list[type[BaseException] | None] = []
            while len(told) < 4:
                try:
                    writer.write(b'x')
                    await writer.drain()
                    told.append(None)
                except ConnectionError as exc:
                    told.append(type(exc))
                if len(told) == 1:
                    reset = select.poll()
                    reset.register(writer.get_extra_info('socket').fileno(), 0)
                    assert reset.poll(1000 * PATIENCE)
                await asyncio.sleep(0.005)
            assert told[0] in (None, ConnectionResetError)
            assert None not in told[1:]

    run(main())
