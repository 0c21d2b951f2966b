"""Uncompiled, another thread may come in between any two lines: so it does, between each two in turn.

One of two threads, the loop's and another one, is held at a line of sooner until the other has done its part, or cannot
go on; and that for each line that it runs. `WHERE` says which of the two. At the end are tests of what the GIL lets in.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from patience import PATIENCE

import sooner

uncompiled = pytest.mark.skipif(
    sooner.build_info().compiled, reason='compiled, nothing of another thread comes in between'
)

SWITCH_INTERVAL = 1e-4

pytestmark = pytest.mark.usefixtures('threads_switch_often')

WHERE = ['loop', 'thread']
_LOCKED_OUT = 0.005  # seconds that the one who is let in is given to end: longer only if it waits for a lock


def is_sooners(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(os.path.dirname(sooner.__file__) + os.sep)


class Race:
    """What a loop's thread and another one do at the same time.

    `main()` is run by the loop. Between its `begin()` and `end()` the loop's thread is held at a line, or the other one
    begins. `thread()` is what that does.
    """

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.future: Any = loop.create_future()
        self.told: Any = None
        self.failure: BaseException | None = None
        self.prepare()

    def prepare(self) -> None:
        """Make what both use."""

    async def main(self) -> Any:
        raise NotImplementedError

    def thread(self) -> Any:
        raise NotImplementedError

    def check(self, result: Any) -> None:
        """Assert that what main() returned, and `told`, what thread() did, are right."""
        raise NotImplementedError

    def clean_up(self) -> None:
        """Close what was opened."""

    # Holding one of them.

    begin: Callable[[], None]
    end: Callable[[], None]

    def run(self, where: str, step: int) -> bool:
        """Hold it at its line with this number; tell whether it came to that line before the other had ended."""
        from sooner.core.scheduler import WAITING

        lines = 0
        held = False
        begun, started, over, ended = (threading.Event() for _ in range(4))

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal lines
            if event == 'line':
                lines += 1
                if lines == step:
                    hold()
            return line

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            return line if is_sooners(frame) and 'courtesy' not in frame.f_code.co_filename else None

        def work() -> None:
            while not started.wait(0.001):
                if begun.is_set() and self.loop._status == WAITING and not started.wait(0.005):
                    break  # the loop has come to no such line, and sleeps
            if where == 'thread':
                sys.settrace(trace)
            try:
                self.told = self.thread()
            except BaseException as exc:
                self.failure = exc
            finally:
                sys.settrace(None)
                over.set()

        def hold() -> None:
            nonlocal held
            held = not over.is_set()
            if where == 'loop':
                started.set()
                over.wait(_LOCKED_OUT)
            else:  # until the loop sleeps, or has ended
                until = time.monotonic() + _LOCKED_OUT
                while self.loop._status != WAITING and not ended.is_set() and time.monotonic() < until:
                    time.sleep(0)

        def begin() -> None:
            begun.set()
            if where == 'loop':
                sys.settrace(trace)
            else:
                started.set()
                time.sleep(0)

        def end() -> None:
            if where == 'loop':
                sys.settrace(None)
                started.set()

        self.begin, self.end = begin, end
        thread = threading.Thread(target=work)
        thread.start()
        timer = self.loop.call_later(PATIENCE, self.loop.stop)  # what would sleep for ever fails
        try:
            result = self.loop.run_until_complete(self.main())
        finally:
            end()
            ended.set()
            timer.cancel()
            thread.join(PATIENCE)
            self.clean_up()
        if self.failure is not None:
            raise self.failure
        self.check(result)
        return held


class Complete(Race):
    """A future that has two callbacks, one of which is removed, and for which two tasks wait."""

    how = 'set_result'

    def prepare(self) -> None:
        self.called = 0

    def thread(self) -> None:
        if self.how == 'set_result':
            self.future.set_result('value')
        elif self.how == 'set_exception':
            self.future.set_exception(ValueError('value'))
        else:
            self.future.cancel('value')

    def count(self, future: Any) -> None:
        self.called += 1

    def never_mind(self, future: Any) -> None:
        pass

    async def wait(self) -> Any:
        try:
            return await self.future
        except (ValueError, asyncio.CancelledError) as exc:
            return exc.args[0]

    async def main(self) -> Any:
        first = self.loop.create_task(self.wait())
        self.begin()
        self.future.add_done_callback(self.never_mind)
        self.future.add_done_callback(self.count)
        second = self.loop.create_task(self.wait())
        await asyncio.sleep(0)
        self.future.remove_done_callback(self.never_mind)
        result = await first, await second
        self.end()
        while not self.called:
            await asyncio.sleep(0)
        return result

    def check(self, result: Any) -> None:
        assert result == ('value', 'value')
        assert self.called == 1


class Fail(Complete):
    how = 'set_exception'


class Cancel(Complete):
    how = 'cancel'


class RemoveOnly(Complete):
    """The same, but the callback that is removed is the first, and one task waits."""

    async def main(self) -> Any:
        self.future.add_done_callback(self.never_mind)
        task = self.loop.create_task(self.wait())
        await asyncio.sleep(0)
        self.begin()
        self.future.remove_done_callback(self.never_mind)
        self.end()
        return await task

    def check(self, result: Any) -> None:
        assert result == 'value'


class Ask(Complete):
    """The loop's thread asks a future for whatever it can be asked."""

    async def main(self) -> Any:
        task = self.loop.create_task(self.wait())
        await asyncio.sleep(0)
        self.begin()
        answers = []
        for question in (self.future.result, self.future.exception):
            try:
                answers.append(question())
            except asyncio.InvalidStateError:
                answers.append('value' if question == self.future.result else None)
        repr(self.future), repr(task), self.future._callbacks, self.future._asyncio_awaited_by
        self.end()
        return answers, await task

    def check(self, result: Any) -> None:
        assert result == (['value', None], 'value')


class AskInThread(Complete):
    """The thread asks, and the loop's completes."""

    async def main(self) -> Any:
        task = self.loop.create_task(self.wait())
        await asyncio.sleep(0)
        self.begin()
        self.future.set_result('value')
        result = await task
        self.end()
        return result

    def thread(self) -> Any:
        repr(self.future)
        try:
            return self.future.result()
        except asyncio.InvalidStateError:
            return 'value'

    def check(self, result: Any) -> None:
        assert result == self.told == 'value'


class CancelTask(Race):
    """A task goes on from one thing to the next; cancel() ends it, wherever it is."""

    async def work(self) -> None:
        await asyncio.sleep(0)
        self.future.set_result(1)
        await self.future
        await self.loop.create_task(self.sleep())

    async def sleep(self) -> None:
        await asyncio.sleep(0)
        await self.loop.create_future()

    async def start(self) -> None:
        self.task = self.loop.create_task(self.work())

    async def main(self) -> Any:
        await self.start()
        self.begin()
        try:
            await self.task
        except asyncio.CancelledError as exc:
            return str(exc)
        finally:
            self.end()

    def thread(self) -> Any:
        return self.task.cancel('message')

    def check(self, result: Any) -> None:
        assert (result, self.told) == ('message', True)


class CancelTaskThatEnds(CancelTask):
    """A task that ends by itself has its own result, unless it is cancelled."""

    async def work(self) -> Any:
        await asyncio.sleep(0)
        return 'value'

    async def main(self) -> Any:
        await self.start()
        self.begin()
        try:
            return await self.task
        except asyncio.CancelledError as exc:
            return exc
        finally:
            self.end()

    def check(self, result: Any) -> None:
        if result != 'value':
            assert isinstance(result, asyncio.CancelledError)
            assert (str(result), self.told) == ('message', True)


class CancelTaskThatFails(CancelTaskThatEnds):
    async def work(self) -> Any:
        await asyncio.sleep(0)
        raise ValueError

    async def main(self) -> Any:
        try:
            return await super().main()
        except ValueError:
            return 'value'


class CancelTaskThatReceives(CancelTask):
    """What it waits for comes at the same time."""

    def prepare(self) -> None:
        self.ends = socket.socketpair()
        for end in self.ends:
            end.setblocking(False)

    async def work(self) -> Any:
        await self.loop.sock_recv(self.ends[0], 10)
        await self.loop.create_future()

    async def start(self) -> None:
        await super().start()
        await asyncio.sleep(0)
        self.ends[1].send(b'data')

    def clean_up(self) -> None:
        for end in self.ends:
            end.close()


class CancelHandle(Race):
    """The callback runs with its arguments, or not at all."""

    def prepare(self) -> None:
        self.calls: list[Any] = []

    async def main(self) -> None:
        self.handle = self.loop.call_soon_threadsafe(lambda *args: self.calls.append(args), 1, 2)
        self.begin()
        await asyncio.sleep(0)
        self.end()

    def thread(self) -> None:
        self.handle.cancel()

    def check(self, result: None) -> None:
        assert self.calls in ([], [(1, 2)])


class AskForTheTask(Race):
    """Another thread asks which task runs; those that run are told of themselves, and callbacks of none."""

    def prepare(self) -> None:
        self.wrong: list[Any] = []

    def note(self, expected: Any) -> None:
        task = asyncio.current_task()
        if task is not expected:
            self.wrong.append((expected, task))

    async def first(self) -> None:
        self.begin()  # before anybody has asked for this task
        await asyncio.sleep(0)

    async def second(self, tasks: list[Any]) -> None:
        self.note(tasks[1])
        await asyncio.sleep(0)
        self.note(tasks[1])

    async def main(self) -> None:
        me = asyncio.current_task()
        tasks: list[Any] = [self.loop.create_task(self.first())]
        self.loop.call_soon(self.note, None)
        tasks.append(self.loop.create_task(self.second(tasks)))
        await asyncio.sleep(0)
        self.note(me)
        await tasks[1]
        self.note(me)
        self.end()

    def thread(self) -> Any:
        return asyncio.current_task(self.loop)

    def check(self, result: None) -> None:
        assert not self.wrong
        assert asyncio.current_task(self.loop) is None


RACES = [
    Complete,
    Fail,
    Cancel,
    RemoveOnly,
    Ask,
    AskInThread,
    CancelTask,
    CancelTaskThatEnds,
    CancelTaskThatFails,
    CancelTaskThatReceives,
    CancelHandle,
    AskForTheTask,
]


@uncompiled
@pytest.mark.parametrize('where', WHERE)
@pytest.mark.parametrize('race', RACES)
def test_nothing_is_lost_whatever_line_a_thread_is_held_at(
    ours: Any, make_loop: Any, not_in_debug_mode: None, race: type[Race], where: str
) -> None:
    if race is AskForTheTask and where == 'thread' and sys.version_info >= (3, 14):
        pytest.skip('asyncio looks into the state of the thread, and runs no line of the loop')
    for step in itertools.count(1):
        loop = make_loop(ours.make_loop)
        try:
            held = race(loop).run(where, step)
        except BaseException as exc:
            exc.add_note(f'held: the {where}, at its line {step}')
            raise
        loop.close()
        if not held:
            break
    assert step > 1


class HeldThread(threading.Thread):
    """Calls a function, and is held at the line of sooner with this number, of those that it runs, until go_on().

    Attributes:
        lines: how many it has run.
        errors: what the function raised.
    """

    def __init__(self, function: Callable[[], object], line: int, held: Callable[[], object]) -> None:
        """Make it; held() is called, in it, when it is held."""
        super().__init__()
        self.lines = 0
        self.errors: list[BaseException] = []
        self._function = function
        self._line = line
        self._held = held
        self._may_go_on = threading.Event()

    def run(self) -> None:
        sys.settrace(self._trace)
        try:
            self._function()
        except BaseException as exc:
            self.errors.append(exc)
        finally:
            sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == 'line' and is_sooners(frame):
            self.lines += 1
            if self.lines == self._line:
                self._held()
                self._may_go_on.wait(PATIENCE)
        return self._trace

    def go_on(self) -> None:
        self._may_go_on.set()


@uncompiled
@pytest.mark.parametrize('method', ['call_soon_threadsafe', 'stop'])
def test_thread_that_is_late_for_a_closed_loop_does_no_harm(ours: Any, make_loop: Any, method: str) -> None:
    """It is held at each line of what it calls in turn, until the loop, which waited, has been closed."""
    from sooner.core.scheduler import WAITING

    def held_at(line: int, loop: Any) -> bool:
        """Tell whether the thread came to that line."""
        reader, writer = os.pipe()

        def call() -> None:
            while loop._status != WAITING:
                time.sleep(0)
            getattr(loop, method)(*([loop.stop] if method == 'call_soon_threadsafe' else []))

        loop.add_reader(reader, loop.stop)
        thread = HeldThread(call, line, lambda: os.write(writer, b'\0'))
        thread.start()
        loop.run_forever()
        loop.close()
        others = [socket.socketpair() for _ in range(4)]  # have the numbers now that were the loop's
        thread.go_on()
        thread.join()
        os.close(reader)
        os.close(writer)
        assert loop.is_closed()
        assert [str(error) for error in thread.errors] in ([], ['Event loop is closed'])
        for pair in others:
            for end in pair:
                with pytest.raises(BlockingIOError):
                    end.recv(1, socket.MSG_DONTWAIT)
            for end in pair:
                end.close()
        return thread.lines >= line

    line = 1
    while held_at(line, make_loop(ours.make_loop)):
        line += 1
    assert line > 5


@uncompiled
def test_future_that_is_completed_as_the_loop_begins_to_run_in_debug_mode(ours: Any, make_loop: Any) -> None:
    def held_at(line: int, loop: Any) -> bool:
        reached = threading.Event()

        def complete() -> None:
            try:
                future.set_result(None)
            finally:
                reached.set()

        loop.set_debug(True)
        loop.slow_callback_duration = 1000
        future = loop.create_future()
        future.add_done_callback(lambda _: loop.stop())
        thread = HeldThread(complete, line, reached.set)
        thread.start()
        reached.wait(PATIENCE)
        late = loop.call_later(PATIENCE, loop.stop)
        loop.call_soon(thread.go_on)
        loop.run_forever()
        thread.go_on()
        thread.join()
        assert not thread.errors
        assert late.when() - loop.time() > 0
        return thread.lines >= line

    line = 1
    while held_at(line, make_loop(ours.make_loop)):
        line += 1
    assert line > 10


@uncompiled
@pytest.mark.skipif(not hasattr(os, 'fork'), reason='there is no fork() here')
def test_child_is_not_kept_out_by_a_thread_that_its_parent_had(ours: Any, python: Any) -> None:
    program = """
import os, signal, sys, threading, warnings
import sooner

warnings.simplefilter('ignore')
held, go = threading.Event(), threading.Event()

def trace(frame, event, argument):
    if event == 'line' and frame.f_code.co_name == 'finish':
        held.set()
        go.wait()
    return trace

def work():
    sys.settrace(trace)
    future.set_result(None)

async def main():
    future = sooner.Future()
    future.set_result('well')
    print(await future, flush=True)

future = sooner.new_event_loop(sys.argv[1]).create_future()
thread = threading.Thread(target=work)
thread.start()
held.wait()
if os.fork() == 0:
    signal.alarm(30)
    sooner.run(main())
    os._exit(0)
print(os.wait()[1], flush=True)
go.set()
thread.join()
"""
    assert python(program, ours.name).stdout.split() == ['well', '0']


# What the GIL does not keep out of the compiled modules either.


def at_line(function: str, line: int, meanwhile: Callable[[], object]) -> Any:
    """Make a trace function that does something once, at a line of a function (counted from its def)."""
    once = iter([meanwhile])

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if event == 'line' and code.co_name == function and frame.f_lineno - code.co_firstlineno == line:
            next(once, lambda: None)()
        return trace

    return trace


def in_a_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(PATIENCE)


def test_handle_that_a_finalizer_cancels_as_its_turn_comes_does_not_run(each: Any, loop: Any, turn: Any) -> None:
    """A task dies, with its result, when the next handle takes its place as what runs now."""
    called: list[str] = []

    class Owner:
        handle: Any

        def __del__(self) -> None:
            self.handle.cancel()

    def start() -> None:
        async def work() -> Owner:
            return owner

        owner = Owner()
        each.Task(work(), loop=loop)
        owner.handle = loop.call_soon(called.append, 'called')

    loop.call_soon(start)
    turn(4)
    assert called == []


def test_loop_that_sleeps_is_waked_though_somebody_was_interrupted_as_he_woke_it(ours: Any, make_loop: Any) -> None:
    from sooner.drivers import new_driver

    kind: Any = type(new_driver(ours.name))

    class Interrupted(kind):
        interrupt = False

        def wake(self) -> None:
            if self.interrupt:
                self.interrupt = False
                raise KeyboardInterrupt
            super().wake()

    driver = Interrupted()
    loop = make_loop(lambda: sooner.new_event_loop(driver))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    while loop.statistics().polls < 1:
        time.sleep(0.001)
    driver.interrupt = True
    with pytest.raises(KeyboardInterrupt):
        loop.call_soon_threadsafe(int)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE)
    ended = not thread.is_alive()
    driver.wake()
    thread.join(PATIENCE)
    assert ended


@pytest.mark.parametrize('line', range(1, 20))
def test_future_that_a_thread_completes_while_it_is_shown(ours: Any, loop: Any, line: int) -> None:
    future = loop.create_future()
    future.add_done_callback(int)
    sys.settrace(at_line('_future_repr_info', line, lambda: in_a_thread(lambda: future.set_result(None))))
    try:
        shown = repr(future)
    finally:
        sys.settrace(None)
    assert shown.startswith('<Future ')
    future.remove_done_callback(int)


@pytest.mark.parametrize('line', range(1, 12))
def test_loop_that_a_thread_makes_while_all_are_told(ours: Any, loop: Any, make_loop: Any, line: int) -> None:
    from sooner.core.registry import held_tasks

    sys.settrace(at_line('__iter__', line, lambda: in_a_thread(lambda: make_loop(ours.make_loop))))
    try:
        held_tasks()
    finally:
        sys.settrace(None)


@pytest.mark.parametrize('line', range(1, 12))
def test_loop_that_is_closed_as_its_executor_has_shut_down(
    ours: Any, loop: Any, run: Any, monkeypatch: pytest.MonkeyPatch, line: int
) -> None:
    """The thread that tells of it is held at each line until the loop, which had not the time to wait, is closed."""
    closed, gate = threading.Event(), threading.Event()
    errors: list[Any] = []
    monkeypatch.setattr(threading, 'excepthook', lambda args: errors.append(args.exc_value))

    async def main() -> None:
        loop.run_in_executor(None, gate.wait)
        before = set(threading.enumerate())
        threading.settrace(at_line('shut_down', line, lambda: closed.wait(PATIENCE)))
        with pytest.warns(RuntimeWarning):
            await loop.shutdown_default_executor(0.01)
        threading.settrace(None)  # type: ignore[arg-type]
        threads.extend(set(threading.enumerate()) - before)

    threads: list[threading.Thread] = []
    run(main())
    gate.set()
    time.sleep(0.01)
    loop.close()
    closed.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert errors == []
