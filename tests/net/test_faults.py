"""What goes wrong outside: no files left, peers that vanish, stop reading or are somebody else by now.

Whatever happens, nothing is left behind: after each test as many files are open as before.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from recording import Recorder, connected
from tls_peer import client_context, server_context

Run = Callable[[Any], Any]

LINUX = sys.platform == 'linux'


def open_files() -> set[str]:
    return {os.readlink(entry) for entry in Path('/proc/self/fd').iterdir() if entry.is_symlink()}


@pytest.fixture(autouse=True)
def _no_file_left(loop: Any) -> Iterator[None]:
    if not LINUX:
        yield
        return
    loop.call_soon(loop.stop)
    loop.run_forever()  # a loop may keep files of its own from its first run on
    before = len(os.listdir('/proc/self/fd'))
    yield
    loop.call_soon(loop.stop)
    loop.run_forever()
    gc.collect()
    assert len(os.listdir('/proc/self/fd')) <= before


def reset(peer: socket.socket) -> None:
    """Close a TCP socket so that the other end is told that the connection was reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    peer.close()


# Accepting.


def exhaust_files() -> Callable[[], None]:
    """Leave this process no file to open; return what undoes that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open(os.devnull, os.O_RDONLY)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_server_without_files_tells_once_and_serves_when_there_are_some(
    ours: Any, loop: Any, run: Run, reports: list[dict[str, Any]]
) -> None:
    async def main() -> None:
        recorder = Recorder()
        server = await loop.create_server(lambda: recorder, '127.0.0.1', 0)
        peer = socket.socket()
        reported = asyncio.Event()
        loop.set_exception_handler(lambda loop, context: (reports.append(context), reported.set()))
        allow = exhaust_files()
        try:
            peer.connect(server.sockets[0].getsockname())
            await reported.wait()
            await asyncio.sleep(0.05)  # a loop that tried again at once would have told a hundred times
        finally:
            allow()
        assert len(reports) == 1
        assert reports[0]['message'] == 'socket.accept() out of system resource'
        assert reports[0]['exception'].errno == errno.EMFILE
        await recorder.call('connection_made')
        peer.close()
        await recorder.call('connection_lost')
        server.close()
        await server.wait_closed()

    run(main())


class Crowded(socket.socket):
    """A listening socket for whose connections the system has no room at first."""

    error = 0

    def accept(self) -> Any:
        if self.error:
            error, self.error = self.error, 0
            raise OSError(error, os.strerror(error))
        return super().accept()


@pytest.mark.parametrize('error', [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM], ids=errno.errorcode.get)
def test_a_server_tries_again_in_a_second_when_the_system_has_no_room(
    ours: Any, loop: Any, run: Run, reports: list[dict[str, Any]], tmp_path: Path, error: int
) -> None:
    delays: list[float] = []

    def call_later(delay: float, callback: Any) -> Any:
        delays.append(delay)
        return loop.call_soon(callback)

    async def main() -> None:
        recorder = Recorder()
        sock = Crowded(socket.AF_UNIX)
        sock.error = error
        sock.bind(str(tmp_path / 'socket'))
        async with await loop.create_unix_server(lambda: recorder, sock=sock):
            loop.call_later = call_later
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(str(tmp_path / 'socket'))
                await recorder.call('connection_made')
            await recorder.call('connection_lost')
            del loop.call_later

    run(main())
    assert delays == [1]
    assert [report['message'] for report in reports] == ['socket.accept() out of system resource']


def test_a_server_can_be_closed_while_it_waits_for_files(
    ours: Any, loop: Any, run: Run, reports: list[dict[str, Any]]
) -> None:
    async def main() -> None:
        server = await loop.create_server(asyncio.Protocol, '127.0.0.1', 0)
        with socket.socket() as peer:
            reported = asyncio.Event()
            loop.set_exception_handler(lambda loop, context: (reports.append(context), reported.set()))
            allow = exhaust_files()
            try:
                peer.connect(server.sockets[0].getsockname())
                await reported.wait()
                server.close()
            finally:
                allow()
            await server.wait_closed()
        assert loop.statistics().timers == 0

    run(main())
    assert len(reports) == 1


def test_a_protocol_factory_that_raises_loses_its_connection_alone(
    ours: Any, loop: Any, run: Run, reports: list[dict[str, Any]]
) -> None:
    async def main() -> None:
        recorder = Recorder()
        factories: list[Callable[[], Any]] = [lambda: 1 / 0, lambda: recorder]
        server = await loop.create_server(lambda: factories.pop(0)(), '127.0.0.1', 0)
        async with server:
            with socket.socket() as refused, socket.socket() as served:
                refused.setblocking(False)
                await loop.sock_connect(refused, server.sockets[0].getsockname())
                assert await loop.sock_recv(refused, 1) == b''
                served.setblocking(False)
                await loop.sock_connect(served, server.sockets[0].getsockname())
                await recorder.call('connection_made')
            await recorder.call('connection_lost')

    run(main())
    assert [type(report['exception']) for report in reports] == [ZeroDivisionError]


# Peers that vanish.


def test_a_reset_is_told_as_such(each: Any, run: Run) -> None:
    async def main() -> None:
        recorder = Recorder()
        async with connected(recorder) as (_, peer):
            reset(peer)
            await recorder.call('connection_lost')
        assert isinstance(recorder.error, ConnectionResetError)
        assert recorder.calls == ['connection_made', 'connection_lost']

    run(main())


def test_writing_to_a_peer_that_has_gone_ends_the_connection(each: Any, run: Run) -> None:
    async def main() -> None:
        recorder = Recorder(eof_received=lambda recorder: True)
        async with connected(recorder, 'unix') as (transport, peer):
            peer.close()
            await recorder.call('eof_received')
            transport.write(b'data')
            await recorder.call('connection_lost')
        assert isinstance(recorder.error, BrokenPipeError)

    run(main())


def test_a_reset_while_much_is_to_be_written_drops_it(each: Any, run: Run) -> None:
    async def main() -> None:
        recorder = Recorder()
        async with connected(recorder) as (transport, peer):
            transport.write(b'x' * 10_000_000)
            assert transport.get_write_buffer_size() > 0
            reset(peer)
            await recorder.call('connection_lost')
            assert transport.get_write_buffer_size() == 0
        assert isinstance(recorder.error, ConnectionError)

    run(main())


def test_a_reset_before_the_connection_is_made_is_told(each: Any, run: Run, loop: Any) -> None:
    async def main() -> None:
        recorder = Recorder()
        server = await loop.create_server(lambda: recorder, '127.0.0.1', 0)
        async with server:
            peer = socket.create_connection(server.sockets[0].getsockname())
            reset(peer)
            await recorder.call('connection_lost')

    run(main())


# A protocol that raises.


@pytest.mark.parametrize('name', ['connection_made', 'data_received', 'eof_received'])
def test_a_protocol_that_raises_loses_its_connection(
    ours: Any, loop: Any, run: Run, reports: list[dict[str, Any]], name: str
) -> None:
    """Asyncio goes on after connection_made() raised, with a protocol that is not ready."""

    def fail(recorder: Recorder, *arguments: Any) -> None:
        raise ValueError(name)

    async def main() -> None:
        recorder = Recorder(**{name: fail})
        server = await loop.create_server(lambda: recorder, '127.0.0.1', 0)
        async with server:
            with socket.create_connection(server.sockets[0].getsockname()) as peer:
                peer.send(b'data')
                peer.shutdown(socket.SHUT_WR)
                await recorder.call('connection_lost')
        assert isinstance(recorder.error, ValueError)

    run(main())
    [report] = reports
    assert report['message'] == f'Fatal error: protocol.{name}() call failed.'
    assert isinstance(report['protocol'], Recorder)
    assert isinstance(report['exception'], ValueError)


@pytest.mark.parametrize('name', ['get_buffer', 'buffer_updated', 'empty buffer'])
def test_a_buffered_protocol_that_fails_loses_its_connection(
    each: Any, run: Run, reports: list[dict[str, Any]], name: str
) -> None:
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.lost = asyncio.get_running_loop().create_future()

        def get_buffer(self, sizehint: int) -> bytearray:
            if name == 'get_buffer':
                raise ValueError(name)
            return bytearray(0 if name == 'empty buffer' else 100)

        def buffer_updated(self, nbytes: int) -> None:
            raise ValueError(name)

        def connection_lost(self, exc: BaseException | None) -> None:
            self.lost.set_result(exc)

    async def main() -> BaseException | None:
        protocol = Buffered()
        async with connected(protocol) as (_, peer):
            peer.send(b'data')
            lost: BaseException | None = await protocol.lost
            return lost

    assert isinstance(run(main()), (ValueError, RuntimeError))
    assert len(reports) == 1


@pytest.mark.parametrize('name', ['pause_writing', 'resume_writing'])
def test_flow_control_that_raises_is_told_and_harms_nothing(
    each: Any, run: Run, reports: list[dict[str, Any]], name: str
) -> None:
    def fail(recorder: Recorder) -> None:
        raise ValueError(name)

    async def main() -> None:
        recorder = Recorder(**{name: fail})
        loop = asyncio.get_running_loop()
        async with connected(recorder) as (transport, peer):
            transport.write(b'x' * 10_000_000)
            transport.write_eof()
            received = 0
            while data := await loop.sock_recv(peer, 1 << 20):
                received += len(data)
            assert received == 10_000_000
            assert not transport.is_closing()

    run(main())
    assert [report['message'] for report in reports] == [f'protocol.{name}() failed']


def test_connection_lost_that_raises_is_told_and_closes_all_the_same(
    each: Any, run: Run, reports: list[dict[str, Any]]
) -> None:
    def fail(recorder: Recorder, exc: BaseException | None) -> None:
        raise ValueError(exc)

    async def main() -> None:
        recorder = Recorder(connection_lost=fail)
        async with connected(recorder) as (transport, peer):
            transport.close()
            assert await asyncio.get_running_loop().sock_recv(peer, 1) == b''

    run(main())
    assert [type(report['exception']) for report in reports] == [ValueError]


@pytest.mark.parametrize('end', ['close', 'abort'])
@pytest.mark.parametrize(
    'name', ['connection_made', 'data_received', 'eof_received', 'pause_writing', 'resume_writing', 'connection_lost']
)
def test_a_connection_may_be_ended_in_every_callback(ours: Any, run: Run, name: str, end: str) -> None:
    def react(recorder: Recorder, *arguments: Any) -> None:
        getattr(recorder.transport, end)()

    async def main() -> None:
        recorder = Recorder(**{name: react})
        loop = asyncio.get_running_loop()
        async with connected(recorder) as (transport, peer):
            if not transport.is_closing():
                transport.set_write_buffer_limits(high=10_000_000 if name == 'data_received' else 0)
                peer.send(b'data')
                if name in ('pause_writing', 'resume_writing'):
                    transport.write(b'x' * 10_000_000)
                    while 'resume_writing' not in recorder.calls and not transport.is_closing():
                        await loop.sock_recv(peer, 1 << 20)
                peer.shutdown(socket.SHUT_WR)
                while 'connection_lost' not in recorder.calls and end == 'close':
                    await loop.sock_recv(peer, 1 << 20)
            await recorder.call('connection_lost')
        assert recorder.calls.count('connection_lost') == 1
        assert recorder.calls[-1] == 'connection_lost'

    run(main())


# Peers that do not read, and files that are not ours any more.


def test_a_peer_that_does_not_read_stops_who_drains(each: Any, run: Run) -> None:
    async def main() -> None:
        sock, peer = socket.socketpair()
        with peer:
            _, writer = await asyncio.open_unix_connection(sock=sock)
            most = 0

            async def flood() -> None:
                nonlocal most
                while True:
                    writer.write(b'x' * 10_000)
                    most = max(most, writer.transport.get_write_buffer_size())  # type: ignore[attr-defined,unused-ignore]
                    await writer.drain()

            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await flood()
            assert most <= 64 * 1024 + 10_000
            writer.transport.abort()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    run(main())


def test_a_file_closed_by_somebody_else_is_told_to_who_waits_and_leaves_the_server(
    ours: Any, run: Run, loop: Any, reports: list[dict[str, Any]]
) -> None:
    class Careless(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            os.close(transport.get_extra_info('socket').fileno())

    async def main() -> None:
        sock, peer = socket.socketpair()
        with peer, pytest.raises(OSError, match='Bad file descriptor'):
            await loop.create_unix_connection(Careless, sock=sock)
        server = await loop.create_server(Careless, '127.0.0.1', 0)
        with socket.create_connection(server.sockets[0].getsockname()) as peer:
            peer.setblocking(False)
            assert await loop.sock_recv(peer, 1) == b''
        server.close()
        await server.wait_closed()

    run(main())
    assert {report['exception'].errno for report in reports} == {errno.EBADF}


def test_bytes_reach_their_own_connection_when_files_are_used_again(ours: Any, run: Run, loop: Any) -> None:
    """Connections end and begin all the time, with the same numbers, while others transfer."""

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while line := await reader.readline():
                    writer.write(line)
            except ConnectionError:
                pass
            writer.close()

        server = await asyncio.start_server(serve, '127.0.0.1', 0)
        address = server.sockets[0].getsockname()
        numbers: set[int] = set()

        async def client(name: int) -> None:
            for visit in range(25):
                reader, writer = await asyncio.open_connection(*address)
                numbers.add(writer.get_extra_info('socket').fileno())
                for message in range(3):
                    line = b'%d %d %d\n' % (name, visit, message)
                    writer.write(line)
                    assert await reader.readline() == line
                if (name + visit) % 3 == 0:
                    writer.write(b'never read\n')
                    writer.transport.abort()
                else:
                    writer.close()
                    await writer.wait_closed()

        async with server:
            await asyncio.gather(*(client(name) for name in range(12)))
        assert len(numbers) < 12 * 25 / 2  # else this test tests nothing
        await asyncio.sleep(0.01)

    run(main())


# Signals, processes and loops.


@pytest.fixture
def signals() -> Iterator[list[int]]:
    """The signals that were handled in Python so far; one comes each millisecond, and interrupts what is under way."""
    if not hasattr(signal, 'setitimer'):
        pytest.skip('there are no such timers')
    handled: list[int] = []
    previous = signal.signal(signal.SIGALRM, lambda signum, frame: handled.append(signum))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    yield handled
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)


def test_signals_during_a_transfer_harm_nothing(each: Any, run: Run, signals: list[int]) -> None:
    async def main() -> None:
        recorder = Recorder()
        loop = asyncio.get_running_loop()
        async with connected(recorder) as (transport, peer):
            while len(signals) < 20:
                sent = len(recorder.data) + 100_000
                transport.write(b'x' * 100_000)
                for _ in range(10):
                    await loop.sock_sendall(peer, b'y' * 10_000)
                await recorder.until(lambda sent=sent: len(recorder.data) == sent)
                received = 0
                while received < 100_000:
                    received += len(await loop.sock_recv(peer, 100_000))
            assert recorder.calls[-1] == 'data_received'

    run(main())


def test_signals_during_a_transfer_harm_no_tls(each: Any, run: Run, signals: list[int]) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(50_000):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(echo, '127.0.0.1', 0, ssl=server_context())
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection(
                '127.0.0.1', port, ssl=client_context(), server_hostname='localhost'
            )
            while len(signals) < 20:
                data = os.urandom(100_000)
                writer.write(data)
                assert await reader.readexactly(len(data)) == data
            writer.close()
            await writer.wait_closed()

    run(main())


def test_signals_during_a_transfer_harm_no_pipe(each: Any, run: Run, signals: list[int]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        reader = asyncio.StreamReader()
        source, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, 'rb', 0)
        )
        target, _ = await loop.connect_write_pipe(Recorder, os.fdopen(writing, 'wb', 0))
        while len(signals) < 20:
            data = os.urandom(100_000)
            target.write(data)
            assert await reader.readexactly(len(data)) == data
        target.close()
        assert await reader.read() == b''
        source.close()
        await asyncio.sleep(0.01)

    run(main())


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='there is no fork()')
@pytest.mark.filterwarnings('ignore:This process:DeprecationWarning')
def test_a_fork_during_a_transfer_disturbs_nothing(ours: Any, run: Run) -> None:
    async def main() -> None:
        recorder = Recorder()
        loop = asyncio.get_running_loop()
        async with connected(recorder) as (transport, peer):
            transport.write(b'x' * 3_000_000)
            pid = os.fork()
            if pid == 0:
                os._exit(0)  # closes its copies; what was registered must not go with them
            os.waitpid(pid, 0)
            transport.write_eof()
            received = 0
            while data := await loop.sock_recv(peer, 1 << 20):
                received += len(data)
            assert received == 3_000_000

    run(main())


def test_a_loop_closed_with_open_transports_leaves_them_to_warn(ours: Any, make_loop: Any) -> None:
    async def main() -> tuple[Any, socket.socket]:
        sock, peer = socket.socketpair()
        transport, _ = await asyncio.get_running_loop().create_unix_connection(Recorder, sock=sock)
        transport.write(b'data')
        return transport, peer

    other = make_loop(ours.make_loop)
    transport, peer = other.run_until_complete(main())
    other.close()
    with peer:
        assert peer.recv(10) == b'data'
        with pytest.warns(ResourceWarning, match='unclosed'):  # noqa: PT031  # either may be where it goes
            del transport
            gc.collect()
        assert peer.recv(10) == b''
