"""Whatever is done again and again leaves nothing behind: no object, no reference, no memory.

Each operation runs some hundred times until free lists and caches are full, and then many times more, after which there
must be as many objects as before; what grows by chance does not do so three times. SOONER_STRESS=1000 makes that a
million times, and looks at the memory of the process too; an interpreter built for debugging counts references.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import os
import socket
import sys
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / 'net'))

from tls_peer import client_context, server_context

import sooner

WARM_UP = 300
REPETITIONS = 1000
SPARE = 20
"""How many objects of a kind, or references, may come or go by chance."""

MEMORY = 4 * 2**20
"""Bytes that the allocators may take for themselves in a thorough run."""

variable: contextvars.ContextVar[object] = contextvars.ContextVar('variable')

total_references: Callable[[], int] | None = getattr(sys, 'gettotalrefcount', None)

Operation = Callable[[Any, int], Awaitable[None]]
OPERATIONS: dict[str, Operation] = {}


def operation(function: Operation) -> Operation:
    """Take a coroutine function of a loop and a number of repetitions among what is tested."""
    OPERATIONS[function.__name__] = function
    return function


async def nothing() -> None:
    pass


async def one_turn(value: object = None) -> object:
    await asyncio.sleep(0)
    return value


async def fail() -> None:
    raise ValueError('of a leak test')


async def wait(future: Any) -> object:
    return await future


@operation
async def future_result_callback(loop: Any, count: int) -> None:
    for _ in range(count):
        future = loop.create_future()
        future.add_done_callback(lambda future: None)
        future.add_done_callback(lambda future: None)
        future.set_result([object()])
        await asyncio.sleep(0)


@operation
async def future_dropped_pending(loop: Any, count: int) -> None:
    for _ in range(count):
        future = loop.create_future()
        future.add_done_callback(future.cancel)
        future.note = [future]


@operation
async def future_awaited(loop: Any, count: int) -> None:
    for _ in range(count):
        future = loop.create_future()
        loop.call_soon(future.set_result, [object()])
        await future
        await future


@operation
async def future_with_several_waiters(loop: Any, count: int) -> None:
    for _ in range(count):
        future = loop.create_future()
        tasks = [loop.create_task(wait(future)) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tasks[1]
        await asyncio.gather(tasks[0], tasks[2], return_exceptions=True)


@operation
async def future_exception(loop: Any, count: int) -> None:
    for _ in range(count):
        future = loop.create_future()
        future.set_exception(ValueError(future))
        with contextlib.suppress(ValueError):
            await future


@operation
async def future_exception_never_retrieved(loop: Any, count: int) -> None:
    for _ in range(count):
        loop.create_future().set_exception(ValueError())


@operation
async def future_cancelled(loop: Any, count: int) -> None:
    for _ in range(count):
        future = loop.create_future()
        future.cancel([object()])
        with contextlib.suppress(asyncio.CancelledError):
            await future


@operation
async def callbacks_added_and_removed(loop: Any, count: int) -> None:
    future = loop.create_future()
    for _ in range(count):
        callback = [].append
        future.add_done_callback(callback)
        future.add_done_callback(callback)
        future.remove_done_callback(callback)


@operation
async def future_attributes_and_weak_references(loop: Any, count: int) -> None:
    for _ in range(count):
        future = loop.create_future()
        future.attribute = future
        future.reference = weakref.ref(future)
        future.set_result(None)
        future.__dict__.clear()


@operation
async def future_iterators(loop: Any, count: int) -> None:
    for _ in range(count):
        future = loop.create_future()
        iterator = iter(future)
        next(iterator)
        iterator.close()
        with contextlib.suppress(ValueError):
            iterator.throw(ValueError('x'))


@operation
async def representations(loop: Any, count: int) -> None:
    future = loop.create_future()
    handle = loop.call_soon(print)
    handle.cancel()
    for _ in range(count // 10):
        repr(future), repr(handle), repr(asyncio.current_task()), repr(loop)


@operation
async def future_subclass(loop: Any, count: int) -> None:
    class Subclass(sooner.Future):  # type: ignore[misc,unused-ignore]
        pass

    for _ in range(count):
        future = Subclass(loop=loop)
        future.cycle = future
        loop.call_soon(future.set_result, future)
        await future


@operation
async def tasks(loop: Any, count: int) -> None:
    for _ in range(count):
        await loop.create_task(one_turn([object()]))


@operation
async def tasks_forgotten(loop: Any, count: int) -> None:
    for _ in range(count):
        loop.create_task(one_turn([object()]))
        await asyncio.sleep(0)


@operation
async def tasks_with_contexts_and_names(loop: Any, count: int) -> None:
    for i in range(count):
        variable.set(object())
        await loop.create_task(one_turn(), context=contextvars.copy_context(), name=str(i))
        await loop.create_task(one_turn())


@operation
async def task_exception(loop: Any, count: int) -> None:
    for _ in range(count):
        with contextlib.suppress(ValueError):
            await loop.create_task(fail())


@operation
async def task_exception_never_retrieved(loop: Any, count: int) -> None:
    for _ in range(count):
        loop.create_task(fail())
        await asyncio.sleep(0)


@operation
async def tasks_cancelled(loop: Any, count: int) -> None:
    for i in range(count):
        task = loop.create_task(wait(loop.create_future()))
        if i % 2:
            await asyncio.sleep(0)
        task.cancel('enough')
        with contextlib.suppress(asyncio.CancelledError):
            await task


@operation
async def bad_yields(loop: Any, count: int) -> None:
    class Bad:
        def __await__(self) -> Any:
            yield self

    async def bad() -> None:
        await Bad()

    for _ in range(count):
        with contextlib.suppress(RuntimeError):
            await loop.create_task(bad())


@operation
async def timers_cancelled(loop: Any, count: int) -> None:
    for _ in range(count):
        loop.call_later(1000, lambda: None).cancel()


@operation
async def timers_cancelled_out_of_order(loop: Any, count: int) -> None:
    timers = [loop.call_later(1000 + i * 7919 % 101, [i].append, i) for i in range(count)]
    for timer in timers[::2] + timers[1::2]:
        timer.cancel()


@operation
async def timers_fired(loop: Any, count: int) -> None:
    for i in range(count):
        loop.call_later(0, [].append, [i])
        await asyncio.sleep(0)
    await asyncio.sleep(1e-5)


@operation
async def timeouts(loop: Any, count: int) -> None:
    for _ in range(count):
        async with asyncio.timeout(1000):
            await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.sleep(10)


@operation
async def callbacks_with_arguments(loop: Any, count: int) -> None:
    def callback(*args: object) -> None:
        pass

    for i in range(count):
        loop.call_soon(callback)
        loop.call_soon(callback, [i], {i: i}, context=contextvars.copy_context())
        loop.call_soon(callback, i).cancel()
        if i % 100 == 0:
            await asyncio.sleep(0)


@operation
async def callbacks_that_raise(loop: Any, count: int) -> None:
    for _ in range(count):
        loop.call_soon(next, iter([]))
        future = loop.create_future()
        future.add_done_callback(next)
        future.set_result(None)
        await asyncio.sleep(0)


@operation
async def context_variables(loop: Any, count: int) -> None:
    for _ in range(count):
        variable.set(object())
        loop.call_soon(variable.set, object())
        await asyncio.sleep(0)


@operation
async def threadsafe_calls(loop: Any, count: int) -> None:
    future = loop.create_future()

    def call(left: int) -> None:
        if left:
            loop.call_soon_threadsafe(call, left - 1)
        else:
            future.set_result(None)

    call(count)
    await future


@operation
async def executor(loop: Any, count: int) -> None:
    with ThreadPoolExecutor(1) as pool:
        for _ in range(count // 10):
            await loop.run_in_executor(pool, object)
            with contextlib.suppress(ValueError):
                await loop.run_in_executor(pool, int, 'x')


@operation
async def eager_tasks(loop: Any, count: int) -> None:
    for i in range(count):
        await sooner.Task(nothing() if i % 2 else one_turn(), loop=loop, eager_start=True)
        with contextlib.suppress(ValueError):
            await sooner.Task(fail(), loop=loop, eager_start=True)


@operation
async def gathers(loop: Any, count: int) -> None:
    for _ in range(count // 4):
        await asyncio.gather(one_turn(), nothing(), fail(), return_exceptions=True)


@operation
async def task_groups(loop: Any, count: int) -> None:
    for _ in range(count // 4):
        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(one_turn())
                group.create_task(fail())


@operation
async def queues(loop: Any, count: int) -> None:
    queue: asyncio.Queue[object] = asyncio.Queue(1)

    async def produce() -> None:
        for _ in range(count):
            await queue.put([object()])

    producer = loop.create_task(produce())
    for _ in range(count):
        await queue.get()
    await producer


@operation
async def asynchronous_generators(loop: Any, count: int) -> None:
    async def numbers() -> Any:
        for number in range(3):
            yield number
            await asyncio.sleep(0)

    for i in range(count // 4):
        async for _ in numbers():
            if i % 2:
                break
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@operation
async def stock_futures_and_tasks(loop: Any, count: int) -> None:
    for _ in range(count):
        future: asyncio.Future[object] = asyncio.Future(loop=loop)
        loop.call_soon(future.set_result, None)
        await asyncio.Task(wait(future), loop=loop)


@operation
async def debug_mode(loop: Any, count: int) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 60
    for _ in range(count // 20):
        await loop.create_task(one_turn())
        loop.call_later(1000, print).cancel()
    loop.set_debug(False)


@operation
async def statistics(loop: Any, count: int) -> None:
    for _ in range(count // 4):
        loop.statistics()
        asyncio.all_tasks()
        asyncio.current_task()


@operation
async def files_watched(loop: Any, count: int) -> None:
    read, write = os.pipe()
    for _ in range(count // 4):
        loop.add_reader(read, print, [object()])
        loop.add_writer(write, [].append, object())
        await asyncio.sleep(0)
        loop.remove_reader(read)
        loop.remove_writer(write)
    os.close(read)
    os.close(write)


class Echo(asyncio.Protocol):
    """Answers with what came, and lets who waits know when it is over."""

    def __init__(self, over: Any, fails: bool = False) -> None:
        self.over = over
        self.fails = fails

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        if self.fails:
            raise ValueError(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def connect_and(end: str, loop: Any, count: int, fails: bool = False) -> None:
    """Connect, exchange some bytes, and end that, again and again; with protocols that refer to their transports."""
    for _ in range(count // 10):
        sock, peer = socket.socketpair()
        over = loop.create_future()
        transport, _ = await loop.connect_accepted_socket(lambda over=over: Echo(over, fails), sock)
        transport.note = [transport]
        peer.send(b'question')
        peer.setblocking(False)
        await loop.sock_recv(peer, 100)
        if end == 'the peer':
            peer.close()
        elif end == 'much to send':
            transport.write(bytearray(1_000_000))
            transport.abort()
        elif end:
            getattr(transport, end)()
        await over
        peer.close()


@operation
async def connections_closed(loop: Any, count: int) -> None:
    await connect_and('close', loop, count)


@operation
async def connections_closed_by_the_peer(loop: Any, count: int) -> None:
    await connect_and('the peer', loop, count)


@operation
async def connections_aborted_with_much_to_send(loop: Any, count: int) -> None:
    await connect_and('much to send', loop, count)


@operation
async def connections_whose_protocols_fail(loop: Any, count: int) -> None:
    await connect_and('', loop, count, fails=True)


@operation
async def servers(loop: Any, count: int) -> None:
    for _ in range(count // 20):
        over = loop.create_future()
        server = await loop.create_server(lambda over=over: Echo(over), '127.0.0.1', 0)
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        transport.get_extra_info('socket').getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
        transport.write(b'question')
        transport.close()
        await over
        server.close()
        await server.wait_closed()


@operation
async def connections_refused(loop: Any, count: int) -> None:
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        for _ in range(count // 20):
            with contextlib.suppress(ConnectionRefusedError):
                await loop.create_connection(asyncio.Protocol, *sock.getsockname())


async def cancel(task: asyncio.Task[Any]) -> None:
    """Let it begin, then cancel it, and wait until it has ended."""
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


async def double(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each line with two."""
    async for line in reader:
        writer.writelines([line, line])
        await writer.drain()
    writer.close()
    await writer.wait_closed()


@operation
async def streams(loop: Any, count: int) -> None:
    async with await asyncio.start_server(double, '127.0.0.1', 0) as server:
        for _ in range(count // 20):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for line in (b'some\n', b'more\n'):
                writer.write(line)
                await writer.drain()
                assert await reader.readexactly(2) + await reader.readuntil(b'\n') == line
                assert await reader.readline() == line
            writer.write_eof()
            with contextlib.suppress(asyncio.IncompleteReadError):
                await reader.readexactly(1)
            writer.close()
            await writer.wait_closed()


@operation
async def streams_whose_operations_are_cancelled(loop: Any, count: int) -> None:
    for _ in range(count // 20):
        left, right = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=left)
        with right:
            for method in (reader.readline, reader.read, reader.__anext__):
                await cancel(loop.create_task(method()))
            writer.write(bytearray(1_000_000))
            await cancel(loop.create_task(writer.drain()))
            waiting = loop.create_task(reader.readexactly(10))
            await asyncio.sleep(0)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await waiting
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@operation
async def socket_operations(loop: Any, count: int) -> None:
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        for _ in range(count // 10):
            await cancel(loop.create_task(loop.sock_recv(right, 10)))
            receiving = loop.create_task(loop.sock_recv(right, 10))
            await asyncio.sleep(0)
            await loop.sock_sendall(left, b'x' * 20)
            await receiving
            await loop.sock_recv_into(right, bytearray(10))
            await cancel(loop.create_task(loop.sock_sendall(left, bytes(1_000_000))))
            with contextlib.suppress(BlockingIOError):
                while True:
                    right.recv(1 << 20)


@operation
async def sockets_accepted(loop: Any, count: int) -> None:
    with socket.create_server(('127.0.0.1', 0)) as listening:
        listening.setblocking(False)
        for _ in range(count // 20):
            await cancel(loop.create_task(loop.sock_accept(listening)))
            accepting = loop.create_task(loop.sock_accept(listening))
            with socket.socket() as client:
                client.setblocking(False)
                await loop.sock_connect(client, listening.getsockname())
                connection, _ = await accepting
                await cancel(loop.create_task(loop.sock_recv(connection, 10)))
                connection.close()


class Talks(asyncio.Protocol):
    """Lets who waits know when something came, and when it is over."""

    def __init__(self, loop: Any) -> None:
        self.heard = loop.create_future()
        self.over = loop.create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.heard.done():
            self.heard.set_result(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.over.set_result(None)


class TalksInDatagrams(Talks, asyncio.DatagramProtocol):
    """Fails each time that something came."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard.set_result(None)
        raise ValueError(data)


@operation
async def datagram_endpoints(loop: Any, count: int) -> None:
    host = f'127.{1 + os.getpid() % 250}.{os.getpid() // 250 % 250}.9' if sys.platform == 'linux' else '127.0.0.1'
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        address = sock.getsockname()  # the same each time, as senders that were seen are remembered, up to a number
    for i in range(count // 10):
        transport, protocol = await loop.create_datagram_endpoint(lambda: TalksInDatagrams(loop), address)
        transport.note = [transport]
        transport.sendto(b'datagram', address)
        transport.sendto(bytes(100_000), address)
        await protocol.heard
        if i % 2:
            transport.close()
        else:
            transport.abort()
        await protocol.over


@operation
async def pipes(loop: Any, count: int) -> None:
    for i in range(count // 10):
        read, write = os.pipe()
        reading, reader = await loop.connect_read_pipe(lambda: Talks(loop), os.fdopen(read, 'rb', 0))
        writing, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(write, 'wb', 0))
        writing.note = [writing]
        writing.write(bytes(100_000))
        if i % 3 == 0:
            writing.close()
        elif i % 3 == 1:
            writing.abort()
        else:
            reading.close()
        await reader.over
        writing.close()
        await asyncio.sleep(0)


@operation
async def processes(loop: Any, count: int) -> None:
    for i in range(count // 30):
        process = await asyncio.create_subprocess_exec('cat', stdin=asyncio.subprocess.PIPE, stdout=-1)
        await cancel(loop.create_task(process.wait()))
        if i % 2:
            await process.communicate(b'data')
        else:
            process.kill()
            await process.wait()
    with contextlib.suppress(FileNotFoundError):
        await asyncio.create_subprocess_exec('/nowhere/to/be/found', stdin=asyncio.subprocess.PIPE)


async def talk(loop: Any, client: Any, server: Any) -> None:
    """Exchange something, and close, in good order or not."""
    client.transport.note = [client.transport]
    client.transport.write(b'question')
    server.transport.write(bytearray(100_000))
    await client.heard
    server.transport.close()
    await asyncio.gather(client.over, server.over)


@operation
async def tls_connections(loop: Any, count: int) -> None:
    here, there = client_context(), server_context()
    for _ in range(count // 25):
        left, right = socket.socketpair()
        (_, client), (_, server) = await asyncio.gather(
            loop.create_connection(lambda: Talks(loop), sock=left, ssl=here, server_hostname='localhost'),
            loop.connect_accepted_socket(lambda: Talks(loop), right, ssl=there),
        )
        await talk(loop, client, server)


@operation
async def tls_upgrades(loop: Any, count: int) -> None:
    here, there = client_context(), server_context()
    for _ in range(count // 25):
        left, right = socket.socketpair()
        below, client = await loop.create_connection(lambda: Talks(loop), sock=left)
        other, server = await loop.connect_accepted_socket(lambda: Talks(loop), right)
        client.transport, server.transport = await asyncio.gather(
            loop.start_tls(below, client, here, server_hostname='localhost'),
            loop.start_tls(other, server, there, server_side=True),
        )
        await talk(loop, client, server)


@operation
async def tls_handshakes_that_fail(loop: Any, count: int) -> None:
    context = client_context()
    for i in range(count // 25):
        left, right = socket.socketpair()
        right.setblocking(False)
        connecting = loop.create_task(
            loop.create_connection(lambda: Talks(loop), sock=left, ssl=context, server_hostname='localhost')
        )
        await loop.sock_recv(right, 10_000)
        if i % 3 == 0:
            await loop.sock_sendall(right, b'no TLS at all')
        elif i % 3 == 1:
            connecting.cancel()
        else:
            right.close()
        await asyncio.wait([connecting])
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await connecting
        right.close()
        await asyncio.sleep(0)


def objects() -> Counter[str]:
    """Count what the garbage collector knows, by type, and open files. Not what was there before: that is frozen."""
    counts = Counter(f'{type(each).__module__}.{type(each).__qualname__}' for each in gc.get_objects())
    if sys.platform == 'linux':
        counts['open files'] = len(os.listdir('/proc/self/fd'))
    return counts


def memory() -> int:
    """Tell the bytes of this process that are in memory."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096


def check_flat(repeat: Callable[[int], None], scale: int) -> None:
    """Fail if repeat() leaves something behind each time, of three."""
    repeat(WARM_UP)
    for _ in range(3):
        more = growth(repeat, REPETITIONS * scale)
        if not more:
            return
    raise AssertionError(f'{REPETITIONS * scale} times leave behind: {more}')


def growth(repeat: Callable[[int], None], count: int) -> dict[str, int]:
    """Tell what there is more of when repeat() is over than before."""
    repeat(WARM_UP)
    collect()
    before, references, size = objects(), total_references and total_references(), memory()
    repeat(count)
    collect()
    references_after = total_references and total_references()  # first: what counts the objects is made of some itself
    after, size_after = objects(), memory()
    more = {kind: after[kind] - before[kind] for kind in after if after[kind] > before[kind] + SPARE}
    if references is not None and references_after is not None and references_after - references > 10 * SPARE:
        more['references'] = references_after - references
    if count >= 100 * REPETITIONS and size_after - size > MEMORY:
        more['bytes of memory'] = size_after - size
    return more


def collect() -> None:
    for _ in range(3):
        gc.collect()


@pytest.fixture
def quiet_loop(loop: Any) -> Any:
    """A loop that forgets what it reports: some operations are there to be reported."""
    loop.set_exception_handler(lambda loop, context: None)
    for _ in range(20_000):  # and that has all the spare handles it may keep
        loop.call_soon(int)
    loop.run_until_complete(nothing())
    return loop


@pytest.mark.parametrize('name', OPERATIONS)
def test_nothing_is_left_behind(quiet_loop: Any, name: str, stress_scale: int) -> None:
    def repeat(count: int) -> None:
        quiet_loop.run_until_complete(OPERATIONS[name](quiet_loop, count))

    check_flat(repeat, stress_scale)


def loops_closed(count: int) -> None:
    for _ in range(count // 10):
        loop = sooner.new_event_loop()
        loop.run_until_complete(nothing())
        loop.call_soon(print)
        loop.call_later(10, print)
        loop.close()


def loops_closed_with_pending_tasks(count: int) -> None:
    for _ in range(count // 10):
        loop = sooner.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)
        loop.create_task(wait(loop.create_future()))
        loop.run_until_complete(nothing())
        loop.close()


def loops_run(count: int) -> None:
    for _ in range(count // 20):
        sooner.run(nothing())


def loops_dropped(count: int) -> None:
    for _ in range(count // 20):
        loop = sooner.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)
        future = loop.create_future()
        loop.create_task(wait(future))
        loop.run_until_complete(nothing())
        loop.call_later(10, future.cancel)
        del loop, future
    gc.collect()


@pytest.mark.filterwarnings('ignore:unclosed:ResourceWarning')
@pytest.mark.parametrize('repeat', [loops_closed, loops_closed_with_pending_tasks, loops_run, loops_dropped])
def test_loops_leave_nothing_behind(repeat: Callable[[int], None], stress_scale: int) -> None:
    gc.collect()
    open_files = len(list(Path('/proc/self/fd').iterdir()))
    check_flat(repeat, max(1, stress_scale // 20))
    assert len(list(Path('/proc/self/fd').iterdir())) == open_files
