"""The loop: its turns, how it starts and stops, what it refuses, and what it counts."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import pytest

import sooner


@contextmanager
def in_a_thread(function: Callable[[], Any]) -> Iterator[list[Any]]:
    """Run a function in a thread beside the block; then join it. What it returned or raised is in the list."""
    outcomes: list[Any] = []

    def run() -> None:
        try:
            outcomes.append(function())
        except BaseException as error:
            outcomes.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield outcomes
    finally:
        thread.join()


async def number() -> int:
    return 1


# Turns.


def test_callbacks_run_in_order_with_their_arguments(each: Any, loop: Any, turn: Any) -> None:
    log: list[Any] = []
    loop.call_soon(log.append, 1)
    loop.call_soon(lambda *args: log.append(args))
    loop.call_soon(lambda *args: log.append(args), 1, None, 'x')
    loop.call_soon_threadsafe(log.append, 2)
    turn()
    assert log == [1, (), (1, None, 'x'), 2]


def test_what_a_callback_schedules_is_for_the_next_turn(each: Any, loop: Any, turn: Any) -> None:
    log: list[Any] = []

    def first() -> None:
        log.append('first')
        loop.call_soon(log.append, 'third')

    loop.call_soon(first)
    loop.call_soon(log.append, 'second')
    turn()
    assert log == ['first', 'second']
    turn()
    assert log == ['first', 'second', 'third']


def test_many_callbacks_keep_their_order_while_others_come_and_go(each: Any, loop: Any, turn: Any) -> None:
    ran: list[int] = []
    for base in range(0, 5000, 1000):
        for value in range(base, base + 1000):
            loop.call_soon(ran.append, value)
        if base % 2000:
            turn()
    turn()
    assert ran == list(range(5000))


@pytest.mark.parametrize('method', ['call_soon', 'call_soon_threadsafe', 'call_later', 'call_at'])
def test_context_is_taken_by_name(each: Any, loop: Any, turn: Any, method: str) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable')
    context = contextvars.copy_context()
    arguments = (0,) if method in ('call_later', 'call_at') else ()
    getattr(loop, method)(*arguments, variable.set, 1, context=context)
    turn()
    assert context[variable] == 1


@pytest.mark.parametrize('method', ['call_soon', 'call_soon_threadsafe', 'call_later', 'call_at'])
@pytest.mark.parametrize('thing', [None, 42, 'print'])
def test_callback_that_cannot_be_called_is_refused_at_once(ours: Any, loop: Any, method: str, thing: object) -> None:
    arguments = (0,) if method in ('call_later', 'call_at') else ()
    with pytest.raises(TypeError, match=f'a callable object was expected by {method}'):
        getattr(loop, method)(*arguments, thing)


@pytest.mark.parametrize('method', ['call_soon', 'call_soon_threadsafe', 'call_later', 'call_at'])
def test_coroutine_as_a_callback_is_refused_with_a_hint(ours: Any, loop: Any, method: str) -> None:
    arguments = (0,) if method in ('call_later', 'call_at') else ()
    coroutine = number()
    with pytest.raises(TypeError, match='coroutines cannot be used with .*create_task'):
        getattr(loop, method)(*arguments, coroutine)
    coroutine.close()


def test_context_that_is_none_at_all_is_an_error_of_that_callback_alone(
    each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]]
) -> None:
    ran: list[int] = []
    try:
        loop.call_soon(ran.append, 1, context=42)
    except TypeError as error:
        reports.append({'exception': error})
    loop.call_soon(ran.append, 2)
    turn()
    assert ran == [2]
    assert isinstance(reports[0]['exception'], TypeError | AttributeError)


# Starting and stopping.


def test_stop_before_a_run_makes_it_one_turn(each: Any, loop: Any) -> None:
    ran: list[int] = []
    loop.call_soon(ran.append, 1)
    loop.call_soon(lambda: loop.call_soon(ran.append, 2))
    loop.stop()
    loop.run_forever()
    assert ran == [1]
    loop.stop()
    loop.run_forever()
    assert ran == [1, 2]


def test_stop_ends_after_the_turn(each: Any, loop: Any) -> None:
    ran: list[int] = []

    def stop() -> None:
        loop.stop()
        loop.stop()
        loop.call_soon(ran.append, 3)

    loop.call_soon(ran.append, 1)
    loop.call_soon(stop)
    loop.call_soon(ran.append, 2)
    loop.run_forever()
    assert ran == [1, 2]
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == [1, 2, 3]


def test_stopped_loop_does_not_stop_again(each: Any, loop: Any, run: Any) -> None:
    loop.stop()
    loop.run_forever()

    async def main() -> str:
        for _ in range(5):
            await asyncio.sleep(0)
        return 'to its end'

    assert run(main()) == 'to its end'


def test_loop_knows_whether_it_runs(each: Any, loop: Any) -> None:
    seen: list[Any] = []
    assert not loop.is_running()
    loop.call_soon(lambda: seen.append((loop.is_running(), asyncio.get_running_loop() is loop)))
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [(True, True)]
    assert not loop.is_running()
    with pytest.raises(RuntimeError, match='no running event loop'):
        asyncio.get_running_loop()


def test_run_until_complete_returns_the_result(each: Any, loop: Any) -> None:
    assert loop.run_until_complete(number()) == 1
    future = loop.create_future()
    loop.call_soon(future.set_result, 2)
    assert loop.run_until_complete(future) == 2
    assert loop.run_until_complete(future) == 2


def test_run_until_complete_takes_any_awaitable(each: Any, loop: Any) -> None:
    class Awaitable:
        def __await__(self) -> Any:
            return number().__await__()

    assert loop.run_until_complete(Awaitable()) == 1


@pytest.mark.parametrize('thing', [None, 1, 'text', number])
def test_run_until_complete_refuses_what_is_no_awaitable(each: Any, loop: Any, thing: object) -> None:
    with pytest.raises(TypeError, match='An asyncio.Future, a coroutine or an awaitable is required'):
        loop.run_until_complete(thing)


def test_run_until_complete_raises_the_exception(each: Any, loop: Any) -> None:
    async def fail() -> None:
        raise ValueError('no')

    with pytest.raises(ValueError, match='no'):
        loop.run_until_complete(fail())
    future = loop.create_future()
    future.cancel('gone')
    with pytest.raises(asyncio.CancelledError, match='gone'):
        loop.run_until_complete(future)


def test_run_until_complete_of_a_stopped_loop_says_so(each: Any, loop: Any) -> None:
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError, match=r'Event loop stopped before Future completed\.'):
        loop.run_until_complete(future)
    future.set_result(1)
    assert loop.run_until_complete(future) == 1


def test_run_until_complete_leaves_a_task_that_was_stopped_to_the_next_run(each: Any, loop: Any) -> None:
    log: list[str] = []
    door = loop.create_future()

    async def main() -> None:
        log.append('begin')
        loop.stop()
        await door
        log.append('end')

    task = loop.create_task(main())
    with pytest.raises(RuntimeError, match='Event loop stopped'):
        loop.run_until_complete(task)
    door.set_result(None)
    loop.run_until_complete(task)
    assert log == ['begin', 'end']


def test_run_until_complete_does_not_stop_a_later_run(each: Any, loop: Any) -> None:
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError):
        loop.run_until_complete(future)
    ran: list[int] = []
    loop.call_soon(future.set_result, None)

    async def main() -> None:
        for _ in range(4):
            await asyncio.sleep(0)
        ran.append(1)

    loop.run_until_complete(main())
    assert ran == [1]


def test_future_of_another_loop_is_refused(each: Any, loop: Any, make_loop: Any) -> None:
    other = make_loop(each.make_loop)
    with pytest.raises(ValueError, match='different loop|belongs to'):
        loop.run_until_complete(other.create_future())


def test_loop_inside_itself_is_refused(ours: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match='This event loop is already running'):
            loop.run_forever()
        coroutine = number()
        with pytest.raises(RuntimeError, match='This event loop is already running'):
            loop.run_until_complete(coroutine)
        coroutine.close()
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)

    run(main())


def test_loop_inside_another_is_refused(ours: Any, loop: Any, run: Any, make_loop: Any) -> None:
    others = [make_loop(ours.make_loop), make_loop(sooner.new_event_loop)]

    async def main() -> None:
        for other in others:
            with pytest.raises(RuntimeError, match='Cannot run the event loop while another loop is running'):
                other.run_forever()
            assert asyncio.get_running_loop() is loop
            assert not other.is_running()
        await asyncio.sleep(0)

    run(main())
    for other in others:
        assert other.run_until_complete(number()) == 1


def test_loop_that_runs_in_another_thread_cannot_be_run_here(ours: Any, loop: Any) -> None:
    running = threading.Event()
    loop.call_soon(running.set)
    with in_a_thread(loop.run_forever):
        running.wait()
        with pytest.raises(RuntimeError, match='This event loop is already running'):
            loop.run_forever()
        with pytest.raises(RuntimeError, match='Cannot close a running event loop'):
            loop.close()
        loop.call_soon_threadsafe(loop.stop)


# Closing.


@pytest.mark.parametrize(
    'use',
    [
        lambda loop: loop.call_soon(print),
        lambda loop: loop.call_soon_threadsafe(print),
        lambda loop: loop.call_later(0, print),
        lambda loop: loop.call_at(0, print),
        lambda loop: loop.run_forever(),
        lambda loop: loop.run_in_executor(None, print),
        lambda loop: loop.add_signal_handler(10, print),
        lambda loop: loop.add_reader(0, print),
        lambda loop: loop.add_writer(1, print),
        lambda loop: loop.run_until_complete(loop.create_future()),
    ],
)
@pytest.mark.parametrize('debug', [False, True])
def test_closed_loop_refuses(each: Any, loop: Any, use: Any, debug: bool) -> None:
    loop.set_debug(debug)
    loop.close()
    assert loop.is_closed()
    with pytest.raises(RuntimeError, match='Event loop is closed'):
        use(loop)
    assert not loop.is_running()


def test_closing_twice_is_harmless(each: Any, loop: Any) -> None:
    assert not loop.is_closed()
    loop.close()
    loop.close()
    assert loop.is_closed()
    assert 'closed=True' in repr(loop)


def test_closing_drops_what_was_scheduled(each: Any, loop: Any) -> None:
    class Argument:
        pass

    arguments = [Argument() for _ in range(3)]
    alive = [weakref.ref(argument) for argument in arguments]
    loop.call_soon(id, arguments[0])
    loop.call_later(1000, id, arguments[1])
    future = loop.create_future()
    future.set_result(arguments[2])
    future.add_done_callback(id)
    arguments.clear()
    del future
    loop.close()
    gc.collect()
    assert [reference() for reference in alive] == [None] * 3


def test_what_dies_with_the_loop_may_still_use_it(each: Any, loop: Any) -> None:
    outcomes: list[Any] = []

    class Argument:
        def __del__(self) -> None:
            try:
                loop.call_soon(print)
                loop.call_later(1, print)
                outcomes.append('accepted')
            except RuntimeError as error:
                outcomes.append(str(error))

    loop.call_soon(id, Argument())
    loop.call_later(1, id, Argument())
    loop.close()
    gc.collect()
    assert len(outcomes) == 2
    assert set(outcomes) <= {'accepted', 'Event loop is closed'}


def test_running_loop_cannot_be_closed(each: Any, loop: Any, run: Any) -> None:
    async def main() -> str:
        with pytest.raises(RuntimeError, match='Cannot close a running event loop'):
            loop.close()
        await asyncio.sleep(0)
        return 'goes on'

    assert run(main()) == 'goes on'


def test_future_of_a_closed_loop_says_so_when_it_has_to_call_back(each: Any, loop: Any) -> None:
    future = loop.create_future()
    future.add_done_callback(print)
    loop.close()
    with pytest.raises(RuntimeError, match='Event loop is closed'):
        future.set_result(1)
    silent = each.Future(loop=loop)
    silent.set_result(1)
    assert silent.result() == 1


def test_loop_that_is_dropped_open_warns(each: Any) -> None:
    loops = [each.make_loop()]

    def drop() -> None:
        loops.clear()
        gc.collect()

    with pytest.warns(ResourceWarning, match='unclosed event loop'):
        drop()


def test_loop_and_what_it_holds_are_collected_together(each: Any) -> None:
    loop = each.make_loop()
    loop.itself = loop
    loop.call_soon(print, loop)
    loop.call_later(1000, print, loop)
    future = loop.create_future()
    future.add_done_callback(partial(print, loop))
    alive = weakref.ref(loop)
    loop.close()
    del loop, future
    gc.collect()
    assert alive() is None


# Exceptions that end the loop.


@pytest.mark.parametrize('kind', [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize('place', ['call_soon', 'timer', 'done callback'])
def test_exit_out_of_a_callback_leaves_what_was_ready_to_the_next_run(
    each: Any, loop: Any, turn: Any, kind: Any, place: str
) -> None:
    log: list[Any] = []

    def leave(*args: Any) -> None:
        log.append('left')
        raise kind('out')

    loop.call_soon(log.append, 1)
    if place == 'call_soon':
        loop.call_soon(leave)
    elif place == 'timer':
        loop.call_at(0, leave)
    else:
        future = loop.create_future()
        future.add_done_callback(leave)
        future.set_result(None)
    loop.call_soon(log.append, 2)
    loop.call_at(0, log.append, 3)
    with pytest.raises(kind, match='out'):
        loop.run_forever()
    assert not loop.is_running()
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    turn(2)
    assert sorted(map(str, log)) == ['1', '2', '3', 'left']


def test_exit_in_the_exception_handler_comes_out(each: Any, loop: Any, turn: Any) -> None:
    def handler(loop: Any, context: Any) -> None:
        raise KeyboardInterrupt('from the handler')

    def fail() -> None:
        raise ValueError('first')

    log: list[int] = []
    loop.set_exception_handler(handler)
    loop.call_soon(fail)
    loop.call_soon(log.append, 1)
    with pytest.raises(KeyboardInterrupt, match='from the handler'):
        loop.run_forever()
    turn()
    assert log == [1]


# A busy loop.


@pytest.mark.parametrize('busy', ['callbacks', 'tasks', 'futures'])
def test_busy_loop_still_reads_files_and_fires_timers(each: Any, loop: Any, busy: str) -> None:
    seen: list[str] = []
    reader, writer = os.pipe()
    steps = 0

    def done() -> bool:
        return len(seen) == 2

    def again() -> None:
        nonlocal steps
        steps += 1
        if not done():
            loop.call_soon(again)

    async def spin() -> None:
        while not done():
            if busy == 'tasks':
                await asyncio.sleep(0)
            else:
                future = loop.create_future()
                loop.call_soon(future.set_result, None)
                await future

    async def main() -> None:
        if busy == 'callbacks':
            again()
        other = loop.create_task(spin())
        loop.add_reader(reader, lambda: (seen.append('file'), loop.remove_reader(reader)))
        loop.call_later(0.001, seen.append, 'timer')
        os.write(writer, b'x')
        await spin()
        await other

    try:
        loop.run_until_complete(main())
    finally:
        os.close(reader)
        os.close(writer)
    assert sorted(seen) == ['file', 'timer']


def test_busy_loop_asks_its_driver_at_most_once_a_turn(ours: Any, loop: Any) -> None:
    async def main() -> None:
        for _ in range(1000):
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    counts = loop.statistics()
    assert counts.turns >= 1000
    assert 1 <= counts.polls <= counts.turns


# What users may replace.


def test_replaced_time_is_the_loops_clock(each: Any, loop: Any) -> None:
    now = 100.0

    def advance() -> float:
        nonlocal now
        now += 10_000  # past every timer, so that nobody waits
        return now

    async def main() -> str:
        await asyncio.sleep(1000)
        return 'slept'

    loop.time = advance
    assert loop.run_until_complete(main()) == 'slept'
    del loop.time
    assert loop.time() != now


@pytest.mark.parametrize('how', ['attribute', 'patch', 'subclass', 'class attribute'])
def test_replaced_call_soon_sees_every_callback_and_step(ours: Any, make_loop: Any, how: str) -> None:
    calls: list[Any] = []

    class Watched(sooner.Loop):
        def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
            calls.append(callback)
            return super().call_soon(callback, *args, context=context)

    class Plain(sooner.Loop):
        pass

    cls = {'subclass': Watched, 'class attribute': Plain}.get(how, sooner.Loop)
    loop = make_loop(lambda: cls(ours.name))
    original = loop.call_soon

    def call_soon(*args: Any, **kwargs: Any) -> Any:
        calls.append(args[0])
        return original(*args, **kwargs)

    async def work() -> int:
        future = loop.create_future()
        loop.call_later(0, future.set_result, 1)
        value: int = await future
        await asyncio.sleep(0)
        return value

    if how == 'attribute':
        loop.call_soon = call_soon
    elif how == 'class attribute':
        Plain.call_soon = lambda self, *args, **kwargs: call_soon(*args, **kwargs)
    if how == 'patch':
        with mock.patch.object(loop, 'call_soon', side_effect=original) as patched:
            assert loop.run_until_complete(work()) == 1
            calls += [call.args[0] for call in patched.call_args_list]
    else:
        assert loop.run_until_complete(work()) == 1
    # The first step, two more, and the end of run_until_complete(). A changed class is noticed when a run begins.
    assert len(calls) >= (3 if how == 'class attribute' else 4)
    if how == 'attribute':
        del loop.call_soon
    if how in ('attribute', 'patch'):
        calls.clear()
        assert loop.run_until_complete(work()) == 1
        assert calls == []


def test_subclass_of_the_loop_may_override_anything(ours: Any, make_loop: Any) -> None:
    log: list[str] = []

    class Own(sooner.Loop):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.extra = 'attribute'

        def time(self) -> float:
            return super().time() + 1e6

        def create_future(self) -> Any:
            log.append('create_future')
            return super().create_future()

        def create_task(self, coro: Any, **kwargs: Any) -> Any:
            log.append('create_task')
            return super().create_task(coro, **kwargs)

        def call_exception_handler(self, context: Any) -> None:
            log.append(context['message'])

        def stop(self) -> None:
            log.append('stop')
            super().stop()

        def close(self) -> None:
            log.append('close')
            super().close()

    loop = Own(ours.name)
    assert loop.extra == 'attribute'

    async def main() -> str:
        await asyncio.sleep(0.001)
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
        return 'done'

    assert loop.run_until_complete(main()) == 'done'
    assert loop.time() > 1e6
    loop.close()
    assert log[0] == 'create_task'
    assert 'create_future' in log
    assert any(entry.startswith('Exception in callback') for entry in log)
    assert 'stop' in log
    assert log[-1] == 'close'


def test_subclass_that_forgets_init_is_refused_without_a_crash(ours: Any) -> None:
    class Forgetful(sooner.Loop):
        def __init__(self) -> None:
            pass

        def __del__(self) -> None:
            pass

    loop = Forgetful()
    for use in (
        lambda: loop.call_soon(print), lambda: loop.call_later(1, print), loop.create_future, loop.time, loop.stop,
        loop.is_running, loop.is_closed, loop.statistics, loop.run_forever, loop.close, lambda: repr(loop),
        loop.get_debug, lambda: loop.add_reader(0, print), lambda: loop.call_soon_threadsafe(print),
    ):  # fmt: skip
        try:
            use()
        except Exception:  # which one does not matter
            pass


def test_attributes_may_be_added_and_the_loop_weakly_held(each: Any, loop: Any) -> None:
    loop.colour = 'red'
    assert loop.colour == 'red'
    del loop.colour
    with pytest.raises(AttributeError):
        _ = loop.colour
    assert weakref.ref(loop)() is loop
    assert {loop: 1}[loop] == 1


def test_loops_are_equal_to_themselves_alone(each: Any, loop: Any, make_loop: Any) -> None:
    other = make_loop(each.make_loop)
    assert loop == loop
    assert loop != other
    assert hash(loop) == hash(loop)


# Re-entrancy.


def test_callback_may_cancel_stop_and_schedule_at_once(each: Any, loop: Any) -> None:
    log: list[str] = []

    def meddle() -> None:
        behind.cancel()
        later.cancel()
        loop.stop()
        loop.call_soon(log.append, 'next run')
        loop.call_later(0, log.append, 'timer')

    loop.call_soon(meddle)
    behind = loop.call_soon(log.append, 'never')
    later = loop.call_later(0, log.append, 'never')
    loop.run_forever()
    assert log == []
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert 'next run' in log
    assert 'never' not in log


def test_callback_may_drop_the_last_reference_to_what_it_uses(each: Any, loop: Any, turn: Any) -> None:
    log: list[str] = []

    class Owner:
        def __init__(self) -> None:
            self.handle = loop.call_soon(self.run)

        def run(self) -> None:
            self.handle = None
            owners.clear()
            gc.collect()
            log.append('ran')

        def __del__(self) -> None:
            log.append('gone')

    owners = [Owner()]
    turn()
    gc.collect()
    assert log == ['ran', 'gone']


def test_callback_may_collect_garbage_that_schedules(each: Any, loop: Any, turn: Any) -> None:
    log: list[str] = []

    class Dying:
        def __del__(self) -> None:
            loop.call_soon(log.append, 'from the grave')

    def make_garbage() -> None:
        dying = Dying()
        dying.itself = dying  # type: ignore[attr-defined]

    make_garbage()
    loop.call_soon(gc.collect)
    turn(2)
    assert log == ['from the grave']


# Statistics.


@pytest.mark.usefixtures('not_in_debug_mode')
def test_statistics_count_what_happened(ours: Any, loop: Any, turn: Any) -> None:
    before = loop.statistics()
    assert (before.tasks_created, before.timers, before.ready, before.callbacks_run) == (0, 0, 0, 0)

    async def wait() -> None:
        await door

    door = loop.create_future()
    tasks = [loop.create_task(wait()) for _ in range(3)]
    timer = loop.call_later(1000, print)
    loop.call_later(2000, print)
    assert loop.statistics().ready == 3
    turn()
    counts = loop.statistics()
    assert counts.turns == 1
    assert (counts.tasks_created, counts.tasks_alive, counts.tasks_done) == (3, 3, 0)
    assert counts.timers == 2
    assert counts.callbacks_run == 3
    timer.cancel()
    door.set_result(None)
    turn(2)
    counts = loop.statistics()
    assert (counts.tasks_created, counts.tasks_alive, counts.tasks_done) == (3, 0, 3)
    assert counts.timers == 1
    assert counts.ready == 0
    assert counts.turns == 3
    assert all(task.done() for task in tasks)
    assert counts.time_running >= 0
    assert counts.time_waiting >= 0
    assert counts.longest_turn >= 0
    assert counts.longest_callback is None


def test_statistics_know_the_longest_callback_in_debug_mode(ours: Any, loop: Any, turn: Any) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 1000
    loop.call_soon(print)
    turn()
    assert loop.statistics().longest_callback > 0


def test_statistics_cannot_be_changed(ours: Any, loop: Any) -> None:
    counts = loop.statistics()
    with pytest.raises(AttributeError):
        counts.turns = 5


def test_time_waiting_counts_what_the_driver_waited(ours: Any, loop: Any, run: Any) -> None:
    run(asyncio.sleep(0.01))
    counts = loop.statistics()
    assert counts.time_waiting > 0
    assert counts.polls >= 1


# Threads.


def test_threadsafe_call_wakes_a_loop_that_waits(each: Any, loop: Any) -> None:
    def call() -> None:
        running.wait()
        loop.call_soon_threadsafe(loop.stop)

    running = threading.Event()
    loop.call_soon(running.set)
    with in_a_thread(call):
        loop.run_forever()


def test_threadsafe_calls_of_many_threads_all_arrive_in_their_order(each: Any, loop: Any) -> None:
    arrived: list[tuple[int, int]] = []
    count, threads = 300, 6

    def send(sender: int) -> None:
        for value in range(count):
            loop.call_soon_threadsafe(receive, sender, value)

    def receive(sender: int, value: int) -> None:
        arrived.append((sender, value))
        if len(arrived) == count * threads:
            loop.stop()

    senders = [threading.Thread(target=send, args=(sender,)) for sender in range(threads)]
    for thread in senders:
        thread.start()
    loop.run_forever()
    for thread in senders:
        thread.join()
    for sender in range(threads):
        assert [value for who, value in arrived if who == sender] == list(range(count))


@pytest.mark.parametrize('debug', [False, True])
@pytest.mark.parametrize('how', ['set_result', 'set_exception', 'cancel'])
def test_completing_a_future_in_another_thread_wakes_the_loop(
    ours: Any, loop: Any, run: Any, debug: bool, how: str
) -> None:
    loop.set_debug(debug)
    loop.slow_callback_duration = 1000
    waiting = threading.Event()

    async def main() -> Any:
        future = loop.create_future()

        def complete() -> None:
            waiting.wait()
            if how == 'set_result':
                future.set_result('value')
            elif how == 'set_exception':
                future.set_exception(ValueError('value'))
            else:
                future.cancel('value')

        with in_a_thread(complete) as outcomes:
            loop.call_soon(waiting.set)
            try:
                value = await future
            except (ValueError, asyncio.CancelledError) as error:
                value = str(error)
        assert not [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        return value

    assert run(main()) == 'value'


@pytest.mark.parametrize('debug', [False, True])
def test_callbacks_of_a_future_completed_in_another_thread_run_in_the_loops(ours: Any, loop: Any, debug: bool) -> None:
    loop.set_debug(debug)
    loop.slow_callback_duration = 1000
    idents: list[int] = []
    waiting = threading.Event()
    future = loop.create_future()
    for _ in range(2):
        future.add_done_callback(lambda _: idents.append(threading.get_ident()))
    future.add_done_callback(lambda _: loop.stop())

    def complete() -> None:
        waiting.wait()
        future.set_result(1)

    loop.call_soon(waiting.set)
    with in_a_thread(complete) as outcomes:
        loop.run_forever()
    assert outcomes == [None]
    assert idents == [threading.get_ident()] * 2


def test_only_one_of_many_threads_completes_a_future(ours: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        for _ in range(20):
            future = loop.create_future()
            start = threading.Barrier(4)
            refused: list[Any] = []

            def complete(value: int, future: Any = future, start: Any = start, refused: Any = refused) -> None:
                start.wait()
                try:
                    future.set_result(value)
                except asyncio.InvalidStateError as error:
                    refused.append(error)

            threads = [threading.Thread(target=complete, args=(value,)) for value in range(4)]
            for thread in threads:
                thread.start()
            assert await future in range(4)
            for thread in threads:
                thread.join()
            assert len(refused) == 3

    run(main())


def test_task_cancelled_in_another_thread_ends(ours: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        waiting = threading.Event()
        task = loop.create_task(asyncio.sleep(1000))

        def cancel() -> None:
            waiting.wait()
            task.cancel('from a thread')

        with in_a_thread(cancel):
            loop.call_soon(loop.call_soon, waiting.set)
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main())


def test_stop_in_another_thread_ends_the_wait(ours: Any, loop: Any) -> None:
    waiting = threading.Event()

    def stop() -> None:
        waiting.wait()
        loop.stop()

    loop.call_soon(waiting.set)
    with in_a_thread(stop):
        loop.run_forever()


def test_loops_run_in_several_threads_at_once(each: Any) -> None:
    meeting = threading.Barrier(4)

    async def main(value: int) -> tuple[int, Any, bool]:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, meeting.wait)
        total = sum(await asyncio.gather(*(asyncio.sleep(0, value) for _ in range(50))))
        task = asyncio.current_task()
        return total, loop, asyncio.all_tasks() == {task}

    def work(value: int) -> Any:
        loop = each.make_loop()
        try:
            outcome = loop.run_until_complete(main(value))
            loop.run_until_complete(loop.shutdown_default_executor())
            return outcome
        finally:
            loop.close()

    outcomes: list[Any] = []
    threads = [threading.Thread(target=lambda value=value: outcomes.append(work(value))) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(total for total, _, _ in outcomes) == [0, 50, 100, 150]
    assert len({id(loop) for _, loop, _ in outcomes}) == 4
    assert all(alone for _, _, alone in outcomes)


def test_a_busy_loop_lets_other_threads_run(each: Any, loop: Any, run: Any) -> None:
    def give_the_lock_up_and_take_it() -> None:
        for _ in range(300):
            time.sleep(0)

    async def main() -> None:
        thread = threading.Thread(target=give_the_lock_up_and_take_it)
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0)

    run(main())


def test_loop_made_in_one_thread_runs_in_another(each: Any, loop: Any) -> None:
    with in_a_thread(lambda: loop.run_until_complete(number())) as outcomes:
        pass
    assert outcomes == [1]
    assert loop.run_until_complete(number()) == 1


# The class.


def test_loop_is_an_asyncio_event_loop(ours: Any, loop: Any) -> None:
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert isinstance(loop, sooner.Loop)
    assert type(loop) is sooner.Loop


def test_every_method_of_asyncios_loop_is_there(ours: Any, loop: Any) -> None:
    abstract = {
        name
        for name, member in vars(asyncio.AbstractEventLoop).items()
        if isinstance(member, types.FunctionType) and not name.startswith('__')
    }
    missing = {
        name for name in abstract if getattr(type(loop), name, None) in (None, vars(asyncio.AbstractEventLoop)[name])
    }
    assert missing <= {'_timer_handle_cancelled', 'connect_accepted_socket', 'getaddrinfo', 'getnameinfo'}


@pytest.mark.usefixtures('not_in_debug_mode')
def test_repr_tells_state_and_driver(ours: Any, loop: Any) -> None:
    assert repr(loop) == f'<Loop running=False closed=False debug=False driver={ours.name}>'
