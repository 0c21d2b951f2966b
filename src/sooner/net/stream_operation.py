"""StreamOperation: what a method of a stream returns, where a coroutine would cost more than what it does.

    NEW       --the first step: begin()--------------------> OVER, WAITING or DELEGATED
    WAITING   --its future is done: resume()---------------> OVER or WAITING
    WAITING   --an exception is thrown in: interrupt()-----> OVER
    DELEGATED --its coroutine returns or raises------------> OVER

An operation that finds what it needs is over at its first step, without a future and without a frame. Where it would be
hard to say what asyncio does, it goes on as the coroutine that asyncio has for the same.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import warnings
from types import TracebackType
from typing import Any

import cython

from ..core.future import Future

if not cython.compiled:
    from .._capi import coro_send, coro_throw, sent_status
    from ..core.future import PENDING, leave_value, thrown

    OVER, NEW, WAITING, DELEGATED = range(4)
    RETURNED, YIELDED = 1, 0


class StreamOperation:
    """Something to await once: a coroutine to all who ask (`collections.abc.Coroutine`), a step of C to the loop.

    `_awaited` is the future or the coroutine in WAITING and DELEGATED, `_value` the result between OVER and its return.
    """

    if not cython.compiled:
        _state: int = OVER
        _awaited: Any = None
        _value: Any = None

    # For subclasses.

    def begin(self) -> Any:
        """Make the first step: return finish(), wait_for() or delegate(), or raise."""
        raise NotImplementedError

    def resume(self) -> Any:
        """Go on when the future is done that was waited for: as begin()."""
        raise NotImplementedError

    def interrupt(self, exc: BaseException) -> Any:
        """Raise an exception where the future was awaited; or return finish()."""
        raise exc

    def stop_waiting(self) -> None:
        """Clean up, whatever ended the wait for the future."""

    def name(self) -> str:
        """Tell the qualified name of the coroutine function that this stands for."""
        raise NotImplementedError

    def finish(self, value: Any) -> Any:
        """Be over, with a result."""
        self._value = value
        return None

    def wait_for(self, future: Future) -> Any:
        """Wait for a future of our own."""
        self._awaited = future
        self._state = WAITING
        future._blocking = True
        return future

    def delegate(self, coro: Any) -> Any:
        """Go on as a coroutine."""
        self._awaited = coro
        self._state = DELEGATED
        return self.step_coroutine(None)

    # Steps. Each returns what is to be yielded, unless the operation is over then.

    def step(self) -> Any:
        state: cython.int = self._state
        if state == NEW:
            self._state = OVER
            return self.begin()
        if state == WAITING:
            future = cython.cast(Future, self._awaited)
            if future._status == PENDING:
                future._blocking = True
                return future
            self._state = OVER
            self._awaited = None
            self.stop_waiting()
            if future._error is not None or future.cancelled():
                return self.interrupt(future.failure())
            return self.resume()
        if state == DELEGATED:
            return self.step_coroutine(None)
        raise RuntimeError('cannot reuse already awaited coroutine')

    def step_coroutine(self, exc: BaseException | None) -> Any:
        if exc is None:
            value = coro_send(None, self._awaited)
        else:
            value = coro_throw(None, self._awaited, exc)
        status: cython.int = sent_status()
        if status == YIELDED:
            return value
        self._state = OVER
        self._awaited = None
        if status == RETURNED:
            return self.finish(value)
        raise value

    # A coroutine's ways.

    def __await__(self) -> StreamOperation:
        if self._state >= WAITING:
            raise RuntimeError('coroutine is being awaited already')
        return self

    def __next__(self) -> Any:
        yielded = self.step()
        if self._state != OVER:
            return yielded
        if self._value is not None:
            value = self._value
            self._value = None
            leave_value(value)
        raise StopIteration  # compiled, a bare raise in __next__ is just "return NULL"

    def send(self, value: Any) -> Any:
        """Make a step."""
        if value is not None and self._state == NEW:
            raise TypeError("can't send non-None value to a just-started coroutine")
        return self.__next__()

    def throw(self, kind: Any, value: Any = None, traceback: TracebackType | None = None) -> Any:
        """Raise an exception where this waits; it may be given in three parts, as to generator.throw()."""
        exc: BaseException = thrown(kind, value, traceback)
        yielded = None
        if self._state == DELEGATED:
            yielded = self.step_coroutine(exc)
        elif self._state == WAITING:
            self._state = OVER
            self._awaited = None
            self.stop_waiting()
            self.interrupt(exc)
        elif self._state == NEW:
            self._state = OVER
            raise exc
        else:
            raise RuntimeError('cannot reuse already awaited coroutine')
        if self._state != OVER:
            return yielded
        result = self._value
        self._value = None
        raise StopIteration(result)

    def close(self) -> None:
        """Wait no longer."""
        state: cython.int = self._state
        awaited = self._awaited
        self._state = OVER
        self._awaited = None
        if state == WAITING:
            self.stop_waiting()
        elif state == DELEGATED:
            awaited.close()

    def end_unseen(self) -> None:
        """Die: of nobody having awaited this, they who wrote the program should know."""
        if self._state == NEW:
            self._state = OVER
            warnings.warn(
                f'coroutine {self.name()!r} was never awaited',
                RuntimeWarning,
                source=self,
                stacklevel=1 if cython.compiled else 3,
            )
        else:
            self.close()

    def __del__(self) -> None:
        if self._state != OVER:
            self.end_unseen()

    def __repr__(self) -> str:
        return f'<coroutine object {self.name()} at {id(self):#x}>'

    def __getattr__(self, attribute: str) -> Any:  # these two can be no properties of a class of Cython's
        if attribute == '__qualname__':
            return self.name()
        if attribute == '__name__':
            return self.name().rpartition('.')[2]
        raise AttributeError(f'{type(self).__name__!r} object has no attribute {attribute!r}')

    @property
    def cr_await(self) -> Any:
        """What is awaited now, or None."""
        return self._awaited

    @property
    def cr_frame(self) -> None:
        """None: there is no frame."""

    @property
    def cr_running(self) -> bool:
        """False: nobody can ask while this runs."""
        return False

    @property
    def cr_origin(self) -> None:
        """None: where this was made is not recorded."""


def mark_coroutine_function(method: Any) -> None:
    """Have iscoroutinefunction() say of a method that returns operations what it says of asyncio's."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(method)
    else:
        method._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
