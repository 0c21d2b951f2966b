"""Handles: what `call_soon()`, `call_later()` and `call_at()` return, and what runs the callback."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any

import cython

from .inquiries import creation_stack
from .scheduler import Runnable, Scheduler

if not cython.compiled:
    from .._capi import context_call, copy_context, failed_context, reusable, snapshot_context, timers_died

    SPARE_HANDLES = 16384  # at most kept to be used again: what another thread schedules in its turn at the GIL

_Handle: Any = cython.declare(object, asyncio.Handle)
_ThreadSafeHandle: Any = cython.declare(object, getattr(asyncio.events, '_ThreadSafeHandle', asyncio.Handle))
_RLock: Any = cython.declare(object, threading.RLock)
_TimerHandle: Any = cython.declare(object, asyncio.TimerHandle)
_format_callback: Any = cython.declare(object, asyncio.format_helpers._format_callback_source)
_HIDES_ARGUMENTS: Any = cython.declare(bool, 'debug' in inspect.signature(_format_callback).parameters)


class Handle(Runnable):
    """A callback with its arguments and its context, to be run once, or each time that a file is ready.

    `_arguments` is None for none. `_description` is what repr() said of it in debug mode when it was cancelled.
    `_shared` tells that `_context` is a snapshot that must not be entered itself. `_in_heap` tells that this is a
    timer in the heap of `_loop`; that lets go of it sooner or later once it is false. The `_callback` of a handle that
    waits to be used again is the next of these.
    """

    if not cython.compiled:
        _loop: Any = None
        _callback: Any = None
        _arguments: Any = None
        _context: Any = None
        _cancelled: bool = False
        _shared: bool = False
        _in_heap: bool = False
        _source_traceback: Any = None
        _description: str | None = None

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], loop: Any, context: Context | None = None
    ) -> None:
        if self._in_heap:
            raise RuntimeError(f'a timer that is scheduled cannot be initialized again: {self!r}')
        # Not shared: what runs more than once finds it as it left it.
        own = copy_context() if context is None else context
        fill_handle(self, loop, callback, tuple(args) if args else None, own)
        if loop.get_debug():
            self._source_traceback = creation_stack()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Pass isinstance(handle, asyncio.Handle)."""
        return _Handle

    def cancel(self) -> None:
        """Do not run the callback, if it has not run yet. Drops what it holds."""
        if not self._cancelled:
            self.forget()

    def forget(self) -> None:
        """Be cancelled."""
        self._cancelled = True
        if self._source_traceback is not None:
            self._description = self.describe()
        self._callback = self._arguments = None

    def cancelled(self) -> bool:
        """Tell whether cancel() was called."""
        return self._cancelled

    def get_context(self) -> Context:
        """Return the context that the callback runs in."""
        context: Context = self.own_context()
        return context

    def own_context(self) -> Any:
        """Make the context one that only this callback enters."""
        if self._shared:
            self._shared = False
            self._context = self._context.copy()
        return self._context

    def adopt_context(self) -> None:
        """After the callback failed, have the context that it ran in, with what it set there."""
        self._context = failed_context(self._context)
        self._shared = False

    def run(self, scheduler: Scheduler) -> None:
        scheduler.set_current(None)  # first: a task that dies by that may run anything
        callback = self._callback
        arguments = self._arguments
        if not self._cancelled:  # looked at last, as forget() sets it first
            exc = context_call(self._context, self._shared, callback, arguments)
            if exc is not None:
                if self._shared:
                    self.adopt_context()
                scheduler.report(exc, self)
        if reusable(self) and scheduler._spares < SPARE_HANDLES and type(self) is Handle:
            if scheduler._indirect or self._source_traceback is not None:  # what runs slowly is told by its handle
                return
            self._arguments = self._context = None
            self._callback = scheduler._spare
            scheduler._spare = self
            scheduler._spares += 1

    def _run(self) -> None:
        """Run the callback now; an exception goes to the loop's exception handler."""
        exc = context_call(self._context, self._shared, self._callback, self._arguments)
        if exc is not None:
            if isinstance(exc, (KeyboardInterrupt, SystemExit)):
                raise exc
            if self._shared:
                self.adopt_context()
            self._loop.call_exception_handler(failure_context(self, exc))

    @property
    def _args(self) -> tuple[Any, ...] | None:
        return None if self._cancelled else self._arguments or ()

    def _repr_info(self) -> list[str]:
        """Say what repr() shows: asyncio's words, in asyncio's order."""
        info = [type(self).__name__]
        if self._cancelled:
            info.append('cancelled')
        if self._callback is not None:
            info.append(describe_callback(self))
        if self._source_traceback:
            frame = list(self._source_traceback).pop()
            info.append(f'created at {frame[0]}:{frame[1]}')
        return info

    def describe(self) -> str:
        return f'<{" ".join(self._repr_info())}>'

    def __repr__(self) -> str:
        return self._description or self.describe()


class ThreadSafeHandle(Handle):
    """What call_soon_threadsafe() returns since 3.14: other threads may cancel it, and then wait while it runs."""

    if not cython.compiled:
        _lock: Any = None

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], loop: Any, context: Context | None = None
    ) -> None:
        Handle.__init__(self, callback, args, loop, context)
        self._lock = _RLock()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Pass isinstance(handle, asyncio.events._ThreadSafeHandle)."""
        return _ThreadSafeHandle

    def cancel(self) -> None:
        """Do not run the callback; if it runs in another thread, wait until that is over."""
        with self._lock:
            Handle.cancel(self)

    def cancelled(self) -> bool:
        """Tell whether cancel() was called; if the callback runs in another thread, when that is over."""
        with self._lock:
            return self._cancelled

    def run(self, scheduler: Scheduler) -> None:
        with self._lock:
            Handle.run(self, scheduler)


class TimerHandle(Handle):
    """A callback to be run at a time of its loop's clock, in seconds.

    Timers of the same time run in the order in which they were made.
    """

    if not cython.compiled:
        _when: float = 0.0

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: Any,
        context: Context | None = None,
    ) -> None:
        Handle.__init__(self, callback, args, loop, context)
        self._when = when

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Pass isinstance(handle, asyncio.TimerHandle)."""
        return _TimerHandle

    def when(self) -> float:
        """Return the time that the callback is scheduled for, as `loop.time()` counts."""
        return self._when

    @property
    def _scheduled(self) -> bool:
        return self._in_heap != 0

    def cancel(self) -> None:
        """Do not run the callback, if it has not run yet. Drops what it holds."""
        if not self._cancelled:
            self.forget()
            if self._in_heap and self._loop is not None:
                self._in_heap = False
                timers_died(cython.cast(Scheduler, self._loop)._timers)

    def _repr_info(self) -> list[str]:
        info = Handle._repr_info(self)
        when: Any = int(self._when) if self._when.is_integer() else self._when
        info.insert(2 if self._cancelled else 1, f'when={when}')
        return info

    def __hash__(self) -> int:
        return hash(self._when)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TimerHandle):
            return NotImplemented
        timer = cython.cast(TimerHandle, other)
        return (
            self._when == timer._when
            and self._callback == timer._callback
            and self._arguments == timer._arguments
            and self._cancelled == timer._cancelled
        )

    def __lt__(self, other: object) -> bool:
        return self._when < cython.cast(TimerHandle, other)._when if isinstance(other, TimerHandle) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self._when <= cython.cast(TimerHandle, other)._when if isinstance(other, TimerHandle) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self._when > cython.cast(TimerHandle, other)._when if isinstance(other, TimerHandle) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self._when >= cython.cast(TimerHandle, other)._when if isinstance(other, TimerHandle) else NotImplemented


def fill_handle(
    handle: Handle, loop: Any, callback: Any, args: tuple[Any, ...] | None, context: Context | None
) -> None:
    """Give a new handle what it runs."""
    handle._loop = loop
    handle._callback = callback
    handle._arguments = args
    handle._shared = context is None
    handle._context = snapshot_context() if context is None else context


def new_handle(scheduler: Scheduler, callback: Any, args: tuple[Any, ...] | None, context: Context | None) -> Handle:
    """Make a handle, out of one that has run if there is one, and put it into the ready queue."""
    handle: Handle = cython.cast(Handle, scheduler._spare)
    if handle is not None:
        scheduler._spare = cython.cast(Handle, handle._callback)
        scheduler._spares -= 1
    else:
        handle = Handle.__new__(Handle)
        handle._loop = scheduler
    handle._callback = callback
    handle._arguments = args
    handle._shared = context is None
    handle._context = snapshot_context() if context is None else context
    handle._cancelled = False
    scheduler.push(handle)
    return handle


def describe_callback(handle: Handle) -> str:
    """Say what is called, as asyncio says it: where asyncio hides the arguments unless it is in debug mode, so."""
    if not _HIDES_ARGUMENTS:
        return str(_format_callback(handle._callback, handle._arguments or ()))
    return str(_format_callback(handle._callback, handle._arguments or (), debug=handle._source_traceback is not None))


def failure_context(handle: Handle, exc: BaseException) -> dict[str, Any]:
    """Describe a callback's exception for call_exception_handler()."""
    callback = describe_callback(handle)
    context = {'message': f'Exception in callback {callback}', 'exception': exc, 'handle': handle}
    if handle._source_traceback:
        context['source_traceback'] = handle._source_traceback
    return context


if cython.compiled:
    recycle(TimerHandle)  # type: ignore[name-defined]  # noqa: F821
