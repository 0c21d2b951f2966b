"""Datagram endpoints: what is received and sent, what is an error, and how they end."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import secrets
import socket
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sooner

Run = Callable[[Any], Any]


class Log(asyncio.DatagramProtocol):
    """Writes down what happens."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.lost: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.events.append('made')

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.events.append((data, addr))

    def error_received(self, exc: Exception) -> None:
        self.events.append(type(exc))

    def pause_writing(self) -> None:
        self.events.append('pause')

    def resume_writing(self) -> None:
        self.events.append('resume')

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append('lost')
        self.lost.set_result(exc)

    async def until(self, count: int) -> list[Any]:
        while len(self.events) < count:
            await asyncio.sleep(0)
        return self.events


async def endpoint(loop: Any, *args: Any, **kwargs: Any) -> tuple[Any, Log]:
    result: tuple[Any, Log] = await loop.create_datagram_endpoint(Log, *args, **kwargs)
    return result


async def close(*logs: Log) -> None:
    for log in logs:
        log.transport.close()
        await log.lost


@pytest.mark.parametrize('host', ['127.0.0.1', '::1'])
def test_datagrams_arrive_with_their_senders_and_can_be_answered(each: Any, loop: Any, run: Run, host: str) -> None:
    async def main() -> None:
        server, served = await endpoint(loop, (host, 0))
        address = server.get_extra_info('sockname')
        client, asked = await endpoint(loop, remote_addr=address[:2])
        assert isinstance(client, asyncio.DatagramTransport | asyncio.Transport)
        assert client.get_extra_info('peername') == address
        own = client.get_extra_info('sockname')
        sizes = [1, 1000, 65507 - 100, 3]
        for kind, size in zip([bytes, bytearray, memoryview, bytes], sizes, strict=True):
            client.sendto(kind(bytes(size)))
        assert await served.until(5) == ['made', *[(bytes(size), own) for size in sizes]]
        for _, sender in served.events[1:]:
            server.sendto(b'to the very object', sender)
        server.sendto(b'to an equal one', (own[0] + '', *own[1:]))
        assert [data for data, _ in (await asked.until(6))[1:]] == [b'to the very object'] * 4 + [b'to an equal one']
        assert {sender for _, sender in asked.events[1:]} == {address}
        await close(asked, served)
        assert asked.lost.result() is served.lost.result() is None

    run(main())


def test_many_peers_are_told_from_each_other(ours: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        server, served = await endpoint(loop, ('127.0.0.1', 0))
        peers = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(900)]
        for turn in range(2):
            for number, peer in enumerate(peers):
                peer.connect(server.get_extra_info('sockname'))
                peer.send(b'%d' % number)
                if number % 50 == 49:
                    await served.until(1 + turn * len(peers) + number + 1)
        for number, (data, sender) in enumerate(served.events[1:]):
            assert data == b'%d' % (number % len(peers))
            assert sender == peers[number % len(peers)].getsockname()
            server.sendto(data, sender)
            assert peers[number % len(peers)].recv(100) == data
        for peer in peers:
            peer.close()
        await close(served)

    run(main())


def test_an_empty_datagram_is_sent_since_3_13(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        server, served = await endpoint(loop, ('127.0.0.1', 0))
        client, asked = await endpoint(loop, remote_addr=server.get_extra_info('sockname'))
        client.sendto(b'')
        client.sendto(b'end')
        expected = [b'', b'end'] if sys.version_info >= (3, 13) else [b'end']
        events = await served.until(1 + len(expected))
        assert [data for data, _ in events[1:]] == expected
        await close(asked, served)

    run(main())


@pytest.mark.parametrize('abstract', [False, True], ids=['path', 'abstract'])
def test_unix_sockets_are_endpoints(each: Any, loop: Any, run: Run, tmp_path: Any, abstract: bool) -> None:
    unique = secrets.token_hex(8)  # more than one root has a /tmp, and all have the same abstract names

    def address(name: str) -> str:
        return f'\0{unique}/{name}' if abstract else f'{tmp_path}/{name}'

    async def main() -> None:
        _, served = await endpoint(loop, local_addr=address('server'), family=socket.AF_UNIX)
        client, asked = await endpoint(
            loop, local_addr=address('client'), remote_addr=address('server'), family=socket.AF_UNIX
        )
        client.sendto(bytes(100_000))
        (data, sender) = (await served.until(2))[1]
        assert data == bytes(100_000)
        assert os.fsdecode(sender) == address('client')
        served.transport.sendto(b'answer', sender)
        assert (await asked.until(2))[1][0] == b'answer'
        await close(asked, served)

    run(main())


def test_what_there_is_no_room_for_is_sent_later_in_order(each: Any, loop: Any, run: Run, tmp_path: Any) -> None:
    path = f'{tmp_path}/socket'
    header = 8 if sys.version_info >= (3, 14) or (each.name != 'asyncio' and sys.version_info >= (3, 13)) else 0

    async def main() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.bind(path)
            receiver.setblocking(False)
            client, asked = await endpoint(loop, remote_addr=path, family=socket.AF_UNIX)
            client.set_write_buffer_limits(2000)
            sent = 0
            while 'pause' not in asked.events:
                client.sendto(b'%d' % sent + bytes(500))
                sent += 1
            waiting = client.get_write_buffer_size()
            assert waiting > 2000
            if header:
                assert waiting % (500 + len('10') + header) == 0
            for number in range(sent):
                assert await loop.sock_recv(receiver, 1000) == b'%d' % number + bytes(500)
            while client.get_write_buffer_size() and sys.version_info >= (3, 14):
                await asyncio.sleep(0)
            await asked.until(3)
            assert asked.events == ['made', 'pause', 'resume']
            await close(asked)

    run(main())


def test_close_sends_what_waits_and_abort_does_not(each: Any, loop: Any, run: Run, tmp_path: Any) -> None:
    path = f'{tmp_path}/socket'

    async def main() -> None:
        for way in 'close', 'abort':
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
                receiver.bind(path)
                receiver.setblocking(False)
                client, asked = await endpoint(loop, remote_addr=path, family=socket.AF_UNIX)
                sent = 0
                while client.get_write_buffer_size() < 100:
                    client.sendto(b'0123456789')
                    sent += 1
                getattr(client, way)()
                received = 0
                while not asked.lost.done() or received < (sent if way == 'close' else 1):
                    try:
                        receiver.recv(100)
                        received += 1
                    except BlockingIOError:
                        pass
                    await asyncio.sleep(0)
                assert received == sent or way == 'abort'
                assert asked.lost.result() is None
                assert client.is_closing()
            os.unlink(path)

    run(main())


def test_a_refused_datagram_is_an_error_that_ends_nothing(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as nobody:
            nobody.bind(('127.0.0.1', 0))
            address = nobody.getsockname()
        client, asked = await endpoint(loop, remote_addr=address)
        for count in range(2, 5):
            client.sendto(b'anybody there?')
            assert (await asked.until(count))[1:] == [ConnectionRefusedError] * (count - 1)
        with socket.socket(type=socket.SOCK_DGRAM) as somebody:
            somebody.bind(address)
            client.sendto(b'now?')
            assert somebody.recv(100) == b'now?'
        await close(asked)

    run(main())


def test_a_datagram_that_is_too_long_is_an_error(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        client, asked = await endpoint(loop, ('127.0.0.1', 0))
        client.sendto(bytes(70_000), client.get_extra_info('sockname'))
        assert asked.events == ['made', OSError]
        client.sendto(b'fine', client.get_extra_info('sockname'))
        await asked.until(3)
        await close(asked)

    run(main())


def test_only_the_one_address_may_be_named(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        server, served = await endpoint(loop, ('127.0.0.1', 0))
        address = server.get_extra_info('sockname')
        client, asked = await endpoint(loop, remote_addr=address)
        client.sendto(b'named', address)
        with pytest.raises(ValueError, match='Invalid address: must be None or'):
            client.sendto(b'', ('127.0.0.1', 1))
        with pytest.raises(ValueError, match='Invalid address: must be None or'):
            client.sendto(b'lost', ('127.0.0.1', 1))
        assert (await served.until(2))[1][0] == b'named'
        await close(asked, served)

    if sys.version_info >= (3, 13):
        run(main())


def test_text_is_no_datagram(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        client, asked = await endpoint(loop, ('127.0.0.1', 0))
        with pytest.raises(TypeError, match='data argument must be a .*bytes.*str'):
            client.sendto('text', ('127.0.0.1', 1))
        await close(asked)

    run(main())


def test_broadcast_needs_to_be_allowed(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        client, asked = await endpoint(loop, ('127.0.0.1', 0))
        client.sendto(b'all', ('255.255.255.255', 9))
        assert asked.events == ['made', PermissionError]
        allowed, other = await endpoint(loop, ('127.0.0.1', 0), allow_broadcast=True)
        assert allowed.get_extra_info('socket').getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
        await close(asked, other)

    run(main())


def test_an_address_can_be_shared(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        first, one = await endpoint(loop, ('127.0.0.1', 0), reuse_port=True)
        _, other = await endpoint(loop, first.get_extra_info('sockname'), reuse_port=True)
        await close(one, other)

    run(main())


def test_what_a_protocol_raises_is_told_and_ends_nothing(
    ours: Any, loop: Any, run: Run, reports: list[dict[str, Any]]
) -> None:
    class Broken(Log):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            raise ZeroDivisionError

    async def main() -> None:
        server, served = await loop.create_datagram_endpoint(Broken, ('127.0.0.1', 0))
        for _ in range(2):
            server.sendto(b'hello', server.get_extra_info('sockname'))
        await served.until(3)
        await close(served)

    run(main())
    assert [type(report['exception']) for report in reports] == [ZeroDivisionError] * 2
    assert {report['message'] for report in reports} == {'Exception in callback protocol.datagram_received()'}


def test_a_protocol_that_closes_hears_nothing_more(each: Any, loop: Any, run: Run) -> None:
    class Once(Log):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            self.transport.close()

    async def main() -> None:
        server, served = await loop.create_datagram_endpoint(Once, ('127.0.0.1', 0))
        for _ in range(5):
            server.sendto(b'hello', server.get_extra_info('sockname'))
        await served.lost
        assert [event for event in served.events if event != 'made'] == [
            (b'hello', server.get_extra_info('sockname')),
            'lost',
        ]

    run(main())


def test_reading_can_be_paused(ours: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        server, served = await endpoint(loop, ('127.0.0.1', 0))
        server.pause_reading()
        server.sendto(b'hello', server.get_extra_info('sockname'))
        for _ in range(5):
            await asyncio.sleep(0)
        assert served.events == ['made']
        server.resume_reading()
        await served.until(2)
        await close(served)

    run(main())


def test_the_protocol_runs_in_the_context_of_its_maker(each: Any, loop: Any, run: Run) -> None:
    variable = contextvars.ContextVar('variable', default='none')

    class Asking(Log):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.events.append(variable.get())

    async def main() -> None:
        variable.set('maker')
        server, served = await loop.create_datagram_endpoint(Asking, ('127.0.0.1', 0))
        variable.set('other')
        server.sendto(b'hello', server.get_extra_info('sockname'))
        assert await served.until(2) == ['made', 'maker']
        await close(served)

    run(main())


def test_a_flood_leaves_turns_to_others(ours: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        server, served = await endpoint(loop, ('127.0.0.1', 0))
        server.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        address = server.get_extra_info('sockname')
        for _ in range(200):
            server.sendto(b'hello', address)
        await served.until(2)
        assert len(served.events) < 201
        await served.until(201)
        await close(served)

    run(main())


def test_a_transport_that_nobody_closes_is_told(ours: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        server, _ = await endpoint(loop, ('127.0.0.1', 0))
        server.pause_reading()

    run(main())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        gc.collect()
    assert any('unclosed transport' in str(warning.message) for warning in told)


def test_sending_after_the_end_is_dropped_and_logged(each: Any, loop: Any, run: Run, caplog: Any) -> None:
    async def main() -> None:
        server, served = await endpoint(loop, ('127.0.0.1', 0))
        client, asked = await endpoint(loop, remote_addr=server.get_extra_info('sockname'))
        client.abort()
        for _ in range(10):
            client.sendto(b'lost')
        await asked.lost
        await close(served)
        assert served.events == ['made', 'lost']

    run(main())
    assert 'socket.send() raised exception.' in caplog.text


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just('send'), st.binary(min_size=1, max_size=20), st.integers(0, 2)),
        st.tuples(st.sampled_from(['close', 'abort']), st.integers(0, 2)),
        st.just(('turns',)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(steps=STEPS)
def test_any_exchange_goes_as_on_asyncio(steps: list[Any]) -> None:
    async def main() -> list[list[Any]]:
        loop = asyncio.get_running_loop()
        logs = [(await endpoint(loop, ('127.0.0.1', 0)))[1] for _ in range(3)]
        names = {log.transport.get_extra_info('sockname'): number for number, log in enumerate(logs)}
        addresses = list(names)
        closed: set[int] = set()
        sent = [0] * len(logs)

        async def delivery() -> None:
            while any(
                sum(isinstance(event, tuple) for event in log.events) < sent[number]
                for number, log in enumerate(logs)
                if number not in closed
            ):
                await asyncio.sleep(0)

        for step in steps:
            if step[0] == 'send':
                sender = len(step[1]) % 3
                if sender not in closed:
                    logs[sender].transport.sendto(step[1], addresses[step[2]])
                    sent[step[2]] += 1
                continue
            await delivery()  # whether what was just sent is still received after close() is not promised
            if step[0] != 'turns':
                getattr(logs[step[1]].transport, step[0])()
                closed.add(step[1])
        await delivery()
        await close(*logs)
        return [
            [(event[0], names[event[1]]) if isinstance(event, tuple) else event for event in log.events] for log in logs
        ]

    results = []
    for make in asyncio.new_event_loop, sooner.new_event_loop, lambda: sooner.new_event_loop('selector'):
        loop = make()
        try:
            results.append(loop.run_until_complete(main()))
        finally:
            loop.close()
    assert results[0] == results[1] == results[2]
