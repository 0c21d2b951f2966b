"""Futures: their states, results, callbacks, and waiting for them."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import pickle
import sys
import traceback
import weakref
from functools import partial, singledispatch
from types import GenericAlias
from typing import Any

import pytest

import sooner


@pytest.fixture
def future(each: Any, loop: Any) -> Any:
    """A pending future of the loop."""
    return loop.create_future()


# What it is.


def test_create_future_makes_the_loops_own_kind(ours: Any, loop: Any) -> None:
    assert type(loop.create_future()) is sooner.Future


def test_future_is_one_for_asyncio_too(ours: Any, loop: Any) -> None:
    future = loop.create_future()
    assert isinstance(future, asyncio.Future)
    assert not isinstance(future, asyncio.Task)
    assert asyncio.isfuture(future)
    assert asyncio.ensure_future(future) is future
    assert asyncio.wrap_future(future) is future

    @singledispatch
    def kind(value: object) -> str:
        return 'object'

    kind.register(asyncio.Future, lambda value: 'future')
    assert kind(future) == 'future'
    match future:
        case asyncio.Future():
            pass
        case _:
            pytest.fail('match does not see a Future')


def test_future_is_generic(ours: Any) -> None:
    assert isinstance(sooner.Future[int], GenericAlias)
    assert sooner.Future[int].__origin__ is sooner.Future


def test_future_belongs_to_the_loop_given_or_running(each: Any, loop: Any, run: Any) -> None:
    assert each.Future(loop=loop).get_loop() is loop

    async def main() -> Any:
        return each.Future().get_loop()

    assert run(main()) is loop


def test_future_without_a_loop_is_refused(each: Any) -> None:
    asyncio.set_event_loop(None)
    with pytest.raises(RuntimeError, match='no current event loop'):
        each.Future()


def test_loop_is_given_by_name_only(each: Any, loop: Any) -> None:
    with pytest.raises(TypeError):
        each.Future(loop)


def test_copying_and_pickling_are_refused(future: Any) -> None:
    with pytest.raises(TypeError):
        copy.copy(future)
    with pytest.raises(TypeError):
        pickle.dumps(future)


# States.


def test_pending_future_has_neither_result_nor_exception(future: Any) -> None:
    assert not future.done()
    assert not future.cancelled()
    with pytest.raises(asyncio.InvalidStateError, match='Result is not (ready|set)'):
        future.result()
    with pytest.raises(asyncio.InvalidStateError, match='Exception is not set'):
        future.exception()


def test_result_is_given_back(future: Any) -> None:
    value = object()
    future.set_result(value)
    assert future.done()
    assert not future.cancelled()
    assert future.result() is value
    assert future.result() is value
    assert future.exception() is None


def test_exception_is_raised_where_the_result_is_asked_for(future: Any) -> None:
    error = ValueError('no')
    future.set_exception(error)
    assert future.done()
    assert not future.cancelled()
    assert future.exception() is error
    for _ in range(2):
        with pytest.raises(ValueError, match='no') as info:
            future.result()
        assert info.value is error


def test_class_of_exceptions_is_made_an_instance(future: Any) -> None:
    future.set_exception(KeyError)
    assert type(future.exception()) is KeyError


def test_class_whose_instances_cannot_be_made_leaves_the_future_pending(future: Any) -> None:
    class Demanding(Exception):
        def __init__(self, argument: object) -> None:
            super().__init__(argument)

    with pytest.raises(TypeError):
        future.set_exception(Demanding)
    assert not future.done()


@pytest.mark.parametrize('thing', [None, 1, 'error', object(), int, object])
def test_what_is_no_exception_is_refused(future: Any, thing: object) -> None:
    with pytest.raises(TypeError):
        future.set_exception(thing)
    assert not future.done()


def stock_wraps_stop_iteration() -> bool:
    """Ask asyncio: which of the two it does depends on the patch level of Python 3.12."""
    loop = asyncio.new_event_loop()
    try:
        future = loop.create_future()
        future.set_exception(StopIteration())
        return isinstance(future.exception(), RuntimeError)
    except TypeError:
        return False
    finally:
        loop.close()


@pytest.mark.parametrize('stop', [StopIteration(7), StopIteration])
def test_stop_iteration_is_refused_or_wrapped(each: Any, future: Any, stop: Any) -> None:
    if not stock_wraps_stop_iteration():
        with pytest.raises(TypeError, match='StopIteration interacts badly with generators'):
            future.set_exception(stop)
        assert not future.done()
    else:
        future.set_exception(stop)
        error = future.exception()
        assert type(error) is RuntimeError
        assert str(error) == 'StopIteration interacts badly with generators and cannot be raised into a Future'
        assert type(error.__cause__) is StopIteration
        assert error.__cause__ is error.__context__


def finish(future: Any, how: str) -> None:
    if how == 'cancel':
        future.cancel()
    elif how == 'result':
        future.set_result(1)
    else:
        future.set_exception(ValueError())
        future.exception()


@pytest.mark.parametrize('how', ['result', 'exception', 'cancel'])
def test_second_result_is_refused(future: Any, how: str) -> None:
    finish(future, how)
    before = repr(future)
    with pytest.raises(asyncio.InvalidStateError, match='CANCELLED|FINISHED|invalid state'):
        future.set_result(2)
    with pytest.raises(asyncio.InvalidStateError, match='CANCELLED|FINISHED|invalid state'):
        future.set_exception(KeyError())
    assert future.cancel() is False
    assert repr(future) == before


def test_refusal_of_a_second_result_names_the_future(ours: Any, loop: Any) -> None:
    future = loop.create_future()
    future.set_result('the first')
    with pytest.raises(asyncio.InvalidStateError, match="FINISHED.*'the first'"):
        future.set_result('the second')


@pytest.mark.parametrize('arguments', [(), (None,), ('why',), (4711,), ((1, 2),)])
def test_cancelled_future_raises_cancelled_error_with_the_message(future: Any, arguments: Any) -> None:
    assert future.cancel(*arguments) is True
    assert future.done()
    assert future.cancelled()
    expected = () if arguments in ((), (None,)) else arguments
    for ask in (future.result, future.exception, future.result):
        with pytest.raises(asyncio.CancelledError) as info:
            ask()
        assert info.value.args == expected


def test_cancel_takes_its_message_by_name(future: Any) -> None:
    assert future.cancel(msg='why')
    with pytest.raises(asyncio.CancelledError, match='why'):
        future.result()


def test_traceback_does_not_grow_with_each_asking(future: Any) -> None:
    def fail() -> None:
        raise ValueError

    try:
        fail()
    except ValueError as exc:
        future.set_exception(exc)
    depths = []
    for _ in range(3):
        try:
            future.result()
        except ValueError as exc:
            depths.append([frame.name for frame in traceback.extract_tb(exc.__traceback__)])
    assert depths[0][-1] == 'fail'
    assert max(map(len, depths)) == len(depths[0])


# Callbacks.


def test_callbacks_run_in_order_of_registration_with_the_future(future: Any, turn: Any) -> None:
    called: list[Any] = []
    for number in range(5):
        future.add_done_callback(partial(lambda number, *args: called.append((number, args)), number))
    future.set_result(None)
    assert called == []
    turn()
    assert called == [(number, (future,)) for number in range(5)]
    turn()
    assert len(called) == 5


@pytest.mark.parametrize('how', ['result', 'exception', 'cancel'])
def test_callbacks_run_however_the_future_ends(future: Any, turn: Any, how: str) -> None:
    called: list[Any] = []
    future.add_done_callback(called.append)
    finish(future, how)
    turn()
    assert called == [future]


def test_callback_added_to_a_done_future_runs_in_the_next_turn(future: Any, turn: Any) -> None:
    called: list[Any] = []
    future.set_result(None)
    future.add_done_callback(called.append)
    assert called == []
    turn()
    assert called == [future]


def test_callbacks_run_among_others_in_the_order_of_what_happened(each: Any, loop: Any, turn: Any) -> None:
    ran: list[str] = []
    first, second = loop.create_future(), loop.create_future()
    first.add_done_callback(lambda _: ran.append('first 1'))
    second.add_done_callback(lambda _: ran.append('second 1'))
    first.add_done_callback(lambda _: ran.append('first 2'))
    loop.call_soon(ran.append, 'soon 1')
    second.set_result(None)
    loop.call_soon(ran.append, 'soon 2')
    first.set_result(None)
    first.add_done_callback(lambda _: ran.append('late'))
    loop.call_soon(ran.append, 'soon 3')
    turn()
    assert ran == ['soon 1', 'second 1', 'soon 2', 'first 1', 'first 2', 'late', 'soon 3']


def test_same_callback_runs_as_often_as_it_was_added(future: Any, turn: Any) -> None:
    called: list[Any] = []
    callback = called.append
    for _ in range(3):
        future.add_done_callback(callback)
    future.set_result(None)
    turn()
    assert called == [future] * 3


def test_each_callback_runs_in_a_copy_of_the_context_it_was_added_in(future: Any, turn: Any) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable', default=0)
    seen: list[int] = []

    def callback(future: object) -> None:
        seen.append(variable.get())
        variable.set(-1)

    context = contextvars.copy_context()
    context.run(variable.set, 1)
    context.run(future.add_done_callback, callback)
    future.add_done_callback(callback)
    context.run(variable.set, 2)
    context.run(future.add_done_callback, callback)
    context.run(future.add_done_callback, callback)
    future.set_result(None)
    turn()
    assert seen == [1, 0, 2, 2]
    assert context[variable] == 2


@pytest.mark.parametrize('done', [False, True], ids=['pending', 'done'])
@pytest.mark.parametrize('before', [0, 1, 2])
def test_callback_runs_in_the_context_that_was_given(future: Any, turn: Any, done: bool, before: int) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable')
    context = contextvars.copy_context()
    if done:
        future.set_result(None)
    for _ in range(before):
        future.add_done_callback(lambda future: None)
    future.add_done_callback(lambda future: variable.set(1), context=context)
    if not done:
        future.set_result(None)
    turn()
    assert context[variable] == 1
    assert variable not in contextvars.copy_context()


@pytest.mark.parametrize('count', [1, 2, 3, 4])
@pytest.mark.parametrize('position', [0, 1, 2, 3])
def test_removed_callback_does_not_run(future: Any, turn: Any, count: int, position: int) -> None:
    called: list[int] = []
    callbacks = [lambda future, number=number: called.append(number) for number in range(count)]
    for callback in callbacks:
        future.add_done_callback(callback)
    expected = list(range(count))
    if position < count:
        assert future.remove_done_callback(callbacks[position]) == 1
        assert future.remove_done_callback(callbacks[position]) == 0
        expected.remove(position)
    else:
        assert future.remove_done_callback(print) == 0
    future.set_result(None)
    turn()
    assert called == expected


def test_remove_takes_out_every_equal_callback_and_counts_them(future: Any, turn: Any) -> None:
    called: list[Any] = []
    other: list[Any] = []
    for _ in range(3):
        future.add_done_callback(called.append)
        future.add_done_callback(other.append)
    assert future.remove_done_callback(called.append) == 3
    assert future.remove_done_callback(called.append) == 0
    future.set_result(None)
    turn()
    assert called == []
    assert other == [future] * 3


def test_removing_when_the_future_is_done_is_too_late(future: Any, turn: Any) -> None:
    called: list[Any] = []
    future.add_done_callback(called.append)
    future.add_done_callback(called.append)
    future.set_result(None)
    assert future.remove_done_callback(called.append) == 0
    turn()
    assert called == [future, future]


@pytest.mark.usefixtures('not_in_debug_mode')
def test_callback_that_raises_is_reported_and_the_others_run(
    future: Any, turn: Any, reports: list[dict[str, Any]]
) -> None:
    called: list[Any] = []

    def fail(future: Any) -> None:
        raise ValueError('in a callback')

    future.add_done_callback(called.append)
    future.add_done_callback(fail)
    future.add_done_callback(called.append)
    future.set_result(None)
    turn()
    assert called == [future, future]
    [report] = reports
    assert set(report) == {'message', 'exception', 'handle'}
    assert report['message'].startswith('Exception in callback')
    assert 'fail' in report['message']
    assert str(report['exception']) == 'in a callback'
    assert isinstance(report['handle'], asyncio.Handle)


@pytest.mark.usefixtures('not_in_debug_mode')
@pytest.mark.parametrize('done', [False, True], ids=['pending', 'done'])
def test_callback_that_cannot_be_called_is_never_silent(
    future: Any, turn: Any, reports: list[dict[str, Any]], done: bool
) -> None:
    called: list[Any] = []
    if done:
        future.set_result(None)
    try:
        future.add_done_callback(4711)
    except TypeError:
        return
    future.add_done_callback(called.append)
    if not done:
        future.set_result(None)
    turn()
    assert [type(report['exception']) for report in reports] == [TypeError]
    assert called == [future]


@pytest.mark.parametrize('position', [0, 1, 2])
@pytest.mark.parametrize('kind', [KeyboardInterrupt, SystemExit])
def test_callback_that_ends_the_loop_leaves_the_others_to_its_next_run(
    each: Any, loop: Any, turn: Any, kind: Any, position: int
) -> None:
    ran: list[Any] = []

    def end(future: Any) -> None:
        raise kind

    future = loop.create_future()
    for number in range(3):
        future.add_done_callback(end if number == position else lambda _, number=number: ran.append(number))
    loop.call_soon(ran.append, 'before')
    future.set_result(None)
    loop.call_soon(ran.append, 'after')
    with pytest.raises(kind):
        turn()
    assert ran == ['before', *range(position)]
    turn()
    assert ran == ['before', *(number for number in range(3) if number != position), 'after']


# Awaiting.


def test_await_gives_the_result(each: Any, loop: Any, run: Any) -> None:
    async def main(value: Any) -> Any:
        future = loop.create_future()
        loop.call_soon(future.set_result, value)
        return await future, await future

    for value in (None, 1, (1, 2), [], ValueError('a value'), StopIteration(3), asyncio.Future):
        assert run(main(value)) == (value, value)


def test_await_raises_the_exception(each: Any, loop: Any, run: Any) -> None:
    error = ValueError('no')

    async def main() -> None:
        future = loop.create_future()
        loop.call_soon(future.set_exception, error)
        for _ in range(2):
            with pytest.raises(ValueError, match='no') as info:
                await future
            assert info.value is error

    run(main())


def test_await_of_a_done_future_does_not_give_way(each: Any, loop: Any, run: Any) -> None:
    ran: list[str] = []

    async def main() -> None:
        future = loop.create_future()
        future.set_result(None)
        loop.call_soon(ran.append, 'other')
        for _ in range(100):
            await future
        ran.append('main')

    run(main())
    assert ran == ['main', 'other']


def test_await_of_a_cancelled_future_raises_its_message(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        future = loop.create_future()
        future.cancel('why')
        for _ in range(2):
            with pytest.raises(asyncio.CancelledError, match='why'):
                await future
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    run(main())


def test_all_who_wait_are_woken_in_order(each: Any, loop: Any, run: Any) -> None:
    woken: list[int] = []

    async def waiter(number: int, future: Any) -> None:
        assert await future == 'result'
        woken.append(number)

    async def main() -> None:
        future = loop.create_future()
        tasks = [loop.create_task(waiter(number, future)) for number in range(5)]
        await asyncio.sleep(0)
        future.add_done_callback(lambda _: woken.append(99))
        future.set_result('result')
        await asyncio.gather(*tasks)

    run(main())
    assert woken == [0, 1, 2, 3, 4, 99]


def test_waiting_tasks_and_callbacks_run_in_one_order(each: Any, loop: Any, run: Any) -> None:
    ran: list[str] = []

    async def waiter(name: str, future: Any) -> None:
        await future
        ran.append(name)

    async def main() -> None:
        future = loop.create_future()
        future.add_done_callback(lambda _: ran.append('callback 1'))
        first = loop.create_task(waiter('task 1', future))
        await asyncio.sleep(0)
        future.add_done_callback(lambda _: ran.append('callback 2'))
        second = loop.create_task(waiter('task 2', future))
        await asyncio.sleep(0)
        future.set_result(None)
        await first
        await second

    run(main())
    assert ran == ['callback 1', 'task 1', 'callback 2', 'task 2']


def test_result_of_an_await_is_not_kept_alive(each: Any, loop: Any, run: Any) -> None:
    class Value:
        pass

    gone: list[Any] = []

    async def main() -> None:
        future = loop.create_future()
        value = Value()
        gone.append(weakref.ref(value))
        loop.call_soon(future.set_result, value)
        del value
        await future
        del future
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert gone[0]() is None

    run(main())


def test_value_of_stop_iteration_kept_by_somebody_does_not_change(ours: Any, loop: Any) -> None:
    caught: list[Any] = []
    for value in ('first', 'second', None, 'third'):
        future = loop.create_future()
        future.set_result(value)
        try:
            next(future.__await__())
        except StopIteration as stop:
            caught.append(stop)
    assert [stop.value for stop in caught] == ['first', 'second', None, 'third']


def test_iterator_of_a_future_is_what_a_generator_needs(each: Any, loop: Any) -> None:
    future = loop.create_future()
    iterator = iter(future)
    assert next(iterator) is future
    assert future._asyncio_future_blocking
    with pytest.raises(RuntimeError, match="await wasn't used with future"):
        iterator.send(None)
    future.set_result(7)
    with pytest.raises(StopIteration) as info:
        iterator.send(None)
    assert info.value.value == 7
    with pytest.raises(KeyError):
        iter(future).throw(KeyError('thrown'))
    iter(future).close()


# The exception that nobody asked for.


@pytest.mark.usefixtures('not_in_debug_mode')
def test_exception_never_retrieved_is_reported_once(each: Any, loop: Any, reports: list[dict[str, Any]]) -> None:
    error = ValueError('forgotten')
    future = each.Future(loop=loop)
    future.set_exception(error)
    assert future._log_traceback
    identity = id(future)
    del future
    gc.collect()
    [report] = reports
    assert set(report) == {'message', 'exception', 'future'}
    assert report['message'] == 'Future exception was never retrieved'
    assert report['exception'] is error
    assert id(report['future']) == identity
    reports.clear()
    del report
    gc.collect()
    assert reports == []


def retrieve_by_await(future: Any, loop: Any) -> None:
    with pytest.raises(ValueError, match='asked for'):
        loop.run_until_complete(future)


def retrieve_by_result(future: Any, loop: Any) -> None:
    with pytest.raises(ValueError, match='asked for'):
        future.result()


RETRIEVALS = {
    'exception()': lambda future, loop: future.exception(),
    'result()': retrieve_by_result,
    'await': retrieve_by_await,
    'cancel()': lambda future, loop: future.cancel(),
    '_log_traceback': lambda future, loop: setattr(future, '_log_traceback', False),
}


@pytest.mark.parametrize('retrieve', RETRIEVALS.values(), ids=RETRIEVALS)
def test_exception_that_was_retrieved_is_not_reported(
    each: Any, loop: Any, reports: list[dict[str, Any]], retrieve: Any
) -> None:
    future = loop.create_future()
    future.set_exception(ValueError('asked for'))
    retrieve(future, loop)
    assert not future._log_traceback
    del future
    gc.collect()
    assert reports == []


def test_pending_future_dies_in_silence(each: Any, loop: Any, reports: list[dict[str, Any]]) -> None:
    loop.create_future()
    loop.create_future().cancel()
    loop.create_future().set_result(1)
    gc.collect()
    assert reports == []


def test_debug_mode_tells_where_the_future_was_made(each: Any, loop: Any, reports: list[dict[str, Any]]) -> None:
    loop.set_debug(True)
    for make in (loop.create_future, lambda: each.Future(loop=loop)):
        make().set_exception(ValueError())
    gc.collect()
    assert len(reports) == 2
    for report in reports:
        frames = [(frame.filename, frame.name) for frame in report['source_traceback']]
        assert (__file__, 'test_debug_mode_tells_where_the_future_was_made') in frames


def test_exception_in_a_cycle_is_reported_when_that_is_collected(
    each: Any, loop: Any, reports: list[dict[str, Any]]
) -> None:
    future = loop.create_future()
    error = ValueError()
    error.future = future  # type: ignore[attr-defined]
    future.set_exception(error)
    del future, error
    gc.collect()
    assert len(reports) == 1


def test_future_kept_by_the_exception_handler_goes_on_living(
    each: Any, loop: Any, reports: list[dict[str, Any]]
) -> None:
    for number in range(10):
        loop.create_future().set_exception(ValueError(number))
    gc.collect()
    futures = [report['future'] for report in reports]
    more = [loop.create_future() for _ in range(20)]
    assert [future.exception().args for future in futures] == [(number,) for number in range(10)]
    assert not {id(future) for future in futures} & {id(future) for future in more}


# repr(), and the private names that libraries read.


@pytest.mark.usefixtures('not_in_debug_mode')
def test_repr_tells_the_state(each: Any, loop: Any) -> None:
    assert repr(loop.create_future()) == '<Future pending>'
    future = loop.create_future()
    future.add_done_callback(print)
    assert repr(future) == '<Future pending cb=[print()]>'
    future.add_done_callback(print)
    assert repr(future) == '<Future pending cb=[print(), print()]>'
    future.add_done_callback(print)
    assert repr(future) == '<Future pending cb=[print(), <1 more>, print()]>'
    future.remove_done_callback(print)
    future.set_result('x' * 3)
    assert repr(future) == "<Future finished result='xxx'>"
    future = loop.create_future()
    future.cancel()
    assert repr(future) == '<Future cancelled>'
    future = loop.create_future()
    future.set_exception(ValueError(1))
    assert repr(future) == '<Future finished exception=ValueError(1)>'
    future.exception()


def test_repr_of_a_future_that_holds_itself_ends(each: Any, loop: Any) -> None:
    future = loop.create_future()
    future.set_result([future])
    assert repr(future).startswith('<Future finished result=[')


@pytest.mark.usefixtures('not_in_debug_mode')
def test_private_names_that_libraries_read(each: Any, loop: Any) -> None:
    future = loop.create_future()
    assert future._state == 'PENDING'
    assert future._loop is loop
    assert future._asyncio_future_blocking is False
    assert future._exception is None
    assert future._source_traceback is None
    assert future._cancel_message is None
    assert not future._callbacks
    context = contextvars.copy_context()
    future.add_done_callback(print, context=context)
    assert future._callbacks == [(print, context)]
    future.add_done_callback(len)
    assert [callback for callback, _ in future._callbacks] == [print, len]
    future.set_result(1)
    assert future._state == 'FINISHED'
    assert future._result == 1
    future = loop.create_future()
    error = ValueError()
    future.set_exception(error)
    assert future._exception is error
    assert future._log_traceback is True
    with pytest.raises(ValueError, match='can only be set to False'):
        future._log_traceback = True
    future._log_traceback = False
    future = loop.create_future()
    future.cancel('why')
    assert future._state == 'CANCELLED'
    assert future._cancel_message == 'why'
    assert future._make_cancelled_error().args == ('why',)


def test_attributes_may_be_added(each: Any, loop: Any) -> None:
    future = loop.create_future()
    future.extra = 1
    assert future.extra == 1
    del future.extra
    assert not hasattr(future, 'extra')


# Subclasses.


def test_subclass_works_like_a_future(each: Any, loop: Any, run: Any) -> None:
    class Named(each.Future):  # type: ignore[misc,name-defined]
        def __init__(self, name: str, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.name = name

        def set_result(self, result: Any) -> None:
            super().set_result((self.name, result))

    future = Named('x', loop=loop)
    loop.call_soon(future.set_result, 1)
    assert run(future) == ('x', 1)

    async def main() -> Any:
        another = Named('y')
        loop.call_soon(another.set_result, 2)
        return await another

    assert run(main()) == ('y', 2)
    assert repr(future).startswith('<Named finished')


def test_overridden_methods_of_a_subclass_are_the_ones_that_are_called(each: Any, loop: Any, run: Any) -> None:
    called: list[str] = []

    class Watched(each.Future):  # type: ignore[misc,name-defined]
        def cancel(self, msg: Any = None) -> bool:
            called.append('cancel')
            return bool(super().cancel(msg))

        def add_done_callback(self, fn: Any, **kwargs: Any) -> None:
            called.append('add_done_callback')
            super().add_done_callback(fn, **kwargs)

        def result(self) -> Any:
            called.append('result')
            return super().result()

    async def main() -> None:
        future = Watched(loop=loop)

        async def wait() -> None:
            await future

        task = loop.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert called[:2] == ['add_done_callback', 'cancel']
    assert 'result' in called


def test_subclass_that_forgets_init_is_told_so(each: Any, loop: Any) -> None:
    class Forgetful(each.Future):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            pass

    future = Forgetful()
    for use in (
        future.get_loop,
        future.cancel,
        lambda: future.set_result(1),
        lambda: future.set_exception(ValueError()),
        lambda: future.add_done_callback(print),
        lambda: future.remove_done_callback(print),
    ):
        with pytest.raises(RuntimeError, match='not initialized|uninitialized'):
            use()
    if not each.is_stock:
        assert repr(future) == '<Forgetful pending>'


@pytest.mark.skipif(sys.version_info >= (3, 15), reason='a future is initialized once since Python 3.15')
def test_init_makes_a_future_pending_again(each: Any, loop: Any, run: Any) -> None:
    future = each.Future(loop=loop)
    future.set_result(1)
    future.__init__(loop=loop)
    assert not future.done()
    future.set_result(2)
    assert run(future) == 2


@pytest.mark.skipif(sys.version_info < (3, 15), reason='a future may be initialized again before Python 3.15')
def test_init_of_a_future_is_refused_the_second_time(each: Any, loop: Any) -> None:
    future = each.Future(loop=loop)
    with pytest.raises(RuntimeError, match='is already initialized'):
        future.__init__(loop=loop)


# Life and death.


def test_futures_have_weak_references(each: Any, loop: Any) -> None:
    future = loop.create_future()
    gone = weakref.ref(future)
    assert gone() is future
    del future
    assert gone() is None


def test_memory_of_a_dead_future_brings_nothing_into_a_new_one(each: Any, loop: Any) -> None:
    for _ in range(300):
        future = loop.create_future()
        future.extra = 1
        future.add_done_callback(print)
        future.cancel('why')
        del future
        new = loop.create_future()
        assert not hasattr(new, 'extra')
        assert not new.done()
        assert not new._callbacks
        assert new._cancel_message is None


def test_futures_in_cycles_are_collected(each: Any, loop: Any) -> None:
    gone = []
    for _ in range(10):
        future = loop.create_future()
        future.own = future
        future.add_done_callback(partial(print, future))
        future.add_done_callback(partial(print, future))
        gone.append(weakref.ref(future))
        future = loop.create_future()
        future.set_result(future)
        gone.append(weakref.ref(future))
    del future
    gc.collect()
    assert [each() for each in gone] == [None] * 20


def test_done_future_does_not_hold_its_callbacks(each: Any, loop: Any, turn: Any) -> None:
    class Callback:
        def __call__(self, future: Any) -> None:
            pass

    callbacks = [Callback() for _ in range(3)]
    gone = [weakref.ref(callback) for callback in callbacks]
    future = loop.create_future()
    for callback in callbacks:
        future.add_done_callback(callback)
    del callbacks, callback
    future.set_result(None)
    turn()
    assert [each() for each in gone] == [None] * 3


def test_future_that_is_only_held_by_the_ready_queue_still_calls_back(each: Any, loop: Any, turn: Any) -> None:
    called: list[Any] = []
    future = loop.create_future()
    future.add_done_callback(lambda future: called.append(future.result()))
    future.set_result(1)
    del future
    gc.collect()
    turn()
    assert called == [1]


# Code of others in between.


@pytest.mark.parametrize('change', ['remove', 'add', 'complete', 'cancel', 'raise'])
def test_equality_that_meddles_loses_no_callback(ours: Any, loop: Any, turn: Any, change: str) -> None:
    future = loop.create_future()
    called: list[str] = []
    meddled: list[str] = []

    def victim(future: Any) -> None:
        called.append('victim')

    def meddle() -> None:
        meddled.append(change)
        if change == 'remove':
            future.remove_done_callback(victim)
        elif change == 'add':
            future.add_done_callback(lambda _: called.append('added'))
        elif change == 'complete':
            future.set_result(None)
        elif change == 'cancel':
            future.cancel()
        else:
            raise KeyError('in __eq__')

    class Evil:
        def __call__(self, future: Any) -> None:
            called.append('evil')

        def __eq__(self, other: object) -> bool:
            if not meddled:
                meddle()
            return False

        __hash__ = None  # type: ignore[assignment]

    for _ in range(3):
        future.add_done_callback(Evil())
        future.add_done_callback(lambda _: called.append('plain'))
    future.add_done_callback(victim)
    if change == 'raise':
        with pytest.raises(KeyError, match='in __eq__'):
            future.remove_done_callback(Evil())
    else:
        assert future.remove_done_callback(Evil()) == 0
    if not future.done():
        future.set_result(None)
    turn(2)
    assert meddled == [change]
    ends = {'remove': [], 'add': ['victim', 'added']}.get(change, ['victim'])
    assert called == ['evil', 'plain'] * 3 + ends


def test_callback_may_complete_the_future_again_add_and_remove_callbacks(each: Any, loop: Any, turn: Any) -> None:
    called: list[Any] = []
    future = loop.create_future()

    def meddle(future: Any) -> None:
        called.append('meddle')
        with pytest.raises(asyncio.InvalidStateError):
            future.set_result(2)
        assert future.cancel() is False
        assert future.remove_done_callback(meddle) == 0
        future.add_done_callback(lambda _: called.append('added'))

    future.add_done_callback(meddle)
    future.add_done_callback(lambda _: called.append('last'))
    future.set_result(1)
    del future
    turn()
    assert called == ['meddle', 'last']
    turn()
    assert called == ['meddle', 'last', 'added']


def test_callback_may_drop_the_last_reference(each: Any, loop: Any, turn: Any) -> None:
    holder = [loop.create_future()]
    called: list[int] = []
    holder[0].add_done_callback(lambda _: holder.clear())
    holder[0].add_done_callback(lambda _: called.append(1))
    holder[0].set_result(None)
    turn()
    assert called == [1]
    assert holder == []


@pytest.mark.skipif(sys.version_info >= (3, 15), reason='a future is initialized once since Python 3.15')
def test_value_whose_end_touches_the_future_is_survived(ours: Any, loop: Any) -> None:
    seen: list[Any] = []

    class Value:
        def __del__(self) -> None:
            future = futures[0]
            seen.append(future.done())
            future.add_done_callback(seen.append)
            future.cancel()

    futures = [loop.create_future()]
    futures[0].set_result(Value())
    futures[0].__init__(loop=loop)
    assert len(seen) == 1


@pytest.mark.parametrize('name', ['shield', 'gather', 'wait', 'wait_for', 'as_completed', 'wrap'])
def test_asyncio_functions_take_our_futures(each: Any, loop: Any, run: Any, name: str) -> None:
    async def main() -> Any:
        future = loop.create_future()
        loop.call_soon(future.set_result, 1)
        if name == 'shield':
            return await asyncio.shield(future)
        if name == 'gather':
            return (await asyncio.gather(future, future))[0]
        if name == 'wait':
            done, pending = await asyncio.wait([future])
            assert not pending
            return done.pop().result()
        if name == 'wait_for':
            return await asyncio.wait_for(future, 60)
        if name == 'as_completed':
            [first] = asyncio.as_completed([future])
            return await first
        import concurrent.futures

        other: concurrent.futures.Future[int] = concurrent.futures.Future()
        other.set_result(await future)
        return await asyncio.wrap_future(other)

    assert run(main()) == 1
