"""Handles: a callback that was scheduled."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from typing import Any

import pytest

import sooner


def double(number: int) -> int:
    return 2 * number


def test_call_soon_returns_a_handle_for_asyncio_too(loop: Any) -> None:
    handle = loop.call_soon(double, 1)
    assert type(handle) is sooner.Handle
    assert isinstance(handle, asyncio.Handle)
    assert not isinstance(handle, asyncio.TimerHandle)


def test_cancelled_handle_does_not_run(each: Any, loop: Any, turn: Any) -> None:
    ran: list[int] = []
    handle = loop.call_soon(ran.append, 1)
    assert not handle.cancelled()
    handle.cancel()
    assert handle.cancelled()
    turn()
    assert ran == []


def test_cancelling_twice_and_after_the_run_is_harmless(each: Any, loop: Any, turn: Any) -> None:
    ran: list[int] = []
    handle = loop.call_soon(ran.append, 1)
    turn()
    handle.cancel()
    handle.cancel()
    assert handle.cancelled()
    turn()
    assert ran == [1]


def test_callback_may_cancel_the_one_behind_it(each: Any, loop: Any, turn: Any) -> None:
    ran: list[int] = []
    handles: list[Any] = []
    loop.call_soon(lambda: handles[0].cancel())
    handles.append(loop.call_soon(ran.append, 1))
    loop.call_soon(ran.append, 2)
    turn()
    assert ran == [2]


def test_callback_may_cancel_its_own_handle(each: Any, loop: Any, turn: Any) -> None:
    handles: list[Any] = []

    def cancel_own() -> None:
        handles[0].cancel()

    handles.append(loop.call_soon(cancel_own))
    turn()
    assert handles[0].cancelled()


def test_cancelled_handle_holds_neither_callback_nor_arguments(each: Any, loop: Any) -> None:
    class Argument:
        pass

    argument = Argument()
    alive = weakref.ref(argument)
    handle = loop.call_soon(double, argument)
    del argument
    handle.cancel()
    assert alive() is None


def test_run_handle_that_nobody_keeps_holds_nothing(each: Any, loop: Any, turn: Any) -> None:
    class Argument:
        pass

    argument = Argument()
    alive = weakref.ref(argument)
    loop.call_soon(id, argument)
    del argument
    turn()
    assert alive() is None


def test_kept_handle_is_never_used_for_another_callback(ours: Any, loop: Any, turn: Any) -> None:
    ran: list[int] = []
    kept = [loop.call_soon(ran.append, number) for number in range(3)]
    turn()
    more = [loop.call_soon(ran.append, number) for number in range(3, 600)]
    for handle in kept:
        handle.cancel()
    turn()
    assert ran == list(range(600))
    assert not {id(handle) for handle in kept} & {id(handle) for handle in more}


def test_weakly_kept_handle_is_never_used_for_another_callback(ours: Any, loop: Any, turn: Any) -> None:
    ran: list[int] = []
    first = weakref.ref(loop.call_soon(ran.append, 1))
    assert first() is not None
    turn()
    second = loop.call_soon(ran.append, 2)
    assert first() is not second
    turn()
    assert ran == [1, 2]


def test_handle_used_again_is_not_cancelled(ours: Any, loop: Any, turn: Any) -> None:
    ran: list[int] = []
    loop.call_soon(ran.append, 1).cancel()
    turn()
    loop.call_soon(ran.append, 2)
    turn()
    assert ran == [2]


def test_callback_runs_in_a_copy_of_the_current_context(each: Any, loop: Any, turn: Any) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable', default=0)
    seen: list[int] = []

    def read_and_set(value: int) -> None:
        seen.append(variable.get())
        variable.set(value)

    context = contextvars.copy_context()
    context.run(variable.set, 1)
    context.run(loop.call_soon, read_and_set, 2)
    context.run(loop.call_soon, read_and_set, 3)
    loop.call_soon(read_and_set, 4)
    context.run(variable.set, 5)
    context.run(loop.call_soon, read_and_set, 6)
    turn()
    assert seen == [1, 1, 0, 5]
    assert variable.get() == 0


def test_callback_runs_in_the_context_that_was_given(each: Any, loop: Any, turn: Any) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable')
    context = contextvars.copy_context()
    loop.call_soon(variable.set, 1, context=context)
    loop.call_later(0, variable.set, 2, context=context)
    turn()
    turn()
    assert context[variable] in (1, 2)
    assert variable not in contextvars.copy_context()


def test_token_of_one_callback_is_refused_in_another(each: Any, loop: Any, turn: Any) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable', default=0)
    tokens: list[Any] = []
    outcomes: list[Any] = []

    def take() -> None:
        tokens.append(variable.set(1))

    def give_back() -> None:
        try:
            variable.reset(tokens[0])
        except ValueError:
            outcomes.append('refused')
        outcomes.append(variable.get())

    loop.call_soon(take)
    loop.call_soon(give_back)
    turn()
    assert outcomes == ['refused', 0]


def test_get_context_is_the_context_of_the_callback(ours: Any, loop: Any, turn: Any) -> None:
    if not hasattr(asyncio.Handle, 'get_context'):
        pytest.skip('asyncio.Handle.get_context is new in Python 3.12')
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable')
    given = contextvars.copy_context()
    assert loop.call_soon(double, 1, context=given).get_context() is given
    first = loop.call_soon(variable.set, 1)
    second = loop.call_soon(variable.set, 2)
    assert first.get_context() is first.get_context()
    assert first.get_context() is not second.get_context()
    turn()
    assert first.get_context()[variable] == 1
    assert second.get_context()[variable] == 2


def test_context_that_is_entered_already_is_an_error_of_that_callback_alone(
    each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[int] = []
    context = contextvars.copy_context()
    loop.call_soon(ran.append, 1, context=context)
    loop.call_soon(ran.append, 2)
    context.run(turn)
    assert ran == [2]
    # Handlers are called in the callback's context since Python 3.12: that can't be entered either, and is logged.
    assert len(reports) + len(caplog.records) == 1
    assert 'list.append' in (reports[0]['message'] if reports else caplog.text)


def test_repr_tells_callback_and_place(each: Any, loop: Any) -> None:
    handle = loop.call_soon(double, 1)
    assert repr(handle).startswith('<Handle double(')
    assert f'at {__file__}:' in repr(handle)
    handle.cancel()
    assert repr(handle).startswith('<Handle cancelled')


def test_repr_tells_arguments_in_debug_mode(each: Any, loop: Any) -> None:
    loop.set_debug(True)
    handle = loop.call_soon(double, 4711)
    assert 'double(4711)' in repr(handle)
    assert f'created at {__file__}:' in repr(handle)


def test_repr_of_a_handle_cancelled_in_debug_mode_still_tells_the_callback(each: Any, loop: Any) -> None:
    loop.set_debug(True)
    handle = loop.call_soon(double, 1)
    handle.cancel()
    assert repr(handle).startswith('<Handle cancelled')
    assert 'double(' in repr(handle)


@pytest.mark.usefixtures('not_in_debug_mode')
def test_debug_mode_remembers_where_a_handle_was_made(each: Any, loop: Any) -> None:
    assert loop.call_soon(double, 1)._source_traceback is None
    loop.set_debug(True)
    for handle in (loop.call_soon(double, 1), loop.call_soon_threadsafe(double, 1), loop.call_later(9, double, 1)):
        assert handle._source_traceback[-1].filename == __file__
        assert handle._source_traceback[-1].name == 'test_debug_mode_remembers_where_a_handle_was_made'


def test_handle_made_by_hand_runs_and_reports(each: Any, loop: Any, reports: list[dict[str, Any]]) -> None:
    ran: list[int] = []
    each.Handle(ran.append, (1,), loop)._run()
    each.TimerHandle(0.0, ran.append, (2,), loop)._run()
    assert ran == [1, 2]
    handle = each.Handle(double, (), loop)
    handle._run()
    assert [report['handle'] for report in reports] == [handle]
    assert 'double' in reports[0]['message']


def test_handle_that_was_never_initialised_does_not_crash(ours: Any) -> None:
    for cls in (sooner.Handle, sooner.TimerHandle):
        handle = cls.__new__(cls)
        for use in (repr, hash, cls.cancel, cls.cancelled, cls.get_context, cls._run):
            try:
                use(handle)
            except Exception:  # which one does not matter
                pass


def test_subclass_of_handle_runs(ours: Any, loop: Any) -> None:
    class Counting(sooner.Handle):
        pass

    ran: list[int] = []
    handle = Counting(ran.append, (1,), loop)
    handle.extra = 1  # type: ignore[attr-defined]
    handle._run()
    assert ran == [1]
    assert repr(handle).startswith('<Counting ')


def test_handles_and_their_loop_are_collected_together(each: Any) -> None:
    loop = each.make_loop()
    handle = loop.call_soon(double, loop)
    timer = loop.call_later(1000, double, loop)
    loop.close()
    gone = weakref.ref(loop)
    del loop, handle, timer
    gc.collect()
    assert gone() is None
