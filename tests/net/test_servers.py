"""Servers: asyncio.Server on a loop of ours, from its first address to its last connection."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recording import Recorder

Run = Callable[[Any], Any]

since_3_13 = pytest.mark.skipif(sys.version_info < (3, 13), reason='Python has it since 3.13')


async def visit(address: Any, family: int = socket.AF_INET) -> socket.socket:
    """Connect a non-blocking socket."""
    peer = socket.socket(family)
    peer.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(peer, address)
    except BaseException:
        peer.close()
        raise
    return peer


async def is_served(address: Any, family: int = socket.AF_INET) -> bool:
    """Tell whether somebody listens."""
    try:
        (await visit(address, family)).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    return True


class Guests:
    """Makes a recorder for each connection."""

    def __init__(self) -> None:
        self.recorders: list[Recorder] = []
        self.came = asyncio.Event()

    def __call__(self) -> Recorder:
        self.recorders.append(Recorder())
        self.came.set()
        return self.recorders[-1]

    async def count(self, number: int) -> None:
        """Wait until that many came."""
        while len(self.recorders) < number:
            self.came.clear()
            await self.came.wait()
        for recorder in self.recorders:
            await recorder.call('connection_made')


def test_a_server_is_asyncios(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        async with await loop.create_server(asyncio.Protocol, '127.0.0.1', 0) as server:
            assert type(server) is asyncio.Server
            assert server.is_serving()
            assert server.get_loop() is loop
            assert [sock.family for sock in server.sockets] == [socket.AF_INET]
        assert not server.is_serving()
        assert server.sockets == ()

    run(main())


def test_it_serves_when_it_is_told_to(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        guests = Guests()
        server = await loop.create_server(guests, '127.0.0.1', 0, start_serving=False)
        assert not server.is_serving()
        address = server.sockets[0].getsockname()
        assert not await is_served(address)
        await server.start_serving()
        await server.start_serving()
        with await visit(address):
            await guests.count(1)
        server.close()
        assert not await is_served(address)
        await guests.recorders[0].call('connection_lost')
        await server.wait_closed()

    run(main())


def test_it_serves_for_ever_until_that_is_cancelled(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        server = await loop.create_server(asyncio.Protocol, '127.0.0.1', 0, start_serving=False)
        task = loop.create_task(server.serve_forever())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert server.is_serving()
        with pytest.raises(RuntimeError, match='already being awaited'):
            await server.serve_forever()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not server.is_serving()
        with pytest.raises(RuntimeError, match='is closed'):
            await server.serve_forever()

    run(main())


def test_it_serves_several_addresses(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        guests = Guests()
        async with await loop.create_server(guests, ['127.0.0.1', '127.0.0.2'], 0) as server:
            addresses = [sock.getsockname() for sock in server.sockets]
            assert sorted(host for host, _ in addresses) == ['127.0.0.1', '127.0.0.2']
            peers = [await visit(address) for address in addresses]
            await guests.count(2)
            for peer in peers:
                peer.close()
            for recorder in guests.recorders:
                await recorder.call('connection_lost')

    run(main())


def test_two_can_share_a_port_if_both_say_so(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        async with await loop.create_server(asyncio.Protocol, '127.0.0.1', 0, reuse_port=True) as first:
            port = first.sockets[0].getsockname()[1]
            async with await loop.create_server(asyncio.Protocol, '127.0.0.1', port, reuse_port=True):
                pass
            with pytest.raises(OSError, match='[Aa]ddress already in use'):
                await loop.create_server(asyncio.Protocol, '127.0.0.1', port)

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 13, 1), reason='no earlier Python has it')
def test_it_can_keep_idle_connections_alive(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        try:
            server = await loop.create_server(asyncio.Protocol, '127.0.0.1', 0, keep_alive=True)
        except TypeError:
            pytest.skip('this Python has it not yet')
        async with server:
            assert server.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    run(main())


def test_it_takes_a_socket_that_is_bound(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        guests = Guests()
        sock = socket.create_server(('127.0.0.1', 0))
        async with await loop.create_server(guests, sock=sock) as server:
            assert not sock.getblocking()
            with await visit(server.sockets[0].getsockname()):
                await guests.count(1)
            await guests.recorders[0].call('connection_lost')

    run(main())


@pytest.mark.parametrize(
    ('error', 'arguments'),
    [
        (ValueError, {}),
        (ValueError, {'host': '127.0.0.1', 'port': 0, 'sock': 'a socket'}),
        (ValueError, {'sock': 'a datagram socket'}),
        (TypeError, {'host': '127.0.0.1', 'port': 0, 'ssl': True}),
        (ValueError, {'host': '127.0.0.1', 'port': 0, 'ssl_handshake_timeout': 1}),
        (ValueError, {'host': '127.0.0.1', 'port': 0, 'ssl_shutdown_timeout': 1}),
        (OSError, {'host': '192.0.2.1', 'port': 0}),
        (OverflowError, {'host': '127.0.0.1', 'port': 70_000}),
        (TypeError, {'host': '127.0.0.1', 'port': 0, 'unknown': 1}),
    ],
    ids=repr,
)
def test_bad_arguments_are_refused_as_by_asyncio(
    each: Any, loop: Any, run: Run, error: type[Exception], arguments: dict[str, Any]
) -> None:
    async def main() -> None:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            sockets = {'a socket': stream, 'a datagram socket': datagrams}
            chosen = {name: sockets[value] if name == 'sock' else value for name, value in arguments.items()}
            with pytest.raises(error):
                await loop.create_server(asyncio.Protocol, **chosen)

    run(main())


# The end.


def test_connections_outlive_their_server_which_waits_for_them(each: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        guests = Guests()
        server = await loop.create_server(guests, '127.0.0.1', 0)
        with await visit(server.sockets[0].getsockname()) as peer:
            await guests.count(1)
            server.close()
            server.close()
            waiting = loop.create_task(server.wait_closed())
            guests.recorders[0].transport.write(b'still here')
            assert await loop.sock_recv(peer, 100) == b'still here'
            if sys.version_info >= (3, 12, 1):
                assert not waiting.done()
        await guests.recorders[0].call('connection_lost')
        await waiting

    run(main())


@since_3_13
@pytest.mark.parametrize('end', ['close_clients', 'abort_clients'])
def test_it_can_end_its_connections(each: Any, loop: Any, run: Run, end: str) -> None:
    async def main() -> None:
        guests = Guests()
        server = await loop.create_server(guests, '127.0.0.1', 0)
        peers = [await visit(server.sockets[0].getsockname()) for _ in range(3)]
        await guests.count(3)
        guests.recorders[0].transport.write(b'x' * 10_000_000)
        server.close()
        getattr(server, end)()
        received = 0
        while data := await loop.sock_recv(peers[0], 1 << 20):
            received += len(data)
        assert (received == 10_000_000) == (end == 'close_clients')
        await server.wait_closed()
        for peer in peers:
            peer.close()
        assert [recorder.error for recorder in guests.recorders] == [None] * 3

    run(main())


def test_it_may_be_closed_while_it_makes_a_protocol(
    ours: Any, loop: Any, run: Run, reports: list[dict[str, Any]]
) -> None:
    """What it cannot count any more it refuses; and it accepts nothing from a file that may be another's by then."""

    async def main() -> None:
        files: list[socket.socket] = []
        made = loop.create_future()

        def factory() -> Recorder:
            server.close()
            files.append(socket.create_server(('127.0.0.1', 0)))  # it gets the number that was just freed
            made.set_result(None)
            return Recorder()

        server = await loop.create_server(factory, '127.0.0.1', 0)
        address = server.sockets[0].getsockname()
        number = server.sockets[0].fileno()
        with socket.create_connection(address) as peer, socket.create_connection(address):
            await made
            peer.setblocking(False)
            assert await loop.sock_recv(peer, 1) == b''
        await server.wait_closed()
        [file] = files
        with file:
            assert file.fileno() == number

    run(main())
    gc.collect()
    assert [report['message'] for report in reports] == ['Error on transport creation for incoming connection']


# Unix sockets.


def test_it_serves_a_path_and_takes_it_away(each: Any, loop: Any, run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / 'socket'
        guests = Guests()
        async with await loop.create_unix_server(guests, path):
            with await visit(str(path), socket.AF_UNIX):
                await guests.count(1)
            await guests.recorders[0].call('connection_lost')
        assert path.exists() == (sys.version_info < (3, 13))

    run(main())


@since_3_13
def test_a_path_can_stay_and_another_servers_does(each: Any, loop: Any, run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / 'socket'
        server = await loop.create_unix_server(asyncio.Protocol, path, cleanup_socket=False)
        server.close()
        assert path.exists()
        old = await loop.create_unix_server(asyncio.Protocol, path)
        os.unlink(path)
        async with await loop.create_unix_server(asyncio.Protocol, path):
            old.close()
            assert await is_served(str(path), socket.AF_UNIX)
        assert not path.exists()

    run(main())


def test_a_path_that_a_socket_was_left_at_is_used_again(each: Any, loop: Any, run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / 'socket')
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(path)
        async with await loop.create_unix_server(asyncio.Protocol, path):
            assert await is_served(path, socket.AF_UNIX)
        Path(path).unlink(missing_ok=True)
        Path(path).write_text('a file')
        with pytest.raises(OSError, match='already in use'):
            await loop.create_unix_server(asyncio.Protocol, path)

    run(main())


@pytest.mark.skipif(sys.platform != 'linux', reason='Linux has such names')
def test_it_serves_an_abstract_name(each: Any, loop: Any, run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        name = f'\0{secrets.token_hex(8)}'  # that of a folder may be in use: more than one root has a /tmp
        async with await loop.create_unix_server(asyncio.Protocol, name):
            assert await is_served(name, socket.AF_UNIX)
        assert not await is_served(name, socket.AF_UNIX)

    run(main())


def test_accept_of_the_sockets_class_is_called(each: Any, loop: Any, run: Run) -> None:
    class Proxied(socket.socket):
        def accept(self) -> tuple[socket.socket, Any]:
            return super().accept()[0], ('client', 1)

    listening = Proxied()
    listening.bind(('127.0.0.1', 0))

    async def main() -> None:
        guests = Guests()
        async with await loop.create_server(guests, sock=listening) as server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            while not guests.recorders:
                await asyncio.sleep(0)
            await guests.recorders[0].call('connection_made')
            assert guests.recorders[0].transport.get_extra_info('peername') == ('client', 1)
            writer.close()
            await writer.wait_closed()
            await guests.recorders[0].call('connection_lost')

    run(main())


def test_backlog_of_none_accepts_one(ours: Any, loop: Any, run: Run) -> None:
    async def main() -> None:
        guests = Guests()
        async with await loop.create_server(guests, '127.0.0.1', 0, backlog=0) as server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            while not guests.recorders:
                await asyncio.sleep(0)
            writer.close()
            await writer.wait_closed()
            await guests.recorders[0].call('connection_lost')

    run(main())
