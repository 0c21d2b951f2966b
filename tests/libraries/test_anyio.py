"""anyio on its asyncio backend: structured concurrency, sockets of every kind, TLS, processes, threads, signals."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

anyio = pytest.importorskip('anyio')
from anyio.abc import SocketAttribute  # noqa: E402
from anyio.streams.buffered import BufferedByteReceiveStream  # noqa: E402
from anyio.streams.tls import TLSListener, TLSStream  # noqa: E402

BIG = os.urandom(2 << 20)


@contextlib.asynccontextmanager
async def serving(listener: Any, handler: Callable[[Any], Any]) -> AsyncIterator[int]:
    """Have a listener serve; gives its port."""
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, handler)
        yield listener.extra(SocketAttribute.local_port, None)
        group.cancel_scope.cancel()


async def echo(stream: Any) -> None:
    async with stream:
        async for chunk in stream:
            await stream.send(chunk)
        await stream.send_eof()


async def send_all(stream: Any, data: bytes) -> None:
    await stream.send(data)
    await stream.send_eof()


async def received(stream: Any) -> bytes:
    return b''.join([chunk async for chunk in stream])


# --- tasks and scopes ---


async def test_time_limit_cancels_what_is_inside_and_nothing_else() -> None:
    with anyio.move_on_after(0.02) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    with pytest.raises(TimeoutError), anyio.fail_after(0.02):
        await anyio.sleep_forever()
    await anyio.sleep(0)


async def test_outer_scope_does_not_reach_into_a_shielded_one() -> None:
    reached = []
    with anyio.CancelScope() as outer:
        outer.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.01)
            reached.append('shielded')
        await anyio.sleep(0)
        reached.append('never')
    assert reached == ['shielded']


async def test_nested_limits_end_at_the_right_one() -> None:
    with anyio.move_on_after(0.02) as outer, anyio.move_on_after(60) as inner:
        await anyio.sleep_forever()
    assert (outer.cancelled_caught, inner.cancelled_caught) == (True, False)


async def test_failing_task_cancels_its_siblings() -> None:
    cancelled = []

    async def sibling() -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.append('sibling')
            raise

    async def fail() -> None:
        await anyio.sleep(0.01)
        raise ValueError('broken')

    async def family() -> None:
        async with anyio.create_task_group() as group:
            for function in (sibling, sibling, fail):
                group.start_soon(function)

    with pytest.raises(ExceptionGroup) as caught:
        await family()
    assert [repr(error) for error in caught.value.exceptions] == ["ValueError('broken')"]
    assert cancelled == ['sibling'] * 2


async def test_task_tells_that_it_has_started() -> None:
    async def serve(*, task_status: Any) -> None:
        task_status.started('ready')
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        assert await group.start(serve) == 'ready'
        group.cancel_scope.cancel()


async def test_streams_of_objects_hold_a_fast_sender_back() -> None:
    send, receive = anyio.create_memory_object_stream[int](2)
    taken = []

    async def produce() -> None:
        async with send:
            for number in range(100):
                await send.send(number)
                assert send.statistics().current_buffer_used <= 2

    async with anyio.create_task_group() as group, receive:
        group.start_soon(produce)
        async for number in receive:
            taken.append(number)
    assert taken == list(range(100))


# --- sockets ---


async def converse(stream: Any) -> None:
    """Have a great deal echoed, sending and receiving at once."""
    async with stream, anyio.create_task_group() as group:
        group.start_soon(send_all, stream, BIG)
        assert await received(stream) == BIG


@pytest.mark.parametrize('host', ['127.0.0.1', '::1'])
async def test_tcp(host: str) -> None:
    async with serving(await anyio.create_tcp_listener(local_host=host), echo) as port:
        await converse(await anyio.connect_tcp(host, port))


async def test_name_with_two_addresses_is_connected_to_by_the_one_that_answers() -> None:
    async with (
        serving(await anyio.create_tcp_listener(local_host='127.0.0.1'), echo) as port,
        await anyio.connect_tcp('localhost', port) as stream,
    ):
        await stream.send(b'hello')
        assert await stream.receive() == b'hello'


async def test_unix_socket(tmp_path: Path) -> None:
    async with serving(await anyio.create_unix_listener(tmp_path / 'socket'), echo):
        await converse(await anyio.connect_unix(tmp_path / 'socket'))


async def test_descriptors_are_passed(tmp_path: Path) -> None:
    async def hand_over(stream: Any) -> None:
        async with stream:
            with (tmp_path / 'file').open('w+') as file:
                file.write('what was passed')
                file.flush()
                await stream.send_fds(b'here', [file])

    async with (
        serving(await anyio.create_unix_listener(tmp_path / 'socket'), hand_over),
        await anyio.connect_unix(tmp_path / 'socket') as stream,
    ):
        message, (fd,) = await stream.receive_fds(10, 1)
    with os.fdopen(fd) as file:
        file.seek(0)
        assert (message, file.read()) == (b'here', 'what was passed')


async def test_udp() -> None:
    async with (
        await anyio.create_udp_socket(local_host='127.0.0.1') as server,
        await anyio.create_connected_udp_socket('127.0.0.1', server.extra(SocketAttribute.local_port)) as client,
    ):
        for number in range(50):
            await client.send(b'%d' % number)
            data, address = await server.receive()
            await server.sendto(data[::-1], *address)
            assert await client.receive() == (b'%d' % number)[::-1]


async def test_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async def answer(stream: Any) -> None:
        async with stream:
            await stream.send(await BufferedByteReceiveStream(stream).receive_exactly(len(BIG)))

    listener = await anyio.create_tcp_listener(local_host='127.0.0.1')
    port = listener.extra(SocketAttribute.local_port)
    async with (
        serving(TLSListener(listener, server_tls), answer),
        await anyio.connect_tcp('localhost', port, ssl_context=client_tls) as stream,
    ):
        await stream.send(BIG)
        assert await received(stream) == BIG


async def test_tls_is_begun_on_a_connection_in_use(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async def serve(stream: Any) -> None:
        async with stream:
            assert await stream.receive() == b'STARTTLS'
            await stream.send(b'OK')
            async with await TLSStream.wrap(stream, server_side=True, ssl_context=server_tls) as secure:
                await secure.send((await secure.receive()).upper())

    async with (
        serving(await anyio.create_tcp_listener(local_host='127.0.0.1'), serve) as port,
        await anyio.connect_tcp('127.0.0.1', port) as stream,
    ):
        await stream.send(b'STARTTLS')
        assert await stream.receive() == b'OK'
        async with await TLSStream.wrap(stream, hostname='localhost', ssl_context=client_tls) as secure:
            await secure.send(b'secret')
            assert await secure.receive() == b'SECRET'


async def test_waiting_for_a_plain_socket() -> None:
    with anyio.fail_after(20):
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            right.setblocking(False)
            await anyio.wait_writable(left)
            left.send(b'x')
            await anyio.wait_readable(right)
            assert right.recv(1) == b'x'


# --- processes, threads, signals ---


async def test_process_is_run_to_its_end() -> None:
    program = 'import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data[::-1]); sys.exit(3)'
    done = await anyio.run_process([sys.executable, '-c', program], input=BIG, check=False)
    assert (done.returncode, done.stdout) == (3, BIG[::-1])


async def test_conversation_with_a_process() -> None:
    program = 'import sys\nfor line in sys.stdin: print(line.strip().upper(), flush=True)'
    async with await anyio.open_process([sys.executable, '-c', program]) as process:
        output = BufferedByteReceiveStream(process.stdout)
        for word in (b'one', b'two', b'three'):
            await process.stdin.send(word + b'\n')
            assert await output.receive_until(b'\n', 100) == word.upper()
        await process.stdin.aclose()
        assert await process.wait() == 0


async def test_time_limit_ends_a_process() -> None:
    with anyio.move_on_after(0.3) as scope:
        await anyio.run_process([sys.executable, '-c', 'import time; time.sleep(3600)'])
    assert scope.cancelled_caught


async def test_many_processes_at_once() -> None:
    codes = {}

    async def run(code: int) -> None:
        codes[code] = (await anyio.run_process(['sh', '-c', f'exit {code}'], check=False)).returncode

    async with anyio.create_task_group() as group:
        for code in range(30):
            group.start_soon(run, code)
    assert codes == {code: code for code in range(30)}


async def test_threads_call_back_into_the_loop() -> None:
    async def double(number: int) -> int:
        await anyio.sleep(0)
        return 2 * number

    def work(number: int) -> int:
        return int(anyio.from_thread.run(double, number)) + 1

    assert [await anyio.to_thread.run_sync(work, number) for number in range(20)] == [2 * n + 1 for n in range(20)]


async def test_signals_are_received() -> None:
    with anyio.open_signal_receiver(signal.SIGUSR1, signal.SIGUSR2) as signals:
        for sent in (signal.SIGUSR1, signal.SIGUSR2):
            os.kill(os.getpid(), sent)
            with anyio.fail_after(20):
                assert await anext(signals) == sent


async def test_pool_of_processes_is_used_from_tasks() -> None:
    assert await anyio.to_process.run_sync(os.getpid) != os.getpid()
