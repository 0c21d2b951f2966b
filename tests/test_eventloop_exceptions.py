"""Exceptions that nobody caught: they reach the exception handler, whatever that does."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import sys
import weakref
from typing import Any

import pytest


@pytest.fixture
def pipe() -> Any:
    """A pipe's two ends."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def fail(*args: Any) -> None:
    raise ValueError('in a callback')


def test_exception_of_a_callback_reaches_the_handler(
    each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]]
) -> None:
    handle = loop.call_soon(fail, 1)
    turn()
    [report] = reports
    assert set(report) == {'message', 'exception', 'handle'}
    assert report['message'].startswith('Exception in callback fail(')
    assert str(report['exception']) == 'in a callback'
    assert report['handle'] is handle


@pytest.mark.parametrize('place', ['call_soon', 'call_soon_threadsafe', 'call_later', 'done callback', 'reader'])
def test_exception_of_every_kind_of_callback_reaches_the_handler(
    each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]], place: str, pipe: tuple[int, int]
) -> None:
    ran: list[int] = []
    if place == 'call_later':
        loop.call_at(0, fail)
    elif place == 'done callback':
        future = loop.create_future()
        future.add_done_callback(fail)
        future.set_result(None)
    elif place == 'reader':

        def read() -> None:
            os.read(pipe[0], 1)
            fail()

        loop.add_reader(pipe[0], read)
        os.write(pipe[1], b'x')
    else:
        getattr(loop, place)(fail)
    loop.call_soon(ran.append, 1)
    turn(2)
    if place == 'reader':
        loop.remove_reader(pipe[0])
    [report] = reports
    assert 'fail' in report['message'] or 'read' in report['message']
    assert isinstance(report['exception'], ValueError)
    assert 'handle' in report
    assert report['exception'].__traceback__ is not None
    assert ran == [1]


def test_debug_mode_tells_where_the_callback_was_scheduled(
    each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]]
) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 1000
    loop.call_soon(fail)
    turn()
    [report] = reports
    assert report['source_traceback'][-1].name == 'test_debug_mode_tells_where_the_callback_was_scheduled'


class Own(BaseException):
    """An exception that does not end a loop."""


@pytest.mark.parametrize('error', [Own(), GeneratorExit(), asyncio.CancelledError(), StopIteration(), MemoryError()])
def test_exceptions_of_any_class_reach_the_handler(
    each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]], error: BaseException
) -> None:
    def throw() -> None:
        raise error

    ran: list[int] = []
    loop.call_soon(throw)
    loop.call_soon(ran.append, 1)
    turn()
    assert [report['exception'] for report in reports] == [error]
    assert ran == [1]


def test_handler_is_given_and_taken_back(each: Any, loop: Any) -> None:
    def handler(loop: Any, context: Any) -> None:
        pass

    loop.set_exception_handler(handler)
    assert loop.get_exception_handler() is handler
    loop.set_exception_handler(None)
    assert loop.get_exception_handler() is None


def test_handler_that_cannot_be_called_is_refused(each: Any, loop: Any) -> None:
    with pytest.raises(TypeError, match='A callable object or None is expected'):
        loop.set_exception_handler(1)


def test_handler_runs_in_the_context_of_what_failed(each: Any, loop: Any, turn: Any) -> None:
    if sys.version_info < (3, 12):
        pytest.skip('handlers run in the context of what failed since Python 3.12')
    variable: contextvars.ContextVar[str] = contextvars.ContextVar('variable', default='none')
    seen: list[str] = []

    def set_and_fail() -> None:
        variable.set('set in the callback')
        fail()

    loop.set_exception_handler(lambda loop, context: seen.append(variable.get()))
    loop.call_soon(set_and_fail)
    turn()
    assert seen == ['set in the callback']


def test_without_a_handler_exceptions_are_logged(
    each: Any, loop: Any, turn: Any, caplog: pytest.LogCaptureFixture
) -> None:
    loop.set_exception_handler(None)
    loop.call_soon(fail)
    turn()
    [record] = caplog.records
    assert record.name == 'asyncio'
    assert record.levelname == 'ERROR'
    assert record.getMessage().startswith('Exception in callback fail(')
    assert 'handle: <Handle' in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


def test_default_handler_tells_all_that_the_context_has(each: Any, loop: Any, caplog: pytest.LogCaptureFixture) -> None:
    loop.default_exception_handler({'message': 'the message', 'number': 7, 'text': 'x'})
    loop.default_exception_handler({})
    assert caplog.messages == ["the message\nnumber: 7\ntext: 'x'", 'Unhandled exception in event loop']


def test_handler_that_raises_is_logged_with_what_it_was_told(
    each: Any, loop: Any, turn: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(loop: Any, context: Any) -> None:
        raise RuntimeError('in the handler')

    ran: list[int] = []
    loop.set_exception_handler(handler)
    loop.call_soon(fail)
    loop.call_soon(ran.append, 1)
    turn()
    [record] = caplog.records
    assert record.getMessage().startswith('Unhandled error in exception handler')
    assert 'in a callback' in record.getMessage()
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == 'in the handler'
    assert ran == [1]


def test_default_handler_that_raises_is_logged(each: Any, make_loop: Any, caplog: pytest.LogCaptureFixture) -> None:
    loop = make_loop(each.make_loop)
    cls = type(loop)

    class Broken(cls):  # type: ignore[misc,valid-type]
        def default_exception_handler(self, context: Any) -> None:
            raise RuntimeError('in the default handler')

    broken = make_loop(Broken)
    broken.set_exception_handler(None)
    broken.call_exception_handler({'message': 'first'})
    broken.set_exception_handler(lambda loop, context: fail())
    broken.call_exception_handler({'message': 'second'})
    assert [message.splitlines()[0] for message in caplog.messages] == [
        'Exception in default exception handler',
        'Exception in default exception handler while handling an unexpected error in custom exception handler',
    ]


def test_handler_may_do_anything(each: Any, loop: Any, turn: Any) -> None:
    seen: list[Any] = []

    def handler(loop: Any, context: Any) -> None:
        seen.append(str(context['exception']))
        loop.call_soon(seen.append, 'scheduled')
        loop.set_exception_handler(None)
        context.clear()
        gc.collect()

    loop.set_exception_handler(handler)
    loop.call_soon(fail)
    turn(2)
    assert seen == ['in a callback', 'scheduled']


def test_exception_handler_is_called_by_who_likes(each: Any, loop: Any, reports: list[dict[str, Any]]) -> None:
    loop.call_exception_handler({'message': 'by hand', 'mine': 1})
    assert reports == [{'message': 'by hand', 'mine': 1}]


def test_callbacks_that_all_fail_are_all_reported(
    each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]]
) -> None:
    for _ in range(300):
        loop.call_soon(fail)
    turn()
    assert len(reports) == 300
    assert len({id(report['handle']) for report in reports}) == 300


def test_failed_callback_is_not_kept_alive(each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]]) -> None:
    class Argument:
        pass

    argument = Argument()
    alive = weakref.ref(argument)
    loop.call_soon(fail, argument)
    del argument
    turn()
    reports.clear()
    gc.collect()
    assert alive() is None
