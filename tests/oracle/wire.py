"""Connections that hypothesis makes up: what is done to a transport and by its peer, and what the protocol saw of it.

A wire is a list of steps. A step is done by the program, in one callback of the loop, or by the peer: a plain socket,
used while the loop stands still. After each step the loop runs until nothing happens any more. What the protocol does
in its own callbacks is made up, too.

What differs between loops by right is left out of what is compared: into how many pieces the received bytes fall, and
whether the first or the second of two writes to a peer that has gone meets the error. Sizes are either far below or far
above what the system buffers, because how much that is depends on the pieces; and of a huge write that is given up, how
much went.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

DELIVERY = 0.01
"""Seconds to wait at a time for bytes that may come from one socket to the other."""

BUSY = 1.0
"""Seconds that a busy system may take to bring them."""

Action = tuple[Any, ...]

BUFFER = 32 * 1024
"""Bytes that each socket's buffers are asked to hold."""

HUGE = 400_000
"""Bytes that do not fit into the buffers of both sockets, by far more than any limit."""

QUIET = 4
"""Turns of the loop in which nothing happens, until nothing is expected to happen any more."""


@dataclass(frozen=True)
class Wire:
    """What happens.

    Attributes:
        steps: ('program', actions) or ('peer', name, arguments...).
        reactions: by the name of a callback, what the protocol does in its first calls, one list a call.
        family: 'tcp' or 'unix'.
        buffered: whether the first protocol is a BufferedProtocol.
        keeps_open: what eof_received() returns.
        server: whether the transport is made by connect_accepted_socket().
    """

    steps: list[Action]
    reactions: dict[str, list[list[Action]]]
    family: str = 'tcp'
    buffered: bool = False
    keeps_open: bool = False
    server: bool = False


kinds = st.sampled_from(['bytes', 'bytearray', 'memoryview'])
few = st.integers(1, 300)
sizes = st.one_of(st.just(0), few, few, few, st.just(HUGE))
limits = st.sampled_from([(None, None), (0, None), (1, 0), (1000, 100), (100_000, 100_000), (None, 50_000), (1, 2)])

actions: st.SearchStrategy[Action] = st.one_of(
    st.tuples(st.just('write'), kinds, sizes),
    st.tuples(st.just('write'), kinds, few),
    st.tuples(st.just('writelines'), st.lists(st.tuples(kinds, few), max_size=4)),
    st.tuples(st.just('write_nonsense'), st.sampled_from(['str', 'None', 'int', 'list'])),
    st.tuples(st.just('pause_reading')),
    st.tuples(st.just('resume_reading')),
    st.tuples(st.just('resume_reading')),
    st.tuples(st.just('write_eof')),
    st.tuples(st.just('close')),
    st.tuples(st.just('abort')),
    st.tuples(st.just('set_protocol'), st.booleans(), st.booleans()),
    st.tuples(st.just('set_limits'), limits),
    st.tuples(st.just('look')),
)
peer_steps: st.SearchStrategy[Action] = st.one_of(
    st.tuples(st.just('peer'), st.just('send'), few),
    st.tuples(st.just('peer'), st.just('send'), few),
    st.tuples(st.just('peer'), st.just('receive'), st.just(HUGE * 20)),
    st.tuples(st.just('peer'), st.just('receive'), st.sampled_from([1, 5000])),
    st.tuples(st.just('peer'), st.just('end')),
    st.tuples(st.just('peer'), st.just('close')),
    st.tuples(st.just('peer'), st.just('reset')),
)
program_steps = st.tuples(st.just('program'), st.lists(actions, min_size=1, max_size=5))
failing = st.tuples(st.just('raise'), st.sampled_from(['ValueError', 'OSError']))


def reactions_of(name: str) -> st.SearchStrategy[list[list[Action]]]:
    """What a callback does. If connection_made() raises, asyncio goes on, and sooner does not: it never does here."""
    action = actions if name == 'connection_made' else st.one_of(actions, actions, actions, failing)
    return st.lists(st.lists(action, max_size=3), max_size=3)


CALLBACKS = [
    'connection_made',
    'data_received',
    'eof_received',
    'pause_writing',
    'resume_writing',
    'connection_lost',
]
wires = st.builds(
    Wire,
    steps=st.lists(st.one_of(program_steps, peer_steps), max_size=9),
    reactions=st.fixed_dictionaries({name: reactions_of(name) for name in CALLBACKS}),
    family=st.sampled_from(['tcp', 'unix']),
    buffered=st.booleans(),
    keeps_open=st.booleans(),
    server=st.booleans(),
)


@dataclass
class Seen:
    """All that is compared.

    Attributes:
        trace: what was called, in order; received bytes that followed each other are one.
        received: what the peer received.
        ended: how that ended: 'open', 'end' or 'reset'.
        huge, given_up: whether the transport was given more than it could send at once, and whether it gave up.
    """

    trace: list[Any] = field(default_factory=list)
    received: bytes = b''
    ended: str = 'open'
    huge: bool = False
    given_up: bool = False

    def note(self, *what: Any) -> None:
        if what[0] == 'data' and self.trace and self.trace[-1][:2] == what[:2]:
            self.trace[-1] = (*what[:2], self.trace[-1][2] + what[2])
        else:
            self.trace.append(what)

    def agrees(self, other: Seen) -> bool:
        """Whether the peer received the same, as far as it must."""
        if not (self.huge and self.given_up):
            return (self.received, self.ended) == (other.received, other.ended)
        count = min(len(self.received), len(other.received))
        return self.received[:count] == other.received[:count]


class Scripted:
    """What both kinds of protocol do: tell what is called, then react."""

    def __init__(self, world: World, number: int, keeps_open: bool) -> None:
        self.world = world
        self.number = number
        self.keeps_open = keeps_open

    def react(self, name: str, *details: Any) -> None:
        self.world.seen.note(name, self.number, *details)
        self.world.react(name)

    def connection_made(self, transport: Any) -> None:
        self.world.transport = transport
        self.react('connection_made')

    def eof_received(self) -> bool:
        self.react('eof_received')
        return self.keeps_open

    def pause_writing(self) -> None:
        self.react('pause_writing')

    def resume_writing(self) -> None:
        self.react('resume_writing')

    def connection_lost(self, exc: BaseException | None) -> None:
        self.world.lost = True
        self.world.seen.given_up |= exc is not None
        self.react('connection_lost', describe(exc))


class ScriptedProtocol(Scripted, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.react('data', data)


class ScriptedBufferedProtocol(Scripted, asyncio.BufferedProtocol):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.buffer = bytearray(100)

    def get_buffer(self, sizehint: int) -> bytearray:
        assert sizehint == -1
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.react('data', bytes(self.buffer[:nbytes]))


def describe(exc: BaseException | None) -> str | None:
    """Name an exception; which of the ways to lose a connection it was depends on who noticed first."""
    if exc is None:
        return None
    return 'ConnectionError' if isinstance(exc, ConnectionError) else type(exc).__name__


class World:
    """A loop, a transport of it, the peer's socket, and what was seen."""

    def __init__(self, make_loop: Callable[[], Any], wire: Wire) -> None:
        self.wire = wire
        self.seen = Seen()
        self.transport: Any = None
        self.protocols = 0
        self.calls = dict.fromkeys(CALLBACKS, 0)
        self.lost = False
        self.peer_gone = False
        self.wrote = False
        self.written = 0
        self.sent = 0
        self.loop = make_loop()
        self.loop.set_exception_handler(self.handle_exception)

    def handle_exception(self, loop: Any, context: dict[str, Any]) -> None:
        exc = context.get('exception')
        if isinstance(exc, AttributeError):  # asyncio closes what was closed in resume_writing() a second time
            return
        message = 'in a callback' if self.lost else context['message']  # asyncio does not know which callback
        self.seen.note('reported', message, describe(exc))

    def react(self, name: str) -> None:
        name = 'data_received' if name == 'data' else name
        call = self.calls[name]
        self.calls[name] += 1
        reactions = self.wire.reactions.get(name, [])
        if call < len(reactions):
            self.act_all(reactions[call])

    def new_protocol(self, buffered: bool, keeps_open: bool) -> Any:
        self.protocols += 1
        kind = ScriptedBufferedProtocol if buffered else ScriptedProtocol
        return kind(self, self.protocols, keeps_open)

    # What the program does.

    def act_all(self, chosen: list[Action]) -> None:
        for name, *arguments in chosen:
            if name == 'raise':
                raise {'ValueError': ValueError, 'OSError': OSError}[arguments[0]]('of the protocol')
            try:
                result = getattr(self, f'do_{name}')(*arguments)
            except Exception as exc:
                # Before 3.13.1 asyncio asked for the same in fewer words.
                words = str(exc).replace('a bytes-like object', 'a bytes, bytearray, or memoryview object')
                self.seen.note(name, type(exc).__name__, words)
            else:
                if result is not None:
                    self.seen.note(name, result)

    def make_data(self, kind: str, size: int) -> Any:
        """Make bytes that are not the same as those before or after."""
        data = bytes((self.written + i) % 251 for i in range(size))
        self.written += size
        self.seen.huge |= size == HUGE
        if kind == 'bytearray':
            return bytearray(data)
        return memoryview(data) if kind == 'memoryview' else data

    def may_write(self) -> bool:
        """Whether a write meets the same on every loop.

        The first to a peer that has gone may not be noticed, and asyncio does not always expect one after the end.
        """
        if self.lost or (self.peer_gone and self.wrote):
            return False
        self.wrote = True
        return True

    def do_write(self, kind: str, size: int) -> None:
        if self.peer_gone and size == HUGE:  # of which one piece may go before the next meets the error
            return
        if self.may_write():
            self.transport.write(self.make_data(kind, size))

    def do_writelines(self, chosen: list[tuple[str, int]]) -> None:
        if self.may_write() and not self.transport.is_closing():  # which asyncio does not always expect
            self.transport.writelines([self.make_data(kind, size) for kind, size in chosen])

    def do_write_nonsense(self, kind: str) -> None:
        self.transport.write({'str': 'x', 'None': None, 'int': 3, 'list': [b'x']}[kind])

    def do_pause_reading(self) -> None:
        self.transport.pause_reading()

    def do_resume_reading(self) -> None:
        self.transport.resume_reading()

    def do_write_eof(self) -> None:
        if not self.peer_gone:  # of which asyncio does not always know
            self.transport.write_eof()

    def do_close(self) -> None:
        self.transport.close()

    def do_abort(self) -> None:
        if not self.lost:  # which asyncio does not always expect
            self.seen.given_up = True
            self.transport.abort()

    def do_set_protocol(self, buffered: bool, keeps_open: bool) -> None:
        self.transport.set_protocol(self.new_protocol(buffered, keeps_open))

    def do_set_limits(self, limits: tuple[int | None, int | None]) -> None:
        self.transport.set_write_buffer_limits(*limits)

    def do_look(self) -> Any:
        transport = self.transport
        if self.peer_gone:
            return None
        return (
            transport.is_closing(),
            transport.is_reading(),
            transport.get_write_buffer_limits(),
            transport.get_write_buffer_size() > 0,
            transport.can_write_eof(),
        )

    # What the peer does.

    def peer_send(self, size: int) -> None:
        data = bytes((self.sent + i) % 253 for i in range(size))
        self.sent += size
        with contextlib.suppress(ConnectionError):
            self.peer.sendall(data)

    def peer_receive(self, size: int) -> None:
        """Receive at most that much, and let the loop go on after each piece."""
        while size > 0 and self.seen.ended == 'open':
            try:
                data = self.peer.recv(min(size, 65536))
            except BlockingIOError:
                if not self.turn_until(self.peer):
                    return
                continue
            except ConnectionError:
                self.seen.ended = 'reset'
                return
            if not data:
                self.seen.ended = 'end'
            size -= len(data)
            self.seen.received += data

    def peer_end(self) -> None:
        with contextlib.suppress(OSError):
            self.peer.shutdown(socket.SHUT_WR)

    def peer_close(self) -> None:
        self.peer_gone = True
        self.peer.close()

    def peer_reset(self) -> None:
        self.peer_gone = True
        with contextlib.suppress(OSError):
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.peer.close()

    # The course of things.

    def turn(self) -> None:
        self.wrote = False
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def turn_until(self, sock: socket.socket) -> bool:
        """Let the loop run until a socket can be read; tell whether it can."""
        for _ in range(QUIET):
            self.turn()
            if select.select([sock], [], [], 0)[0]:
                return True
        return bool(select.select([sock], [], [], DELIVERY)[0])

    def settle(self) -> None:
        """Let the loop run until nothing happens."""
        quiet = 0
        while quiet < QUIET:
            before = len(self.seen.trace), self.seen.trace[-1:]
            self.turn()
            quiet = quiet + 1 if (len(self.seen.trace), self.seen.trace[-1:]) == before else 0

    def connect(self) -> socket.socket:
        """Make the two sockets; return the one that becomes the transport's."""
        if self.wire.family == 'unix':
            ours, self.peer = socket.socketpair()
        else:
            with socket.create_server(('127.0.0.1', 0)) as server:
                self.peer = socket.create_connection(server.getsockname())
                ours, _ = server.accept()
            self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for sock in ours, self.peer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            sock.setblocking(False)
        return ours

    def run(self) -> None:
        ours = self.connect()
        wire = self.wire
        try:
            self.loop.run_until_complete(self.make_transport(ours))
            self.settle()
            for step, *arguments in wire.steps:
                if step == 'program':
                    self.loop.call_soon(self.act_all, *arguments)
                elif not self.peer_gone:
                    getattr(self, f'peer_{arguments[0]}')(*arguments[1:])
                    if arguments[0] != 'receive':
                        self.wait_for_delivery(ours)
                self.settle()
            self.end()
            assert ours.fileno() == -1, 'the socket was left open'
        finally:
            self.peer.close()
            self.loop.close()

    async def make_transport(self, ours: socket.socket) -> None:
        def factory() -> Any:
            return self.new_protocol(self.wire.buffered, self.wire.keeps_open)

        if self.wire.server:
            await self.loop.connect_accepted_socket(factory, ours)
        elif self.wire.family == 'unix':
            await self.loop.create_unix_connection(factory, sock=ours)
        else:
            await self.loop.create_connection(factory, sock=ours)

    def wait_for_delivery(self, ours: socket.socket) -> None:
        """Wait until the system has brought what the peer did, as far as that can be seen."""
        if ours.fileno() != -1:
            select.select([ours], [], [], BUSY)

    def end(self) -> None:
        """Close, and let everything come to its end."""
        self.wire.reactions.clear()
        self.loop.call_soon(self.transport.close)
        self.settle()
        if not self.peer_gone:
            self.peer_receive(1 << 40)
            self.settle()
            self.peer.close()
        self.loop.call_soon(self.do_abort)
        self.settle()


def run(make_loop: Callable[[], Any], wire: Wire) -> Seen:
    """Let a wire happen on a loop; return what was seen."""
    wire = Wire(**{**vars(wire), 'reactions': dict(wire.reactions)})
    world = World(make_loop, wire)
    world.run()
    return world.seen
