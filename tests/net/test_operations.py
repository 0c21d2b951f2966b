"""sock_recv() and its kin: what they promise, and what becomes of sockets that are closed, shared or used again."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import gc
import io
import os
import random
import select
import signal
import socket
import ssl
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from patience import PATIENCE
from recording import some_turns

Run = Callable[[Any], Any]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected stream sockets, non-blocking."""
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        other.setblocking(False)
        yield one, other


@pytest.fixture
def tcp_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The same over TCP."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    with one, other:
        one.setblocking(False)
        other.setblocking(False)
        yield one, other


MUCH = 50_000_000
"""Bytes that do not go at once if nobody reads: the system keeps some four million of them."""


def fill(sock: socket.socket) -> int:
    """Write until there is no room, and none comes while the kernel moves on what was sent; return how many bytes."""
    count = refused = 0
    while refused < 3:
        try:
            count += sock.send(bytes(65536))
            refused = 0
        except BlockingIOError:
            refused += 1
            time.sleep(0.002)
    return count


def test_only_whole_numbers_of_bytes_can_be_asked_for(each: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair
    other.send(b'data')

    async def main() -> None:
        with pytest.raises(TypeError, match='float'):
            await loop.sock_recv(one, 1.5)
        assert await loop.sock_recv(one, True) == b'd'

    run(main())


# Each operation, done at once and after a wait.


def test_what_is_there_is_received_without_a_turn_of_the_loop(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair

    async def main() -> None:
        other.send(b'hello')
        ran: list[bool] = []
        loop.call_soon(ran.append, True)
        assert await loop.sock_recv(one, 3) == b'hel'
        assert await loop.sock_recv(one, 100) == b'lo'
        await loop.sock_sendall(one, b'answer')
        assert not ran
        assert other.recv(100) == b'answer'

    run(main())


def test_receiving_waits_for_what_comes(each: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair

    async def main() -> None:
        for size in range(1, 20):
            receiving = asyncio.ensure_future(loop.sock_recv(one, 1024))
            await some_turns()
            assert not receiving.done()
            other.send(bytes(size))
            assert await receiving == bytes(size)

    run(main())


def test_the_end_of_the_stream_is_no_bytes_for_ever(each: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair

    async def main() -> None:
        receiving = asyncio.ensure_future(loop.sock_recv(one, 10))
        await some_turns()
        other.send(b'last')
        other.close()
        assert await receiving == b'last'
        for _ in range(10):
            assert await loop.sock_recv(one, 10) == b''

    run(main())


def test_the_end_that_comes_with_the_last_bytes_is_not_waited_for(
    each: Any, loop: Any, run: Run, tcp_pair: Any
) -> None:
    one, other = tcp_pair

    async def main() -> None:
        for _ in range(3):
            receiving = asyncio.ensure_future(loop.sock_recv(one, 1000))
            await some_turns()
            other.send(b'more')
            assert await receiving == b'more'
        receiving = asyncio.ensure_future(loop.sock_recv(one, 1000))
        await some_turns()
        other.send(b'last')
        other.shutdown(socket.SHUT_WR)
        assert await receiving == b'last'
        assert await loop.sock_recv(one, 1000) == b''

    run(main())


def test_urgent_data_in_between_holds_nothing_back(each: Any, loop: Any, run: Run, tcp_pair: Any) -> None:
    one, other = tcp_pair

    async def main() -> None:
        receiving = asyncio.ensure_future(loop.sock_recv(one, 1000))
        await some_turns()
        other.send(b'before')
        other.send(b'!', socket.MSG_OOB)
        other.send(b'after')
        received = await receiving
        while len(received) < len(b'beforeafter'):
            received += await loop.sock_recv(one, 1000)
        assert received == b'beforeafter'

    run(main())


async def drain(loop: Any, one: socket.socket, other: socket.socket) -> None:
    """Leave a socket of which the loop knows that there is nothing more to read."""
    for _ in range(3):
        receiving = asyncio.ensure_future(loop.sock_recv(one, 1000))
        await some_turns()
        other.send(b'more')
        assert await receiving == b'more'


def test_an_emptied_connection_is_not_asked_again_before_an_event(
    ours: Any, loop: Any, run: Run, tcp_pair: Any
) -> None:
    one, other = tcp_pair

    async def main() -> None:
        await drain(loop, one, other)
        other.send(b'more')  # the loop has not looked for events yet
        assert select.select([one], [], [], PATIENCE)[0]
        operation = loop.sock_recv(one, 1000)
        if loop._driver.edges:
            assert isinstance(operation.send(None), asyncio.Future)
            operation.close()
            assert await loop.sock_recv(one, 1000) == b'more'
        else:
            assert await operation == b'more'

    run(main())


@pytest.mark.parametrize('there', [False, True], ids=['later', 'before'])
def test_more_for_an_emptied_connection_is_received(each: Any, loop: Any, run: Run, tcp_pair: Any, there: bool) -> None:
    one, other = tcp_pair

    async def main() -> None:
        for size in (3, 1000, 4):
            await drain(loop, one, other)
            if there:
                other.send(b'0123456789')
                assert select.select([one], [], [], PATIENCE)[0]
            receiving = asyncio.ensure_future(loop.sock_recv(one, size))
            await some_turns(1)
            if not there:
                other.send(b'0123456789')
            received = await receiving
            while len(received) < 10:
                received += await loop.sock_recv(one, size)
            assert received == b'0123456789'

    run(main())


def end(one: socket.socket, other: socket.socket) -> None:
    other.close()


def end_writing(one: socket.socket, other: socket.socket) -> None:
    other.shutdown(socket.SHUT_WR)


def end_reading(one: socket.socket, other: socket.socket) -> None:
    one.shutdown(socket.SHUT_RD)


def reset(one: socket.socket, other: socket.socket) -> None:
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    other.close()


@pytest.mark.parametrize('seen', [False, True], ids=['unseen', 'seen'])
@pytest.mark.parametrize('how', [end, end_writing, end_reading, reset])
def test_the_end_of_an_emptied_connection_is_not_missed(
    each: Any, loop: Any, run: Run, tcp_pair: Any, how: Any, seen: bool
) -> None:
    one, other = tcp_pair

    async def main() -> None:
        await drain(loop, one, other)
        how(one, other)
        assert select.select([one], [], [], PATIENCE)[0]
        if seen:
            await asyncio.sleep(0.01)  # the event is nobody's
        if how is reset:
            with pytest.raises(ConnectionResetError):
                await loop.sock_recv(one, 1000)
        assert await loop.sock_recv(one, 1000) == b''

    run(main())


def test_a_reset_that_comes_with_the_last_bytes_is_not_waited_for(
    each: Any, loop: Any, run: Run, tcp_pair: Any
) -> None:
    one, other = tcp_pair

    async def main() -> None:
        await drain(loop, one, other)
        one.send(b'never read')  # so that to close is to reset
        assert select.select([other], [], [], PATIENCE)[0]
        receiving = asyncio.ensure_future(loop.sock_recv(one, 1000))
        await some_turns()
        other.send(b'last')
        other.close()
        assert await receiving == b'last'
        with pytest.raises(ConnectionResetError):
            await loop.sock_recv(one, 1000)

    run(main())


def test_half_an_end_is_no_end_of_writing(each: Any, loop: Any, run: Run, tcp_pair: Any) -> None:
    one, other = tcp_pair

    async def main() -> None:
        await drain(loop, one, other)
        sending = asyncio.ensure_future(loop.sock_sendall(one, bytes(MUCH)))
        await some_turns()
        other.shutdown(socket.SHUT_WR)
        assert await loop.sock_recv(one, 1000) == b''
        await some_turns()
        assert not sending.done()
        while not sending.done():
            with contextlib.suppress(BlockingIOError):
                other.recv(1 << 20)
            await asyncio.sleep(0)
        await sending

    run(main())


def test_urgent_data_that_is_taken_first_holds_nothing_back(each: Any, loop: Any, run: Run, tcp_pair: Any) -> None:
    one, other = tcp_pair

    async def main() -> None:
        await drain(loop, one, other)
        other.send(b'before')
        other.send(b'!', socket.MSG_OOB)
        other.send(b'after')
        assert select.select([], [], [one], PATIENCE)[2]
        await asyncio.sleep(0.01)  # the event is nobody's
        assert one.recv(1, socket.MSG_OOB) == b'!'
        received = b''
        while len(received) < len(b'beforeafter'):
            received += await loop.sock_recv(one, 1000)
        assert received == b'beforeafter'

    run(main())


def test_what_comes_while_something_else_reads_an_emptied_connection_is_received(
    each: Any, loop: Any, run: Run, tcp_pair: Any
) -> None:
    one, other = tcp_pair

    async def main() -> None:
        await drain(loop, one, other)
        ready = asyncio.Event()
        loop.add_reader(one, ready.set)
        other.send(b'hello')
        await ready.wait()
        assert loop.remove_reader(one)
        assert await loop.sock_recv(one, 1000) == b'hello'
        await drain(loop, one, other)
        loop.add_writer(one, ready.clear)
        await drain(loop, one, other)
        other.send(b'hello')
        other.shutdown(socket.SHUT_WR)
        assert await loop.sock_recv(one, 1000) == b'hello'
        assert loop.remove_writer(one)
        assert await loop.sock_recv(one, 1000) == b''

    run(main())


def test_an_emptied_connection_is_nothing_to_the_next_one_of_its_number(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        numbers = set()
        with socket.create_server(('127.0.0.1', 0)) as listener:
            for _ in range(20):
                with socket.create_connection(listener.getsockname()) as other:
                    one, _ = listener.accept()
                    with one:
                        one.setblocking(False)
                        numbers.add(one.fileno())
                        other.send(b'there')
                        assert select.select([one], [], [], PATIENCE)[0]
                        assert await loop.sock_recv(one, 1000) == b'there'
                        await drain(loop, one, other)
        assert len(numbers) < 5

    run(main())


def test_readers_of_an_emptied_connection_get_what_comes_in_their_order(
    ours: Any, loop: Any, run: Run, tcp_pair: Any
) -> None:
    one, other = tcp_pair

    async def main() -> None:
        await drain(loop, one, other)
        waiting = [asyncio.ensure_future(loop.sock_recv(one, 2)) for _ in range(4)]
        await some_turns()
        other.send(b'11223')
        assert [await wait for wait in waiting[:3]] == [b'11', b'22', b'3']
        await some_turns()
        assert not waiting[3].done()
        other.send(b'44')
        assert await waiting[3] == b'44'

    run(main())


def test_a_closed_connection_that_was_emptied_is_an_error_to_the_next_in_line(
    ours: Any, loop: Any, run: Run, tcp_pair: Any
) -> None:
    one, other = tcp_pair

    async def main() -> None:
        async def receive_and_close() -> None:
            assert await loop.sock_recv(one, 1000) == b'last'
            one.close()

        await drain(loop, one, other)
        first = asyncio.ensure_future(receive_and_close())
        await some_turns(1)
        second = asyncio.ensure_future(loop.sock_recv(one, 1000))
        await some_turns()
        other.send(b'last')
        await first
        with pytest.raises(OSError, match='Bad file descriptor'):
            await second

    run(main())


def test_a_negative_size_is_refused_of_an_emptied_connection_too(ours: Any, loop: Any, run: Run, tcp_pair: Any) -> None:
    one, other = tcp_pair

    async def main() -> None:
        await drain(loop, one, other)
        with pytest.raises(ValueError, match='negative'):
            await loop.sock_recv(one, -1)

    run(main())


def test_a_message_after_rights_is_not_overlooked(each: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair

    async def main() -> None:
        await drain(loop, one, other)
        receiving = asyncio.ensure_future(loop.sock_recv(one, 1000))
        await some_turns()
        socket.send_fds(other, [b'with'], [other.fileno()])  # a recv(2) stops after such a message
        other.send(b'without')
        received = await receiving
        while len(received) < len(b'withwithout'):
            received += await loop.sock_recv(one, 1000)
        assert received == b'withwithout'

    run(main())


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
def test_everything_is_sent_however_slowly_it_is_read(each: Any, loop: Any, run: Run, pair: Any, kind: Any) -> None:
    one, other = pair
    data = random.Random(1).randbytes(3_000_000)

    async def main() -> None:
        sending = asyncio.ensure_future(loop.sock_sendall(one, kind(bytearray(data)) if kind is memoryview else data))
        received = bytearray()
        while len(received) < len(data):
            received += await loop.sock_recv(other, 65536)
        assert await sending is None
        assert received == data

    run(main())


def test_items_of_several_bytes_are_sent_whole(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair
    data = memoryview(random.Random(2).randbytes(800_000)).cast('I')

    async def main() -> None:
        sending = asyncio.ensure_future(loop.sock_sendall(one, data))
        received = bytearray()
        while len(received) < data.nbytes:
            received += await loop.sock_recv(other, 65536)
        await sending
        assert received == data.tobytes()

    run(main())


def test_what_is_being_sent_keeps_its_size(each: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair
    data = bytearray(3_000_000)

    async def main() -> None:
        sending = asyncio.ensure_future(loop.sock_sendall(one, data))
        await some_turns()
        with pytest.raises(BufferError):
            data.append(0)
        count = 0
        while count < len(data):
            count += len(await loop.sock_recv(other, 1_000_000))
        await sending
        del sending
        gc.collect()
        data.append(0)

    run(main())


def test_a_large_transfer_leaves_turns_to_others(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair
    other.setblocking(True)
    size = 50_000_000

    def read_all(left: int) -> None:
        while left:
            left -= len(other.recv(1_000_000))

    async def turns_of_a_transfer() -> int:
        reader = threading.Thread(target=read_all, args=[size])
        reader.start()
        sending = asyncio.ensure_future(loop.sock_sendall(one, bytes(size)))
        turns = 0
        while not sending.done():
            await asyncio.sleep(0)
            turns += 1
        await sending
        reader.join()
        return turns

    async def main() -> bool:
        """Try until the reader is not so fast that the kernel takes everything in one call."""
        for _ in range(20):
            if await turns_of_a_transfer() > 10:
                return True
        return False

    assert run(main())


def test_buffers_are_filled(each: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair

    async def main() -> None:
        buffer = bytearray(8)
        other.send(b'abc')
        assert await loop.sock_recv_into(one, buffer) == 3
        filling = asyncio.ensure_future(loop.sock_recv_into(one, memoryview(buffer)[4:]))
        await some_turns()
        other.send(b'defghi')
        assert await filling == 4
        assert buffer == b'abc\0defg'

    run(main())


def test_datagrams_come_with_their_senders(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
            for sock in one, other:
                sock.bind(('127.0.0.1', 0))
                sock.setblocking(False)
            receiving = asyncio.ensure_future(loop.sock_recvfrom(one, 100))
            await some_turns()
            assert await loop.sock_sendto(other, b'hello', one.getsockname()) == 5
            assert await receiving == (b'hello', other.getsockname())
            buffer = bytearray(10)
            filling = asyncio.ensure_future(loop.sock_recvfrom_into(one, buffer, 4))
            await some_turns()
            await loop.sock_sendto(other, b'again', one.getsockname())
            assert await filling == (4, other.getsockname())
            assert buffer == b'agai' + bytes(6)
            await loop.sock_sendto(other, b'all of it', one.getsockname())
            assert await loop.sock_recvfrom_into(one, buffer) == (9, other.getsockname())

    run(main())


def test_a_datagram_waits_for_room(each: Any, loop: Any, run: Run, tmp_path: Any) -> None:
    async def main() -> None:
        path = str(tmp_path / 'socket')
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            receiver.bind(path)
            for sock in receiver, sender:
                sock.setblocking(False)
            sent = 0
            sending = asyncio.ensure_future(loop.sock_sendto(sender, b'0', path))
            while True:
                await some_turns()
                if not sending.done():
                    break
                sent += 1
                sending = asyncio.ensure_future(loop.sock_sendto(sender, b'%d' % sent, path))
            for number in range(sent + 1):
                assert await loop.sock_recv(receiver, 100) == b'%d' % number
            assert await sending == len(b'%d' % sent)

    run(main())


@pytest.mark.parametrize('family', [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX], ids=lambda family: family.name)
def test_connections_are_accepted_non_blocking(each: Any, loop: Any, run: Run, tmp_path: Any, family: int) -> None:
    loopback = '::1' if family == socket.AF_INET6 else '127.0.0.1'
    address = str(tmp_path / 'socket') if family == socket.AF_UNIX else (loopback, 0)

    async def main() -> None:
        with socket.socket(family) as listener:
            listener.bind(address)
            listener.listen()
            listener.setblocking(False)
            for _ in range(3):
                accepting = asyncio.ensure_future(loop.sock_accept(listener))
                await some_turns()
                with socket.socket(family) as client:
                    client.setblocking(False)
                    assert await loop.sock_connect(client, listener.getsockname()) is None
                    accepted, peer = await accepting
                    with accepted:
                        assert peer == client.getsockname()
                        assert accepted.gettimeout() == 0
                        await loop.sock_sendall(accepted, b'welcome')
                        assert await loop.sock_recv(client, 100) == b'welcome'

    run(main())


def test_a_refused_connection_is_told(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        with socket.socket() as nobody, socket.socket() as client:
            nobody.bind(('127.0.0.1', 0))  # and does not listen
            client.setblocking(False)
            with pytest.raises(ConnectionRefusedError, match='Connect call failed'):
                await loop.sock_connect(client, nobody.getsockname())

    run(main())


def test_names_are_looked_up_to_connect(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        with socket.create_server(('127.0.0.1', 0)) as listener, socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, ('localhost', listener.getsockname()[1]))
            assert client.getpeername() == listener.getsockname()

    run(main())


def test_a_full_listener_is_an_error_and_no_connection(ours: Any, loop: Any, run: Run, tmp_path: Any) -> None:
    path = str(tmp_path / 'socket')

    async def main() -> None:
        clients = [socket.socket(socket.AF_UNIX) for _ in range(5)]
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(0)
            for client in clients:
                client.setblocking(False)
            connecting = [loop.sock_connect(client, path) for client in clients]
            results = await asyncio.gather(*connecting, return_exceptions=True)
            assert results[0] is None
            assert isinstance(results[-1], BlockingIOError)
        for client in clients:
            client.close()

    run(main())


# Operations are coroutines.


def test_an_operation_passes_as_a_coroutine(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair

    async def main() -> None:
        other.send(b'12345')
        operation = loop.sock_recv(one, 1)
        assert isinstance(operation, collections.abc.Coroutine)
        assert asyncio.iscoroutine(operation)
        assert await operation == b'1'
        assert await asyncio.create_task(loop.sock_recv(one, 1)) == b'2'
        assert await asyncio.wait_for(loop.sock_recv(one, 1), PATIENCE) == b'3'
        assert await asyncio.gather(loop.sock_recv(one, 1), loop.sock_recv(one, 1)) == [b'4', b'5']

    run(main())
    other.send(b'6')
    assert run(loop.sock_recv(one, 1)) == b'6'


def test_an_operation_runs_once(each: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair
    other.send(b'1')
    operation = loop.sock_recv(one, 1)

    async def main() -> Any:
        return await operation

    assert run(main()) == b'1'
    with pytest.raises(RuntimeError, match='cannot reuse already awaited coroutine'):
        run(main())


def test_an_operation_that_nobody_awaits_is_told(each: Any, loop: Any, pair: Any) -> None:
    operations = [loop.sock_recv(pair[0], 1)]
    with pytest.warns(RuntimeWarning, match='sock_recv.* was never awaited'):
        operations.clear()


def test_an_operation_that_is_closed_is_not(each: Any, loop: Any, pair: Any, recwarn: Any) -> None:
    loop.sock_recv(pair[0], 1).close()
    gc.collect()
    assert not recwarn


def test_an_operation_can_be_driven_by_hand(ours: Any, loop: Any, turn: Any, pair: Any) -> None:
    one, other = pair
    operation = loop.sock_recv(one, 10)
    future = operation.send(None)
    assert asyncio.isfuture(future)
    assert operation.send(None) is future
    other.send(b'hello')
    while not future.done():
        turn()
    with pytest.raises(StopIteration) as stop:
        operation.send(None)
    assert stop.value.value == b'hello'
    with pytest.raises(RuntimeError, match='already awaited'):
        operation.throw(ValueError())


@pytest.mark.parametrize('begun', [False, True], ids=['new', 'begun'])
def test_an_operation_ends_with_what_is_thrown(ours: Any, loop: Any, turn: Any, pair: Any, begun: bool) -> None:
    one, other = pair
    operation = loop.sock_recv(one, 10)
    if begun:
        operation.send(None)
    with pytest.raises(ZeroDivisionError):
        operation.throw(ZeroDivisionError())
    other.send(b'hello')
    turn(3)
    assert one.recv(10) == b'hello'


def test_asyncio_tasks_wait_for_operations_as_well(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair

    async def main() -> None:
        receiving: asyncio.Task[bytes] = asyncio.tasks._PyTask(loop.sock_recv(one, 10), loop=loop)  # type: ignore[attr-defined]
        await some_turns()
        other.send(b'hello')
        assert await receiving == b'hello'

    run(main())


def test_a_task_tells_what_it_is_doing(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    async def main() -> None:
        receiving = asyncio.create_task(loop.sock_recv(pair[0], 10))
        await some_turns()
        assert 'sock_recv' in repr(receiving)
        receiving.cancel()

    run(main())


def test_debug_mode_runs_operations_too(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    loop.set_debug(True)
    one, other = pair

    async def main() -> None:
        receiving = asyncio.create_task(loop.sock_recv(one, 10))
        await some_turns()
        other.send(b'hello')
        assert await receiving == b'hello'

    run(main())


# Cancelling.


def test_a_cancelled_operation_takes_nothing(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair

    async def main() -> None:
        for told in False, True:
            receiving = asyncio.create_task(loop.sock_recv(one, 10))
            await some_turns()
            if told:
                other.send(b'hello')
                loop.call_soon(receiving.cancel)
            else:
                receiving.cancel()
                other.send(b'hello')
            try:
                received = await receiving
            except asyncio.CancelledError:
                received = await loop.sock_recv(one, 10)
            assert received == b'hello'

    run(main())


def test_cancels_at_any_moment_lose_no_byte(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair
    moments = random.Random(7)
    sent = random.Random(8).randbytes(3000)

    async def main() -> bytes:
        received = b''
        written = 0
        while len(received) < len(sent):
            receiving = asyncio.create_task(loop.sock_recv(one, 5))
            for _ in range(moments.randrange(4)):
                await asyncio.sleep(0)
            if written < len(sent):
                written += other.send(sent[written : written + moments.randrange(1, 8)])
            for _ in range(moments.randrange(4)):
                await asyncio.sleep(0)
            if moments.random() < 0.7:
                receiving.cancel()
            try:
                received += await receiving
            except asyncio.CancelledError:
                pass
        return received

    assert run(main()) == sent


def test_a_cancelled_accept_drops_no_connection(ours: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        with socket.create_server(('127.0.0.1', 0)) as listener, socket.socket() as client:
            listener.setblocking(False)
            accepting = asyncio.create_task(loop.sock_accept(listener))
            await some_turns()
            client.connect(listener.getsockname())
            accepting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await accepting
            accepted, peer = await loop.sock_accept(listener)
            accepted.close()
            assert peer == client.getsockname()

    run(main())


def test_a_time_limit_ends_a_wait(each: Any, loop: Any, run: Run, pair: Any) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.sock_recv(pair[0], 10), 0.01)
        pair[1].send(b'late')
        assert await loop.sock_recv(pair[0], 10) == b'late'

    run(main())


# Several operations on one socket.


def test_reading_and_writing_wait_beside_each_other(each: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair
    size = fill(one)

    async def main() -> None:
        receiving = asyncio.ensure_future(loop.sock_recv(one, 10))
        sending = asyncio.ensure_future(loop.sock_sendall(one, b'end'))
        await some_turns()
        assert not receiving.done()
        assert not sending.done()
        other.send(b'hello')
        assert await receiving == b'hello'
        assert not sending.done()
        received = b''
        while len(received) < size + 3:
            received += await loop.sock_recv(other, 1 << 20)
        await sending
        assert received.endswith(b'\0end')

    run(main())


def test_readers_are_served_in_the_order_they_came(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair

    async def main() -> None:
        waiting = [asyncio.create_task(loop.sock_recv(one, 1)) for _ in range(6)]
        await some_turns()
        waiting[1].cancel()
        other.send(b'abc')
        await some_turns()
        waiting[5].cancel()
        other.send(b'de')
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [each if isinstance(each, bytes) else None for each in results] == [b'a', None, b'b', b'c', b'd', None]
        assert one.recv(10) == b'e'

    run(main())


def test_what_two_send_is_not_mixed(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair
    size = 1_000_000

    async def main() -> None:
        sending = [asyncio.create_task(loop.sock_sendall(one, letter * size)) for letter in (b'a', b'b', b'c')]
        received = b''
        while len(received) < 3 * size:
            received += await loop.sock_recv(other, 1 << 20)
        await asyncio.gather(*sending)
        assert received == b'a' * size + b'b' * size + b'c' * size

    run(main())


def test_acceptors_share_a_listener(ours: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        with socket.create_server(('127.0.0.1', 0)) as listener:
            listener.setblocking(False)
            accepting = [asyncio.create_task(loop.sock_accept(listener)) for _ in range(3)]
            await some_turns()
            clients = [socket.create_connection(listener.getsockname()) for _ in accepting]
            for accepted, client in zip(await asyncio.gather(*accepting), clients, strict=True):
                assert accepted[1] == client.getsockname()
                accepted[0].close()
                client.close()

    run(main())


# What is refused.


def test_blocking_sockets_are_refused_in_debug_mode(each: Any, loop: Any, run: Run, pair: Any) -> None:
    one, _ = pair
    one.setblocking(True)
    loop.set_debug(True)
    for operation in (
        lambda: loop.sock_recv(one, 1),
        lambda: loop.sock_recv_into(one, bytearray(1)),
        lambda: loop.sock_recvfrom(one, 1),
        lambda: loop.sock_recvfrom_into(one, bytearray(1)),
        lambda: loop.sock_sendall(one, b'1'),
        lambda: loop.sock_sendto(one, b'1', ''),
        lambda: loop.sock_accept(one),
        lambda: loop.sock_connect(one, ''),
        lambda: loop.sock_sendfile(one, io.BytesIO()),
    ):
        with pytest.raises(ValueError, match='the socket must be non-blocking'):
            run(operation())


def test_tls_sockets_are_refused(each: Any, loop: Any, run: Run) -> None:
    context = ssl.create_default_context()
    with context.wrap_socket(socket.socket(), server_hostname='x', do_handshake_on_connect=False) as sock:
        for operation in (
            lambda: loop.sock_recv(sock, 1),
            lambda: loop.sock_sendall(sock, b'1'),
            lambda: loop.sock_accept(sock),
            lambda: loop.sock_connect(sock, ('127.0.0.1', 1)),
        ):
            with pytest.raises(TypeError, match='Socket cannot be of type SSLSocket'):
                run(operation())


def test_closed_sockets_are_an_error(each: Any, loop: Any, run: Run, pair: Any) -> None:
    one, _ = pair
    one.close()
    for operation in (
        lambda: loop.sock_recv(one, 1),
        lambda: loop.sock_recv_into(one, bytearray(1)),
        lambda: loop.sock_sendall(one, b'1'),
        lambda: loop.sock_accept(one),
    ):
        with pytest.raises(OSError, match='Bad file descriptor'):
            run(operation())


def test_wrong_arguments_are_told_as_sockets_tell_them(each: Any, loop: Any, run: Run, pair: Any) -> None:
    one, _ = pair
    with pytest.raises(TypeError):
        run(loop.sock_recv(one, 'many'))
    with pytest.raises(ValueError, match='negative'):
        run(loop.sock_recv(one, -1))
    with pytest.raises(TypeError, match='bytes-like object is required'):
        run(loop.sock_sendall(one, 'text'))
    with pytest.raises(TypeError):
        run(loop.sock_recv_into(one, b'constant'))
    with pytest.raises(AttributeError):
        run(loop.sock_recv(None, 1))


def test_a_transports_socket_is_refused(each: Any, loop: Any, run: Run, pair: Any) -> None:
    one, _ = pair

    async def main() -> None:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
        with pytest.raises(RuntimeError, match='is used by transport'):
            await loop.sock_recv(one, 1)
        transport.close()
        await some_turns()

    run(main())


def test_a_closed_loop_waits_for_nothing(each: Any, loop: Any, pair: Any) -> None:
    operation = loop.sock_recv(pair[0], 1)
    loop.close()
    with pytest.raises(RuntimeError, match='Event loop is closed'):
        operation.send(None)


def test_an_error_of_the_connection_is_raised(each: Any, loop: Any, run: Run, tcp_pair: Any) -> None:
    one, other = tcp_pair

    async def main() -> None:
        receiving = asyncio.ensure_future(loop.sock_recv(one, 10))
        await some_turns()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        other.close()
        with pytest.raises(ConnectionResetError):
            await receiving
        assert await loop.sock_recv(one, 10) == b''
        with pytest.raises(BrokenPipeError):
            await loop.sock_sendall(one, b'anybody there?')

    run(main())


def test_a_reset_ends_a_send_that_waits(each: Any, loop: Any, run: Run, tcp_pair: Any) -> None:
    one, other = tcp_pair

    async def main() -> None:
        sending = asyncio.ensure_future(loop.sock_sendall(one, bytes(MUCH)))
        await some_turns()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        other.close()
        with pytest.raises(ConnectionError):
            await sending

    run(main())


def test_a_subclass_of_socket_is_asked_itself(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    class Shouting(socket.socket):
        def recv(self, *args: Any) -> bytes:
            return super().recv(*args).upper()

        def send(self, data: Any, *args: Any) -> int:
            return super().send(bytes(data).upper(), *args)

    one, other = pair

    async def main() -> None:
        with Shouting(fileno=os.dup(one.fileno())) as shouting:
            shouting.setblocking(False)
            receiving = asyncio.create_task(loop.sock_recv(shouting, 10))
            await some_turns()
            other.send(b'hello')
            assert await receiving == b'HELLO'
            await loop.sock_sendall(shouting, b'answer')
            assert other.recv(10) == b'ANSWER'

    run(main())


# Files that are closed, used again, or watched by somebody else.


def test_a_number_that_is_used_again_is_another_socket(ours: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        numbers = set()
        for count in range(50):
            one, other = socket.socketpair()
            with one, other:
                one.setblocking(False)
                numbers.add(one.fileno())
                receiving = asyncio.create_task(loop.sock_recv(one, 10))
                await some_turns(2)
                other.send(b'%d' % count)
                assert await receiving == b'%d' % count
        assert len(numbers) < 10

    run(main())


def test_the_same_object_can_stand_for_another_file_in_turn(ours: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        for count in range(5):
            one, other = socket.socketpair()
            again = socket.socket(fileno=one.detach())
            with again, other:
                again.setblocking(False)
                receiving = asyncio.create_task(loop.sock_recv(again, 10))
                await some_turns(2)
                other.send(b'%d' % count)
                assert await receiving == b'%d' % count

    run(main())


def test_who_waits_for_a_closed_socket_is_told_when_its_number_is_used_again(ours: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        one.setblocking(False)
        number = one.fileno()
        waiting = [asyncio.create_task(loop.sock_recv(one, 10)) for _ in range(2)]
        await some_turns()
        one.close()
        new, its_other = socket.socketpair()
        with new, other, its_other:
            assert new.fileno() == number
            new.setblocking(False)
            receiving = asyncio.create_task(loop.sock_recv(new, 10))
            await some_turns()
            for wait in waiting:
                with pytest.raises(OSError, match='the socket was closed'):
                    await wait
            its_other.send(b'new')
            assert await receiving == b'new'

    run(main())


def test_a_socket_that_is_closed_while_it_is_waited_for_gives_nothing_of_another(
    ours: Any, loop: Any, run: Run
) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        one.setblocking(False)
        number = one.fileno()
        waiting = asyncio.create_task(loop.sock_recv(one, 10))
        await some_turns()
        other.send(b'old')
        one.close()
        new, its_other = socket.socketpair()
        with new, other, its_other:
            assert new.fileno() == number
            its_other.send(b'new')
            await some_turns()
            waiting.cancel()
            with pytest.raises((asyncio.CancelledError, OSError)):
                await waiting
            assert new.recv(10) == b'new'

    run(main())


def test_a_copy_of_a_closed_socket_keeps_nobody_busy(ours: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        one.setblocking(False)
        receiving = asyncio.create_task(loop.sock_recv(one, 10))
        await some_turns()
        other.send(b'1')
        assert await receiving == b'1'
        copy = one.dup()
        one.close()
        with copy, other:
            other.send(b'for the copy')
            await asyncio.sleep(0.01)
            before = loop.statistics().turns
            await asyncio.sleep(0.05)
            assert loop.statistics().turns - before < 20
            assert copy.recv(100) == b'for the copy'

    run(main())


def test_data_that_nobody_waits_for_keeps_nobody_busy(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair

    async def main() -> None:
        receiving = asyncio.create_task(loop.sock_recv(one, 10))
        await some_turns()
        other.send(b'1')
        assert await receiving == b'1'
        before = loop.statistics().turns
        for _ in range(20):
            other.send(b'2')
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert loop.statistics().turns - before < 100
        assert await loop.sock_recv(one, 100) == b'2' * 20

    run(main())


def test_no_byte_reaches_the_wrong_connection_however_fast_numbers_are_used_again(
    ours: Any, loop: Any, run: Run
) -> None:
    async def serve(listener: socket.socket) -> None:
        while True:
            connection, _ = await loop.sock_accept(listener)
            serving.add(asyncio.create_task(echo(connection)))

    async def echo(connection: socket.socket) -> None:
        with connection:
            while data := await loop.sock_recv(connection, 100):
                await loop.sock_sendall(connection, data)
                if data.endswith(b'7'):
                    return  # with who knows what on the way

    async def ask(number: int) -> None:
        chance = random.Random(number)
        for _ in range(15):
            with socket.socket() as client:
                client.setblocking(False)
                await loop.sock_connect(client, address)
                for count in range(chance.randrange(1, 8)):
                    message = b'%d:%d' % (number, count)
                    await loop.sock_sendall(client, message)
                    if chance.random() < 0.2:
                        break
                    answer = b''
                    while len(answer) < len(message):
                        more = await loop.sock_recv(client, 100)
                        if not more:
                            assert count == 8 or answer == b''
                            return
                        answer += more
                    assert answer == message

    async def main() -> None:
        nonlocal address
        with socket.create_server(('127.0.0.1', 0), backlog=100) as listener:
            listener.setblocking(False)
            address = listener.getsockname()
            serving.add(asyncio.create_task(serve(listener)))
            await asyncio.gather(*map(ask, range(30)))
            for task in serving:
                task.cancel()
            for result in await asyncio.gather(*serving, return_exceptions=True):
                assert result is None or isinstance(result, (asyncio.CancelledError, ConnectionError))

    serving: set[asyncio.Task[None]] = set()
    address: Any = None
    run(main())


def test_a_callback_takes_the_place_of_an_operation_that_waits(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair

    async def main() -> None:
        waiting = asyncio.create_task(loop.sock_recv(one, 10))
        await some_turns()
        ready = asyncio.Event()
        loop.add_reader(one, ready.set)
        with pytest.raises(RuntimeError, match='something else waits'):
            await waiting
        other.send(b'hello')
        await ready.wait()
        assert loop.remove_reader(one)
        assert await loop.sock_recv(one, 10) == b'hello'
        receiving = asyncio.create_task(loop.sock_recv(one, 10))
        await some_turns()
        other.send(b'again')
        assert await receiving == b'again'
        assert not loop.remove_reader(one)

    run(main())


def test_a_callback_that_writes_stays_beside_an_operation_that_reads(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair

    async def main() -> None:
        calls: list[int] = []
        loop.add_writer(one, calls.append, 1)
        for _ in range(3):
            receiving = asyncio.create_task(loop.sock_recv(one, 10))
            await some_turns()
            other.send(b'hello')
            assert await receiving == b'hello'
        assert calls
        assert loop.remove_writer(one)
        calls.clear()
        receiving = asyncio.create_task(loop.sock_recv(one, 10))
        await some_turns()
        other.send(b'hello')
        assert await receiving == b'hello'
        assert not calls

    run(main())


def test_a_transport_can_be_made_of_a_socket_that_was_read_before(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    class Reader(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            received.set_result(data)

    one, other = pair

    async def main() -> None:
        nonlocal received
        received = loop.create_future()
        receiving = asyncio.create_task(loop.sock_recv(one, 10))
        await some_turns()
        other.send(b'first')
        assert await receiving == b'first'
        waiting = asyncio.create_task(loop.sock_recv(one, 10))
        await some_turns()
        transport, _ = await loop.create_connection(Reader, sock=one)
        with pytest.raises(RuntimeError, match='something else waits'):
            await waiting
        other.send(b'second')
        assert await received == b'second'
        transport.close()
        await some_turns()

    received: Any = None
    run(main())


def test_two_loops_can_read_a_socket_in_turn(ours: Any, make_loop: Any, pair: Any) -> None:
    one, other = pair
    loops = [make_loop(ours.make_loop) for _ in range(2)]
    for count in range(10):
        loop = loops[count % 2]

        async def main(loop: Any = loop, count: int = count) -> None:
            receiving = asyncio.create_task(loop.sock_recv(one, 10))
            await some_turns()
            other.send(b'%d' % count)
            assert await receiving == b'%d' % count

        loop.run_until_complete(main())


def test_sockets_are_not_kept_by_the_loop(ours: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        with other:
            one.setblocking(False)
            receiving = asyncio.create_task(loop.sock_recv(one, 10))
            await some_turns()
            other.send(b'hello')
            await receiving
            known = weakref.ref(one)
            one.close()
            del one, receiving
            await some_turns()
            gc.collect()
            assert known() is None

    run(main())


def test_a_loop_that_is_closed_lets_go_of_who_waits(ours: Any, make_loop: Any, pair: Any) -> None:
    loop = make_loop(ours.make_loop)

    async def main() -> Any:
        task = asyncio.create_task(loop.sock_recv(pair[0], 10))
        await some_turns()
        return weakref.ref(task)

    task = loop.run_until_complete(main())
    for pending in asyncio.all_tasks(loop):
        pending._log_destroy_pending = False  # type: ignore[attr-defined]
    pending = None
    loop.close()
    gc.collect()
    assert task() is None or task().get_loop().is_closed()


def test_signals_do_not_end_a_wait(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair

    async def main() -> None:
        handled = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, handled.set)
        receiving = asyncio.create_task(loop.sock_recv(one, 10))
        await some_turns()
        os.kill(os.getpid(), signal.SIGUSR1)
        await handled.wait()
        other.send(b'hello')
        assert await receiving == b'hello'
        loop.remove_signal_handler(signal.SIGUSR1)

    run(main())


def test_many_operations_leave_nothing_behind(ours: Any, loop: Any, run: Run, pair: Any) -> None:
    one, other = pair

    async def some() -> None:
        for _ in range(200):
            receiving = asyncio.create_task(loop.sock_recv(one, 10))
            await asyncio.sleep(0)
            await loop.sock_sendall(other, b'hello')
            await receiving
            cancelled = asyncio.create_task(loop.sock_recv(one, 10))
            await asyncio.sleep(0)
            cancelled.cancel()
            await asyncio.gather(cancelled, return_exceptions=True)

    def count() -> int:
        gc.collect()
        return len(gc.get_objects())

    async def main() -> None:
        await some()
        before = count()
        for _ in range(3):
            await some()
        assert count() - before < 50

    run(main())
