"""Tasks: coroutines that a loop runs, their cancellation, and who knows of them."""

from __future__ import annotations

import asyncio
import collections.abc
import contextvars
import gc
import inspect
import io
import sys
import threading
import types
import weakref
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest

import sooner

needs_eager_factory = pytest.mark.skipif(
    not hasattr(asyncio, 'eager_task_factory'), reason='asyncio.eager_task_factory is new in Python 3.12'
)


async def double(number: int) -> int:
    return 2 * number


async def double_later(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


@types.coroutine
def yields(value: Any) -> Generator[Any, Any, Any]:
    """Awaiting this hands the task a value that only futures should."""
    return (yield value)


# What it is.


def test_create_task_makes_the_loops_own_kind(ours: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        for task in (loop.create_task(double(1)), asyncio.create_task(double(1)), asyncio.ensure_future(double(1))):
            assert type(task) is sooner.Task
            assert await task == 2

    run(main())


def test_task_is_one_for_asyncio_too(ours: Any, loop: Any, run: Any) -> None:
    task = loop.create_task(double(1))
    assert isinstance(task, asyncio.Task)
    assert isinstance(task, asyncio.Future)
    assert asyncio.isfuture(task)
    assert inspect.isawaitable(task)
    assert asyncio.ensure_future(task) is task
    assert sooner.Task[int].__origin__ is sooner.Task
    assert task.get_loop() is loop
    run(task)


@pytest.mark.parametrize('thing', [None, 42, 'text', double, print, object()])
def test_what_is_no_coroutine_is_refused(each: Any, loop: Any, thing: object) -> None:
    with pytest.raises(TypeError, match='a coroutine was expected'):
        loop.create_task(thing)
    with pytest.raises(TypeError, match='a coroutine was expected'):
        each.Task(thing, loop=loop)


@pytest.mark.skipif(sys.version_info < (3, 12), reason='asyncio takes generators for coroutines up to Python 3.11')
def test_generator_is_refused(each: Any, loop: Any) -> None:
    def generator() -> Generator[None, None, None]:
        yield

    with pytest.raises(TypeError, match='a coroutine was expected'):
        loop.create_task(generator())


def test_coroutines_of_other_kinds_run(each: Any, loop: Any, run: Any) -> None:
    @types.coroutine
    def decorated() -> Generator[Any, None, int]:
        yield from asyncio.sleep(0).__await__()
        return 1

    class ByHand(collections.abc.Coroutine):  # type: ignore[type-arg]
        def __init__(self) -> None:
            self.sent: list[Any] = []

        def send(self, value: Any) -> Any:
            self.sent.append(value)
            if len(self.sent) < 3:
                return None
            raise StopIteration(self.sent)

        def throw(self, *error: Any) -> Any:
            raise error[0]

        def close(self) -> None:
            pass

        def __await__(self) -> Any:
            return self

    async def outer() -> int:
        return await decorated()

    assert run(loop.create_task(outer())) == 1
    assert run(loop.create_task(ByHand())) == [None, None, None]
    task = loop.create_task(ByHand())
    loop.call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        run(task)


def test_task_without_a_loop_is_refused(each: Any) -> None:
    asyncio.set_event_loop(None)
    coroutine = double(1)
    with pytest.raises(RuntimeError, match='no current event loop'):
        each.Task(coroutine)
    coroutine.close()


def test_unknown_argument_is_refused(ours: Any, loop: Any) -> None:
    coroutine = double(1)
    with pytest.raises(TypeError, match='colour'):
        loop.create_task(coroutine, colour='red')
    coroutine.close()


def test_closed_loop_takes_no_task(each: Any, loop: Any) -> None:
    loop.close()
    coroutine = double(1)
    with pytest.raises(RuntimeError, match='Event loop is closed'):
        loop.create_task(coroutine)
    coroutine.close()


# How it ends.


def test_result_is_what_the_coroutine_returns(each: Any, loop: Any, run: Any) -> None:
    task = loop.create_task(double_later(2))
    assert not task.done()
    with pytest.raises(asyncio.InvalidStateError):
        task.result()
    assert run(task) == 4
    assert task.done()
    assert not task.cancelled()
    assert task.result() == 4
    assert task.exception() is None


class Own(BaseException):
    """An exception that nothing knows."""


@pytest.mark.parametrize('error', [ValueError('no'), Own(), GeneratorExit(), StopAsyncIteration(), TimeoutError()])
def test_exception_is_what_the_coroutine_raises(each: Any, loop: Any, run: Any, error: BaseException) -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise error

    task = loop.create_task(fail())
    with pytest.raises(type(error)) as info:
        run(task)
    assert info.value is error
    assert task.exception() is error
    assert not task.cancelled()


def test_stop_iteration_out_of_a_coroutine_is_a_runtime_error(each: Any, loop: Any, run: Any) -> None:
    async def fail() -> None:
        raise StopIteration(1)

    with pytest.raises(RuntimeError, match='raised StopIteration'):
        run(loop.create_task(fail()))


def test_task_may_return_any_value(each: Any, loop: Any, run: Any) -> None:
    values: list[Any] = [None, (1, 2), (), ValueError('a value'), StopIteration(3), [], ValueError, 1.5]

    async def give(value: Any) -> Any:
        return value

    async def give_later(value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    async def main() -> None:
        for value in values:
            assert await loop.create_task(give(value)) is value
            assert await loop.create_task(give_later(value)) is value

    run(main())


def test_setting_a_tasks_result_is_refused(each: Any, loop: Any, run: Any) -> None:
    task = loop.create_task(double(1))
    with pytest.raises(RuntimeError, match='Task does not support set_result operation'):
        task.set_result(1)
    with pytest.raises(RuntimeError, match='Task does not support set_exception operation'):
        task.set_exception(ValueError())
    assert run(task) == 2


def test_coroutine_that_ran_already_is_refused_in_its_step(each: Any, loop: Any, run: Any) -> None:
    coroutine = double_later(1)
    assert run(coroutine) == 2
    with pytest.raises(RuntimeError, match='cannot reuse already awaited coroutine'):
        run(coroutine)


def test_coroutine_of_two_tasks_ends_both(each: Any, loop: Any, run: Any) -> None:
    coroutine = double_later(1)

    async def main() -> Any:
        tasks = [loop.create_task(coroutine), loop.create_task(coroutine)]
        return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes = run(main())
    assert 2 in outcomes or any(isinstance(outcome, RuntimeError) for outcome in outcomes)
    assert all(outcome == 2 or outcome is None or isinstance(outcome, RuntimeError) for outcome in outcomes)


def test_task_may_be_awaited_any_number_of_times(each: Any, loop: Any, run: Any) -> None:
    async def main() -> list[int]:
        task = loop.create_task(double_later(1))

        async def wait() -> int:
            return await task

        first = await asyncio.gather(wait(), wait(), wait())
        return [*first, await task, await task]

    assert run(main()) == [2] * 5


# Order.


def test_first_step_is_made_in_the_next_turn(each: Any, loop: Any, turn: Any) -> None:
    log: list[str] = []

    async def work() -> None:
        log.append('first')
        await asyncio.sleep(0)
        log.append('second')

    loop.call_soon(log.append, 'before')
    task = loop.create_task(work())
    loop.call_soon(log.append, 'after')
    assert log == []
    turn()
    assert log == ['before', 'first', 'after']
    turn()
    assert log == ['before', 'first', 'after', 'second']
    assert task.done()


def test_steps_callbacks_and_wakeups_keep_one_order(each: Any, loop: Any, run: Any) -> None:
    log: list[Any] = []

    async def worker(name: str, futures: list[Any]) -> str:
        for number, future in enumerate(futures):
            log.append((name, number, await future))
            await asyncio.sleep(0)
            loop.call_soon(log.append, (name, number, 'soon'))
        return name

    async def main() -> None:
        futures = [loop.create_future() for _ in range(4)]
        for future in futures:
            future.add_done_callback(lambda future: log.append(('done', future.result())))
        tasks = [loop.create_task(worker(name, futures)) for name in 'abc']
        for task in tasks:
            task.add_done_callback(lambda task: log.append(('end', task.result())))
        for number, future in enumerate(futures):
            loop.call_soon(future.set_result, number * 10)
            if number % 2:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)

    run(main())
    expected: list[Any] = []
    stock = asyncio.new_event_loop()
    try:
        recorded, log, loop = log, expected, stock
        stock.run_until_complete(main())
    finally:
        stock.close()
    assert recorded == expected


def test_sleep_of_zero_lets_everybody_have_a_turn(each: Any, loop: Any, run: Any) -> None:
    log: list[tuple[str, int]] = []

    async def work(name: str) -> None:
        for step in range(3):
            log.append((name, step))
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(work(name) for name in 'abc'))

    run(main())
    assert log == [(name, step) for step in range(3) for name in 'abc']


# Names and contexts.


def test_default_names_are_unique_and_numbered(each: Any, loop: Any, run: Any) -> None:
    first, second = loop.create_task(double(1)), loop.create_task(double(1))
    assert first.get_name().startswith('Task-')
    assert int(second.get_name().removeprefix('Task-')) > int(first.get_name().removeprefix('Task-'))
    assert first.get_name() == first.get_name()
    run(asyncio.wait([first, second]))


def test_names_are_given_and_changed(each: Any, loop: Any, run: Any) -> None:
    task = loop.create_task(double(1), name='compute')
    assert task.get_name() == 'compute'
    task.set_name(1234)
    assert task.get_name() == '1234'
    other = each.Task(double(1), loop=loop, name=('a', 1))
    assert other.get_name() == "('a', 1)"
    run(asyncio.wait([task, other]))


def test_task_runs_in_a_copy_of_the_context_it_was_made_in(each: Any, loop: Any, run: Any) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable', default=0)

    async def read_set_read() -> list[int]:
        seen = [variable.get()]
        variable.set(seen[0] + 10)
        await asyncio.sleep(0)
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future
        return [*seen, variable.get()]

    async def main() -> None:
        variable.set(1)
        first = loop.create_task(read_set_read())
        variable.set(2)
        second = loop.create_task(read_set_read())
        variable.set(3)
        assert await first == [1, 11]
        assert await second == [2, 12]
        assert variable.get() == 3

    run(main())
    assert variable.get() == 0


def test_task_runs_in_the_context_that_was_given(each: Any, loop: Any, run: Any) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable')
    context = contextvars.copy_context()

    async def put() -> None:
        variable.set(1)
        await asyncio.sleep(0)
        variable.set(variable.get() + 1)

    run(loop.create_task(put(), context=context))
    assert context[variable] == 2
    run(each.Task(put(), loop=loop, context=context))
    assert context[variable] == 2
    assert variable not in contextvars.copy_context()


def test_tasks_take_turns_in_one_context(each: Any, loop: Any, run: Any) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable', default=0)
    context = contextvars.copy_context()

    async def count() -> None:
        for _ in range(5):
            variable.set(variable.get() + 1)
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(loop.create_task(count(), context=context) for _ in range(3)))

    run(main())
    assert context[variable] == 15


def test_get_context_is_the_tasks_context(each: Any, loop: Any, run: Any) -> None:
    if not hasattr(each.Task, 'get_context'):
        pytest.skip('asyncio.Task.get_context is new in Python 3.12')
    context = contextvars.copy_context()
    task = loop.create_task(double(1), context=context)
    assert task.get_context() is context
    other = loop.create_task(double(1))
    assert isinstance(other.get_context(), contextvars.Context)
    assert other.get_context() is not context
    run(asyncio.wait([task, other]))


def test_what_is_no_context_is_never_silent(each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]]) -> None:
    coroutine = double(1)
    try:
        task = loop.create_task(coroutine, context=42)
        turn()
    except (TypeError, AttributeError):
        refused = True
    else:
        refused = False
        task._log_destroy_pending = False
    assert refused or reports or (task.done() and task.exception())
    coroutine.close()


# Cancellation.


def test_task_cancelled_before_its_first_step_never_begins(each: Any, loop: Any, run: Any) -> None:
    began: list[int] = []

    async def work() -> None:
        began.append(1)

    task = loop.create_task(work())
    assert task.cancel() is True
    assert not task.cancelled()
    with pytest.raises(asyncio.CancelledError):
        run(task)
    assert task.cancelled()
    assert began == []


@pytest.mark.parametrize('message', [None, 'enough', 42])
def test_task_cancelled_while_waiting_gets_the_message(each: Any, loop: Any, run: Any, message: Any) -> None:
    seen: list[Any] = []

    async def wait(future: Any) -> None:
        try:
            await future
        except asyncio.CancelledError as error:
            seen.append(error.args)
            raise

    async def main() -> None:
        future = loop.create_future()
        task = loop.create_task(wait(future))
        await asyncio.sleep(0)
        assert task.cancel(message)
        assert future.cancelled()
        with pytest.raises(asyncio.CancelledError) as info:
            await task
        assert task.cancelled()
        seen.append(info.value.args)

    run(main())
    arguments = () if message is None else (message,)
    assert seen[0] == arguments
    assert seen[1] == arguments


def test_task_cancelled_while_ready_loses_what_it_waited_for(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        future = loop.create_future()

        async def wait() -> Any:
            return await future

        task = loop.create_task(wait())
        await asyncio.sleep(0)
        future.set_result(1)
        assert task.cancel('late')
        assert not task.done()
        with pytest.raises(asyncio.CancelledError, match='late'):
            await task
        assert task.cancelled()

    run(main())


def test_task_that_waits_for_a_failed_future_is_cancelled_instead(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        future = loop.create_future()
        seen: list[Any] = []

        async def wait() -> Any:
            try:
                await future
            except BaseException as error:
                seen.append(type(error))
                raise

        task = loop.create_task(wait())
        await asyncio.sleep(0)
        future.set_exception(ValueError())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == [asyncio.CancelledError]
        assert isinstance(future.exception(), ValueError)

    run(main())


def test_cancelling_itself_is_raised_at_the_next_await(each: Any, loop: Any, run: Any) -> None:
    log: list[str] = []

    async def work(future: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert task.cancel('self')
        assert task.cancelling() == 1
        log.append('goes on')
        try:
            await future
        except asyncio.CancelledError as error:
            log.append(str(error))
            raise

    async def main() -> None:
        future = loop.create_future()
        task = loop.create_task(work(future))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert future.cancelled()

    run(main())
    assert log == ['goes on', 'self']


def test_cancelling_itself_and_returning_is_cancelled(each: Any, loop: Any, run: Any) -> None:
    async def work() -> int:
        task = asyncio.current_task()
        assert task is not None
        task.cancel('self')
        return 1

    task = loop.create_task(work())
    with pytest.raises(asyncio.CancelledError, match='self'):
        run(task)
    assert task.cancelled()


def test_cancelling_itself_and_raising_keeps_the_exception(each: Any, loop: Any, run: Any) -> None:
    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        raise ValueError('stronger')

    with pytest.raises(ValueError, match='stronger'):
        run(loop.create_task(work()))


def test_cancelling_itself_and_sleeping_zero_is_cancelled(each: Any, loop: Any, run: Any) -> None:
    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        run(loop.create_task(work()))


def test_cancellation_that_is_caught_lets_the_task_go_on(each: Any, loop: Any, run: Any) -> None:
    async def stubborn() -> str:
        for _ in range(3):
            try:
                await loop.create_future()
            except asyncio.CancelledError:
                pass
        await asyncio.sleep(0)
        return 'done all the same'

    async def main() -> None:
        task = loop.create_task(stubborn())
        for count in range(1, 4):
            await asyncio.sleep(0)
            assert task.cancel()
            assert task.cancelling() == count
            await asyncio.sleep(0)
        assert await task == 'done all the same'
        assert not task.cancelled()
        assert task.cancel() is False
        assert task.cancelling() == 3

    run(main())


def test_cancel_and_uncancel_count(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        task = loop.create_task(asyncio.sleep(0))
        assert task.cancelling() == 0
        assert task.uncancel() == 0
        assert task.cancel()
        assert task.cancel()
        assert task.cancelling() == 2
        assert task.uncancel() == 1
        assert task.cancelling() == 1
        assert task._must_cancel
        assert task.uncancel() == 0
        assert task.uncancel() == 0
        assert task._must_cancel is (sys.version_info < (3, 13))
        if sys.version_info >= (3, 13):
            await task
        else:
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main())


def test_cancelling_again_before_the_first_arrives_raises_once(each: Any, loop: Any, run: Any) -> None:
    caught: list[Any] = []

    async def work() -> str:
        try:
            await loop.create_future()
        except asyncio.CancelledError as error:
            caught.append(error.args)
        await asyncio.sleep(0)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            caught.append(error.args)
        return 'end'

    async def main() -> None:
        task = loop.create_task(work())
        await asyncio.sleep(0)
        task.cancel('one')
        task.cancel('two')
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        caught.append(type(outcome))
        caught.append(task.cancelling())

    run(main())
    # The second finds the future done, and is one for the task: that gets one CancelledError, with the later words.
    assert caught == [('one',), str, 2] or caught == [('two',), str, 2]


def test_cancelling_the_outer_of_a_chain_reaches_the_innermost_future(each: Any, loop: Any, run: Any) -> None:
    log: list[str] = []

    async def inner(future: Any) -> None:
        try:
            await future
        except asyncio.CancelledError:
            log.append('inner')
            raise

    async def outer(task: Any) -> None:
        try:
            await task
        except asyncio.CancelledError:
            log.append('outer')
            raise

    async def main() -> None:
        future = loop.create_future()
        first = loop.create_task(inner(future))
        second = loop.create_task(outer(first))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert second.cancel('chain')
        assert future.cancelled()
        with pytest.raises(asyncio.CancelledError, match='chain'):
            await second
        assert first.cancelled()
        assert (first.cancelling(), second.cancelling()) == (1, 1)

    run(main())
    assert log == ['inner', 'outer']


def test_inner_task_that_swallows_cancellation_spares_the_outer(each: Any, loop: Any, run: Any) -> None:
    async def inner() -> str:
        try:
            await loop.create_future()
        except asyncio.CancelledError:
            return 'rescued'
        return ''

    async def outer(task: Any) -> str:
        return await task + ' twice'

    async def main() -> None:
        first = loop.create_task(inner())
        second = loop.create_task(outer(first))
        await asyncio.sleep(0)
        second.cancel()
        assert await second == 'rescued twice'

    run(main())


def test_cancelled_future_cancels_who_waits_for_it(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        future = loop.create_future()

        async def wait() -> None:
            await future

        task = loop.create_task(wait())
        await asyncio.sleep(0)
        future.cancel('gone')
        with pytest.raises(asyncio.CancelledError, match='gone'):
            await task
        assert task.cancelled()
        assert task.cancelling() == 0

    run(main())


def test_cancelling_a_done_task_says_false(each: Any, loop: Any, run: Any) -> None:
    task = loop.create_task(double(1))
    run(task)
    assert task.cancel() is False
    assert task.result() == 2


def test_cancelled_error_raised_by_the_coroutine_itself_is_cancellation(each: Any, loop: Any, run: Any) -> None:
    class Special(asyncio.CancelledError):
        pass

    async def give_up() -> None:
        raise Special('own')

    task = loop.create_task(give_up())
    with pytest.raises(Special, match='own'):
        run(task)
    assert task.cancelled()


def test_traceback_of_a_cancellation_names_where_it_waited(each: Any, loop: Any, run: Any) -> None:
    async def innermost() -> None:
        await loop.create_future()

    async def main() -> None:
        task = loop.create_task(innermost())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as info:
            await task
        names = [entry.name for entry in info.traceback]
        error: Any = info.value
        while error.__context__ is not None:
            error = error.__context__
        trace = error.__traceback__
        while trace is not None:
            names.append(trace.tb_frame.f_code.co_name)
            trace = trace.tb_next
        assert 'innermost' in names

    run(main())


def test_finally_runs_and_may_await_during_cancellation(each: Any, loop: Any, run: Any) -> None:
    log: list[str] = []

    async def work() -> None:
        try:
            await loop.create_future()
        finally:
            await asyncio.sleep(0)
            log.append('cleaned up')

    async def main() -> None:
        task = loop.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert log == ['cleaned up']


def test_shield_protects_and_says_who_was_cancelled(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        future = loop.create_future()
        inner = loop.create_task(asyncio.wait_for(future, None))
        outer = asyncio.shield(inner)
        await asyncio.sleep(0)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        assert not inner.done()
        future.set_result(5)
        assert await inner == 5

    run(main())


def test_timeout_raises_timeout_error_and_takes_its_cancel_back(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await loop.create_future()
        assert task.cancelling() == 0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.create_future(), 0)
        assert task.cancelling() == 0
        await asyncio.sleep(0)

    run(main())


def test_task_group_cancels_the_others_when_one_fails(each: Any, loop: Any, run: Any) -> None:
    log: list[str] = []

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError('one')

    async def wait() -> None:
        try:
            await loop.create_future()
        except asyncio.CancelledError:
            log.append('cancelled')
            raise

    async def main() -> None:
        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(wait())
                group.create_task(fail())
                group.create_task(wait())

        with pytest.raises(BaseExceptionGroup) as info:
            await work()
        assert [str(error) for error in info.value.exceptions] == ['one']
        task = asyncio.current_task()
        assert task is not None
        if sys.version_info >= (3, 13):  # before, asyncio's TaskGroup does not take its cancel() back
            assert task.cancelling() == 0

    run(main())
    assert log == ['cancelled', 'cancelled']


def chain_of(loop: Any, future: Any, length: int) -> list[Any]:
    """Make tasks of which each awaits the one before."""

    async def wait(awaited: Any) -> Any:
        return await awaited

    tasks = [loop.create_task(wait(future))]
    for _ in range(length - 1):
        tasks.append(loop.create_task(wait(tasks[-1])))
    return tasks


def test_result_goes_up_a_long_chain_of_tasks(ours: Any, loop: Any, run: Any) -> None:
    async def main() -> Any:
        future = loop.create_future()
        tasks = chain_of(loop, future, 20_000)
        loop.call_soon(future.set_result, 'up')
        return await tasks[-1]

    assert run(main()) == 'up'


def test_cancellation_goes_down_a_long_chain_of_tasks(ours: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        future = loop.create_future()
        tasks = chain_of(loop, future, 20_000)
        await asyncio.sleep(0)
        assert tasks[-1].cancel('down')
        assert future.cancelled()
        await asyncio.wait(tasks)
        assert all(task.cancelled() and task.cancelling() == 1 for task in tasks)

    run(main())


def test_long_chain_of_pending_tasks_is_dropped(ours: Any, loop: Any, turn: Any, reports: list[dict[str, Any]]) -> None:
    tasks = chain_of(loop, loop.create_future(), 20_000)
    turn()
    ends = weakref.ref(tasks[0]), weakref.ref(tasks[-1])
    for task in tasks:
        task._log_destroy_pending = False
    del task
    tasks.clear()
    loop.close()
    gc.collect()
    assert [end() for end in ends] == [None, None]
    assert reports == []


def test_task_cancels_the_one_that_awaits_it(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        async def inner() -> str:
            outer.cancel('from within')
            await asyncio.sleep(0)
            return 'never'

        async def wait() -> Any:
            return await task

        task = loop.create_task(inner())
        outer = loop.create_task(wait())
        with pytest.raises(asyncio.CancelledError):
            await outer
        assert outer.cancelled()
        await asyncio.wait([task])

    run(main())


def test_two_tasks_that_await_each_other_can_be_cancelled_by_a_third_hand(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        tasks: list[Any] = []
        door = loop.create_future()

        async def wait(index: int) -> None:
            await door
            await tasks[index]

        tasks.append(loop.create_task(wait(1)))
        tasks.append(loop.create_task(double_later(1)))
        await asyncio.sleep(0)
        door.set_result(None)
        tasks[0].cancel()
        await asyncio.wait(tasks)
        assert tasks[0].cancelled()

    run(main())


# Bad yields, and awaitables that misbehave.


def test_await_of_itself_is_refused(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        await asyncio.current_task()  # type: ignore[misc]

    with pytest.raises(RuntimeError, match='Task cannot await on itself'):
        run(main())


@pytest.mark.parametrize('value', [1, 'text', object(), [], (), 0, False])
def test_yield_of_what_is_no_future_is_refused_where_it_was_made(each: Any, loop: Any, run: Any, value: Any) -> None:
    async def main() -> str:
        with pytest.raises(RuntimeError, match='Task got bad yield: ') as info:
            await yields(value)
        assert repr(value) in str(info.value)
        await asyncio.sleep(0)
        return 'went on'

    assert run(main()) == 'went on'


def test_yield_of_a_generator_is_refused_with_a_hint(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match='yield was used instead of yield from for generator'):
            await yields(number for number in [])

    run(main())


def test_yield_of_a_future_without_await_is_refused(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        for future in (loop.create_future(), asyncio.Future(loop=loop), loop.create_task(asyncio.sleep(0))):
            with pytest.raises(RuntimeError, match='yield was used instead of yield from'):
                await yields(future)

    run(main())


def test_future_of_another_loop_is_refused(each: Any, loop: Any, run: Any, make_loop: Any) -> None:
    others = [make_loop(each.make_loop), make_loop(sooner.new_event_loop), make_loop(asyncio.new_event_loop)]

    async def main() -> None:
        for other in others:
            future = other.create_future()
            with pytest.raises(RuntimeError, match='attached to a different loop') as info:
                await future
            assert repr(future) in str(info.value) or 'Future' in str(info.value)

    run(main())


def test_task_that_is_told_to_cancel_and_yields_badly_still_ends(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await yields('bad')

    with pytest.raises((RuntimeError, asyncio.CancelledError)):
        run(main())


class Oops(Exception):
    """Raised by the awaitables below."""


class Awaitable:
    """The least that a task can wait for; `fails` names what raises."""

    def __init__(self, loop: Any, fails: str = '') -> None:
        self.loop = loop
        self.fails = fails
        self.callbacks: list[Any] = []
        self.value: Any = None
        self.cancels: list[Any] = []
        self.blocking = False

    @property
    def _asyncio_future_blocking(self) -> bool:
        if self.fails == 'get blocking':
            raise Oops(self.fails)
        return self.blocking

    @_asyncio_future_blocking.setter
    def _asyncio_future_blocking(self, value: bool) -> None:
        if self.fails == 'set blocking':
            raise Oops(self.fails)
        self.blocking = value

    def get_loop(self) -> Any:
        if self.fails == 'get_loop':
            raise Oops(self.fails)
        return self.loop

    def add_done_callback(self, callback: Any, *, context: Any = None) -> None:
        if self.fails == 'add_done_callback':
            raise Oops(self.fails)
        self.callbacks.append((callback, context))

    def result(self) -> Any:
        if self.fails == 'result':
            raise Oops(self.fails)
        return self.value

    def cancel(self, msg: Any = None) -> bool:
        if self.fails == 'cancel':
            raise Oops(self.fails)
        self.cancels.append(msg)
        return False

    def finish(self, value: Any) -> None:
        self.value = value
        for callback, context in self.callbacks:
            self.loop.call_soon(callback, self, context=context)

    def __await__(self) -> Generator[Any, None, Any]:
        self.blocking = True
        yield self
        return self.result()


def test_awaitable_of_another_kind_is_waited_for(each: Any, loop: Any, run: Any) -> None:
    async def main() -> Any:
        awaitable = Awaitable(loop)
        loop.call_soon(awaitable.finish, 'value')
        return await awaitable

    assert run(main()) == 'value'


def test_awaitable_of_another_kind_is_cancelled_with_the_message(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        awaitable = Awaitable(loop)

        async def wait() -> None:
            await awaitable

        task = loop.create_task(wait())
        await asyncio.sleep(0)
        task.cancel('words')
        assert awaitable.cancels == ['words']
        assert not task.done()
        awaitable.finish(None)
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_awaitable_whose_result_raises_raises_in_the_coroutine(each: Any, loop: Any, run: Any) -> None:
    async def main() -> str:
        awaitable = Awaitable(loop, 'result')
        loop.call_soon(awaitable.finish, None)
        with pytest.raises(Oops):
            await awaitable
        return 'went on'

    assert run(main()) == 'went on'


@pytest.mark.usefixtures('not_in_debug_mode')
@pytest.mark.parametrize('fails', ['get blocking', 'set blocking', 'get_loop', 'add_done_callback', 'cancel'])
def test_awaitable_that_raises_is_never_silent_and_never_ends_the_loop(
    each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]], fails: str
) -> None:
    log: list[Any] = []

    async def wait() -> None:
        if fails == 'cancel':
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        try:
            await Awaitable(loop, fails)
        except BaseException as error:
            log.append(error)
            raise

    task = loop.create_task(wait())
    loop.call_soon(log.append, 'next')
    turn(3)
    assert 'next' in log
    seen = [report.get('exception') for report in reports] + log
    if task.done() and not task.cancelled():
        seen.append(task.exception())
    assert any(isinstance(one, Oops) for one in seen)
    task._log_destroy_pending = False


@pytest.mark.usefixtures('not_in_debug_mode')
def test_awaitable_whose_cancel_raised_wakes_the_task_no_second_time(
    each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]]
) -> None:
    awaitable = Awaitable(loop, 'cancel')
    door = loop.create_future()
    log: list[str] = []

    async def wait() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await awaitable
        except BaseException:
            log.append('interrupted')
        await door
        log.append('door')

    task = loop.create_task(wait())
    turn(2)
    awaitable.finish(None)
    turn(4)
    assert log == ['interrupted']
    door.set_result(None)
    turn(3)
    assert log == ['interrupted', 'door']
    assert task.done()
    assert [type(report['exception']) for report in reports] == [Oops]


def test_cancel_of_an_awaitable_that_raises_is_raised_to_who_cancels(each: Any, loop: Any, turn: Any) -> None:
    awaitable = Awaitable(loop, 'cancel')

    async def wait() -> None:
        await awaitable

    task = loop.create_task(wait())
    turn()
    with pytest.raises(Oops):
        task.cancel()
    awaitable.finish(None)
    turn(2)
    assert task.done()


def test_future_subclass_that_raises_in_its_methods_does_not_end_the_loop(
    each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]]
) -> None:
    class Rude(each.Future):  # type: ignore[misc,name-defined]
        def add_done_callback(self, *args: Any, **kwargs: Any) -> None:
            raise Oops('add_done_callback')

    log: list[Any] = []

    async def wait() -> None:
        try:
            await Rude(loop=loop)
        except BaseException as error:
            log.append(error)
            raise

    task = loop.create_task(wait())
    loop.call_soon(log.append, 'next')
    turn(3)
    assert 'next' in log
    seen = [report.get('exception') for report in reports] + log
    if task.done():
        seen.append(task.exception())
    assert any(isinstance(one, Oops) for one in seen)
    task._log_destroy_pending = False


def test_coroutine_object_that_raises_in_send_fails_its_task(each: Any, loop: Any, run: Any) -> None:
    class Broken(collections.abc.Coroutine):  # type: ignore[type-arg]
        def send(self, value: Any) -> Any:
            raise Oops('send')

        def throw(self, *error: Any) -> Any:
            raise Oops('throw')

        def close(self) -> None:
            pass

        def __await__(self) -> Any:
            return self

    with pytest.raises(Oops, match='send'):
        run(loop.create_task(Broken()))
    task = loop.create_task(Broken())
    task.cancel()
    with pytest.raises(Oops, match='throw'):
        run(task)


# What ends the loop.


@pytest.mark.parametrize('kind', [KeyboardInterrupt, SystemExit])
def test_exit_out_of_a_step_ends_the_run_and_loses_nothing(each: Any, loop: Any, turn: Any, kind: Any) -> None:
    log: list[Any] = []
    future = loop.create_future()

    async def leave() -> None:
        await asyncio.sleep(0)
        raise kind('out')

    async def work(name: str) -> str:
        log.append((name, 1))
        await asyncio.sleep(0)
        log.append((name, 2))
        await future
        log.append((name, 3))
        return name

    first = loop.create_task(work('a'))
    leaving = loop.create_task(leave())
    second = loop.create_task(work('b'))
    leaving.add_done_callback(lambda task: log.append('left'))
    with pytest.raises(kind, match='out'):
        loop.run_forever()
    assert not loop.is_running()
    assert log == [('a', 1), ('b', 1), ('a', 2)]
    assert leaving.done()
    assert isinstance(leaving.exception(), kind)
    future.set_result(None)
    turn(3)
    assert log[3] == ('b', 2)
    assert set(log[4:]) == {'left', ('a', 3), ('b', 3)}
    assert (first.result(), second.result()) == ('a', 'b')


@pytest.mark.parametrize('kind', [KeyboardInterrupt, SystemExit])
def test_exit_out_of_run_until_complete_is_not_reported_again(each: Any, loop: Any, run: Any, kind: Any) -> None:
    async def leave() -> None:
        raise kind('out')

    with pytest.raises(kind, match='out'):
        run(leave())
    gc.collect()
    assert run(double(1)) == 2


def test_no_task_is_current_after_an_exit(each: Any, loop: Any, run: Any) -> None:
    async def leave() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        run(leave())
    assert asyncio.current_task(loop) is None


# What nobody handled.


def test_exception_of_a_task_that_nobody_awaits_is_reported(
    each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]]
) -> None:
    async def fail() -> None:
        raise ValueError('unseen')

    task = loop.create_task(fail())
    turn()
    assert task.done()
    assert reports == []
    name = repr(task)
    del task
    gc.collect()
    [report] = reports
    assert report['message'] == 'Task exception was never retrieved'
    assert str(report['exception']) == 'unseen'
    assert repr(report['future']) == name


def test_debug_mode_tells_where_a_task_was_made(each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]]) -> None:
    async def fail() -> None:
        raise ValueError('unseen')

    loop.set_debug(True)
    task = loop.create_task(fail())
    assert task._source_traceback[-1].name == 'test_debug_mode_tells_where_a_task_was_made'
    assert 'created at' in repr(task)
    turn()
    del task
    gc.collect()
    assert reports[0]['source_traceback'][-1].filename == __file__


def test_exception_that_somebody_awaited_is_not_reported(each: Any, loop: Any, run: Any) -> None:
    async def fail() -> None:
        raise ValueError('seen')

    async def main() -> None:
        with pytest.raises(ValueError, match='seen'):
            await loop.create_task(fail())

    run(main())
    gc.collect()


def test_task_is_held_by_its_loop_until_it_is_done(ours: Any, loop: Any, run: Any, turn: Any) -> None:
    log: list[str] = []
    events: list[Any] = []

    async def work() -> None:
        future = loop.create_future()
        events.append(weakref.ref(future))
        await future
        log.append('woke')

    loop.create_task(work())
    turn()
    gc.collect()
    future = events[0]()
    assert future is not None
    future.set_result(None)
    del future
    turn()
    assert log == ['woke']


def test_fire_and_forget_tasks_are_never_lost(ours: Any, loop: Any, run: Any) -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        event = asyncio.Event()
        loop.call_later(0, event.set)
        gc.collect(0)
        await event.wait()
        done.append(number)

    async def main() -> None:
        for number in range(20):
            loop.create_task(work(number))
        while len(done) < 20:
            gc.collect(0)
            await asyncio.sleep(0)

    run(main())
    assert sorted(done) == list(range(20))


def test_done_task_is_not_held(each: Any, loop: Any, run: Any) -> None:
    task = loop.create_task(double_later(1))
    alive = weakref.ref(task)
    run(task)
    del task
    run(asyncio.sleep(0))
    assert alive() is None


def test_pending_task_that_dies_is_reported(each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]]) -> None:
    async def wait() -> None:
        await loop.create_future()

    task = loop.create_task(wait())
    turn()
    identity = id(task)
    loop.close()
    del task
    gc.collect()
    [report] = reports
    assert report['message'] == 'Task was destroyed but it is pending!'
    assert id(report['task']) == identity
    assert report['task'].get_coro().__name__ == 'wait'


def test_pending_task_that_dies_in_silence_when_told_so(each: Any, loop: Any, turn: Any) -> None:
    async def wait() -> None:
        await loop.create_future()

    task = loop.create_task(wait())
    turn()
    assert task._log_destroy_pending is True
    task._log_destroy_pending = False
    loop.close()
    del task
    gc.collect()


def test_loop_dropped_with_pending_tasks_is_collected(ours: Any, loop: Any) -> None:
    gone: list[Any] = []

    class Local:
        def __del__(self) -> None:
            gone.append('local')

    async def wait(other: Any) -> None:
        local = Local()  # noqa: F841
        await other.create_future()

    other = ours.make_loop()
    other.set_exception_handler(lambda loop, context: gone.append(context['message']))
    other.create_task(wait(other))
    other.stop()
    other.run_forever()
    other.close()
    alive = weakref.ref(other)
    del other
    gc.collect()
    assert alive() is None
    assert sorted(gone) == ['Task was destroyed but it is pending!', 'local']


# Who runs, and who is there.


def test_current_task_is_the_one_that_runs(each: Any, loop: Any, run: Any) -> None:
    seen: list[Any] = []

    def callback() -> None:
        seen.append(asyncio.current_task())

    async def work() -> Any:
        first = asyncio.current_task()
        await asyncio.sleep(0)
        assert asyncio.current_task() is first
        return first

    async def main() -> None:
        mine = asyncio.current_task()
        tasks = [loop.create_task(work()) for _ in range(3)]
        loop.call_soon(callback)
        loop.call_later(0, callback)
        assert [await task for task in tasks] == tasks
        future = loop.create_future()
        future.add_done_callback(lambda _: callback())
        future.set_result(None)
        await future
        await asyncio.sleep(0)
        assert asyncio.current_task() is mine
        assert asyncio.current_task(loop) is mine

    run(main())
    assert seen == [None, None, None]
    assert asyncio.current_task(loop) is None


def test_each_thread_has_its_own_current_task(each: Any, make_loop: Any) -> None:
    loops = [make_loop(each.make_loop) for _ in range(3)]
    together = threading.Barrier(len(loops))
    wrong: list[Any] = []

    async def work() -> None:
        own = asyncio.current_task()
        for number in range(100):
            await asyncio.sleep(0)
            if number == 50:
                together.wait()  # in the midst of a step of each thread
            if asyncio.current_task() is not own:
                wrong.append(own)

    async def main() -> None:
        tasks = [asyncio.create_task(work()) for _ in range(3)]
        for task in tasks:
            await task
        assert asyncio.current_task() not in (None, *tasks)

    threads = [threading.Thread(target=loop.run_until_complete, args=[main()]) for loop in loops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert [asyncio.current_task(loop) for loop in loops] == [None] * len(loops)


def test_current_task_that_asyncio_is_told_of_is_taken_back(each: Any, loop: Any, run: Any) -> None:
    """As anyio does, and whoever runs a coroutine in the name of a task."""

    async def main() -> None:
        own = asyncio.current_task()
        asyncio.tasks._leave_task(loop, own)  # type: ignore[attr-defined]
        assert asyncio.current_task() is None
        asyncio.tasks._enter_task(loop, own)  # type: ignore[attr-defined]
        assert asyncio.current_task() is own
        await asyncio.sleep(0)
        assert asyncio.current_task() is own

    run(main())
    assert asyncio.current_task(loop) is None


@pytest.mark.skipif(
    not sooner.build_info().compiled or not (3, 14) <= sys.version_info < (3, 16),
    reason='compiled, and where asyncio keeps the current task in the state of the thread, its place is found out',
)
def test_asyncio_is_not_called_for_each_step(python: Any) -> None:
    done = python("""
import asyncio
calls = []
swap = asyncio.tasks._swap_current_task
asyncio.tasks._swap_current_task = lambda loop, task: (calls.append(1), swap(loop, task))[1]
import sooner

async def main():
    for _ in range(100):
        await asyncio.create_task(asyncio.sleep(0))

sooner.run(main())
print(len(calls))
""")
    assert (done.stdout, done.stderr) == ('1\n', '')


def test_no_task_is_current_in_a_done_callback_of_a_task(each: Any, loop: Any, run: Any) -> None:
    seen: list[Any] = []

    async def main() -> None:
        task = loop.create_task(double(1))
        task.add_done_callback(lambda _: seen.append(asyncio.current_task()))
        await task
        await asyncio.sleep(0)

    run(main())
    assert seen == [None]


def test_current_task_of_another_loop_is_none(each: Any, loop: Any, run: Any, make_loop: Any) -> None:
    others = [make_loop(each.make_loop), make_loop(sooner.new_event_loop)]

    async def main() -> None:
        for other in others:
            assert asyncio.current_task(other) is None
        assert asyncio.current_task() is not None

    run(main())


def test_all_tasks_are_those_of_the_loop_that_are_not_done(each: Any, loop: Any, run: Any, make_loop: Any) -> None:
    other = make_loop(each.make_loop)
    foreign = other.create_task(double(1))

    async def main() -> None:
        mine = asyncio.current_task()
        assert asyncio.all_tasks() == {mine}
        tasks = {loop.create_task(double_later(1)) for _ in range(5)}
        assert asyncio.all_tasks() == {mine, *tasks}
        await asyncio.gather(*tasks)
        assert asyncio.all_tasks() == {mine}
        assert asyncio.all_tasks(other) == {foreign}

    run(main())
    assert asyncio.all_tasks(loop) == set()
    other.run_until_complete(foreign)


@pytest.mark.parametrize('order', ['ours first', 'stock first', 'alternating'])
def test_stock_tasks_and_futures_mix_with_ours(ours: Any, loop: Any, run: Any, order: str) -> None:
    stocks = {'ours first': [False] * 3 + [True] * 3, 'stock first': [True] * 3 + [False] * 3}.get(
        order, [True, False] * 3
    )

    def make(coroutine: Any, stock: bool) -> Any:
        return asyncio.Task(coroutine, loop=loop) if stock else loop.create_task(coroutine)

    async def wait(awaited: Any) -> tuple[Any, int]:
        mine = asyncio.current_task()
        value, depth = await awaited
        assert asyncio.current_task() is mine
        await asyncio.sleep(0)
        assert asyncio.current_task() is mine
        return value, depth + 1

    async def main() -> None:
        for first in (loop.create_future(), asyncio.Future(loop=loop)):
            tasks = [make(wait(first), stocks[0])]
            for stock in stocks[1:]:
                tasks.append(make(wait(tasks[-1]), stock))
            assert asyncio.all_tasks() == {asyncio.current_task(), *tasks}
            await asyncio.sleep(0)
            first.set_result(('value', 0))
            assert await tasks[-1] == ('value', len(stocks))
            assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


@pytest.mark.parametrize('stock_inner', [True, False])
def test_cancellation_passes_between_stock_tasks_and_ours(ours: Any, loop: Any, run: Any, stock_inner: bool) -> None:
    async def main() -> None:
        for future in (loop.create_future(), asyncio.Future(loop=loop)):

            async def wait(awaited: Any) -> None:
                await awaited

            make = [lambda c: asyncio.Task(c, loop=loop), loop.create_task]
            inner = make[not stock_inner](wait(future))
            outer = make[stock_inner](wait(inner))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            outer.cancel('across')
            with pytest.raises(asyncio.CancelledError, match='across'):
                await outer
            assert inner.cancelled()
            assert future.cancelled()

    run(main())


def test_our_task_runs_in_a_stock_loop(make_loop: Any) -> None:
    stock = make_loop(asyncio.new_event_loop)

    async def inner() -> Any:
        mine = asyncio.current_task()
        await asyncio.sleep(0)
        assert asyncio.current_task() is mine
        future = sooner.Future(loop=stock)
        stock.call_soon(future.set_result, 1)
        return await future

    async def main() -> None:
        task = sooner.Task(inner(), loop=stock)
        stock_task = stock.create_task(asyncio.wait_for(task, 60))
        assert {task, stock_task} <= asyncio.all_tasks()
        assert await stock_task == 1
        assert task not in asyncio.all_tasks()
        cancelled = sooner.Task(asyncio.sleep(1000), loop=stock)
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled

    stock.run_until_complete(main())


def test_task_factory_of_stock_tasks_is_used(ours: Any, loop: Any, run: Any) -> None:
    made: list[Any] = []

    def factory(loop: Any, coro: Any, **kwargs: Any) -> Any:
        task = asyncio.Task(coro, loop=loop, **kwargs)
        made.append(task)
        return task

    loop.set_task_factory(factory)
    assert loop.get_task_factory() is factory

    async def main() -> list[int]:
        assert type(asyncio.current_task()) is type(made[0])
        named = loop.create_task(double(1), name='named', context=contextvars.copy_context())
        assert named.get_name() == 'named'
        await named
        return await asyncio.gather(double(1), double_later(2))

    assert run(main()) == [2, 4]
    assert len(made) == 4
    loop.set_task_factory(None)
    assert loop.get_task_factory() is None
    assert type(loop.create_task(asyncio.sleep(0))) is sooner.Task
    run(asyncio.sleep(0))


def test_task_factory_that_cannot_be_called_is_refused(each: Any, loop: Any) -> None:
    with pytest.raises(TypeError, match='task factory must be a callable or None'):
        loop.set_task_factory(1)


def test_task_factory_that_raises_leaves_the_loop_usable(each: Any, loop: Any, run: Any) -> None:
    def factory(loop: Any, coro: Any, **kwargs: Any) -> Any:
        coro.close()
        raise Oops('factory')

    loop.set_task_factory(factory)
    with pytest.raises(Oops):
        loop.create_task(double(1))
    loop.set_task_factory(None)
    assert run(double(1)) == 2


# Eager start.


@needs_eager_factory
@pytest.mark.parametrize('make', ['asyncio.eager_task_factory', 'sooner.eager_task_factory', 'create', 'eager_start'])
def test_eager_task_runs_to_its_first_suspension_at_once(ours: Any, loop: Any, run: Any, make: str) -> None:
    factories: dict[str, Any] = {
        'asyncio.eager_task_factory': getattr(asyncio, 'eager_task_factory', None),
        'sooner.eager_task_factory': sooner.eager_task_factory,
        'create': sooner.create_eager_task_factory(sooner.Task),
    }
    log: list[Any] = []

    async def quick(number: int) -> int:
        log.append(number)
        return number

    async def slow() -> str:
        log.append('begin')
        await asyncio.sleep(0)
        log.append('end')
        return 'slow'

    async def main() -> None:
        loop.set_task_factory(factories.get(make))
        create = partial(loop.create_task, eager_start=True) if make == 'eager_start' else loop.create_task
        mine = asyncio.current_task()
        task = create(quick(1))
        assert type(task) is sooner.Task
        assert task.done()
        assert task.result() == 1
        assert task.get_coro() is None
        assert asyncio.current_task() is mine
        waiting = create(slow())
        assert log == [1, 'begin']
        assert not waiting.done()
        assert waiting.get_coro() is not None
        assert asyncio.all_tasks() == {mine, waiting}
        assert await waiting == 'slow'
        assert asyncio.all_tasks() == {mine}

    run(main())
    assert log == [1, 'begin', 'end']


@needs_eager_factory
def test_eager_tasks_nest_fail_and_are_current_while_they_run(each: Any, loop: Any, run: Any) -> None:
    currents: list[Any] = []

    async def inner() -> None:
        currents.append(asyncio.current_task())
        raise ValueError('early')

    async def outer() -> str:
        mine = asyncio.current_task()
        currents.append(mine)
        task = loop.create_task(inner())
        assert asyncio.current_task() is mine
        with pytest.raises(ValueError, match='early'):
            await task
        assert asyncio.current_task() is mine
        await asyncio.sleep(0)
        assert asyncio.current_task() is mine
        return 'outer'

    async def main() -> None:
        loop.set_task_factory(asyncio.eager_task_factory)
        mine = asyncio.current_task()
        task = loop.create_task(outer())
        assert asyncio.current_task() is mine
        assert await task == 'outer'
        assert currents[0] is task
        assert len({mine, *currents}) == 3

    run(main())


@needs_eager_factory
def test_eager_task_runs_in_its_own_copy_of_the_context(each: Any, loop: Any, run: Any) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable', default=0)

    async def work() -> int:
        variable.set(variable.get() + 1)
        return variable.get()

    async def main() -> None:
        loop.set_task_factory(asyncio.eager_task_factory)
        variable.set(10)
        assert await loop.create_task(work()) == 11
        assert variable.get() == 10
        context = contextvars.copy_context()
        assert await loop.create_task(work(), context=context) == 11
        assert context[variable] == 11
        assert variable.get() == 10

    run(main())


@needs_eager_factory
def test_eager_task_cancels_itself(each: Any, loop: Any, run: Any) -> None:
    async def cancel_and_wait() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    async def cancel_and_return() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async def main() -> None:
        loop.set_task_factory(asyncio.eager_task_factory)
        for work in (cancel_and_wait, cancel_and_return):
            task = loop.create_task(work())
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelled()

    run(main())


@needs_eager_factory
def test_eager_factory_before_the_loop_runs_schedules(each: Any, loop: Any, run: Any) -> None:
    loop.set_task_factory(asyncio.eager_task_factory)
    task = loop.create_task(double(1))
    assert not task.done()
    assert run(task) == 2


@needs_eager_factory
def test_eager_mixture_of_stock_and_our_tasks_keeps_track_of_the_current_one(ours: Any, loop: Any, run: Any) -> None:
    log: list[bool] = []

    def stock(coroutine: Any) -> Any:
        return asyncio.Task(coroutine, loop=loop, eager_start=True)

    def own(coroutine: Any) -> Any:
        return sooner.Task(coroutine, loop=loop, eager_start=True)

    async def nest(makers: list[Any]) -> None:
        mine = asyncio.current_task()
        if makers:
            task = makers[0](nest(makers[1:]))
            log.append(asyncio.current_task() is mine)
            await task
            log.append(asyncio.current_task() is mine)
        await asyncio.sleep(0)
        log.append(asyncio.current_task() is mine)
        log.append(isinstance(mine, asyncio.Task))

    async def main() -> None:
        for makers in ([stock, own, stock, own], [own, own, stock, stock], [own, stock, own]):
            mine = asyncio.current_task()
            await nest(makers)
            log.append(asyncio.current_task() is mine)
            await own(nest(makers))
            await stock(nest(makers))
            log.append(asyncio.current_task() is mine)

    run(main())
    assert all(log)
    assert asyncio.current_task(loop) is None


@needs_eager_factory
@pytest.mark.parametrize('kind', [KeyboardInterrupt, SystemExit])
def test_exit_out_of_an_eager_step_comes_out_where_it_was_made(
    each: Any, loop: Any, run: Any, kind: Any, reports: list[dict[str, Any]]
) -> None:
    seen: list[Any] = []

    async def leave() -> None:
        raise kind('out')

    async def main() -> None:
        loop.set_task_factory(asyncio.eager_task_factory)
        mine = asyncio.current_task()
        with pytest.raises(kind):
            loop.create_task(leave())
        seen.append(asyncio.current_task() is mine)

    run(main())
    gc.collect()
    assert seen == [True]
    assert [type(report['exception']) for report in reports] == [kind]


# What it shows.


@pytest.mark.usefixtures('not_in_debug_mode')
def test_private_names_that_libraries_read(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        future = loop.create_future()

        async def wait() -> Any:
            return await future

        coroutine = wait()
        task = loop.create_task(coroutine)
        assert task._fut_waiter is None
        assert task._must_cancel is False
        assert task._coro is coroutine
        assert task._state == 'PENDING'
        assert task._loop is loop
        assert task._callbacks is None or task._callbacks == []
        assert task._source_traceback is None
        assert task._log_destroy_pending is True
        await asyncio.sleep(0)
        assert task._fut_waiter is future
        assert task._asyncio_future_blocking is False
        future.set_result(1)
        await task
        assert task._fut_waiter is None
        assert task._state == 'FINISHED'
        assert task._exception is None
        cancelled = loop.create_task(wait())
        cancelled.cancel('why')
        assert cancelled._must_cancel is True
        await asyncio.wait([cancelled])
        assert cancelled._state == 'CANCELLED'
        assert cancelled._must_cancel is False

    run(main())


def test_fut_waiter_of_a_task_that_waits_for_a_task(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        future = loop.create_future()
        tasks = chain_of(loop, future, 3)
        await asyncio.sleep(0)
        assert [task._fut_waiter for task in tasks] == [future, *tasks[:-1]]
        future.set_result(None)
        await tasks[-1]

    run(main())


@pytest.mark.usefixtures('not_in_debug_mode')
def test_repr_tells_name_state_and_coroutine(each: Any, loop: Any, run: Any) -> None:
    async def wait_here(future: Any) -> str:
        return await future

    async def main() -> None:
        future = loop.create_future()
        task = loop.create_task(wait_here(future), name='the name')
        await asyncio.sleep(0)
        text = repr(task)
        assert text.startswith("<Task pending name='the name' coro=<")
        assert 'wait_here() running at' in text
        assert 'wait_for=<Future pending' in text
        task.cancel()
        assert 'cancelling' in repr(task) or 'cancelled' in repr(task)
        await asyncio.wait([task])
        assert repr(task).startswith("<Task cancelled name='the name' coro=<")
        done = loop.create_task(double(1), name='other')
        await done
        assert repr(done).startswith("<Task finished name='other' coro=<double() done")
        assert repr(done).endswith('result=2>')

    run(main())


def test_stack_is_where_the_coroutine_waits(each: Any, loop: Any, run: Any) -> None:
    async def waits_here(future: Any) -> None:
        await future

    async def main() -> None:
        future = loop.create_future()
        task = loop.create_task(waits_here(future))
        await asyncio.sleep(0)
        assert [frame.f_code.co_name for frame in task.get_stack()] == ['waits_here']
        assert task.get_stack(limit=0) == []
        file = io.StringIO()
        task.print_stack(file=file)
        assert 'waits_here' in file.getvalue()
        future.set_exception(ValueError('wrong'))
        await asyncio.wait([task])
        assert 'waits_here' in [frame.f_code.co_name for frame in task.get_stack()]
        file = io.StringIO()
        task.print_stack(file=file)
        assert 'ValueError: wrong' in file.getvalue()
        assert isinstance(task.exception(), ValueError)

    run(main())


@pytest.mark.skipif(not hasattr(asyncio, 'print_call_graph'), reason='call graphs are new in Python 3.14')
def test_call_graph_tells_who_awaits_the_task(each: Any, loop: Any, run: Any) -> None:
    texts: list[str] = []

    async def innermost() -> None:
        await asyncio.sleep(0)
        texts.append(asyncio.format_call_graph())

    async def who_waits() -> None:
        await loop.create_task(innermost(), name='inner')

    run(loop.create_task(who_waits(), name='outer'))
    assert 'innermost' in texts[0]
    assert 'who_waits' in texts[0]


# Subclasses, attributes, references.


def test_subclass_runs_and_keeps_its_methods(each: Any, loop: Any, run: Any) -> None:
    log: list[Any] = []

    class Named(each.Task):  # type: ignore[misc,name-defined]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.colour = 'red'

        def cancel(self, msg: Any = None) -> bool:
            log.append(('cancel', msg))
            return bool(super().cancel(msg))

        def get_name(self) -> str:
            return 'Named ' + super().get_name()

    async def main() -> None:
        task = Named(double_later(1), loop=loop, name='one')
        assert task.get_name() == 'Named one'
        assert task.colour == 'red'
        assert task in asyncio.all_tasks()
        assert await task == 2
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Named(asyncio.sleep(1000), loop=loop), 0)

    run(main())
    assert len(log) >= 1


def test_cancel_of_a_subclass_is_called_by_who_waits_for_it(each: Any, loop: Any, run: Any) -> None:
    log: list[Any] = []

    class Logging(each.Task):  # type: ignore[misc,name-defined]
        def cancel(self, msg: Any = None) -> bool:
            log.append(msg)
            return bool(super().cancel(msg))

    async def main() -> None:
        inner = Logging(asyncio.sleep(1000), loop=loop)

        async def wait() -> None:
            await inner

        outer = loop.create_task(wait())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        outer.cancel('through')
        await asyncio.wait([outer, inner])
        assert inner.cancelled()
        assert outer.cancelled()

    run(main())
    assert log == ['through']


def test_subclass_that_forgets_init_is_told_so(ours: Any, loop: Any) -> None:
    class Forgetful(sooner.Task):
        def __init__(self) -> None:
            pass

    task = Forgetful()
    uses: list[Callable[[], Any]] = [
        task.cancel, task.get_coro, task.get_name, task.get_stack, task.cancelling, task.uncancel, task.done,
        task.result, task.exception, task.get_loop, lambda: repr(task), lambda: task.set_name('x'),
        lambda: task.add_done_callback(print), lambda: list(task.__await__()),
    ]  # fmt: skip
    for use in uses:
        try:
            use()
        except Exception:  # which one does not matter
            pass
    with pytest.raises(RuntimeError, match='not initialized'):
        task.get_loop()


def test_attributes_may_be_added(each: Any, loop: Any, run: Any) -> None:
    task = loop.create_task(double(1))
    task.colour = 'red'
    assert task.colour == 'red'
    del task.colour
    assert not hasattr(task, 'colour')
    run(task)


def test_tasks_have_weak_references_and_are_hashed_by_identity(each: Any, loop: Any, run: Any) -> None:
    first, second = loop.create_task(double(1)), loop.create_task(double(1))
    assert len({first, second, first}) == 2
    assert first != second
    references = weakref.WeakSet([first, second])
    run(asyncio.wait([first, second]))
    del first, second
    run(asyncio.sleep(0))
    gc.collect()
    assert len(references) == 0


def test_task_in_a_cycle_is_collected_when_it_is_done(each: Any, loop: Any, run: Any) -> None:
    async def main() -> Any:
        task = loop.create_task(double(1))
        task.itself = task
        task.add_done_callback(lambda _: task)
        await task
        return weakref.ref(task)

    alive = run(main())
    gc.collect()
    assert alive() is None


def test_value_that_drops_the_task_is_survived(each: Any, loop: Any, run: Any) -> None:
    holder: list[Any] = []

    async def work() -> None:
        await asyncio.sleep(0)
        holder.clear()
        gc.collect()

    holder.append(loop.create_task(work()))
    alive = weakref.ref(holder[0])
    run(asyncio.wait([holder[0]]))
    gc.collect()
    assert alive() is None


def test_coroutine_is_not_kept_by_who_dropped_the_task(each: Any, loop: Any, run: Any) -> None:
    class Argument:
        pass

    argument = Argument()
    alive = weakref.ref(argument)

    async def use(argument: Any) -> int:
        await asyncio.sleep(0)
        return 1

    async def main(task: Any) -> int:
        return int(await task)

    task = loop.create_task(use(argument))
    del argument
    assert run(main(task)) == 1
    assert alive() is None


@pytest.mark.skipif(sys.version_info >= (3, 15), reason='a future is initialized once since Python 3.15')
def test_init_again_runs_another_coroutine(ours: Any, loop: Any, run: Any) -> None:
    task = loop.create_task(double(1))
    assert run(task) == 2
    task.__init__(double_later(5), loop=loop)
    assert not task.done()
    assert run(task) == 10
