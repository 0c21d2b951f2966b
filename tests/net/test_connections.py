"""Connections that a program makes: names, addresses, and what is refused."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recording import Recorder, tcp_pair

Run = Callable[[Any], Any]


@pytest.fixture
def listening() -> Any:
    """A listening socket of IPv4."""
    with socket.create_server(('127.0.0.1', 0)) as sock:
        yield sock


@pytest.fixture
def nobody() -> Any:
    """A port at which nobody listens."""
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        yield sock.getsockname()[1]


async def close(transport: Any, recorder: Recorder) -> None:
    transport.close()
    await recorder.call('connection_lost')


def name_addresses(loop: Any, *addresses: tuple[str, int]) -> None:
    """Have a loop find these addresses under any name."""

    async def getaddrinfo(host: Any, port: Any, **options: Any) -> list[Any]:
        families = [socket.AF_INET6 if ':' in address else socket.AF_INET for address, _ in addresses]
        return [
            (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, '', address)
            for family, address in zip(families, addresses, strict=True)
        ]

    loop.getaddrinfo = getaddrinfo


def test_a_connection_is_made_before_it_is_returned(each: Any, loop: Any, run: Run, listening: socket.socket) -> None:
    async def main() -> None:
        transport, protocol = await loop.create_connection(Recorder, *listening.getsockname())
        assert protocol.transport is transport
        assert transport.get_protocol() is protocol
        assert transport.get_extra_info('peername') == listening.getsockname()
        assert transport.get_extra_info('socket').getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await close(transport, protocol)

    run(main())


def test_the_next_address_is_tried_where_nobody_listens(
    each: Any, loop: Any, run: Run, listening: socket.socket, nobody: int
) -> None:
    async def main() -> None:
        name_addresses(loop, ('127.0.0.1', nobody), listening.getsockname())
        for options in {}, {'happy_eyeballs_delay': 10}, {'happy_eyeballs_delay': 10, 'interleave': 1}:
            transport, protocol = await loop.create_connection(Recorder, 'a.name', 1, **options)
            assert transport.get_extra_info('peername') == listening.getsockname()
            await close(transport, protocol)

    run(main())


def test_the_next_address_is_tried_while_one_does_not_answer(
    each: Any, loop: Any, run: Run, listening: socket.socket
) -> None:
    async def main() -> None:
        silent: list[socket.socket] = []
        connect = loop.sock_connect

        async def sock_connect(sock: socket.socket, address: Any) -> None:
            if address[1] == 1:
                silent.append(sock)
                await loop.create_future()
            await connect(sock, address)

        loop.sock_connect = sock_connect
        name_addresses(loop, ('127.0.0.1', 1), listening.getsockname())
        transport, protocol = await loop.create_connection(Recorder, 'a.name', 1, happy_eyeballs_delay=0.001)
        assert transport.get_extra_info('peername') == listening.getsockname()
        assert [sock.fileno() for sock in silent] == [-1]  # given up, and closed
        await close(transport, protocol)

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason='Python has it since 3.12')
def test_all_errors_are_told_on_request(each: Any, loop: Any, run: Run, nobody: int) -> None:
    async def main() -> None:
        name_addresses(loop, ('127.0.0.1', nobody), ('127.0.0.2', nobody))
        with pytest.raises(OSError, match='Multiple exceptions|refused|Connect call failed'):
            await loop.create_connection(Recorder, 'a.name', 1)
        with pytest.raises(ExceptionGroup) as caught:
            await loop.create_connection(Recorder, 'a.name', 1, all_errors=True)
        assert [type(each) for each in caught.value.exceptions] == [ConnectionRefusedError] * 2

    run(main())


def test_it_can_come_from_a_chosen_address(each: Any, loop: Any, run: Run, listening: socket.socket) -> None:
    async def main() -> None:
        address = listening.getsockname()
        transport, protocol = await loop.create_connection(Recorder, *address, local_addr=('127.0.0.2', 0))
        assert transport.get_extra_info('sockname')[0] == '127.0.0.2'
        await close(transport, protocol)
        with pytest.raises(OSError, match='192.0.2.1'):
            await loop.create_connection(Recorder, *address, local_addr=('192.0.2.1', 0))

    run(main())


def test_it_takes_a_socket_that_is_connected(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        sock, peer = tcp_pair()
        with peer:
            transport, protocol = await loop.create_connection(Recorder, sock=sock)
            assert not sock.getblocking()
            peer.send(b'data')
            await protocol.call('data_received')
            await close(transport, protocol)
            assert sock.fileno() == -1

    run(main())


def test_who_gives_up_leaves_no_connection_behind(each: Any, loop: Any, run: Run, listening: socket.socket) -> None:
    async def main() -> None:
        recorder = Recorder()
        task = loop.create_task(loop.create_connection(lambda: recorder, *listening.getsockname()))
        while recorder.transport is None and not task.done():
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if recorder.transport is not None:
            await recorder.call('connection_lost')
        with socket.create_connection(listening.getsockname()) as last:
            while (accepted := listening.accept())[1] != last.getsockname():
                with accepted[0] as peer:
                    assert peer.recv(1) == b''
            accepted[0].close()

    run(main())


@pytest.mark.parametrize(
    ('error', 'arguments'),
    [
        (ValueError, {}),
        (ValueError, {'host': '127.0.0.1', 'port': 1, 'sock': 'stream'}),
        (ValueError, {'sock': 'datagram'}),
        (ValueError, {'host': '127.0.0.1', 'port': 1, 'server_hostname': 'a.name'}),
        (ValueError, {'sock': 'stream', 'ssl': True}),
        (ValueError, {'host': '127.0.0.1', 'port': 1, 'ssl_handshake_timeout': 1}),
        (ValueError, {'host': '127.0.0.1', 'port': 1, 'ssl_shutdown_timeout': 1}),
        (OverflowError, {'host': '127.0.0.1', 'port': 70_000}),
        (TypeError, {'host': '127.0.0.1', 'port': 1, 'unknown': 1}),
    ],
    ids=repr,
)
def test_bad_arguments_are_refused_as_by_asyncio(
    each: Any, loop: Any, run: Run, error: type[Exception], arguments: dict[str, Any]
) -> None:
    async def main() -> None:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            sockets = {'stream': stream, 'datagram': datagram}
            chosen = {name: sockets.get(value, value) if name == 'sock' else value for name, value in arguments.items()}
            with pytest.raises(error):
                await loop.create_connection(asyncio.Protocol, **chosen)

    run(main())


@pytest.mark.parametrize('kind', [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET], ids=['datagrams', 'packets'])
def test_only_streams_are_accepted(each: Any, loop: Any, run: Run, kind: int) -> None:
    async def main() -> None:
        one, other = socket.socketpair(socket.AF_UNIX, kind)
        with one, other:
            with pytest.raises(ValueError, match='Stream Socket was expected'):
                await loop.connect_accepted_socket(asyncio.Protocol, one)
            with pytest.raises(ValueError, match='Stream Socket was expected'):
                await loop.create_unix_connection(asyncio.Protocol, sock=one)

    run(main())


def test_a_path_without_a_server_is_an_error(each: Any, loop: Any, run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await loop.create_unix_connection(asyncio.Protocol, tmp_path / 'socket')
        with pytest.raises(ValueError, match='no path and sock'):
            await loop.create_unix_connection(asyncio.Protocol)

    run(main())


def test_a_file_of_a_transport_is_not_watched_by_others(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        sock, peer = socket.socketpair()
        with peer:
            transport, protocol = await loop.create_unix_connection(Recorder, sock=sock)
            for method in loop.add_reader, loop.add_writer:
                with pytest.raises(RuntimeError, match='is used by transport'):
                    method(sock, print)
            for method in loop.remove_reader, loop.remove_writer:
                with pytest.raises(RuntimeError, match='is used by transport'):
                    method(sock)
            await close(transport, protocol)

    run(main())
