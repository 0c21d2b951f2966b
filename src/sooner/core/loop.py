"""LoopCore: the turns of an event loop, and the methods that programs call most.

A turn asks the driver for events, makes the timers that are due ready, and runs what is ready: not what that makes
ready, which is for the next turn. So everything gets its turn.

Asking the driver costs a system call. A loop that has something to run asks when POLL_INTERVAL has gone by since it
last did; so files are looked at that often, or after each turn if turns take longer. Timers are looked at every turn.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any

import cython

from .driver import Driver
from .future import Future
from .handle import Handle, ThreadSafeHandle, TimerHandle
from .inquiries import creation_stack
from .scheduler import Runnable, Scheduler
from .statistics import Statistics
from .task import Task

if not cython.compiled:
    from .._capi import (
        as_double,
        copy_methods,
        delete_attribute,
        monotonic,
        ring_clear,
        ring_len,
        ring_pop,
        ring_push,
        same_method,
        set_attribute,
        tasks_len,
        timers_add,
        timers_clear,
        timers_first,
        timers_len,
        timers_pop,
    )
    from .future import forget_value, new_future
    from .handle import failure_context, fill_handle, new_handle
    from .scheduler import CLOSED, FORKED, OPEN, WAITING
    from .task import new_task

POLL_INTERVAL = 250e-6
"""Seconds after which a busy loop polls its files."""

_POLL_INTERVAL: Any = cython.declare(cython.double, 250e-6)
_LONGEST_WAIT: Any = cython.declare(cython.double, 24 * 3600.0)
_CLOCK_RESOLUTION: Any = cython.declare(cython.double, 1e-9)
_get_ident: Any = cython.declare(object, threading.get_ident)
_eager_task_factory: Any = cython.declare(object, getattr(asyncio, 'eager_task_factory', None))
_THREAD_SAFE_HANDLES: Any = cython.declare(bool, hasattr(asyncio.events, '_ThreadSafeHandle'))
_logger: Any = cython.declare(object, logging.getLogger('asyncio'))


class LoopCore(Scheduler):
    """A loop without files, signals and executors.

    `_clock` is what replaced the method time(), or None.
    `_eager` tells that the task factory is one whose tasks start eagerly, and which needs not be called for that.
    """

    if not cython.compiled:
        _driver: Driver = Driver()  # nothing can be None, also for who forgets super().__init__()
        _clock: Any = None
        _task_factory: Any = None
        _stopping: bool = False
        _debug: bool = False
        _eager: bool = False
        _own_time: bool = False
        _own_call_soon: bool = False
        _polled: float = 0.0
        _turn_began: float = 0.0
        _time_waiting: float = 0.0
        _time_running: float = 0.0
        _longest_turn: float = 0.0
        _longest_callback: float = 0.0
        _turns: int = 0
        _polls: int = 0

    else:

        def __cinit__(self) -> None:
            self._driver = Driver()

    def __init__(self, driver: Driver) -> None:
        if self._thread_id != 0:
            raise RuntimeError('This event loop is already running')
        if not cython.compiled:
            Scheduler.__init__(self)
        self._driver = driver
        self.slow_callback_duration = 0.1
        self.notice_replacements()

    # What users may replace.

    def __setattr__(self, name: str, value: Any) -> None:
        set_attribute(self, name, value)
        if name == 'call_soon' or name == 'time':
            self.notice_attribute(name, True)

    def __delattr__(self, name: str) -> None:
        delete_attribute(self, name)
        if name == 'call_soon' or name == 'time':
            self.notice_attribute(name, False)

    def notice_attribute(self, name: str, present: cython.bint) -> None:
        """Remember that this very loop has, or has no more, a method of its own."""
        if name == 'time':
            self._own_time = present
        else:
            self._own_call_soon = present
        self.notice_replacements()

    def notice_replacements(self) -> None:
        """Use call_soon() and time() where a subclass, or somebody with this loop, replaced them."""
        cls: Any = type(self)
        self._clock = None if not self._own_time and same_method(cls.time, LoopCore.time) else self.time
        own_call_soon = self._own_call_soon or not same_method(cls.call_soon, LoopCore.call_soon)
        self._indirect = self._debug or own_call_soon

    # asyncio's methods.

    def time(self) -> float:
        """Return the loop's time: seconds of time.monotonic()."""
        return monotonic()

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Handle:
        """Call callback(*args) in the next turn, after what was scheduled before, in a context.

        The default context is a copy of the current one. TypeError if callback can't be called, RuntimeError if the
        loop is closed. Must be called in the loop's thread; debug mode checks that.
        """
        if self._debug or not callable(callback):
            self.check_callback(callback, 'call_soon')
        handle: Handle = new_handle(self, callback, args if args else None, context)
        if self._debug:
            handle._source_traceback = creation_stack()
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """Do the same from any thread, and wake the loop if it waits."""
        if self._debug or not callable(callback):
            self.check_callback(callback, 'call_soon_threadsafe')
        if _THREAD_SAFE_HANDLES:
            locked: ThreadSafeHandle = ThreadSafeHandle(callback, args, self, context)
            self.push(locked)
            return locked
        handle: Handle = new_handle(self, callback, args if args else None, context)
        if self._debug:
            handle._source_traceback = creation_stack()
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> TimerHandle:
        """Call callback(*args) after at least delay seconds (in the next turn if that is not positive).

        TypeError if delay is not a number, ValueError if it is NaN; otherwise as call_soon().
        """
        if delay is None:
            raise TypeError('delay must not be None')
        if self._debug or not callable(callback):
            self.check_callback(callback, 'call_later')
        return self.add_timer(self.now() + as_double(delay), callback, args if args else None, context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> TimerHandle:
        """Call callback(*args) at a time of the loop's clock, as call_later()."""
        if when is None:
            raise TypeError('when cannot be None')
        if self._debug or not callable(callback):
            self.check_callback(callback, 'call_at')
        return self.add_timer(as_double(when), callback, args if args else None, context)

    def create_future(self) -> Future:
        """Make a pending Future of this loop."""
        future: Future = new_future(self)
        if self._debug:
            future._source_traceback = creation_stack()
        return future

    def create_task(
        self,
        coro: Any,
        *,
        name: Any = None,
        context: Context | None = None,
        eager_start: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Make a Task that runs a coroutine, by the task factory if one is set.

        The task's first step is made in the next turn; with eager_start, in a running loop, at once. RuntimeError if
        the loop is closed, TypeError if coro is not a coroutine.
        """
        if self._status > WAITING:
            self.check_usable()
        if self._task_factory is not None and not self._eager:
            if eager_start is not None:
                kwargs['eager_start'] = eager_start
            return self.create_task_by_factory(coro, name, context, kwargs)
        if kwargs:
            raise TypeError(f'create_task() got an unexpected keyword argument {next(iter(kwargs))!r}')
        task: Task = new_task(self, coro, name, context)
        if self._debug:
            task._source_traceback = creation_stack()
        if (self._eager if eager_start is None else eager_start) and self._thread_id != 0:
            task.start_eagerly()
        else:
            task.schedule()
            task.register()
        return task

    def create_task_by_factory(self, coro: Any, name: Any, context: Context | None, kwargs: dict[str, Any]) -> Any:
        """Have the task factory make a task."""
        raise NotImplementedError

    def set_task_factory(self, factory: Any) -> None:
        """Have factory(loop, coro, **kwargs) make the tasks; None: this loop's own Task.

        asyncio.eager_task_factory gives this loop's own tasks too, started eagerly.
        """
        if factory is not None and not callable(factory):
            raise TypeError('task factory must be a callable or None')
        self._task_factory = factory
        self._eager = factory is not None and factory is _eager_task_factory

    def get_task_factory(self) -> Any:
        """Return the task factory, or None."""
        return self._task_factory

    def stop(self) -> None:
        """End run_forever() after this turn. If the loop does not run, its next run makes one turn."""
        self._stopping = True
        if self._status == WAITING:  # called from another thread
            self.end_wait()

    def is_running(self) -> bool:
        """Tell whether the loop runs."""
        return self._thread_id != 0

    def is_closed(self) -> bool:
        """Tell whether close() was called."""
        return self._status == CLOSED

    def get_debug(self) -> bool:
        """Tell whether debug mode is on."""
        return self._debug

    def statistics(self) -> Statistics:
        """Return what the loop counted about itself."""
        alive: int = tasks_len(self._tasks)
        return Statistics(
            turns=self._turns,
            callbacks_run=self._callbacks_run,
            polls=self._polls,
            tasks_created=self._tasks_created,
            tasks_alive=alive,
            tasks_done=self._tasks_created - alive,
            timers=timers_len(self._timers),
            ready=ring_len(self._ready),
            longest_turn=self._longest_turn,
            longest_callback=self._longest_callback if self._longest_callback > 0 else None,
            time_waiting=self._time_waiting,
            time_running=self._time_running,
        )

    # Turns.

    def run_turns(self) -> None:
        """Run until stop(): in this thread."""
        if self._thread_id != 0:
            raise RuntimeError('This event loop is already running')
        self._thread_id = _get_ident()
        self._turn_began = monotonic()
        self._polled = 0
        try:
            while True:
                self.turn()
                if self._stopping:
                    break
        finally:
            self.send_outboxes()
            self.settle()
            self._stopping = False
            self._thread_id = 0
            self._time_running += monotonic() - self._turn_began

    def turn(self) -> None:
        """Ask for events, fire timers, run what is ready."""
        if self._status > WAITING:
            self.check_usable()
        self._turns += 1
        now: cython.double = monotonic()
        took: cython.double = now - self._turn_began
        self._time_running += took
        if took > self._longest_turn:
            self._longest_turn = took
        if ring_len(self._ready) > 0 or self._stopping:
            if now - self._polled >= _POLL_INTERVAL:
                self.poll(now)
        else:
            now = self.wait(now)
        self._turn_began = now
        if timers_len(self._timers) > 0:
            self.fire_timers(now if self._clock is None else self.now())
        if self._debug:
            self.run_ready_debug()
        else:
            self.run_ready()
        if self._current is not None or self._published is not None:
            self.settle()
        forget_value()

    def settle(self) -> None:
        """Between turns no task runs, and none is kept for having run."""
        self.set_current(None)
        if self._published is not None:
            self.publish(None)

    def poll(self, now: cython.double) -> None:
        """Ask the driver for what is ready."""
        self._polled = now
        self._polls += 1
        self._driver.wait(self, 0)

    def expect_events(self) -> None:
        """Poll in the next turn, however busy it is.

        For who sends something, or closes it: the other end may be in this loop too, and programs that give way a few
        times expect it to have heard of it then, as it has in asyncio, which polls in each turn.
        """
        self._polled = 0

    def poll_next_turn(self) -> None:
        """Do expect_events(), for who is not compiled: what serves both is looked up at each call."""
        self.expect_events()

    def wait(self, now: cython.double) -> float:
        """Wait for the driver, or for the first timer, or not if there is something to do; return the time."""
        timeout: cython.double = -1
        self._status = WAITING  # from here on, who pushes wakes; so look again
        try:
            if timers_len(self._timers) > 0:
                timeout = timers_first(self._timers) - (now if self._clock is None else self.now())
                if timeout < 0:
                    timeout = 0
                elif timeout > _LONGEST_WAIT:
                    timeout = _LONGEST_WAIT
            if ring_len(self._ready) > 0 or self._stopping:
                timeout = 0
            if timeout == 0 and now - self._polled < _POLL_INTERVAL:
                return now
            self._polls += 1
            self._driver.wait(self, timeout)
        finally:
            if self._status == WAITING:
                self._status = OPEN
        self._polled = monotonic()
        self._time_waiting += self._polled - now
        return self._polled

    def wake(self) -> None:
        self._driver.wake()

    def now(self) -> float:
        """Return time(), also where somebody replaced it."""
        if self._clock is None:
            return monotonic()
        return self._clock()  # type: ignore[no-any-return]

    def fire_timers(self, now: cython.double) -> None:
        """Make ready what is due."""
        due: cython.double = now + _CLOCK_RESOLUTION
        while timers_len(self._timers) > 0 and timers_first(self._timers) < due:
            ring_push(self._ready, timers_pop(self._timers))

    def add_timer(
        self, when: cython.double, callback: Any, args: tuple[Any, ...] | None, context: Context | None
    ) -> TimerHandle:
        """Make and schedule a timer."""
        if self._status > WAITING:
            self.check_usable()
        if when != when:
            raise ValueError('Invalid delay: NaN (not a number)')
        timer: TimerHandle = TimerHandle.__new__(TimerHandle)
        fill_handle(timer, self, callback, args, context)
        timer._when = when
        timers_add(self._timers, when, timer, timer._in_heap)
        if self._debug:
            timer._source_traceback = creation_stack()
        return timer

    def run_ready_debug(self) -> None:
        """Run what is ready now, timing each."""
        count: cython.Py_ssize_t = ring_len(self._ready)
        self._callbacks_run += count
        for _ in range(count):
            if ring_len(self._ready) == 0:
                return
            runnable = cython.cast(Runnable, ring_pop(self._ready))
            began: cython.double = monotonic()
            try:
                runnable.run(self)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as exc:
                self.report_failure(exc, runnable)
            self.send_outboxes()
            took: cython.double = monotonic() - began
            if took > self._longest_callback:
                self._longest_callback = took
            if took >= self.slow_callback_duration:
                _logger.warning('Executing %s took %.3f seconds', self.culprit(runnable), took)

    def culprit(self, runnable: Runnable) -> str:
        """Describe what was slow: of a task's step, the task."""
        if isinstance(runnable, Handle):
            owner = getattr(cython.cast(Handle, runnable)._callback, '__self__', None)
            if isinstance(owner, asyncio.Task):
                return repr(owner)
        return repr(runnable)

    def report(self, exc: BaseException, source: Runnable) -> None:
        if isinstance(exc, (KeyboardInterrupt, SystemExit)):
            raise exc
        self.call_exception_handler(failure_context(cython.cast(Handle, source), exc))

    def report_failure(self, exc: BaseException, runnable: Runnable) -> None:
        self.call_exception_handler({'message': f'Exception around {runnable!r}', 'exception': exc})

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tell the exception handler."""
        raise NotImplementedError

    def check_callback(self, callback: Any, method: str) -> None:
        """Raise TypeError for what can't be called back; in debug mode, RuntimeError in a wrong thread."""
        if self._debug:
            self.check_usable()
            if method != 'call_soon_threadsafe':
                self.check_thread()
            if asyncio.iscoroutine(callback) or inspect.iscoroutinefunction(callback):
                raise TypeError(f'coroutines cannot be used with {method}(); use create_task()')
        if not callable(callback):
            if asyncio.iscoroutine(callback):
                raise TypeError(f'coroutines cannot be used with {method}(); use create_task()')
            raise TypeError(f'a callable object was expected by {method}(), got {callback!r}')

    def check_thread(self) -> None:
        """In debug mode, raise RuntimeError in a wrong thread."""
        if self._debug and self.in_other_thread():
            raise RuntimeError(
                'Non-thread-safe operation invoked on an event loop other than the current one; '
                'use call_soon_threadsafe()'
            )

    # For the parts of a loop that are built on this.

    def _check_closed(self) -> None:
        """Raise RuntimeError if the loop can't be used any more."""
        self.check_usable()

    def set_debugging(self, enabled: bool) -> None:
        """Switch debug mode."""
        self._debug = enabled
        self.notice_replacements()

    def prepare_fork(self) -> None:
        """Send what was written: a child would have that too, and might send it again."""
        if self._thread_id == _get_ident():
            self.send_outboxes()

    def mark_forked(self) -> None:
        """Become unusable: this process is a child, and all of this is its parent's."""
        if self._status != CLOSED:
            self._status = FORKED
            self._driver.close()  # this process's copies: what they lead to is shared with the parent
            ring_clear(self._ready)
            self._outbox = self._outbox_last = None
            self.forget_current()
        self._thread_id = 0

    def drop_everything(self) -> list[Any]:
        """Close: forget what is ready and scheduled, hold no task; return the tasks that were held."""
        if self._thread_id != 0:
            raise RuntimeError('Cannot close a running event loop')
        tasks: list[Any] = self.tasks()
        self._status = CLOSED  # what is dropped may run code, which cannot schedule anything
        ring_clear(self._ready)
        timers_clear(self._timers)
        self._spare = None
        self._spares = 0
        for task in tasks:
            cython.cast(Task, task).unregister()
        return tasks


def adopt_methods(cls: type, *bases: type) -> None:
    """Give a class anew what it inherits from compiled ones: the interpreter calls a class's own methods faster."""
    for base in bases:
        copy_methods(cls, base)
