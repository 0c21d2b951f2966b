"""Transports of stream sockets: reading, writing, flow control, and their ends."""

from __future__ import annotations

import array
import asyncio
import contextvars
import socket
from collections.abc import Callable
from typing import Any

import pytest
from recording import Recorder, connected

MUCH = 10_000_000
"""Bytes that no pair of sockets holds."""

variable: contextvars.ContextVar[str] = contextvars.ContextVar('variable', default='nothing')

Run = Callable[[Any], Any]


async def receive_all(peer: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    received = bytearray()
    while data := await loop.sock_recv(peer, 1 << 20):
        received += data
    return bytes(received)


@pytest.mark.parametrize('pair', ['tcp', 'unix'])
def test_it_is_an_asyncio_transport(each: Any, run: Run, pair: str) -> None:
    async def main() -> None:
        async with connected(Recorder(), pair) as (transport, _):
            assert isinstance(transport, asyncio.Transport)
            assert transport.get_extra_info('socket').type == socket.SOCK_STREAM
            assert transport.get_extra_info('nothing', 'else') == 'else'
            assert 'fd=' in repr(transport)

    run(main())


def test_what_one_callback_writes_leaves_together(ours: Any, run: Run) -> None:
    async def main() -> None:
        sock, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # which keeps what was sent apart
        peer.setblocking(False)
        loop = asyncio.get_running_loop()
        transport: Any = loop._make_socket_transport(sock, Recorder())  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        transport.write(b'one')
        transport.writelines([b'two', bytearray(b'three')])
        transport.write(memoryview(b'four'))
        assert await loop.sock_recv(peer, 100) == b'onetwothreefour'
        transport.write(b'next')
        assert transport.get_write_buffer_size() == 0  # asking sends
        transport.write(b'last')
        assert await loop.sock_recv(peer, 100) == b'next'
        assert await loop.sock_recv(peer, 100) == b'last'
        transport.abort()
        peer.close()
        await asyncio.sleep(0)

    run(main())


@pytest.mark.parametrize('end', ['close', 'abort', 'write_eof'])
def test_what_was_written_before_the_end_is_sent(each: Any, run: Run, end: str) -> None:
    async def main() -> None:
        async with connected(Recorder()) as (transport, peer):
            transport.write(b'first')
            transport.write(b'second')
            getattr(transport, end)()
            assert await receive_all(peer) == b'firstsecond'

    run(main())


def test_what_was_written_before_the_protocol_raised_is_sent(each: Any, run: Run, reports: Any) -> None:
    def react(recorder: Recorder, data: bytes) -> None:
        recorder.transport.write(b'answer')
        raise ValueError(data)

    async def main() -> None:
        async with connected(Recorder(data_received=react)) as (_, peer):
            peer.send(b'question')
            assert await receive_all(peer) == b'answer'

    run(main())
    assert [report['message'] for report in reports] == ['Fatal error: protocol.data_received() call failed.']


def test_much_arrives_in_order_from_all_kinds_of_buffers(ours: Any, run: Run) -> None:
    async def main() -> None:
        async with connected(Recorder()) as (transport, peer):
            numbers = array.array('q', range(300_000))
            pieces = [b'small', bytes(range(256)) * 2000, bytearray(b'x' * 100_000), memoryview(numbers)]
            backwards = memoryview(bytes(range(256)) * 1000)[::-1]
            for piece in [*pieces, backwards, b'']:
                transport.write(piece)
            expected = b''.join(bytes(piece) for piece in pieces) + backwards.tobytes()
            transport.close()
            assert await receive_all(peer) == expected

    run(main())


def test_what_was_written_is_not_changed_with_its_buffer(ours: Any, run: Run) -> None:
    async def main() -> None:
        async with connected(Recorder()) as (transport, peer):
            for size in 10, 70_000, MUCH:
                buffer = bytearray(b'a' * size)
                transport.write(buffer)
                buffer[:] = b'b' * size
            transport.close()
            assert await receive_all(peer) == b'a' * (MUCH + 70_010)

    run(main())


@pytest.mark.parametrize('writes', [1, 3])
def test_what_is_written_again_and_again_from_one_buffer_arrives(each: Any, run: Run, writes: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected(Recorder()) as (transport, peer):
            buffer = bytearray(5000)
            for number in range(300):
                size = 1 + number * 37 % 4200
                expected = b''
                for _ in range(writes):
                    buffer[:size] = bytes([(number + len(expected)) % 251]) * size
                    transport.write(memoryview(buffer)[:size])
                    expected += buffer[:size]
                received = b''
                while len(received) < len(expected):
                    received += await loop.sock_recv(peer, 20_000)
                assert received == expected

    run(main())


@pytest.mark.parametrize('nonsense', ['text', None, 3, [b'x'], object()], ids=repr)
def test_only_bytes_can_be_written(each: Any, run: Run, nonsense: Any) -> None:
    async def main() -> None:
        async with connected(Recorder()) as (transport, _):
            with pytest.raises(TypeError):
                transport.write(nonsense)
            assert not transport.is_closing()

    run(main())


def test_nothing_can_be_written_after_the_end_of_writing(each: Any, run: Run) -> None:
    async def main() -> None:
        async with connected(Recorder()) as (transport, _):
            transport.write_eof()
            transport.write_eof()
            with pytest.raises(RuntimeError, match='write_eof'):
                transport.write(b'late')

    run(main())


def test_writes_after_the_connection_was_lost_are_dropped_and_logged(
    each: Any, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        recorder = Recorder()
        async with connected(recorder) as (transport, _):
            transport.abort()
            for _ in range(10):
                transport.write(b'late')
            await recorder.call('connection_lost')

    run(main())
    assert 'socket.send() raised exception.' in [record.getMessage() for record in caplog.records]


# Half of a connection.


def test_the_peer_may_end_first_and_still_be_answered(each: Any, run: Run) -> None:
    async def main() -> None:
        recorder = Recorder(eof_received=lambda recorder: True)
        async with connected(recorder) as (transport, peer):
            peer.send(b'question')
            peer.shutdown(socket.SHUT_WR)
            await recorder.call('eof_received')
            assert not transport.is_closing()
            transport.write(b'answer')
            transport.close()
            assert await receive_all(peer) == b'answer'

    run(main())


def test_what_came_before_the_end_is_received(each: Any, run: Run) -> None:
    async def main() -> None:
        recorder = Recorder()
        async with connected(recorder) as (_, peer):
            peer.send(b'last words')
            peer.close()
            await recorder.call('connection_lost')
        assert recorder.data == b'last words'
        assert recorder.calls == ['connection_made', 'data_received', 'eof_received', 'connection_lost']

    run(main())


# Flow control.


def test_the_protocol_is_paused_and_resumed_by_the_limits(each: Any, run: Run) -> None:
    async def main() -> None:
        recorder = Recorder()
        async with connected(recorder) as (transport, peer):
            transport.set_write_buffer_limits(high=1000, low=10)
            assert transport.get_write_buffer_limits() == (10, 1000)
            transport.write(b'x' * MUCH)
            assert recorder.calls[-1] == 'pause_writing'
            transport.write_eof()
            assert len(await receive_all(peer)) == MUCH
            assert recorder.calls == ['connection_made', 'pause_writing', 'resume_writing']

    run(main())


def test_lower_limits_do_not_count_what_can_be_sent(each: Any, run: Run) -> None:
    async def main() -> None:
        recorder = Recorder()
        async with connected(recorder) as (transport, _):
            transport.write(b'little')
            transport.set_write_buffer_limits(high=0)
            assert recorder.calls == ['connection_made']

    run(main())


@pytest.mark.parametrize('limits', [{'high': -1}, {'high': 1, 'low': 2}, {'low': -1}], ids=repr)
def test_limits_must_make_sense(each: Any, run: Run, limits: dict[str, int]) -> None:
    async def main() -> None:
        async with connected(Recorder()) as (transport, _):
            with pytest.raises(ValueError, match='must be >='):
                transport.set_write_buffer_limits(**limits)

    run(main())


def test_nothing_is_received_while_reading_is_paused(each: Any, run: Run) -> None:
    async def main() -> None:
        recorder = Recorder()
        loop = asyncio.get_running_loop()
        async with connected(recorder) as (transport, peer):
            transport.pause_reading()
            transport.pause_reading()
            assert not transport.is_reading()
            peer.send(b'data')
            one, other = socket.socketpair()
            with one, other:  # whatever comes after what was sent is received after it
                other.setblocking(False)
                one.send(b'!')
                await loop.sock_recv(other, 1)
            assert recorder.data == b''
            transport.resume_reading()
            transport.resume_reading()
            assert transport.is_reading()
            await recorder.call('data_received')
            assert recorder.data == b'data'

    run(main())


# Protocols.


def test_another_protocol_receives_from_then_on(each: Any, run: Run) -> None:
    async def main() -> None:
        first, second = Recorder(), Recorder()
        async with connected(first) as (transport, peer):
            peer.send(b'1')
            await first.call('data_received')
            transport.set_protocol(second)
            assert transport.get_protocol() is second
            peer.send(b'2')
            await second.call('data_received')
            transport.close()
            await second.call('connection_lost')
        assert (first.data, second.data) == (b'1', b'2')

    run(main())


def test_callbacks_run_in_the_context_that_the_transport_was_made_in(ours: Any, run: Run) -> None:
    seen: set[str] = set()

    def look(recorder: Recorder, *arguments: Any) -> None:
        seen.add(variable.get())

    async def main() -> None:
        variable.set('of the connection')
        names = ['connection_made', 'data_received', 'eof_received', 'connection_lost']
        recorder = Recorder(**dict.fromkeys(names, look))
        async with connected(recorder) as (_, peer):
            variable.set('of the program')
            peer.send(b'data')
            peer.shutdown(socket.SHUT_WR)
            await recorder.call('connection_lost')
        assert recorder.calls == names

    run(main())
    assert seen == {'of the connection'}


def test_a_method_can_be_replaced_in_an_instance(each: Any, run: Run) -> None:
    async def main() -> None:
        async with connected(Recorder()) as (transport, peer):
            written: list[bytes] = []
            transport.write = written.append
            transport.note = 'anything'
            transport.write(b'data')
            assert written == [b'data']
            del transport.write
            transport.write(b'data')
            assert await asyncio.get_running_loop().sock_recv(peer, 10) == b'data'

    run(main())


# The end.


def test_everything_can_be_called_after_the_end(ours: Any, run: Run) -> None:
    async def main() -> None:
        recorder = Recorder()
        async with connected(recorder) as (transport, _):
            transport.close()
            transport.close()
            await recorder.call('connection_lost')
            await asyncio.sleep(0)
            assert transport.is_closing()
            assert not transport.is_reading()
            for name in 'close', 'abort', 'pause_reading', 'resume_reading', 'write_eof', 'get_write_buffer_size':
                getattr(transport, name)()
            transport.write(b'late')
            transport.writelines([b'late'])
            assert 'closed' in repr(transport)
        assert recorder.calls == ['connection_made', 'connection_lost']

    run(main())


def test_a_transport_that_is_dropped_warns_and_closes_its_file(ours: Any, run: Run) -> None:
    async def main() -> tuple[Any, socket.socket]:
        sock, peer = socket.socketpair()
        transport, _ = await asyncio.get_running_loop().create_unix_connection(asyncio.Protocol, sock=sock)
        transport.pause_reading()
        return transport, peer

    transport, peer = run(main())
    with peer:
        with pytest.warns(ResourceWarning, match='unclosed transport'):
            del transport
        assert peer.recv(1) == b''


@pytest.mark.parametrize('limit', [2**64, 10.5])
def test_limits_may_be_any_number(each: Any, run: Run, limit: float) -> None:
    async def main() -> None:
        async with connected(Recorder()) as (transport, _):
            transport.set_write_buffer_limits(limit, 1)
            assert transport.get_write_buffer_limits()[1] >= 10

    run(main())


def test_lines_of_all_kinds_of_buffers_are_written(each: Any, run: Run) -> None:
    async def main() -> None:
        async with connected(Recorder()) as (transport, peer):
            transport.writelines([b'ab', bytearray(b'cd'), memoryview(b'ef'), array.array('b', b'gh')])
            with pytest.raises(TypeError, match='bytes-like'):
                transport.writelines(['text'])
            transport.close()
            assert (await receive_all(peer))[:8] == b'abcdefgh'

    run(main())


class Shouting(socket.socket):
    """Receives and sends in capital letters."""

    def recv(self, *arguments: Any) -> bytes:
        return super().recv(*arguments).upper()

    def recv_into(self, buffer: Any, *arguments: Any) -> int:
        count = super().recv_into(buffer, *arguments)
        buffer[:count] = bytes(buffer[:count]).upper()
        return count

    def send(self, data: Any, *arguments: Any) -> int:
        return super().send(bytes(data).upper(), *arguments)

    def sendmsg(self, buffers: Any, *arguments: Any) -> int:
        return super().sendmsg([bytes(buffer).upper() for buffer in buffers], *arguments)


def shouting_pair() -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    return Shouting(fileno=one.detach()), other


def test_methods_of_the_sockets_class_are_called(each: Any, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        local, peer = shouting_pair()
        local.setblocking(False)
        peer.setblocking(False)
        transport, recorder = await loop.create_connection(Recorder, sock=local)
        await loop.sock_sendall(peer, b'question')
        await recorder.until(lambda: recorder.data)
        assert recorder.data == b'QUESTION'
        transport.write(b'ans')
        transport.write(b'wer' + bytes(MUCH))
        transport.close()
        assert await receive_all(peer) == b'ANSWER' + bytes(MUCH)
        await recorder.call('connection_lost')
        peer.close()

    run(main())


def test_methods_of_the_sockets_class_fill_buffers(each: Any, run: Run) -> None:
    class Fills(asyncio.BufferedProtocol):
        def get_buffer(self, sizehint: int) -> bytearray:
            return buffer

        def buffer_updated(self, nbytes: int) -> None:
            received.set_result(bytes(buffer[:nbytes]))

    buffer = bytearray(100)

    async def main() -> None:
        nonlocal received
        loop = asyncio.get_running_loop()
        received = loop.create_future()
        local, peer = shouting_pair()
        local.setblocking(False)
        transport, _ = await loop.create_connection(Fills, sock=local)
        peer.send(b'text')
        assert await received == b'TEXT'
        transport.close()
        peer.close()
        await asyncio.sleep(0)

    received: Any = None
    run(main())


def test_interrupt_in_connection_made_ends_the_loop_and_not_the_connection(each: Any, loop: Any, run: Run) -> None:
    class Interrupts(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            raise KeyboardInterrupt

    local, peer = socket.socketpair()
    local.setblocking(False)
    connecting = loop.create_task(loop.create_connection(Interrupts, sock=local))
    with pytest.raises(KeyboardInterrupt):
        run(connecting)

    async def main() -> None:
        transport, recorder = await connecting
        peer.send(b'data')
        await recorder.until(lambda: recorder.data == b'data')
        transport.close()
        await recorder.call('connection_lost')
        peer.close()

    run(main())


@pytest.mark.parametrize('method', ['close', 'abort'])
def test_debug_mode_refuses_to_close_in_another_thread(ours: Any, loop: Any, run: Run, method: str) -> None:
    loop.set_debug(True)

    async def main() -> None:
        async with connected(Recorder()) as (transport, _):
            with pytest.raises(RuntimeError, match='Non-thread-safe operation'):
                await loop.run_in_executor(None, getattr(transport, method))

    run(main())


def test_protocol_may_answer_strangely_to_who_asks_for_an_attribute(each: Any, run: Run) -> None:
    class Strange(Recorder):
        def __getattr__(self, name: str) -> Any:
            raise KeyError(name)

    async def main() -> None:
        async with connected(Strange()) as (transport, peer):
            transport.write(b'data')
            transport.close()
            assert await receive_all(peer) == b'data'

    run(main())
