"""TLS: what is promised to an application, beside asyncio where that promises the same."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import re
import shutil
import socket
import ssl
import sys
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tls_peer import FOREVER, RECORD, BufferedNotes, Notes, Peer, client_context, connect, open_end, server_context

Run = Callable[[Any], Any]

sides = pytest.mark.parametrize('peer_is_server', [False, True], ids=['as server', 'as client'])
kinds = pytest.mark.parametrize('kind', [Notes, BufferedNotes])


def open_files() -> int:
    return len(os.listdir('/proc/self/fd')) if sys.platform == 'linux' else 0


async def end(protocol: Any, peer: Peer) -> None:
    """Close in good order."""
    protocol.transport.close()
    await peer.close()
    peer.sock.close()
    await protocol.lost.wait()


# What a connection is.


@sides
@kinds
@pytest.mark.parametrize('size', [1, 1000, RECORD, RECORD + 1, 1_000_000])
def test_bytes_arrive_as_they_were_written(each: Any, run: Run, peer_is_server: bool, kind: Any, size: int) -> None:
    async def main() -> None:
        transport, peer = await connect(protocol := kind(), peer_is_server=peer_is_server)
        data = os.urandom(size)
        sending = asyncio.ensure_future(peer.write(data))
        assert await protocol.until_received(size) == data
        await sending
        transport.write(data)
        assert await peer.read(size) == data
        transport.writelines([data[:10], bytearray(data[10:20]), memoryview(data)[20:]])
        assert await peer.read(size) == data
        await end(protocol, peer)
        assert protocol.error is None
        assert [event for event in protocol.events if event not in ('pause', 'resume')] == [
            'made',
            'data',
            'eof',
            'lost',
        ]

    run(main())


def test_transport_tells_what_it_is(each: Any, run: Run) -> None:
    async def main() -> None:
        context = client_context()
        transport, peer = await connect(protocol := Notes(), peer_is_server=True, context=context)
        assert isinstance(transport, asyncio.Transport)
        assert transport is protocol.transport
        assert transport.get_protocol() is protocol
        assert not transport.is_closing()
        assert transport.is_reading()
        assert transport.can_write_eof() is False
        with pytest.raises(NotImplementedError):
            transport.write_eof()
        assert transport.get_extra_info('sslcontext') is context
        assert transport.get_extra_info('ssl_object').version().startswith('TLS')
        assert dict(each for ((*each,),) in transport.get_extra_info('peercert')['subject']) == {
            'commonName': 'localhost'
        }
        assert transport.get_extra_info('cipher') == peer.tls.cipher()
        assert transport.get_extra_info('compression') is None
        assert transport.get_extra_info('socket').family == socket.AF_UNIX
        assert transport.get_extra_info('sockname') == ''
        assert transport.get_extra_info('another', 'nothing') == 'nothing'
        assert transport.get_write_buffer_limits() == (128 * 1024, 512 * 1024)
        assert transport.get_read_buffer_limits() == (64 * 1024, 256 * 1024)
        assert transport.get_write_buffer_size() == transport.get_read_buffer_size() == 0
        await end(protocol, peer)
        assert transport.is_closing()

    run(main())


def test_what_was_agreed_can_be_asked_for(each: Any, run: Run) -> None:
    names = []

    async def main() -> None:
        server = server_context()
        server.set_alpn_protocols(['h2', 'http/1.1'])
        server.sni_callback = lambda tls, name, context: names.append(name)
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(cafile=Path(__file__).parent / 'certificates' / 'authority.pem')
        client = client_context()
        client.set_alpn_protocols(['http/1.1'])
        client.load_cert_chain(Path(__file__).parent / 'certificates' / 'client.pem')
        transport, peer = await connect(protocol := Notes(), context=server, peer_context=client)
        assert names == ['localhost']
        assert transport.get_extra_info('ssl_object').selected_alpn_protocol() == 'http/1.1'
        assert transport.get_extra_info('peercert')['subject'] == ((('commonName', 'a client'),),)
        await end(protocol, peer)

    run(main())


def test_repr_tells_state_and_transport_below(ours: Any, run: Run) -> None:
    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        assert re.fullmatch(
            r'<TLSTransport bufsize=0 of <TLSProtocol server WRAPPED over <StreamTransport fd=\d+ .*>>>',
            repr(transport),
        )
        transport.close()
        assert 'closing' in repr(transport)
        await peer.close()
        peer.sock.close()
        await protocol.lost.wait()
        assert repr(transport) == '<TLSTransport closed bufsize=0 of <TLSProtocol server UNWRAPPED over None>>'

    run(main())


@pytest.mark.parametrize('timeout', ['ssl_handshake_timeout', 'ssl_shutdown_timeout'])
@pytest.mark.parametrize('seconds', [0, -1.5])
def test_timeout_must_be_positive(each: Any, run: Run, timeout: str, seconds: float) -> None:
    async def main() -> None:
        local, remote = socket.socketpair()
        with local, remote, pytest.raises(ValueError, match=f'{timeout} should be a positive number, got {seconds}'):
            await open_end(local, Notes(), client=True, **{timeout: seconds})

    run(main())


def test_bytes_only_can_be_written(each: Any, run: Run) -> None:
    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        for wrong in ('text', 5, None):
            with pytest.raises(TypeError, match='bytes-like'):
                transport.write(wrong)
        transport.write(b'')
        transport.write(memoryview(b'right'))
        assert await peer.read(5) == b'right'
        await end(protocol, peer)

    run(main())


def test_what_is_written_may_change_at_once(each: Any, run: Run) -> None:
    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        data = bytearray(b'before')
        transport.write(data)
        data[:] = b'after!'
        assert await peer.read(6) == b'before'
        await end(protocol, peer)

    run(main())


# The handshake.


def test_data_that_comes_with_the_end_of_the_handshake_follows_connection_made(each: Any, run: Run) -> None:
    async def main() -> None:
        peer = Peer(server=False)
        opened = asyncio.ensure_future(open_end(peer.local, protocol := Notes(), client=False))
        with pytest.raises(ssl.SSLWantReadError):
            peer.tls.do_handshake()
        await peer.flush()
        while True:
            await peer.receive_raw()
            try:
                peer.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        peer.tls.write(b'early')
        assert peer.outgoing.pending
        await peer.flush()  # in one piece
        await opened
        assert await protocol.until_received(5) == b'early'
        assert protocol.events == ['made', 'data']
        await end(protocol, peer)

    run(main())


def test_server_that_speaks_first_is_heard(each: Any, run: Run) -> None:
    async def main() -> None:
        protocol = Notes(made=lambda notes: notes.transport.write(b'welcome'))
        _, peer = await connect(protocol)
        assert await peer.read(7) == b'welcome'
        await end(protocol, peer)

    run(main())


def test_handshake_ends_for_the_peer_of_who_does_not_read(ours: Any, run: Run) -> None:
    """In asyncio the client's last word stays where it is."""

    async def main() -> None:
        protocol = Notes(made=lambda notes: notes.transport.pause_reading())
        transport, peer = await connect(protocol, peer_is_server=True)
        await peer.write(b'patience')
        transport.resume_reading()
        assert await protocol.until_received(8) == b'patience'
        await end(protocol, peer)

    run(main())


def test_certificate_of_unknown_authority_is_refused(each: Any, run: Run) -> None:
    async def main() -> None:
        peer = Peer(server=True)
        opened = asyncio.ensure_future(
            open_end(peer.local, protocol := Notes(), client=True, context=ssl.create_default_context())
        )
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await peer.read_first()
        with pytest.raises(ssl.SSLCertVerificationError):
            await opened
        peer.sock.close()
        assert protocol.events == []

    run(asyncio.sleep(0))  # the loop opens its own
    before = open_files()
    run(main())
    assert open_files() == before


def test_default_context_verifies(each: Any, run: Run) -> None:
    async def main() -> None:
        peer = Peer(server=True)
        opened = asyncio.ensure_future(open_end(peer.local, Notes(), client=True, context=True))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await peer.read_first()
        with pytest.raises(ssl.SSLCertVerificationError):
            await opened
        peer.sock.close()

    run(main())


def test_peer_is_told_why_it_is_refused(ours: Any, run: Run) -> None:
    """Asyncio closes without a word."""

    async def main() -> None:
        peer = Peer(server=True)
        opened = asyncio.ensure_future(open_end(peer.local, Notes(), client=True, context=ssl.create_default_context()))
        with pytest.raises(ssl.SSLError, match='(?i)unknown.ca'):
            await peer.read_first()
        await asyncio.gather(opened, return_exceptions=True)
        peer.sock.close()

    run(main())


@sides
@pytest.mark.parametrize(
    ('words', 'error'), [(b'', ConnectionResetError), (b'GET / HTTP/1.1\r\n\r\n', ssl.SSLError)], ids=['end', 'plain']
)
def test_handshake_with_who_speaks_no_tls_fails(
    each: Any, run: Run, peer_is_server: bool, words: bytes, error: Any
) -> None:
    async def main() -> None:
        local, remote = socket.socketpair()
        remote.sendall(words)
        if not words:
            remote.shutdown(socket.SHUT_WR)
        with pytest.raises(error):
            await open_end(local, protocol := Notes(), client=peer_is_server)
        remote.close()
        assert protocol.events == []

    run(asyncio.sleep(0))  # the loop opens its own
    before = open_files()
    run(main())
    assert open_files() == before


def test_handshake_timeout(each: Any, run: Run) -> None:
    async def main() -> None:
        local, remote = socket.socketpair()
        with (
            remote,
            pytest.raises(
                ConnectionAbortedError,
                match=re.escape('SSL handshake is taking longer than 0.01 seconds: aborting the connection'),
            ),
        ):
            await open_end(local, Notes(), client=True, ssl_handshake_timeout=0.01)

    run(asyncio.sleep(0))  # the loop opens its own
    before = open_files()
    run(main())
    assert open_files() == before


def test_cancelled_handshake_leaves_nothing(each: Any, run: Run) -> None:
    async def main() -> None:
        local, remote = socket.socketpair()
        opened = asyncio.ensure_future(open_end(local, protocol := Notes(), client=True))
        remote.setblocking(False)
        loop = asyncio.get_running_loop()
        assert await loop.sock_recv(remote, 65536)  # the handshake has begun
        opened.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opened
        while await loop.sock_recv(remote, 65536):
            pass
        remote.close()
        assert protocol.events == []

    run(asyncio.sleep(0))  # the loop opens its own
    before = open_files()
    run(main())
    assert open_files() == before


def test_connection_that_is_closed_during_the_handshake_gives_no_transport(each: Any, run: Run) -> None:
    async def main() -> None:
        local, remote = socket.socketpair()
        loop = asyncio.get_running_loop()
        plain, protocol = await loop.create_connection(Notes, sock=local)
        upgraded = asyncio.ensure_future(loop.start_tls(plain, protocol, client_context(), server_hostname='localhost'))
        remote.setblocking(False)
        assert await loop.sock_recv(remote, 65536)
        plain.abort()
        assert await upgraded is None
        remote.close()

    run(main())


# The end.


@sides
def test_close_says_close_notify_and_waits_for_the_peers(each: Any, run: Run, peer_is_server: bool) -> None:
    async def main() -> None:
        transport, peer = await connect(protocol := Notes(), peer_is_server=peer_is_server)
        transport.write(b'last words')
        transport.close()
        assert transport.is_closing()
        assert await peer.read(10) == b'last words'
        assert await peer.do(peer.tls.read) == b''  # close_notify
        assert protocol.events == ['made']
        await peer.close()
        await protocol.lost.wait()
        assert protocol.error is None
        assert await peer.receive_raw() == b''
        peer.sock.close()

    run(main())


def test_close_notify_of_the_peer_ends_the_connection(each: Any, run: Run) -> None:
    async def main() -> None:
        _, peer = await connect(protocol := Notes(eof=lambda notes: notes.transport.write(b'farewell')))
        await peer.write(b'all')
        with pytest.raises(ssl.SSLWantReadError):
            peer.tls.unwrap()
        await peer.flush()
        await protocol.lost.wait()
        assert (protocol.events, protocol.error, protocol.data) == (['made', 'data', 'eof', 'lost'], None, b'all')
        peer.sock.close()

    run(main())


def test_end_of_the_stream_without_close_notify_counts_as_an_end(each: Any, run: Run) -> None:
    async def main() -> None:
        _, peer = await connect(protocol := Notes())
        await peer.write(b'all')
        peer.sock.shutdown(socket.SHUT_WR)
        await protocol.lost.wait()
        assert (protocol.events, protocol.error, protocol.data) == (['made', 'data', 'eof', 'lost'], None, b'all')
        peer.sock.close()

    run(main())


def test_end_while_paused_comes_after_the_data(each: Any, run: Run) -> None:
    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        transport.pause_reading()
        await peer.write(b'x' * 100_000)
        peer.sock.shutdown(socket.SHUT_WR)
        for _ in range(5):
            await asyncio.sleep(0.001)
        assert protocol.events == ['made']
        transport.resume_reading()
        await protocol.lost.wait()
        assert (protocol.events, len(protocol.data)) == (['made', 'data', 'eof', 'lost'], 100_000)
        peer.sock.close()

    run(main())


def test_close_after_the_end_while_paused_closes(ours: Any, run: Run) -> None:
    """In asyncio that does nothing."""

    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        transport.pause_reading()
        await peer.write(b'unread')
        peer.sock.shutdown(socket.SHUT_WR)
        await asyncio.sleep(0.001)
        transport.close()
        await protocol.lost.wait()
        assert protocol.data == b''
        peer.sock.close()

    run(main())


def test_data_that_comes_after_close_is_an_error_of_the_peer(each: Any, run: Run) -> None:
    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        transport.close()
        await peer.write(b'too late')
        await protocol.lost.wait()
        assert isinstance(protocol.error, ssl.SSLError)
        assert protocol.data == b''
        peer.sock.close()

    run(main())


def test_bad_record_ends_the_connection(each: Any, run: Run) -> None:
    async def main() -> None:
        _, peer = await connect(protocol := Notes())
        await peer.send_raw(b'\x17\x03\x03\x00\x20' + bytes(32))
        await protocol.lost.wait()
        assert isinstance(protocol.error, ssl.SSLError)
        assert protocol.events == ['made', 'lost']
        peer.sock.close()

    run(main())


@kinds
def test_data_before_a_bad_record_is_received(ours: Any, run: Run, kind: Any) -> None:
    """In asyncio it depends on whether both were read at once."""

    async def main() -> None:
        _, peer = await connect(protocol := kind())
        peer.tls.write(b'good')
        await peer.send_raw(peer.outgoing.read() + b'\x17\x03\x03\x00\x20' + bytes(32))
        await protocol.lost.wait()
        assert isinstance(protocol.error, ssl.SSLError)
        assert protocol.data == b'good'
        with pytest.raises(ssl.SSLError, match='(?i)bad.record'):
            await peer.read(1)
        peer.sock.close()

    run(main())


def test_shutdown_timeout(each: Any, run: Run) -> None:
    async def main() -> None:
        transport, peer = await connect(protocol := Notes(), ssl_shutdown_timeout=0.01)
        transport.close()
        await protocol.lost.wait()
        assert isinstance(protocol.error, TimeoutError)
        assert str(protocol.error) == 'SSL shutdown timed out'
        peer.sock.close()

    run(main())


def test_abort_does_not_wait(each: Any, run: Run) -> None:
    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        transport.write(b'sent before')
        transport.abort()
        assert transport.is_closing()
        await protocol.lost.wait()
        assert (protocol.events, protocol.error) == (['made', 'lost'], None)
        assert await peer.read(11) == b'sent before'
        assert await peer.receive_raw() == b''
        peer.sock.close()

    run(main())


def test_writes_after_close_are_counted(each: Any, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        await end(protocol, peer)
        for _ in range(10):
            transport.write(b'in vain')

    run(main())
    said = [record.getMessage() for record in caplog.records if record.levelname == 'WARNING']
    assert len(said) >= 5
    assert set(said) == {'SSL connection is closed'}


def test_closed_transport_can_be_asked_and_closed_again(ours: Any, run: Run) -> None:
    """That of asyncio raises AttributeError once it was closed twice."""

    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        await end(protocol, peer)
        for _ in range(2):
            transport.close()
            transport.abort()
            transport.pause_reading()
            transport.resume_reading()
            transport.set_read_buffer_limits(5)
            transport.set_write_buffer_limits(5)
            assert transport.get_write_buffer_size() == 0
            assert transport.get_extra_info('ssl_object') is not None
            assert transport.get_extra_info('socket') is None
            await asyncio.sleep(0)
        assert protocol.events == ['made', 'eof', 'lost']

    run(main())


def test_all_that_was_written_before_close_is_sent(each: Any, run: Run) -> None:
    size = 3_000_000

    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        transport.write(bytes(size))
        transport.close()
        await asyncio.sleep(0.001)
        assert await peer.read(size + 1) == bytes(size)
        await peer.close()
        await protocol.lost.wait()
        assert protocol.error is None
        peer.sock.close()

    run(main())


def test_what_waits_is_sent_after_the_peer_said_close_notify(ours: Any, run: Run) -> None:
    """Asyncio drops what its transport below had no room for."""
    size = 3_000_000

    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        transport.write(bytes(size))
        with pytest.raises(ssl.SSLWantReadError):
            peer.tls.unwrap()
        await peer.flush()
        await protocol.until('eof')
        peer.sock.shutdown(socket.SHUT_WR)
        received = 0
        while True:
            try:
                received += len(peer.tls.read(65536))
            except ssl.SSLWantReadError:
                if not await peer.receive_raw():
                    break
            except ssl.SSLZeroReturnError:
                break
        assert received == size
        await protocol.lost.wait()
        assert protocol.error is None
        peer.sock.close()

    run(main())


# Flow control.


def test_who_writes_is_paused_while_the_peer_does_not_read(each: Any, run: Run) -> None:
    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        transport.set_write_buffer_limits(high=100_000)
        written = 0
        while 'pause' not in protocol.events:
            transport.write(bytes(10_000))
            written += 10_000
            await asyncio.sleep(0)
        assert 100_000 <= transport.get_write_buffer_size() < 120_000
        assert 'resume' not in protocol.events
        reading = asyncio.ensure_future(peer.read(written))
        await protocol.until('resume')
        assert await reading == bytes(written)
        assert transport.get_write_buffer_size() == 0
        await end(protocol, peer)

    run(main())


def test_limit_of_nought_means_as_soon_as_something_waits(ours: Any, run: Run) -> None:
    """Asyncio pauses the protocol when nothing waits."""

    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        transport.write(b'sent')
        transport.set_write_buffer_limits(high=0)
        assert await peer.read(4) == b'sent'
        transport.write(b'sent')
        assert await peer.read(4) == b'sent'
        assert protocol.events == ['made']
        await end(protocol, peer)

    run(main())


@pytest.mark.parametrize(('high', 'low'), [(1, 2), (-1, None), (None, -1)])
def test_limits_are_checked(each: Any, run: Run, high: Any, low: Any) -> None:
    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        for set_limits in (transport.set_write_buffer_limits, transport.set_read_buffer_limits):
            with pytest.raises(ValueError, match='must be >= low'):
                set_limits(high, low)
        transport.set_read_buffer_limits(high=4000)
        assert transport.get_read_buffer_limits() == (1000, 4000)
        await end(protocol, peer)

    run(main())


@kinds
def test_who_does_not_read_gets_nothing_until_it_reads(each: Any, run: Run, kind: Any) -> None:
    size = 3_000_000

    async def main() -> None:
        transport, peer = await connect(protocol := kind())
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        sending = asyncio.ensure_future(peer.write(bytes(size)))
        while transport.get_read_buffer_size() < 256 * 1024:
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0.001)
        assert transport.get_read_buffer_size() <= 2 * 256 * 1024
        assert protocol.data == b''
        transport.resume_reading()
        assert protocol.data == b''  # not before this returns
        await protocol.until_received(size)
        await sending
        await end(protocol, peer)

    run(main())


@kinds
def test_pause_within_data_received(ours: Any, run: Run, kind: Any) -> None:
    async def main() -> None:
        _, peer = await connect(protocol := kind(data=lambda notes: notes.transport.pause_reading()))
        for _ in range(3):
            peer.tls.write(bytes(RECORD))
        await peer.flush()
        while len(protocol.data) < 3 * RECORD:
            seen = len(protocol.data)
            protocol.heard.clear()
            protocol.transport.resume_reading()
            await protocol.heard.wait()
            assert len(protocol.data) > seen
            await asyncio.sleep(0)
        await end(protocol, peer)

    run(main())


def test_one_callbacks_writes_are_one_record(ours: Any, run: Run) -> None:
    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        transport.write(b'after the session tickets')
        await peer.read(25)
        before = len(peer.records())
        for _ in range(10):
            transport.write(b'0123456789')
        transport.writelines([b'0123456789'] * 10)
        assert await peer.read(200) == b'0123456789' * 20
        assert len(peer.records()) == before + 1
        for _ in range(10):
            transport.write(bytes(3000))
        assert await peer.read(30_000) == bytes(30_000)
        assert len(peer.records()) == before + 3
        await end(protocol, peer)

    run(main())


def test_nothing_is_done_while_nothing_happens(ours: Any, run: Run, loop: Any) -> None:
    async def main() -> None:
        transport, peer = await connect(protocol := Notes())
        transport.pause_reading()
        await peer.write(b'unread')
        peer.sock.shutdown(socket.SHUT_WR)
        transport.write(bytes(3_000_000))
        await asyncio.sleep(0.01)
        before = loop.statistics().turns
        await asyncio.sleep(0.05)
        assert loop.statistics().turns < before + 20
        transport.abort()
        await protocol.lost.wait()
        peer.sock.close()

    run(main())


# Protocols.


@pytest.mark.parametrize('kind', [Notes, lambda **on: BufferedNotes(10, **on)], ids=['data', 'buffer'])
def test_protocol_can_be_changed_while_reading(each: Any, run: Run, kind: Any) -> None:
    async def main() -> None:
        second = BufferedNotes()
        third = Notes()
        first = kind(data=lambda notes: notes.transport.set_protocol(second))
        transport, peer = await connect(first)
        assert transport.get_protocol() is first
        await peer.write(b'for the first')
        await first.until('data')
        await peer.write(b'for the second')
        if kind is not Notes:
            assert await second.until_received(17) == b'rstfor the second'[:17]
        else:
            assert await second.until_received(14) == b'for the second'
        transport.set_protocol(third)
        third.transport = transport
        await peer.write(b'for the third')
        assert await third.until_received(13) == b'for the third'
        await end(third, peer)
        assert 'lost' not in first.events + second.events

    run(main())


FAILURES = {
    'made': 'Fatal error: protocol.',
    'data': 'Fatal error on SSL protocol',
    'eof': 'Error calling eof_received()',
    'pause': 'protocol.pause_writing() failed',
    'resume': 'protocol.resume_writing() failed',
}


@kinds
@pytest.mark.parametrize('callback', FAILURES)
def test_failing_callback_is_reported(each: Any, run: Run, reports: list[Any], callback: str, kind: Any) -> None:
    def fail(notes: Notes) -> None:
        raise ZeroDivisionError(callback)

    async def main() -> None:
        protocol = kind(**{callback: fail})
        try:
            transport, peer = await connect(protocol)
        except (ZeroDivisionError, OSError):
            assert callback == 'made'
            return
        if callback == 'made':  # the peer's side of it
            peer.sock.close()
            return
        await peer.write(b'data')
        if callback in ('pause', 'resume'):
            while 'pause' not in protocol.events:
                transport.write(bytes(100_000))
                await asyncio.sleep(0)
            reading = asyncio.ensure_future(peer.read(1 << 30))
            await protocol.until('resume')
            transport.close()
            await reading
            await peer.close()
        elif callback == 'eof':
            peer.sock.shutdown(socket.SHUT_WR)
        await protocol.lost.wait()
        if callback not in ('pause', 'resume'):
            assert isinstance(protocol.error, ZeroDivisionError)
        peer.sock.close()

    run(asyncio.sleep(0))  # the loop opens its own
    before = open_files()
    run(main())
    assert [str(report['exception']) for report in reports] == [callback]
    assert reports[0]['message'].startswith(FAILURES[callback])
    assert open_files() == before


@pytest.mark.parametrize('trouble', ['a write', 'an alert'])
def test_transport_below_that_cannot_write_ends_the_connection(
    each: Any, run: Run, reports: list[Any], trouble: str
) -> None:
    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        transport: Any
        transport, peer = await connect(protocol := Notes())
        transport._ssl_protocol._transport.write = fail
        if trouble == 'a write':
            transport.write(b'data')
        else:
            peer.sock.send(b'this is no TLS record')
        await protocol.lost.wait()
        assert isinstance(protocol.error, ZeroDivisionError if trouble == 'a write' else ssl.SSLError)
        peer.sock.close()

    run(main())
    assert [report['message'] for report in reports] == ['Fatal error on SSL protocol'] * (trouble == 'a write')


def test_failure_of_connection_lost_is_reported(each: Any, run: Run, reports: list[Any]) -> None:
    def fail(notes: Notes) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        _, peer = await connect(protocol := Notes(lost=fail))
        await end(protocol, peer)
        await asyncio.sleep(0)

    run(main())
    assert [type(report['exception']) for report in reports] == [ZeroDivisionError]
    assert ('protocol.connection_lost()' in reports[0]['message']) is not each.is_stock
    assert ('transport' in reports[0]) is not each.is_stock


def test_what_was_written_before_the_failure_is_sent(each: Any, run: Run, reports: list[Any]) -> None:
    def fail(notes: Notes) -> None:
        notes.transport.write(b'so far so good')
        raise ZeroDivisionError

    async def main() -> None:
        _, peer = await connect(protocol := Notes(data=fail))
        await peer.write(b'x')
        assert await peer.read(14) == b'so far so good'
        await protocol.lost.wait()
        peer.sock.close()

    run(main())
    assert len(reports) == 1


@pytest.mark.parametrize('how', ['close', 'abort'])
@pytest.mark.parametrize('callback', ['made', 'data', 'eof', 'pause', 'resume', 'lost'])
@kinds
def test_transport_can_be_closed_in_every_callback(ours: Any, run: Run, callback: str, how: str, kind: Any) -> None:
    async def main() -> None:
        protocol = kind(**{callback: lambda notes: getattr(notes.transport, how)()})
        try:
            transport, peer = await connect(protocol)
        except OSError:  # the peer's handshake may be over, or not
            assert callback == 'made'
            await protocol.lost.wait()
            return
        try:
            await peer.write(b'data')
            if callback in ('pause', 'resume'):
                while 'pause' not in protocol.events:
                    transport.write(bytes(100_000))
                    await asyncio.sleep(0)
            if callback in ('eof', 'lost'):
                peer.sock.shutdown(socket.SHUT_WR)
            else:
                await peer.read(1 << 30)
                await peer.close()
        except OSError:
            pass
        peer.sock.close()
        if callback == 'lost':
            transport.close()
        await protocol.lost.wait()
        assert protocol.events.count('lost') == 1
        assert protocol.events[-1] == 'lost'

    run(asyncio.sleep(0))  # the loop opens its own
    before = open_files()
    run(main())
    assert open_files() == before


variable: contextvars.ContextVar[str] = contextvars.ContextVar('variable', default='nobody')


@kinds
def test_callbacks_run_in_the_context_of_the_connection(each: Any, run: Run, kind: Any) -> None:
    seen = {}

    def look(event: str) -> Callable[[Notes], None]:
        return lambda notes: seen.__setitem__(event, variable.get())

    async def main() -> None:
        variable.set('who connects')
        protocol = kind(**{event: look(event) for event in ('made', 'data', 'eof', 'lost')})
        _, peer = await connect(protocol)
        variable.set('somebody else')
        await peer.write(b'data')
        await protocol.until('data')
        peer.sock.shutdown(socket.SHUT_WR)
        await protocol.lost.wait()
        peer.sock.close()

    run(main())
    assert seen == dict.fromkeys(('made', 'data', 'eof', 'lost'), 'who connects')


# Upgrades.


def test_start_tls_upgrades_a_live_connection(each: Any, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        peer = Peer(server=True)
        plain, protocol = await loop.create_connection(Notes, sock=peer.local)
        plain.write(b'STARTTLS')
        assert await loop.sock_recv(peer.sock, 100) == b'STARTTLS'
        upgraded = asyncio.ensure_future(loop.start_tls(plain, protocol, client_context(), server_hostname='localhost'))
        await peer.shake_hands()
        transport = await upgraded
        assert protocol.events == ['made']  # once
        assert transport.get_protocol() is protocol
        protocol.transport = transport
        transport.write(b'secret')
        assert await peer.read(6) == b'secret'
        assert b'secret' not in peer.raw
        await peer.write(b'answer')
        assert await protocol.until_received(6) == b'answer'
        await end(protocol, peer)
        assert protocol.events == ['made', 'data', 'eof', 'lost']

    run(main())


def test_plain_bytes_written_just_before_start_tls_are_sent_plain(each: Any, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        peer = Peer(server=False)
        plain, protocol = await loop.connect_accepted_socket(Notes, peer.local)
        plain.write(b'220 go ahead')
        upgraded = asyncio.ensure_future(loop.start_tls(plain, protocol, server_context(), server_side=True))
        assert await loop.sock_recv(peer.sock, 12) == b'220 go ahead'
        await peer.shake_hands()
        protocol.transport = await upgraded
        await end(protocol, peer)

    run(main())


def test_start_tls_refuses_what_it_cannot_use(each: Any, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TypeError, match='expected to be an instance of ssl.SSLContext'):
            await loop.start_tls(None, None, None)
        with pytest.raises(TypeError, match='is not supported by start_tls'):
            await loop.start_tls(object(), None, client_context())

    run(main())


def test_failed_upgrade_closes_the_transport_below(each: Any, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        local, remote = socket.socketpair()
        plain, protocol = await loop.create_connection(Notes, sock=local)
        remote.sendall(b'no TLS at all')
        with pytest.raises(ssl.SSLError):
            await loop.start_tls(plain, protocol, client_context(), server_hostname='localhost')
        await protocol.lost.wait()
        remote.close()

    run(asyncio.sleep(0))  # the loop opens its own
    before = open_files()
    run(main())
    assert open_files() == before


def test_server_takes_a_client_hello_that_its_reader_holds(ours: Any, run: Run) -> None:
    """As asyncio does since 3.14: what a stream has read before start_tls() is TLS's (python/cpython#142352)."""

    async def main() -> None:
        answers = []
        served = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readline() == b'STARTTLS\n'
            await writer.start_tls(server_context())
            answers.append(await reader.readline())
            writer.close()
            await writer.wait_closed()
            served.set()

        server = await asyncio.start_server(serve, '127.0.0.1', 0)
        peer = Peer(server=False)
        peer.sock.close()
        peer.local.close()
        peer.sock = socket.create_connection(server.sockets[0].getsockname())
        peer.sock.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            peer.tls.do_handshake()
        await peer.send_raw(b'STARTTLS\n' + peer.outgoing.read())
        await peer.shake_hands()
        await peer.write(b'hello\n')
        await peer.close()
        peer.sock.close()
        server.close()
        await server.wait_closed()
        await served.wait()
        assert answers == [b'hello\n']

    run(main())


def test_tls_in_tls(each: Any, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        outer_transport, outer = await connect(protocol := Notes(), peer_is_server=True)
        upgraded = asyncio.ensure_future(
            loop.start_tls(outer_transport, protocol, client_context(), server_hostname='localhost')
        )
        inner = Peer(server=True)
        inner.local.close()
        inner.sock.close()

        async def do(method: Any, *args: Any) -> Any:
            while True:
                try:
                    result = method(*args)
                except ssl.SSLWantReadError:
                    result = None
                if inner.outgoing.pending:
                    await outer.write(inner.outgoing.read())
                if result is not None or (method is inner.tls.do_handshake and inner.tls.version()):
                    return result
                inner.incoming.write(await outer.do(outer.tls.read, 65536))

        while True:
            try:
                inner.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                if inner.outgoing.pending:
                    await outer.write(inner.outgoing.read())
                inner.incoming.write(await outer.do(outer.tls.read, 65536))
        await outer.write(inner.outgoing.read())
        transport = await upgraded
        protocol.transport = transport
        assert transport.get_extra_info('ssl_object') is not outer_transport.get_extra_info('ssl_object')
        transport.write(b'twice as secret')
        assert await do(inner.tls.read, 100) == b'twice as secret'
        inner.tls.write(b'answer')
        await outer.write(inner.outgoing.read())
        assert await protocol.until_received(6) == b'answer'
        transport.abort()
        await protocol.lost.wait()
        outer.sock.close()

    run(main())


class ForeignTransport(asyncio.Transport):
    """A transport in plain Python that knows nothing of sooner: a pipe in memory to the one at its other end."""

    _start_tls_compatible = True

    def __init__(self, loop: Any) -> None:
        super().__init__()
        self.loop = loop
        self.protocol: Any = None
        self.other: Any = None
        self.waiting: list[Any] = []
        self.paused = False
        self.closing = False

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
        self.loop.call_soon(self.deliver)

    def write(self, data: Any) -> None:
        assert not self.closing
        self.other.waiting.append(bytearray(data))
        self.loop.call_soon(self.other.deliver)

    def deliver(self) -> None:
        while self.waiting and not self.paused and not self.closing:
            data = self.waiting.pop(0)
            if data is None:
                self.protocol.eof_received()
                self.close()
            else:
                self.protocol.data_received(data)

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self.other.waiting.append(None)
            self.loop.call_soon(self.other.deliver)
            self.loop.call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()


def test_tls_over_a_transport_of_somebody_else(ours: Any, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        left, right = ForeignTransport(loop), ForeignTransport(loop)
        left.other, right.other = right, left
        client, server = Notes(), Notes()
        transports = await asyncio.gather(
            loop.start_tls(left, client, client_context(), server_hostname='localhost'),
            loop.start_tls(right, server, server_context(), server_side=True),
        )
        transports[0].write(bytes(100_000))
        transports[1].write(b'answer')
        assert await server.until_received(100_000) == bytes(100_000)
        assert await client.until_received(6) == b'answer'
        transports[0].close()
        await asyncio.gather(client.lost.wait(), server.lost.wait())
        assert client.events == server.events == ['data', 'eof', 'lost']

    run(main())


# Streams, servers, sendfile.


def test_streams_over_tls(each: Any, run: Run) -> None:
    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async for line in reader:
                writer.write(line.upper())
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, '127.0.0.1', 0, ssl=server_context())
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection('localhost', port, ssl=client_context(), family=socket.AF_INET)
        assert writer.get_extra_info('peername') == ('127.0.0.1', port)
        lines = [b'x' * size + b'\n' for size in (0, 1, 1000, 20_000, 60_000)]
        writer.writelines(lines)
        for line in lines:
            assert await reader.readline() == line.upper()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(main())


async def connect_stream() -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Peer]:
    peer = Peer(server=True)
    opened = asyncio.ensure_future(
        asyncio.open_connection(sock=peer.local, ssl=client_context(), server_hostname='localhost')
    )
    await peer.shake_hands()
    return *await opened, peer


def test_drain_sends_before_the_task_gives_way(each: Any, run: Run) -> None:
    async def main() -> None:
        _, writer, peer = await connect_stream()
        writer.write(b'now')
        await writer.drain()
        peer.incoming.write(peer.sock.recv(1000))  # without a turn of the loop
        assert peer.tls.read() == b'now'
        writer.transport.abort()
        peer.sock.close()

    run(main())


def test_drain_waits_while_the_peer_does_not_read(each: Any, run: Run) -> None:
    async def main() -> None:
        _, writer, peer = await connect_stream()

        async def write() -> None:
            for _ in range(50):
                writer.write(bytes(100_000))
                await writer.drain()

        writing = asyncio.ensure_future(write())
        while not writer.transport._protocol_paused:
            await asyncio.sleep(0.001)
        assert writer.transport.get_write_buffer_size() < 1_000_000
        assert not writing.done()
        assert len(await peer.read(5_000_000)) == 5_000_000
        await writing
        writer.transport.abort()
        peer.sock.close()

    run(main())


def test_who_writes_without_end_hears_that_the_peer_has_gone(ours: Any, run: Run) -> None:
    """In asyncio since 3.14; before, the loop never gets a turn to tell."""

    async def write_without_end(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b'x')
            await writer.drain()

    async def main() -> None:
        _, writer, peer = await connect_stream()
        peer.sock.close()
        with pytest.raises(ConnectionError):
            await write_without_end(writer)

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason='Server.close_clients() is new in 3.13')
@pytest.mark.parametrize('how', ['close_clients', 'abort_clients'])
def test_server_can_close_its_clients(each: Any, run: Run, how: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        protocol = Notes()
        server = await loop.create_server(lambda: protocol, '127.0.0.1', 0, ssl=server_context())
        peer = Peer(server=False)
        peer.sock.close()
        peer.local.close()
        peer.sock = socket.create_connection(server.sockets[0].getsockname())
        peer.sock.setblocking(False)
        await peer.shake_hands()
        await protocol.until('made')
        protocol.transport.write(b'written before')
        getattr(server, how)()
        server.close()
        await server.wait_closed()
        await protocol.lost.wait()
        assert await peer.read(14) == b'written before'
        assert await peer.receive_raw() == b''
        peer.sock.close()

    run(main())


def test_failed_handshake_is_nobodys_business_on_a_server(each: Any, run: Run) -> None:
    """Nothing reaches the exception handler."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(False)  # in which asyncio reports it
        made = [Notes(), Notes(), Notes()]
        protocols = made.copy()
        server = await loop.create_server(protocols.pop, '127.0.0.1', 0, ssl=server_context())
        for words in (b'', b'\x16\x03', b'GET / HTTP/1.0\r\n\r\n'):
            sock = socket.create_connection(server.sockets[0].getsockname())
            sock.sendall(words)
            sock.shutdown(socket.SHUT_WR)
            sock.setblocking(False)
            try:
                while await loop.sock_recv(sock, 1000):
                    pass
            except ConnectionError:
                pass
            sock.close()
        server.close()
        await server.wait_closed()
        assert [protocol.events for protocol in made] == [[], [], []]

    run(main())


def test_sendfile_over_tls(each: Any, run: Run, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / 'file').write_bytes(data)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, peer = await connect(protocol := Notes())
        with open(tmp_path / 'file', 'rb') as file:
            reading = asyncio.ensure_future(peer.read(len(data)))
            assert await loop.sendfile(transport, file) == len(data)
        assert await reading == data
        with open(tmp_path / 'file', 'rb') as file, pytest.raises(RuntimeError):
            await loop.sendfile(transport, file, fallback=False)
        await end(protocol, peer)

    run(main())


# What OpenSSL's own client can do, and Python's cannot.

openssl = shutil.which('openssl')


@pytest.mark.skipif(openssl is None, reason='the program openssl is not there')
@pytest.mark.parametrize('command', ['K', 'k', 'R'], ids=['key update requested', 'key update', 'renegotiation'])
def test_new_keys_are_survived(each: Any, run: Run, command: str) -> None:
    async def main() -> None:
        context = server_context()
        if command == 'R':
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.options |= 1 << 8  # SSL_OP_ALLOW_CLIENT_RENEGOTIATION

        class Echo(Notes):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                self.transport.write(data)

        loop = asyncio.get_running_loop()
        protocol = Echo()
        server = await loop.create_server(lambda: protocol, '127.0.0.1', 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        pipe = asyncio.subprocess.PIPE
        client = await asyncio.create_subprocess_exec(
            openssl,
            's_client',
            '-connect',
            f'127.0.0.1:{port}',
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.STDOUT,
        )
        await protocol.until('made')
        for number in range(3):
            client.stdin.write(f'{command}\n'.encode())
            await client.stdin.drain()
            said = b''
            while b'KEYUPDATE' not in said and b'RENEGOTIATING' not in said:
                said = await client.stdout.readline()
                assert said
            client.stdin.write(b'hello %d\n' % number)
            while not said.startswith(b'hello %d' % number):
                said = await client.stdout.readline()
                assert said
        client.stdin.close()  # which communicate() does not do on 3.11
        await client.communicate()
        await protocol.lost.wait()
        assert protocol.data == b'hello 0\nhello 1\nhello 2\n'
        server.close()
        await server.wait_closed()

    run(main())


# Nothing is left.


@kinds
def test_connection_dies_with_its_last_user(ours: Any, run: Run, kind: Any) -> None:
    """Without the garbage collector."""

    async def one() -> list[Any]:
        context = client_context()
        transport, peer = await connect(protocol := kind(), peer_is_server=True, context=context)
        await peer.write(b'x')
        await protocol.until_received(1)
        await end(protocol, peer)
        protocol.transport = None
        return [weakref.ref(each) for each in (transport, protocol, transport._ssl_protocol, context)]

    async def main() -> None:
        refs = await one()
        await asyncio.sleep(0)
        assert [ref() for ref in refs] == [None] * 4

    gc.collect()
    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_forgotten_transport_is_told_of(ours: Any, make_loop: Any) -> None:
    loop = make_loop(ours.make_loop)
    peer = loop.run_until_complete(connect(Notes()))[1]
    loop.close()
    with pytest.warns(ResourceWarning) as warned:
        gc.collect()
    assert any('unclosed transport <TLSTransport' in str(warning.message) for warning in warned)
    peer.sock.close()


def test_transport_of_a_closed_loop_does_no_harm(ours: Any, make_loop: Any) -> None:
    loop = make_loop(ours.make_loop)
    transport, peer = loop.run_until_complete(connect(Notes()))
    loop.close()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        transport.write(b'x')
        transport.abort()
        del transport
        gc.collect()
    peer.sock.close()


def test_handshake_leaves_no_timer(ours: Any, run: Run, loop: Any) -> None:
    async def main() -> None:
        before = timers()
        _, peer = await connect(protocol := Notes(), ssl_handshake_timeout=FOREVER)
        assert timers() == before
        await end(protocol, peer)
        assert timers() == before

    def timers() -> int:
        return sum(isinstance(each, asyncio.TimerHandle) and not each.cancelled() for each in gc.get_objects())

    run(main())
