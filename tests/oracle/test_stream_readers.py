"""Feeds, reads, ends, errors and cancellations do the same to asyncio's reader and to what sooner makes of it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sooner
from sooner.drivers import DRIVERS
from sooner.net.adoption import adopt_stream

THOROUGH = os.environ.get('SOONER_HYPOTHESIS') == 'thorough'
EXAMPLES = int(os.environ.get('SOONER_EXAMPLES', '20000' if THOROUGH else '300'))

profile = settings(
    max_examples=EXAMPLES,
    derandomize=not THOROUGH,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

contents = st.one_of(
    st.text('ab\n', min_size=0, max_size=12).map(str.encode),
    st.integers(1, 3000).map(lambda size: b'ab' * size),
    st.integers(1, 300).map(lambda count: b'a\n' * count),
)
separators: Any = st.sampled_from([b'\n', b'b', b'ab', b'\nab', b'aba', b'', 'b', None])
if sys.version_info >= (3, 13):
    separators |= st.sampled_from([(b'\n', b'ab'), (b'b', b'ab'), (), (b'',)])
sizes = st.one_of(st.integers(-1, 5), st.integers(0, 4000), st.sampled_from([-5, 2**70, None, 1.5]))
errors = st.sampled_from(
    [ConnectionResetError('reset'), asyncio.IncompleteReadError(b'ab', 3), asyncio.LimitOverrunError('over', 1)]
)
reads = st.one_of(
    st.tuples(st.just('read'), sizes),
    st.tuples(st.just('readexactly'), sizes),
    st.tuples(st.just('readuntil'), separators),
    st.tuples(st.just('readline')),
    st.tuples(st.just('__anext__')),
)
steps = st.one_of(
    st.tuples(st.just('start'), reads),
    st.tuples(st.just('start'), reads),
    st.tuples(st.just('feed'), contents),
    st.tuples(st.just('feed'), contents),
    st.tuples(st.just('receive'), contents),
    st.tuples(st.just('trickle'), st.integers(1, 100)),
    st.tuples(st.just('turn'), st.integers(1, 3)),
    st.tuples(st.just('turn'), st.integers(1, 3)),
    st.tuples(st.just('cancel'), st.integers(0, 5)),
    st.tuples(st.just('close'), st.integers(0, 5)),
    st.tuples(st.just('throw'), st.integers(0, 5), errors),
    st.tuples(st.just('look')),
    st.tuples(st.just('eof')),
    st.tuples(st.just('error'), errors),
    st.tuples(st.just('lost'), st.none() | errors),
    st.tuples(st.just('other array'), contents),
    st.tuples(st.just('limit'), st.integers(1, 100)),
)


def described(exc: BaseException) -> tuple[Any, ...]:
    told = (exc.partial, exc.expected) if isinstance(exc, asyncio.IncompleteReadError) else ()
    return type(exc), str(exc), told, type(exc.__context__)


class Transport(asyncio.Transport):
    def __init__(self, log: list[Any]) -> None:
        super().__init__()
        self.log = log

    def pause_reading(self) -> None:
        self.log.append('paused')

    def resume_reading(self) -> None:
        self.log.append('resumed')

    def __repr__(self) -> str:
        return '<transport>'


class World:
    """A reader, its protocol, and what happens to them."""

    def __init__(self, make_loop: Callable[[], Any], limit: int, task_class: Any, debug: bool) -> None:
        self.log: list[Any] = []
        self.loop = make_loop()
        self.loop.set_debug(debug)
        self.loop.set_exception_handler(lambda loop, context: self.log.append(context['message']))
        if task_class is not None:
            self.loop.set_task_factory(lambda loop, coro, **kwargs: task_class(coro, loop=loop, **kwargs))
        self.reader = asyncio.StreamReader(limit, self.loop)
        self.protocol = asyncio.StreamReaderProtocol(self.reader, loop=self.loop)
        if isinstance(self.loop, sooner.Loop):
            adopt_stream(self.loop, self.protocol)
            assert type(self.reader) is not asyncio.StreamReader
        assert isinstance(self.reader, asyncio.StreamReader)
        self.protocol.connection_made(Transport(self.log))
        self.is_lost = False
        self.tasks: list[Any] = []
        self.coroutines: list[Any] = []

    def run(self, program: list[tuple[Any, ...]]) -> None:
        for name, *arguments in program:
            try:
                getattr(self, name.replace(' ', '_'))(*arguments)
            except Exception as exc:
                self.log.append((name, *described(exc)))
            self.log.append((name, self.reader.at_eof(), self.reader._waiter is None, repr(self.reader.exception())))
        self.turn(3)
        self.look()
        for task in self.tasks:
            task.cancel()
        self.turn(3)
        for coroutine in self.coroutines:
            coroutine.close()
        self.look()
        self.loop.close()

    def start(self, call: tuple[Any, ...]) -> None:
        self.loop.call_soon(self._start, len(self.tasks) + len(self.coroutines), *call)

    def _start(self, number: int, name: str, *arguments: Any) -> None:
        coroutine = getattr(self.reader, name)(*arguments)
        assert asyncio.iscoroutine(coroutine)
        if number % 4 == 3:  # resumed by hand, by close() and throw()
            try:
                coroutine.send(None)
            except BaseException as exc:
                self.log.append(described(exc) if not isinstance(exc, StopIteration) else ('returned', exc.value))
            else:
                self.coroutines.append(coroutine)
            return
        task = self.loop.create_task(coroutine)
        self.tasks.append(task)
        task.add_done_callback(lambda task: self.log.append((number, *self.outcome(task))))

    @staticmethod
    def outcome(task: Any) -> tuple[Any, ...]:
        if task.cancelled():
            return ('cancelled',)
        exc = task.exception()
        return ('returned', task.result()) if exc is None else ('raised', *described(exc))

    def turn(self, count: int) -> None:
        for _ in range(count):
            self.loop.stop()
            self.loop.run_forever()
            self.log.append('turn')

    def feed(self, data: bytes) -> None:
        self.reader.feed_data(data)
        self.reader.feed_data(bytearray(b'b'))

    def receive(self, data: bytes) -> None:
        if data and not self.is_lost:  # uncompiled, as transports do it
            getattr(getattr(self.protocol, '_receiver', None), 'receive', self.protocol.data_received)(data)

    def trickle(self, count: int) -> None:
        for _ in range(count):
            self.reader.feed_data(b'a')

    def cancel(self, number: int) -> None:
        if number < len(self.tasks):
            self.tasks[number].cancel()

    def close(self, number: int) -> None:
        if number < len(self.coroutines):
            self.coroutines.pop(number).close()

    def throw(self, number: int, exc: BaseException) -> None:
        if number < len(self.coroutines):
            try:
                self.coroutines.pop(number).throw(exc)
            except StopIteration as stop:
                self.log.append(('returned', stop.value))

    def look(self) -> None:
        self.log.append((bytes(self.reader._buffer), self.reader._paused, self.reader._eof, self.reader._limit))
        if self.reader._waiter is None and not self.loop.get_debug():
            self.log.append(repr(self.reader))

    def eof(self) -> None:
        self.reader.feed_eof()

    def error(self, exc: BaseException) -> None:
        self.reader.set_exception(exc)

    def lost(self, exc: BaseException | None) -> None:
        self.protocol.connection_lost(exc)
        self.is_lost = True

    def other_array(self, content: bytes) -> None:
        self.reader._buffer = bytearray(content)

    def limit(self, limit: int) -> None:
        self.reader._limit = limit


def happening(make_loop: Callable[[], Any], *arguments: Any) -> list[Any]:
    program, *others = arguments
    world = World(make_loop, *others)
    world.run(program)
    return world.log


@pytest.mark.filterwarnings('ignore:It looks like `register_random`', 'ignore::RuntimeWarning')
@pytest.mark.parametrize('debug', [False, True], ids=['', 'debug'])
@pytest.mark.parametrize('task_class', [None, asyncio.Task], ids=['our tasks', "asyncio's tasks"])
@pytest.mark.parametrize('driver', DRIVERS)
def test_reader_does_as_asyncios(driver: str, task_class: Any, debug: bool) -> None:
    @profile
    @given(st.lists(steps, max_size=25), st.integers(1, 60))
    def compare(program: list[tuple[Any, ...]], limit: int) -> None:
        expected = happening(asyncio.SelectorEventLoop, program, limit, task_class, debug)
        assert happening(lambda: sooner.new_event_loop(driver), program, limit, task_class, debug) == expected

    compare()
