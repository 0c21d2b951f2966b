"""Connections over a wire that does what it likes: splits, flips, drops, doubles, ends, resets.

    python tests/fuzz/wire_fuzz.py --cases 1000000 --seconds 3600 --seed 1

Each case is one TLS connection between the loop's TLS and an SSLObject, over a transport in memory or a socket pair;
its application is a protocol or a stream. Whatever the wire does, the application gets a beginning of what was written
to it and nothing else, hears of the end once, and nothing is left over; if the wire does no harm, it gets all. A case
that fails is named by its number: --seed and --first repeat it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import gc
import random
import socket
import ssl
import struct
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / 'net'))

from tls_peer import client_context, server_context

import sooner
from sooner.net.tls import TLSProtocol

HARM = ('none', 'none', 'flip', 'drop', 'double', 'garbage', 'end', 'reset')
MOST_STEPS = 500
HANG = 300.0
"""Seconds after which a hundred cases count as hanging: the traceback shows where."""


class Application(asyncio.Protocol):
    """Takes what comes, and is difficult at times."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.data = b''
        self.events: list[str] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.events.append('made')

    def data_received(self, data: bytes) -> None:
        assert data
        assert self.events == ['made'], self.events
        self.data += data

    def eof_received(self) -> None:
        self.events.append('eof')

    def connection_lost(self, exc: BaseException | None) -> None:
        assert exc is None or isinstance(exc, OSError), exc
        self.events.append('lost')


class Stream(asyncio.StreamReaderProtocol):
    """The same, read by a task in every way that a stream can be read."""

    def __init__(self, choice: random.Random) -> None:
        loop = asyncio.get_running_loop()
        self.reader = asyncio.StreamReader(limit=choice.choice([64, 4096, 65536]), loop=loop)
        super().__init__(self.reader, loop=loop)
        self.choice = choice
        self.transport: Any = None
        self.data = b''
        self.events: list[str] = []
        self.task = loop.create_task(self.read())

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.transport = transport
        self.events.append('made')

    def eof_received(self) -> bool:
        self.events.append('eof')
        return bool(super().eof_received()) and False

    def connection_lost(self, exc: BaseException | None) -> None:
        self.events.append('lost')
        super().connection_lost(exc)

    async def read(self) -> None:
        reader, choice = self.reader, self.choice
        while True:
            way = choice.randrange(4)
            try:
                if way == 0:
                    chunk = await reader.read(choice.choice([1, 10, 5000]))
                elif way == 1:
                    chunk = await reader.readexactly(choice.choice([1, 7, 300]))
                elif way == 2:
                    chunk = await reader.readuntil(b'\n')
                else:
                    chunk = await reader.read(65536)
            except asyncio.IncompleteReadError as exc:
                chunk = exc.partial
                if not chunk:
                    return
            except asyncio.LimitOverrunError as exc:
                chunk = await reader.readexactly(max(exc.consumed, 1))
            except OSError:
                return
            if not chunk and reader.at_eof():
                return
            self.data += chunk


class MemoryTransport(asyncio.Transport):
    """The transport below: keeps what it is given."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        self.sent = b''
        self.paused = False
        self.closing = False
        self.loop = asyncio.get_running_loop()
        protocol.connection_made(self)

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def write(self, data: Any) -> None:
        self.sent += data

    def close(self) -> None:
        self.lose(None)

    def abort(self) -> None:
        self.lose(None)

    def lose(self, exc: BaseException | None) -> None:
        if not self.closing:
            self.closing = True
            self.loop.call_soon(self.protocol.connection_lost, exc)

    _force_close = lose


class MemoryWire:
    """What connects a MemoryTransport with the peer."""

    def __init__(self, tls: TLSProtocol) -> None:
        self.transport = MemoryTransport(tls)
        self.waiting: list[bytes] = []

    def to_app(self, data: bytes) -> None:
        self.waiting.append(data)
        self.deliver()

    def deliver(self) -> None:
        while self.waiting and not self.transport.paused and not self.transport.closing:
            self.transport.protocol.data_received(self.waiting.pop(0))

    def from_app(self) -> bytes:
        self.deliver()
        data, self.transport.sent = self.transport.sent, b''
        return data

    def end(self) -> None:
        if not self.transport.closing and not self.transport.protocol.eof_received():
            self.transport.close()

    def reset(self) -> None:
        self.transport.lose(ConnectionResetError())

    def close(self) -> None:
        self.reset()


class SocketWire:
    """The same over a socket of the loop's."""

    def __init__(self, tls: TLSProtocol) -> None:
        loop: Any = asyncio.get_running_loop()
        listener = socket.create_server(('127.0.0.1', 0))
        self.sock = socket.create_connection(listener.getsockname())
        local, _ = listener.accept()
        listener.close()
        local.setblocking(False)
        self.sock.setblocking(False)
        loop._make_socket_transport(local, tls)

    def to_app(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.send(data)

    def from_app(self) -> bytes:
        with contextlib.suppress(OSError):
            return self.sock.recv(1 << 20)
        return b''

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.reset()


class Case:
    """One connection."""

    def __init__(self, number: str, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
        self.choice = choice = random.Random(number)
        self.app: Any = Stream(choice) if choice.random() < 0.4 else Application()
        self.app_is_server = choice.random() < 0.5
        self.harm = choice.choice(HARM)
        self.harm_after = choice.choice([0, 200, 1500, 3000, 5000])
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server, client = contexts
        ours, theirs = (server, client) if self.app_is_server else (client, server)
        names = (None, 'localhost') if self.app_is_server else ('localhost', None)
        self.peer = theirs.wrap_bio(
            self.incoming, self.outgoing, server_side=not self.app_is_server, server_hostname=names[1]
        )
        loop = asyncio.get_running_loop()
        tls = TLSProtocol(loop, self.app, ours, None, self.app_is_server, names[0])
        self.wire: Any = SocketWire(tls) if choice.random() < 0.1 else MemoryWire(tls)
        self.transport = tls._app_transport
        self.to_app = b''
        self.to_peer = b''
        self.got = b''
        self.shaken = self.ended = self.harmed = self.broken = False

    def something(self) -> bytes:
        size = self.choice.choice([1, 10, 100, 1000, 5000, 20_000])
        return bytes([self.choice.randrange(256)]) * (size - 1) + b'\n'

    def transfer(self) -> None:
        """Bring the peer's records to the application, in pieces, with what the wire does to them."""
        data = self.outgoing.read()
        while data:
            size = self.choice.choice([1, 3, 20, 500, 100_000])
            piece, data = data[:size], data[size:]
            self.harm_after -= len(piece)
            if self.harm_after < 0 and self.harm != 'none' and not self.harmed:
                self.harmed = True
                if self.harm == 'flip':
                    at = self.choice.randrange(len(piece))
                    piece = piece[:at] + bytes([piece[at] ^ 1 << self.choice.randrange(8)]) + piece[at + 1 :]
                elif self.harm == 'drop':
                    continue
                elif self.harm == 'double':
                    piece += piece
                elif self.harm == 'garbage':
                    piece = self.choice.randbytes(size if size < 100 else 50) + piece
                else:
                    self.broken = True
                    self.wire.end() if self.harm == 'end' else self.wire.reset()
            if self.broken:
                return
            self.wire.to_app(piece)

    def turn_peer(self) -> None:
        """Let the peer do what it can."""
        data = self.wire.from_app()
        if data:
            self.incoming.write(data)
        if self.ended:
            return
        try:
            if not self.shaken:
                self.peer.do_handshake()
                self.shaken = True
            while chunk := self.peer.read(65536):
                self.got += chunk
            self.ended = True
        except (ssl.SSLWantReadError, ssl.SSLSyscallError):
            pass
        except ssl.SSLError:
            self.ended = True

    def act(self) -> None:
        """Let one of both do something."""
        act = self.choice.randrange(12)
        app = self.app.transport
        if act < 3 and self.shaken and not self.ended:
            with contextlib.suppress(ssl.SSLError):
                data = self.something()
                for start in range(0, len(data), 16384):
                    self.peer.write(data[start : start + 16384])
                self.to_app += data
        elif act < 6 and app is not None and not app.is_closing():
            for _ in range(self.choice.randrange(1, 4)):
                data = self.something()
                app.write(data)
                self.to_peer += data
        elif act == 6 and app is not None and self.choice.random() < 0.5:
            app.pause_reading()
        elif act == 7 and app is not None:
            app.resume_reading()

    async def run(self) -> None:
        steps = self.choice.randrange(5, 40)
        for _ in range(steps):
            self.turn_peer()
            self.act()
            self.transfer()
            await asyncio.sleep(0)
            if 'lost' in self.app.events or self.broken:
                break
        if self.app.transport is not None:
            self.app.transport.resume_reading()
        how = self.choice.randrange(4)
        in_memory = isinstance(self.wire, MemoryWire)
        for step in range(MOST_STEPS):
            self.turn_peer()
            self.transfer()
            if step == 5 and how == 0 and self.app.transport is not None and len(self.app.data) == len(self.to_app):
                self.app.transport.close()
            if step == 10 and not self.ended and self.shaken:
                with contextlib.suppress(ssl.SSLError):
                    self.peer.unwrap()
            if step == (400 if in_memory else 40):
                self.wire.close()
            if self.transport._ssl_protocol._transport is None and self.transport.get_protocol() is None:
                break
            await asyncio.sleep(0 if in_memory else 0.0005)
        self.turn_peer()
        self.wire.close()
        for _ in range(5):
            await asyncio.sleep(0)
        if isinstance(self.app, Stream):
            self.app.reader.feed_eof()
            await asyncio.wait([self.app.task], timeout=100)
            assert self.app.task.done(), 'the reader waits for ever'
            self.app.task.result()
        self.check()

    def check(self) -> None:
        events = self.app.events
        assert self.app.data == self.to_app[: len(self.app.data)], 'other bytes than were written'
        assert self.got == self.to_peer[: len(self.got)], 'the peer got other bytes than were written'
        assert events in ([], ['made', 'lost'], ['made', 'eof', 'lost']), events
        assert self.transport.is_closing()
        assert self.transport.get_protocol() is None
        if not self.harmed and self.shaken and 'made' in events and 'eof' in events:
            assert self.app.data == self.to_app, 'bytes are missing'


async def run_cases(seed: int, first: int, cases: int, seconds: float, *, watched: bool = False) -> int:
    """Run cases; return how many were run in the time given."""
    loop = asyncio.get_running_loop()
    failures: list[Any] = []
    loop.set_exception_handler(lambda loop, context: failures.append(context))
    contexts = server_context(), client_context()
    before = connections()
    until = time.monotonic() + seconds
    number = first
    while number < first + cases and time.monotonic() < until:
        if watched and number % 100 == 0:
            faulthandler.dump_traceback_later(HANG, exit=True)
            print(f'\r{number}', end='', file=sys.stderr)
        try:
            await Case(f'{seed}-{number}', contexts).run()
            assert not failures, failures
        except BaseException:
            print(f'failed: --seed {seed} --first {number} --cases 1', file=sys.stderr)
            raise
        number += 1
        if number % 1000 == 0:
            assert connections() <= before + 1, 'connections are left over'
    assert connections() <= before + 1, 'connections are left over'
    return number - first


def connections() -> int:
    """Count those that are still there."""
    gc.collect()
    return sum(type(each) is TLSProtocol for each in gc.get_objects())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--cases', type=int, default=1_000_000)
    parser.add_argument('--seconds', type=float, default=float('inf'))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--first', type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    done = sooner.run(run_cases(options.seed, options.first, options.cases, options.seconds, watched=True))
    print(f'{done} cases in {time.monotonic() - began:.0f} s: nothing found')


if __name__ == '__main__':
    main()
