"""What connections do differently from asyncio's, on purpose: the rest of the table in docs/compatibility.md."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from recording import Recorder

Run = Callable[[Any], Any]


def test_what_one_callback_writes_leaves_when_it_returns(ours: Any, run: Run) -> None:
    async def main() -> None:
        left, right = socket.socketpair()
        with right:
            right.setblocking(False)
            transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=left)
            transport.write(b'one ')
            transport.write(b'two')
            try:
                early = right.recv(100)
            except BlockingIOError:
                early = b''
            await asyncio.sleep(0)
            assert (early, right.recv(100)) == (b'', b'one two')
            transport.write(b'asked for')
            assert transport.get_write_buffer_size() == 0
            assert right.recv(100) == b'asked for'
            transport.close()

    run(main())


@pytest.mark.parametrize('replaced', [False, True], ids=['', 'call_soon() replaced'])
def test_who_waits_for_a_stream_goes_on_as_data_arrives(each: Any, loop: Any, run: Run, replaced: bool) -> None:
    """Of two that are told of data in one turn, the first goes on before the second is told, as asyncio's does not."""

    async def main() -> None:
        pairs = [socket.socketpair() for _ in range(2)]
        streams = [await asyncio.open_connection(sock=sock) for sock, _ in pairs]

        async def read(own: asyncio.StreamReader, other: asyncio.StreamReader) -> tuple[bytes, int]:
            return await own.read(100), len(other._buffer)  # type: ignore[attr-defined]

        readers = [reader for reader, _ in streams]
        reading = [asyncio.ensure_future(read(*order)) for order in (readers, readers[::-1])]
        await asyncio.sleep(0.01)
        for (_, peer), data in zip(pairs, [b'one', b'two'], strict=True):
            peer.send(data)
        seen_by_first = 3 if each.is_stock or replaced or loop.get_debug() else 0
        assert await asyncio.gather(*reading) == [(b'one', seen_by_first), (b'two', 0)]
        for (_, writer), (_, peer) in zip(streams, pairs, strict=True):
            writer.close()
            await writer.wait_closed()
            peer.close()

    if replaced:
        call_soon = loop.call_soon
        loop.call_soon = lambda *args, **kwargs: call_soon(*args, **kwargs)
    run(main())


class Raises(asyncio.Protocol):
    """Fails as soon as it is connected."""

    def __init__(self) -> None:
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        raise ValueError('connected')

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost.set_result(exc)


def test_connection_made_that_raises_ends_a_connection_and_who_connects_is_told(ours: Any, run: Run) -> None:
    async def main() -> None:
        left, right = socket.socketpair()
        with right:
            protocol = Raises()
            with pytest.raises(ValueError, match='connected') as raised:
                await asyncio.get_running_loop().create_connection(lambda: protocol, sock=left)
            assert await protocol.lost is raised.value
            assert right.recv(1) == b''

    run(main())


def test_connection_made_that_raises_ends_an_accepted_connection_and_is_reported(
    ours: Any, run: Run, reports: list[dict[str, Any]]
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(Raises, '127.0.0.1', 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b''
            writer.close()

    run(main())
    assert [str(report['exception']) for report in reports] == ['connected']


def test_protocol_factory_that_raises_is_reported(ours: Any, run: Run, reports: list[dict[str, Any]]) -> None:
    def factory() -> asyncio.Protocol:
        raise ValueError('no protocol')

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(factory, '127.0.0.1', 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b''
            writer.close()

    run(main())
    assert [str(report['exception']) for report in reports] == ['no protocol']


def test_methods_of_a_protocol_share_a_context(ours: Any, run: Run) -> None:
    variable: ContextVar[str] = ContextVar('variable', default='unset')

    class Notes(asyncio.Protocol):
        def __init__(self) -> None:
            self.seen: list[str] = []
            self.lost = asyncio.get_running_loop().create_future()

        def connection_made(self, transport: Any) -> None:
            self.seen.append(variable.get())
            variable.set('made')

        def data_received(self, data: bytes) -> None:
            self.seen.append(variable.get())
            variable.set('received')

        def connection_lost(self, exc: BaseException | None) -> None:
            self.seen.append(variable.get())
            self.lost.set_result(None)

    async def main() -> None:
        variable.set('outside')
        left, right = socket.socketpair()
        with right:
            _, notes = await asyncio.get_running_loop().create_connection(Notes, sock=left)
            right.sendall(b'x')
        await notes.lost
        assert notes.seen == ['outside', 'made', 'received']
        assert variable.get() == 'outside'

    run(main())


def test_an_error_of_the_system_in_connection_made_is_reported_as_any_other(
    each: Any, run: Run, reports: list[dict[str, Any]]
) -> None:
    """No difference: only what the system says of the connection itself is nobody's business."""

    class Refuses(Raises):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            raise PermissionError('connected')

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = loop.create_future()

        def factory() -> asyncio.Protocol:
            made.set_result(protocol := Refuses())
            return protocol

        async with await loop.create_server(factory, '127.0.0.1', 0) as server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            protocol = await made
            writer.close()
            await protocol.lost

    run(main())
    assert [str(report['exception']) for report in reports] == ['connected']


def test_a_replaced_data_received_is_called(each: Any, run: Run) -> None:
    """No difference either, not even for the protocols of streams, which are fed past that method."""
    received = []

    class Protocol(asyncio.Protocol):
        """Of which instances can have attributes."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for protocol in (Protocol(), asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), loop=loop)):
            left, right = socket.socketpair()
            transport, _ = await loop.create_connection(lambda protocol=protocol: protocol, sock=left)  # type: ignore[misc]
            with right:
                told = loop.create_future()
                protocol.data_received = told.set_result  # type: ignore[method-assign]
                right.sendall(b'x')
                received.append(await told)
            transport.close()

    run(main())
    assert received == [b'x', b'x']


def test_a_feed_data_replaced_after_the_connection_was_made_is_not_called(each: Any, run: Run) -> None:
    async def main() -> list[bytes]:
        left, right = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=left)
        received: list[bytes] = []
        feed_data = reader.feed_data
        reader.feed_data = lambda data: (received.append(data), feed_data(data))[1]  # type: ignore[method-assign]
        with right:
            right.sendall(b'line\n')
            assert await reader.readline() == b'line\n'
        writer.close()
        await asyncio.sleep(0)
        return received

    assert run(main()) == ([b'line\n'] if each.is_stock else [])


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='there are no processes')
def test_what_a_child_does_is_told_without_another_turn(each: Any, run: Run) -> None:
    class Told(asyncio.SubprocessProtocol):
        def __init__(self) -> None:
            self.data = b''
            self.lost = asyncio.get_running_loop().create_future()

        def pipe_data_received(self, fd: int, data: bytes) -> None:
            self.data += data

        def connection_lost(self, exc: BaseException | None) -> None:
            self.lost.set_result(None)

    async def main() -> None:
        transport, told = await asyncio.get_running_loop().subprocess_exec(Told, 'cat')
        transport.get_pipe_transport(1).get_protocol().data_received(b'data')
        assert told.data == (b'' if each.is_stock else b'data')
        await asyncio.sleep(0)
        assert told.data == b'data'
        transport.close()
        await told.lost
        await asyncio.sleep(0)  # for the pipes to be closed, too

    run(main())


def test_connection_lost_follows_an_upgrade_that_failed(each: Any, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        protocol = Recorder()
        transport, _ = await loop.create_connection(lambda: protocol, sock=left)
        upgrading = loop.create_task(
            loop.start_tls(transport, protocol, ssl.create_default_context(), server_hostname='localhost')
        )
        right.setblocking(False)
        await loop.sock_recv(right, 100)
        right.close()
        with pytest.raises(ConnectionError):
            await upgrading
        for _ in range(3):
            await asyncio.sleep(0)
        assert protocol.calls == ['connection_made', *([] if each.is_stock else ['connection_lost'])]

    run(main())


def test_a_full_listener_is_no_connection(each: Any, run: Run, loop: Any, tmp_path: Path) -> None:
    if sys.platform != 'linux':
        pytest.skip('elsewhere the kernel refuses the connection')

    async def main() -> None:
        address = str(tmp_path / 'socket')
        with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as first:
            listening.bind(address)
            listening.listen(0)
            first.setblocking(False)
            await loop.sock_connect(first, address)
            with socket.socket(socket.AF_UNIX) as second:
                second.setblocking(False)
                if each.is_stock:
                    await loop.sock_connect(second, address)
                    with pytest.raises(OSError):  # noqa: PT011  # which error is the kernel's business
                        second.getpeername()
                else:
                    with pytest.raises(BlockingIOError):
                        await loop.sock_connect(second, address)

    run(main())


def test_a_report_names_the_method_that_failed(each: Any, run: Run, loop: Any, reports: list[dict[str, Any]]) -> None:
    class Fails(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            told.set_result(None)
            raise ZeroDivisionError

    async def main() -> None:
        transport, _ = await loop.create_datagram_endpoint(Fails, ('127.0.0.1', 0))
        transport.sendto(b'data', transport.get_extra_info('sockname'))
        await told
        transport.close()
        await asyncio.sleep(0)

    told = loop.create_future()
    run(main())
    assert [type(report['exception']) for report in reports] == [ZeroDivisionError]
    assert ('protocol.datagram_received()' in reports[0]['message']) is not each.is_stock
