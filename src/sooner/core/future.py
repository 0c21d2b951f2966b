"""Future: a result that is not there yet.

    PENDING --set_result(), set_exception()--> FINISHED
    PENDING --cancel()-----------------------> CANCELLED

Nothing leads back. Whoever waits is called on the way out of PENDING, in order of registration, in the loop's next
turn.
"""

from __future__ import annotations

import asyncio
import reprlib
import sys
import warnings
from asyncio import base_futures
from collections.abc import Callable, Generator
from contextvars import Context
from types import GenericAlias, TracebackType
from typing import Any

import cython

from .handle import Handle
from .inquiries import creation_stack, repr_info, wraps_stop_iteration
from .scheduler import Runnable, Scheduler

if not cython.compiled:
    from .._capi import (
        context_call1,
        failed_context,
        forget_stop_iteration,
        indivisible,
        recycle_future,
        ring_push_front,
        set_stop_iteration,
        snapshot_context,
    )
    from .handle import fill_handle, new_handle

    PENDING, CANCELLED, FINISHED = range(3)
    UNRETRIEVED, UNFINISHED = 1, 2

CancelledError: Any = cython.declare(object, asyncio.CancelledError)
InvalidStateError: Any = cython.declare(object, asyncio.InvalidStateError)
_Future: Any = cython.declare(object, asyncio.Future)
_STATES: Any = cython.declare(tuple, ('PENDING', 'CANCELLED', 'FINISHED'))
_WRAPS_STOP_ITERATION: Any = cython.declare(bool, wraps_stop_iteration())
_INITIALIZED_ONCE: Any = cython.declare(bool, sys.version_info >= (3, 15))
_WARNS_OF_THREE_PARTS: Any = cython.declare(bool, sys.version_info >= (3, 12))


class Future(Runnable):
    """A result that is not there yet, of any asyncio event loop; every method is that of asyncio.Future.

    A future may be completed from any thread: the loop wakes up, and its thread sees either nothing or all of it.

    Who waits is held in three fields, because nearly always it is one: `_first` (with its `_first_context`) and
    `_others`. `_first` is a callback, or, if `_first_context` is None, a task that stands in the ready queue itself.
    Done, the future stands there to run its callbacks. `_shared` tells that `_first_context` is a snapshot that must
    not be entered itself. A loop that is not ours, or that has to see each callback, is given them by `call_soon()`.

    `_value` is the result, and of a cancelled future the message. `_error` is the exception, and of a cancelled one the
    CancelledError that ended it, until it is raised. `_last_words` tells what to report when it dies.
    """

    if not cython.compiled:
        _loop: Any = None
        _value: Any = None
        _error: Any = None
        _traceback: Any = None
        _first: Any = None
        _first_context: Any = None
        _others: list[Any] | None = None
        _source_traceback: Any = None
        _status: int = PENDING
        _last_words: int = 0
        _native: bool = False
        _blocking: bool = False
        _shared: bool = False

    def __init__(self, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Make a pending future of a loop (of the running one if none is given)."""
        self.bind(loop)

    def bind(self, loop: Any) -> None:
        """Belong to a loop, pending, as __init__() says: also if it was something else before."""
        if self._loop is not None and _INITIALIZED_ONCE:
            raise RuntimeError(f'{type(self).__name__} object is already initialized')
        if loop is None:
            loop = asyncio.get_event_loop()
        self._loop = loop
        self._native = isinstance(loop, Scheduler)
        self._value = self._error = self._traceback = self._source_traceback = None
        self._first = self._first_context = self._others = None
        self._status = PENDING
        self._last_words = 0
        self._blocking = False
        if loop.get_debug():
            self._source_traceback = creation_stack()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Pass isinstance(future, asyncio.Future)."""
        return _Future

    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias:
        return GenericAlias(cls, item)

    def get_loop(self) -> Any:
        """Return the loop that the future belongs to."""
        self.check_initialized()
        return self._loop

    def done(self) -> bool:
        """Tell whether there is a result or an exception, or the future was cancelled."""
        return self._status != PENDING

    def cancelled(self) -> bool:
        """Tell whether the future was cancelled."""
        return self._status == CANCELLED

    def result(self) -> Any:
        """Return the result, or raise the exception; InvalidStateError if there is none yet."""
        status: cython.int = self._status  # looked at once: another thread may complete this at any moment
        if status == FINISHED and self._error is None:
            return self._value
        if status == PENDING:
            raise InvalidStateError('Result is not ready.')
        raise self.failure()

    def exception(self) -> BaseException | None:
        """Return the exception, or None; InvalidStateError if it is not done, CancelledError if it was cancelled."""
        status: cython.int = self._status
        if status == FINISHED:
            self._last_words &= ~UNRETRIEVED
            error: BaseException | None = self._error
            return error
        if status == PENDING:
            raise InvalidStateError('Exception is not set.')
        raise self.failure()

    def set_result(self, result: Any) -> None:
        """Finish with a result; InvalidStateError if it is done."""
        if self._status != PENDING or self._loop is None:
            self.check_pending()
        self._value = result
        self.finish(FINISHED)

    def set_exception(self, exception: type | BaseException) -> None:
        """Finish with an exception, or an instance of the class given; InvalidStateError if it is done."""
        self.check_pending()
        exc: Any = exception() if isinstance(exception, type) else exception
        if not isinstance(exc, BaseException):
            raise TypeError(f'invalid exception object: {exception!r} (wanted: an exception, or a class of them)')
        if isinstance(exc, StopIteration):
            words = 'StopIteration interacts badly with generators and cannot be raised into a Future'
            if not _WRAPS_STOP_ITERATION:
                raise TypeError(words)
            error = RuntimeError(words)
            error.__cause__ = error.__context__ = exc
            exc = error
        self.fail(exc)

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel and return True; return False if it is done."""
        return self.request_cancel(msg)

    def request_cancel(self, msg: Any) -> bool:
        self._last_words &= ~UNRETRIEVED
        if self._status != PENDING:
            return False
        self.check_initialized()
        self._value = msg
        self.finish(CANCELLED)
        return True

    def add_done_callback(self, fn: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Call fn(future) once this is done, in a context (by default, a copy of the current one)."""
        self.check_initialized()
        self.add_callback(fn, context)

    def remove_done_callback(self, fn: Callable[[Any], object]) -> int:
        """Take out every callback that is equal to fn; return how many there were."""
        self.check_initialized()
        if self._status != PENDING:
            return 0
        equal = [entry for entry in self.entries() if self.entry_call(entry)[0] == fn]
        if equal and self._status == PENDING:  # comparing runs code of others: look again at who waits
            self.set_entries([entry for entry in self.entries() if not is_among(entry, equal)])
        return len(equal)

    # Awaiting: the future is its own iterator, which yields itself to the task and then returns the result.

    def __await__(self) -> Generator[Any, None, Any]:
        return self  # type: ignore[return-value]

    def __next__(self) -> Any:
        status: cython.int = self._status
        if status == FINISHED and self._error is None:
            if self._value is not None:
                set_stop_iteration(self._value)
            raise StopIteration  # compiled, a bare raise in __next__ is just "return NULL"
        if status == PENDING:
            self._blocking = True
            return self
        raise self.failure()

    def __iter__(self) -> FutureIterator:
        return FutureIterator(self)

    # Inside.

    def check_initialized(self) -> None:
        """Raise RuntimeError if the future has no loop, because __init__() was not called."""
        if self._loop is None:
            raise RuntimeError(
                f'Future object is not initialized. {type(self).__name__}.__init__() has to call super().__init__()'
            )

    def check_pending(self) -> None:
        """Raise InvalidStateError if the future is done."""
        self.check_initialized()
        if self._status != PENDING:
            raise InvalidStateError(f'{_STATES[self._status]}: {self!r}')

    def failure(self) -> BaseException:
        """Return the exception to raise where the result of a cancelled or failed future is asked for."""
        self._last_words &= ~UNRETRIEVED
        exc: BaseException = self._error
        if self._status == CANCELLED:
            self._error = None
            if exc is None:
                exc = CancelledError() if self._value is None else CancelledError(self._value)
        else:
            exc.__traceback__ = self._traceback
        return exc

    def fail(self, exc: BaseException) -> None:
        """Finish with an exception; InvalidStateError if it is done."""
        if self._status != PENDING:
            self.check_pending()
        self._error = exc
        self._traceback = exc.__traceback__
        self._last_words |= UNRETRIEVED
        self.finish(FINISHED)

    def finish(self, status: cython.int) -> None:
        """Become done, and have the callbacks run."""
        self._status = status
        if self._first is not None:
            self.schedule_callbacks()

    def finish_now(self, scheduler: Scheduler) -> None:
        """Become done, with None, where the loop runs nothing else: who waits goes on now, not in the next turn.

        Unless each callback has to go through call_soon().
        """
        if scheduler._indirect:
            self.finish_pending()
        elif cython.compiled or self.claim():
            self._status = FINISHED
            self.run_callbacks(scheduler)

    def claim(self) -> bool:
        """Uncompiled, become finished if no other thread was faster; tell whether it was not."""
        if self._status != PENDING:
            return False
        self._status = FINISHED
        return True

    def finish_pending(self) -> None:
        """Finish with None, unless it is done."""
        if self._status == PENDING:
            self.finish(FINISHED)

    def schedule_callbacks(self) -> None:
        """Have the loop run the callbacks in its next turn."""
        if self._native and not cython.cast(Scheduler, self._loop)._indirect:
            if self._first_context is None and not self._others:  # one task waits
                waiter = cython.cast(Runnable, self._first)
                self._first = None
                cython.cast(Scheduler, self._loop).push(waiter)
            else:
                cython.cast(Scheduler, self._loop).push(self)
            return
        entries = self.entries()
        self.set_entries([])
        for entry in entries:
            callback, context = self.entry_call(entry)
            if self._native and cython.cast(Scheduler, self._loop).in_other_thread():
                self._loop.call_soon_threadsafe(callback, self, context=context)
                continue
            try:
                self._loop.call_soon(callback, self, context=context)
            except RuntimeError:
                if not self._native or not cython.cast(Scheduler, self._loop).in_other_thread():
                    raise
                self._loop.call_soon_threadsafe(callback, self, context=context)  # it began to run just now

    def run(self, scheduler: Scheduler) -> None:
        self.run_callbacks(scheduler)

    def run_callbacks(self, scheduler: Scheduler) -> None:
        """Call them in order; what ends the loop leaves the rest for its next run."""
        if not self._others:
            callback, context = self._first, self._first_context
            self._first = self._first_context = None
            if callback is None:
                return
            if context is None:
                cython.cast(Runnable, callback).run(scheduler)
            else:
                scheduler.set_current(None)
                exc = context_call1(context, self._shared, callback, self)
                if exc is not None:
                    self.report(scheduler, exc, callback, context, self._shared)
            return
        entries = self.entries()
        self.set_entries([])
        done: cython.Py_ssize_t = 0
        try:
            for entry in entries:
                done += 1
                self.run_entry(scheduler, entry)
        finally:
            scheduler._callbacks_run += done - 1
            if done < len(entries):
                self.set_entries(entries[done:])
                ring_push_front(scheduler._ready, self)

    def run_entry(self, scheduler: Scheduler, entry: Any) -> None:
        """Run what entries() told of."""
        if isinstance(entry, Runnable):
            cython.cast(Runnable, entry).run(scheduler)
            return
        callback, context, shared = entry
        scheduler.set_current(None)
        exc = context_call1(context, shared, callback, self)
        if exc is not None:
            self.report(scheduler, exc, callback, context, shared)

    def report(
        self, scheduler: Scheduler, exc: BaseException, callback: Any, context: Any, shared: cython.bint
    ) -> None:
        """Report the exception of a callback, by the handle that it would have had."""
        handle: Handle = Handle.__new__(Handle)
        fill_handle(handle, self._loop, callback, (self,), failed_context(context) if shared else context)
        scheduler.report(exc, handle)

    def add_callback(self, callback: Any, context: Any) -> None:
        """Call back with the future when it is done."""
        entry = None
        own = context
        if self._status == PENDING:
            if context is None:
                own = snapshot_context()
            if self._first is not None:
                entry = (callback, own, context is None)
                if self._others is None:
                    self._others = []
        # Making these objects may have collected garbage and so run anything: what is now is what counts.
        if self._status != PENDING:
            if self._native and not cython.cast(Scheduler, self._loop)._indirect:
                new_handle(cython.cast(Scheduler, self._loop), callback, (self,), context)
            else:
                self._loop.call_soon(callback, self, context=context)
        elif self._first is None:
            self._first = callback
            self._first_context = own
            self._shared = context is None
        elif entry is None or self._others is None:
            self.add_callback(callback, context)
        else:
            self._others.append(entry)

    def add_waiter(self, task: Runnable) -> bool:
        """Run a task of the same loop when done; return False if this is done already."""
        if self._first is not None and self._others is None:
            self._others = []
        if self._status != PENDING:  # looked at last, as in add_callback()
            return False
        if self._first is None:
            self._first = task
            self._first_context = None
        elif self._others is None:
            return self.add_waiter(task)
        else:
            self._others.append(task)
        return True

    def entries(self) -> list[Any]:
        """Tell who waits: tasks, and tuples of a callback, its context and whether that is shared."""
        context = self._first_context
        first = self._first  # after the context: run_callbacks() takes it out first
        if first is None:
            return []
        if context is not None:
            first = (first, context, self._shared)
        return [first] if self._others is None else [first, *self._others]

    def set_entries(self, entries: list[Any]) -> None:
        """Make these who waits."""
        others: list[Any] = entries[1:]  # made first: a collection in between might run code that completes this
        self._first = self._first_context = self._others = None
        if entries:
            first = entries[0]
            if isinstance(first, Runnable):
                self._first = first
            else:
                self._first, self._first_context, self._shared = first
            if others:
                self._others = others

    def entry_call(self, entry: Any) -> Any:
        """Tell the callback and the context of its own that an entry stands for."""
        if isinstance(entry, Runnable):
            return cython.cast(Runnable, entry).wakeup_call()
        callback, context, shared = entry
        return callback, context.copy() if shared else context

    def __del__(self) -> None:
        self.report_unretrieved()

    def report_unretrieved(self) -> None:
        """Log the exception that nobody asked for."""
        if self._last_words & UNRETRIEVED:
            self._last_words = 0
            context = {
                'message': f'{type(self).__name__} exception was never retrieved',
                'exception': self._error,
                'future': self,
            }
            if self._source_traceback:
                context['source_traceback'] = self._source_traceback
            self._loop.call_exception_handler(context)

    def __reduce__(self) -> Any:
        raise TypeError(f'cannot copy or pickle {type(self).__name__!r} object')

    def __repr__(self) -> str:
        return _represent(self)

    def _repr_info(self) -> list[str]:
        """Say what repr() shows, in asyncio's words."""
        return repr_info(base_futures._future_repr_info, self)

    # The private names of asyncio.Future that libraries and debuggers read.

    @property
    def _state(self) -> str:
        state: str = _STATES[self._status]
        return state

    @property
    def _result(self) -> Any:
        return self._value if self._status == FINISHED else None

    @property
    def _exception(self) -> BaseException | None:
        return self._error if self._status == FINISHED else None

    @property
    def _cancel_message(self) -> Any:
        return None if self._status == FINISHED else self._value

    @_cancel_message.setter
    def _cancel_message(self, message: Any) -> None:
        if self._status != FINISHED:
            self._value = message

    @_cancel_message.deleter
    def _cancel_message(self) -> None:
        raise AttributeError('_cancel_message cannot be deleted')

    @property
    def _callbacks(self) -> list[tuple[Any, Context]] | None:
        if self._status != PENDING:
            return None
        return [self.entry_call(entry) for entry in self.entries()] or None

    @property
    def _asyncio_future_blocking(self) -> bool:
        return self._blocking != 0

    @_asyncio_future_blocking.setter
    def _asyncio_future_blocking(self, value: bool) -> None:
        self._blocking = value

    @_asyncio_future_blocking.deleter
    def _asyncio_future_blocking(self) -> None:
        raise AttributeError('_asyncio_future_blocking cannot be deleted')

    @property
    def _asyncio_awaited_by(self) -> set[Any] | None:
        """The tasks that await this (asyncio's call graph reads it)."""
        waiting = {
            entry if isinstance(entry, Runnable) else getattr(entry[0], '__self__', None) for entry in self.entries()
        }
        return {task for task in waiting if isinstance(task, asyncio.Task)} or None

    @property
    def _log_traceback(self) -> bool:
        return self._last_words & UNRETRIEVED != 0

    @_log_traceback.setter
    def _log_traceback(self, value: bool) -> None:
        if value:
            raise ValueError('_log_traceback can only be set to False')
        self._last_words &= ~UNRETRIEVED

    @_log_traceback.deleter
    def _log_traceback(self) -> None:
        raise AttributeError('_log_traceback cannot be deleted')

    def _make_cancelled_error(self) -> BaseException:
        """Return the CancelledError to raise for this future."""
        if self._status == CANCELLED:
            return self.failure()
        message = self._cancel_message
        return CancelledError() if message is None else CancelledError(message)  # type: ignore[no-any-return]


def is_among(entry: Any, entries: list[Any]) -> bool:
    """Tell whether one of what entries() told of is among others that it told of: the same registration."""
    for other in entries:
        if entry is other:
            return True
        if isinstance(entry, tuple) and isinstance(other, tuple) and entry[0] is other[0] and entry[1] is other[1]:
            return True
    return False


@reprlib.recursive_repr()
def _represent(future: Any) -> str:
    return f'<{type(future).__name__} {" ".join(future._repr_info())}>'


def thrown(kind: Any, value: Any, traceback: TracebackType | None) -> BaseException:
    """Return the exception that is meant by the up to three arguments of a throw(); TypeError for wrong ones."""
    if traceback is not None and not isinstance(traceback, TracebackType):
        raise TypeError('throw() third argument must be a traceback object')
    if _WARNS_OF_THREE_PARTS and (value is not None or traceback is not None):
        warnings.warn(
            'the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature instead.',
            DeprecationWarning,
            stacklevel=3 if not cython.compiled else 1,
        )
    if isinstance(kind, type) and issubclass(kind, BaseException):
        if isinstance(value, kind):
            exc: BaseException = value
        elif isinstance(value, tuple):
            exc = kind(*value)
        else:
            exc = kind() if value is None else kind(value)
    elif not isinstance(kind, BaseException):
        raise TypeError(f'exceptions must be classes or instances deriving from BaseException, not {kind!r}')
    elif value is not None:
        raise TypeError('instance exception may not have a separate value')
    else:
        exc = kind
    return exc if traceback is None else exc.with_traceback(traceback)


class FutureIterator:
    """What iter(future) gives, for `yield from` and for who sends and throws by hand."""

    if not cython.compiled:
        _future: Any = None
        _asked: bool = False

    def __init__(self, future: Future) -> None:
        self._future = future

    def __iter__(self) -> FutureIterator:
        return self

    def __next__(self) -> Any:
        if self._future is None:
            raise RuntimeError('FutureIterator has no future: use iter(future)')
        if self._asked and self._future._status == PENDING:
            raise RuntimeError("await wasn't used with future")
        self._asked = True
        return self._future.__next__()

    def send(self, value: Any) -> Any:
        """Go on, as next()."""
        return self.__next__()

    def throw(self, kind: Any, value: Any = None, traceback: TracebackType | None = None) -> Any:
        """Raise an exception where the future is awaited; it may be given in three parts, as to generator.throw()."""
        raise thrown(kind, value, traceback)

    def close(self) -> None:
        """Wait no longer."""


def new_future(scheduler: Scheduler) -> Future:
    """Make a future of a loop of ours."""
    future: Future = Future.__new__(Future)
    future._loop = scheduler
    future._native = True
    return future


def leave_value(value: Any) -> None:
    """Have a bare "raise StopIteration" that follows in a __next__() return a value. forget_value() forgets it."""
    set_stop_iteration(value)


def forget_value() -> None:
    """Do not keep the value of the last await alive."""
    forget_stop_iteration()


if cython.compiled:
    _sample = Future.__new__(Future)
    recycle_future(
        Future,
        _sample,
        cython.cast(Future, _sample)._last_words,
        cython.cast(Future, _sample)._attributes,  # type: ignore[attr-defined]
    )
    del _sample
else:
    indivisible(
        Future,
        'set_result',
        'fail',
        'request_cancel',
        'finish_pending',
        'claim',
        'add_callback',
        'add_waiter',
        'remove_done_callback',
        'entries',
    )
