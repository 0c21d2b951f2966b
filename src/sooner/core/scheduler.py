"""What stands in a loop's ready queue, and the queue: what handles, futures and tasks need to know of a loop.

The loop itself (`loop.LoopCore`) is made on top of these; modules import one way only.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import cython

if not cython.compiled:
    from .._capi import (
        CURRENT_TASK_IN_THREAD,
        Ring,
        TaskList,
        TimerHeap,
        cython_version,
        identity_hash,
        replace_current_task,
        ring_clear,
        ring_len,
        ring_pop,
        ring_push,
        show_references,
        swap_current_task,
        tasks_clear,
        tasks_list,
        timers_clear,
    )

    OPEN, WAITING, CLOSED, FORKED = range(4)

_get_ident: Any = cython.declare(object, threading.get_ident)
_current_tasks: Any = cython.declare(dict, getattr(asyncio.tasks, '_current_tasks', {}))
_swap_current_task: Any = cython.declare(object, getattr(asyncio.tasks, '_swap_current_task', None))

CYTHON = cython_version()
"""The version of Cython that compiled this module, with underscores; None if it runs uncompiled."""


class Runnable:
    """Something that can stand in the ready queue."""

    def run(self, scheduler: Scheduler) -> None:
        """Do it. Only KeyboardInterrupt and SystemExit may come out of this."""
        raise NotImplementedError

    def wakeup_call(self) -> tuple[Any, Any]:
        """Of what waits for a future: the done callback that it stands for, and the context to call it in."""
        raise NotImplementedError


class Outbox(Runnable):
    """A runnable that may have something to send when the callback that runs now returns."""

    if not cython.compiled:
        _outbox_next: Outbox | None = None
        _outbox_waits: bool = False

    def send_outbox(self) -> None:
        """Send it."""
        raise NotImplementedError


class Scheduler:
    """The ready queue of a loop, the tasks and the timers that it holds, and the task that runs now.

    `_status` is OPEN, WAITING (the loop's thread is, or is about to be, blocked in its driver: whoever makes something
    ready has to wake it), CLOSED, or FORKED (this process is a child that inherited the loop by fork()).

    `_indirect` is true while futures and tasks must go through the public `call_soon()` instead of standing in the
    queue themselves: in debug mode, and where somebody replaced that method.

    `_thread_id` is the thread in which the loop runs, or 0.

    `_outbox` and `_outbox_last` are the ends of a queue of what was written to transports during this callback: what a
    callback writes leaves together when it returns, with one system call a transport.
    """

    if not cython.compiled:
        _spare: Runnable | None = None
        _spares: int = 0
        _status: int = OPEN
        _indirect: bool = False
        _current: Any = None
        _published: Any = None
        _thread_id: int = 0
        _outbox: Outbox | None = None
        _outbox_last: Outbox | None = None
        _tasks_created: int = 0
        _callbacks_run: int = 0

        def __init__(self) -> None:
            self._ready: Ring[Runnable] = Ring()
            self._tasks: dict[int, Any] = TaskList()
            self._timers = TimerHeap()

    else:

        def __cinit__(self) -> None:
            show_references(Scheduler, self, self._ready, self._tasks, self._timers)

        def __dealloc__(self) -> None:
            ring_clear(self._ready)
            tasks_clear(self._tasks)
            timers_clear(self._timers)

    def push(self, runnable: Runnable) -> None:
        """Make it run in the next turn. Any thread may."""
        if self._status > WAITING:
            self.check_usable()
        ring_push(self._ready, runnable)
        if self._status == WAITING:
            self.end_wait()

    def end_wait(self) -> None:
        """Wake the loop's thread, which waits. Any thread may."""
        if not cython.compiled:
            self.wake()
            return
        self._status = OPEN  # the GIL was held since the caller looked; uncompiled, the loop may be closed by now
        try:
            self.wake()
        except BaseException:  # KeyboardInterrupt in a driver that is not compiled: the next one has to do it
            if self._status == OPEN:
                self._status = WAITING
            raise

    def push_ready(self, runnable: Runnable) -> None:
        """Make it run in this turn or the next: for a driver, in the loop's thread, during wait()."""
        ring_push(self._ready, runnable)

    def check_usable(self) -> None:
        """Raise RuntimeError if nothing can run here any more."""
        if self._status == CLOSED:
            raise RuntimeError('Event loop is closed')
        if self._status == FORKED:
            raise RuntimeError(
                'this event loop was made before fork() and belongs to the parent process; '
                'make a new one in the child (asyncio.run() does)'
            )

    def wake(self) -> None:
        """End the wait of the loop's thread."""
        raise NotImplementedError

    def report(self, exc: BaseException, source: Runnable) -> None:
        """Bring an exception that nobody caught to the exception handler; raise what must end the loop."""
        raise NotImplementedError

    def report_failure(self, exc: BaseException, runnable: Runnable) -> None:
        """Bring an exception to the exception handler that came up beside a callback."""
        raise NotImplementedError

    def in_other_thread(self) -> bool:
        """Tell whether the loop runs, but not in this thread."""
        return self._thread_id != 0 and self._thread_id != _get_ident()

    def run_ready(self) -> None:
        """Run what is ready now, but not what that makes ready."""
        count: cython.Py_ssize_t = ring_len(self._ready)
        self._callbacks_run += count
        while count > 0:
            try:
                while count > 0:
                    count -= 1
                    if ring_len(self._ready) == 0:  # a callback forked: nothing of this loop runs in the child
                        return
                    runnable = cython.cast(Runnable, ring_pop(self._ready))
                    runnable.run(self)
                    if self._outbox is not None:
                        self.send_outboxes()
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as exc:  # no callback's, but of what a user made of call_soon(), say
                self.report_failure(exc, runnable)
                self.send_outboxes()

    def defer_sending(self, outbox: Outbox) -> bool:
        """Call send_outbox() when the callback that runs now returns; return False if none runs: then send now."""
        if self._thread_id == 0 or self._status != OPEN:  # WAITING: the caller is in another thread
            return False
        if not outbox._outbox_waits:
            outbox._outbox_waits = True
            if self._outbox is None:
                self._outbox = outbox
            else:
                cython.cast(Outbox, self._outbox_last)._outbox_next = outbox
            self._outbox_last = outbox
        return True

    def send_outboxes(self) -> None:
        """Send what was written."""
        while self._outbox is not None:
            outbox: Outbox = cython.cast(Outbox, self._outbox)
            self._outbox = outbox._outbox_next
            outbox._outbox_next = None
            if self._outbox is None:
                self._outbox_last = None
            outbox._outbox_waits = False
            try:
                outbox.send_outbox()
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as exc:
                self.report_failure(exc, outbox)

    def tasks(self) -> list[Any]:
        """Tell the tasks that the loop holds: all of its own that are not done, in order of creation."""
        tasks: list[Any] = tasks_list(self._tasks)
        return tasks

    # The current task.  Since 3.14 asyncio keeps it in the thread; before, in a dict by loop, which costs more than
    # the rest of a step: so there it is only published when somebody looks, and who looks must hash the loop first.

    def set_current(self, task: Any) -> None:
        """Say which task runs now, or None."""
        if CURRENT_TASK_IN_THREAD:
            if task is not self._current:
                if not replace_current_task(self, task):
                    swap_current_task(_swap_current_task, self, task)
                self._current = task
        else:
            self._current = task
            if not cython.compiled and self._published is not task:
                self.publish(task)  # at once: else another thread that looks would write it later than it is true

    def forget_current(self) -> None:
        """In a child made by fork(): where asyncio keeps the task in the thread, it has forgotten it."""
        if CURRENT_TASK_IN_THREAD:
            self._current = None

    def __hash__(self) -> int:
        if cython.compiled and not CURRENT_TASK_IN_THREAD and self._published is not self._current:
            self.publish(self._current)
        return identity_hash(self)

    def publish(self, task: Any) -> None:
        """Write the current task where asyncio looks for it before 3.14."""
        self._published = task
        if task is None:
            _current_tasks.pop(self, None)
        else:
            _current_tasks[self] = task

    def swap_current(self, task: Any) -> Any:
        """Let a task run inside another's step; return what restore_current() needs."""
        if CURRENT_TASK_IN_THREAD:
            known = self._current
            self._current = task
            return known, _swap_current_task(self, task)
        outer = _current_tasks.get(self)  # hashing publishes it, if it is ours
        known = self._current
        self._current = self._published = task
        _current_tasks[self] = task
        return known, outer

    def restore_current(self, previous: Any) -> None:
        """End what swap_current() began."""
        known, outer = previous
        if CURRENT_TASK_IN_THREAD:
            _swap_current_task(self, outer)
            self._current = known
        else:
            if outer is None:
                _current_tasks.pop(self, None)
            else:
                _current_tasks[self] = outer
            self._current = self._published = known
