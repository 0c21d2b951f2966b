"""Task: a coroutine that the loop resumes whenever what it awaits is done.

    READY    --the loop runs it-----------------> running
    running  --awaits a future that is not done-> WAITING
    running  --yields None (asyncio.sleep(0))---> READY
    running  --returns, raises, is cancelled----> done (FINISHED or CANCELLED)
    WAITING  --the future is done---------------> READY
    WAITING  --cancel()-------------------------> cancels the future, which makes it READY
    READY    --cancel()-------------------------> READY, and CancelledError is thrown in

All but the last row's are one state of the Future, PENDING: READY is standing in the ready queue, WAITING is having
`_waiting`.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import base_tasks
from collections.abc import Coroutine, Generator
from contextvars import Context
from itertools import count
from types import FrameType
from typing import Any, TextIO

import cython

from .future import Future
from .inquiries import repr_info
from .scheduler import Scheduler

if not cython.compiled:
    from .._capi import (
        REFUSED,
        RETURNED,
        YIELDED,
        TaskLink,
        copy_context,
        copy_methods,
        coro_send,
        coro_throw,
        indivisible,
        is_context,
        is_coroutine,
        recycle_future,
        sent_status,
        tasks_add,
        tasks_discard,
    )
    from .future import CANCELLED, FINISHED, PENDING, UNFINISHED, UNRETRIEVED
    from .scheduler import FORKED

    _last_number = 0
    _numbers = count(1)

CancelledError: Any = cython.declare(object, asyncio.CancelledError)
_Task: Any = cython.declare(object, asyncio.Task)
_UNCANCEL_CLEARS: Any = cython.declare(bool, sys.version_info >= (3, 13))
_enter_task: Any = cython.declare(object, asyncio.tasks._enter_task)
_leave_task: Any = cython.declare(object, asyncio.tasks._leave_task)
_register_task: Any = cython.declare(object, asyncio.tasks._register_task)
_unregister_task: Any = cython.declare(object, asyncio.tasks._unregister_task)


class Task(Future):
    """A coroutine that runs in an event loop; every method is that of asyncio.Task.

    A loop of ours holds its tasks until they are done. The task stands in its ready queue itself. In another loop, and
    where the loop has to see each callback, its steps are scheduled by `call_soon()`.

    `_waiting` is the future whose end the task waits for, also after that has made it ready.
    """

    if not cython.compiled:
        _coro: Any = None
        _task_context: Any = None
        _name: Any = None
        _waiting: Any = None
        _link: TaskLink = None
        _number: int = 0
        _must_cancel: bool = False
        _cancel_requests: int = 0

    def __init__(
        self,
        coro: Generator[Any, None, Any] | Coroutine[Any, Any, Any],
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        name: Any = None,
        context: Context | None = None,
        eager_start: bool = False,
    ) -> None:
        """Make a task and schedule its first step; with eager_start, and in the running loop, make the step now."""
        if self._loop is not None:
            self.unregister()
        self.bind(loop)
        self._waiting = self._coro = None
        self._must_cancel = False
        self._cancel_requests = 0
        self.start(coro, name, context)
        if eager_start and self._loop.is_running():
            self.start_eagerly()
        else:
            self.schedule()
            self.register()

    def start(self, coro: Any, name: Any, context: Context | None) -> None:
        """Take what runs."""
        global _last_number
        if not is_coroutine(coro) and not asyncio.iscoroutine(coro):
            raise TypeError(f'a coroutine was expected, got {coro!r}')
        if context is not None and not is_context(context):
            raise TypeError(f'a contextvars.Context was expected, got {type(context).__name__}')
        self._coro = coro
        self._task_context = copy_context() if context is None else context
        self._last_words = UNFINISHED
        if cython.compiled:
            _last_number += 1
            self._number = _last_number
        else:
            self._number = next(_numbers)
        self._name = None if name is None else str(name)

    def register(self) -> None:
        """Be known to the loop, and held by it if it is one of ours."""
        if self._native:
            tasks_add(cython.cast(Scheduler, self._loop)._tasks, self._link, self)
            cython.cast(Scheduler, self._loop)._tasks_created += 1
        else:
            _register_task(self)

    def unregister(self) -> None:
        """Be held by the loop no longer."""
        if self._native:
            tasks_discard(cython.cast(Scheduler, self._loop)._tasks, self._link, self)
        else:
            _unregister_task(self)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Pass isinstance(task, asyncio.Task)."""
        return _Task

    def get_coro(self) -> Any:
        """Return the coroutine; None if that ended during an eager start."""
        return self._coro

    def get_context(self) -> Context:
        """Return the context that the coroutine runs in."""
        context: Context = self._task_context
        return context

    def get_name(self) -> str:
        """Return the name: by default Task- and a number."""
        if self._name is None:
            self._name = f'Task-{self._number}'
        name: str = self._name
        return name

    def set_name(self, value: object) -> None:
        """Set the name to str(value)."""
        self._name = str(value)

    def get_stack(self, *, limit: int | None = None) -> list[FrameType]:
        """Return the frames where the coroutine is suspended, or those of its traceback if it failed."""
        stack: list[FrameType] = base_tasks._task_get_stack(self, limit)  # type: ignore[arg-type]
        return stack

    def print_stack(self, *, limit: int | None = None, file: TextIO | None = None) -> None:
        """Print what get_stack() returns, as a traceback."""
        base_tasks._task_print_stack(self, limit, file)  # type: ignore[arg-type]

    def set_result(self, result: Any) -> None:
        """Refuse: the result of a task is that of its coroutine."""
        raise RuntimeError('Task does not support set_result operation')

    def set_exception(self, exception: object) -> None:
        """Refuse: the exception of a task is that of its coroutine."""
        raise RuntimeError('Task does not support set_exception operation')

    def cancel(self, msg: Any | None = None) -> bool:
        """Have CancelledError raised in the coroutine at its next chance; False if it is done already."""
        return self.request_cancel(msg)

    def request_cancel(self, msg: Any) -> bool:
        if self._status != PENDING:
            self._last_words &= ~UNRETRIEVED
            return False
        task: Task = self
        behind: Task = self  # goes down the chain at half the pace: whoever meets it goes in a circle
        steps: cython.Py_ssize_t = 0
        while True:
            task._cancel_requests += 1
            waiting = task._waiting
            if type(waiting) is not Task or cython.cast(Task, waiting)._status != PENDING:
                break
            task = cython.cast(Task, waiting)
            steps += 1
            if steps & 1 == 0:
                behind = cython.cast(Task, behind._waiting)
            if task is behind:
                raise RecursionError(f'tasks that wait for each other cannot be cancelled: {task!r}')
        if waiting is None or not cancel_future(waiting, msg):
            task._value = msg
            task._must_cancel = True  # last: the loop's thread may look any time
        return True

    def cancelling(self) -> int:
        """Return how many cancel() have not been taken back by uncancel()."""
        return self._cancel_requests

    def uncancel(self) -> int:
        """Take back one cancel(); return how many are left."""
        if self._cancel_requests > 0:
            self._cancel_requests -= 1
            if self._cancel_requests == 0 and _UNCANCEL_CLEARS:
                self._must_cancel = False
        return self._cancel_requests

    # Steps.

    def schedule(self) -> None:
        """Become ready."""
        if self._native and not cython.cast(Scheduler, self._loop)._indirect:
            cython.cast(Scheduler, self._loop).push(self)
        else:
            self._loop.call_soon(self._step, context=self._task_context)

    def run(self, scheduler: Scheduler) -> None:
        """Make one step; once the coroutine is over, run the callbacks."""
        if self._status != PENDING:
            if self._last_words & UNFINISHED:
                self.complain(scheduler)
            self.run_callbacks(scheduler)
            return
        exc: BaseException | None = None
        if self._waiting is not None:
            future = cython.cast(Future, self._waiting)
            if not isinstance(self._waiting, Future) or future._status == PENDING:
                return  # another coroutine was ready when this task was initialized once more
            self._waiting = None
            if future._error is not None or future._status == CANCELLED:
                exc = future.failure()
        if self._must_cancel:
            exc = self.due_cancellation(exc)
        scheduler.set_current(self)
        self.resume(self._task_context, exc)

    def complain(self, scheduler: Scheduler) -> None:
        """Report that somebody finished the future that this task is, with set_result() of its base class."""
        self._last_words &= ~UNFINISHED
        self.unregister()
        error = asyncio.InvalidStateError(f'__step(): already done: {self!r}')
        self.report(scheduler, error, self._step, self._task_context, False)

    def _step(self, exc: BaseException | None = None) -> None:
        """Make one step as a callback, in the context of the task."""
        if self._status != PENDING:
            raise asyncio.InvalidStateError(f'__step(): already done: {self!r}, {exc!r}')
        self._waiting = None
        if self._must_cancel:
            exc = self.due_cancellation(exc)
        if self._native:
            scheduler = cython.cast(Scheduler, self._loop)
            scheduler.set_current(self)
            try:
                self.resume(None, exc)
            finally:
                scheduler.set_current(None)
        else:
            _enter_task(self._loop, self)
            try:
                self.resume(None, exc)
            finally:
                _leave_task(self._loop, self)

    def _wakeup(self, future: Any) -> None:
        """Go on, as the done callback of what the coroutine awaits."""
        exc: BaseException | None = None
        try:
            future.result()
        except BaseException as raised:
            exc = raised
        self._step(exc)

    def wakeup_call(self) -> tuple[Any, Any]:
        return self._wakeup, self._task_context

    def start_eagerly(self) -> None:
        """Make the first step now, inside of whatever runs."""
        self.register()
        loop = self._loop
        if self._native:
            previous = cython.cast(Scheduler, loop).swap_current(self)
        else:
            previous = swap_foreign_task(loop, self)
        try:
            self.resume(self._task_context, None)
            refused: cython.bint = sent_status() == REFUSED and self._status == FINISHED
        finally:
            if self._native:
                cython.cast(Scheduler, loop).restore_current(previous)
            else:
                swap_foreign_task(loop, previous)
            if self._status != PENDING:
                self._coro = None
        if refused:  # the context is entered already: so it is the caller's mistake
            raise self.failure()

    def due_cancellation(self, exc: BaseException | None) -> BaseException:
        """Return the CancelledError that cancel() asked for, unless there is one already."""
        self._must_cancel = False
        if exc is not None and isinstance(exc, CancelledError):
            return exc
        return CancelledError() if self._value is None else CancelledError(self._value)  # type: ignore[no-any-return]

    def resume(self, context: Any, exc: BaseException | None) -> None:
        """Let the coroutine run to its next await, in a context (None: in this one)."""
        if exc is None:
            value = coro_send(context, self._coro)
        else:
            value = coro_throw(context, self._coro, exc)
        status: cython.int = sent_status()
        if status == YIELDED:
            if value is None:
                self.schedule()
            else:
                self.wait_for(value)
        elif status == RETURNED:
            self.complete(value, None)
        else:
            self.complete(None, value)
            if isinstance(value, (KeyboardInterrupt, SystemExit)):
                raise value

    def complete(self, value: Any, error: BaseException | None) -> None:
        """Be done, with what the coroutine returned or raised."""
        status: cython.int = FINISHED
        if error is not None:
            self._value = None
            self._error = error
            if isinstance(error, CancelledError):
                status = CANCELLED
            else:
                self._traceback = error.__traceback__
                self._last_words |= UNRETRIEVED
        elif self._must_cancel:  # cancel() came during the last step
            self._must_cancel = False
            status = CANCELLED
        else:
            self._value = value
        self._last_words &= ~UNFINISHED
        self.unregister()
        if self._native and cython.cast(Scheduler, self._loop)._status == FORKED:  # who waits is the parent's
            self._status = status
        else:
            self.finish(status)

    def wait_for(self, yielded: Any) -> None:
        """Suspend until the future that the coroutine yielded is done."""
        if type(yielded) is Future or type(yielded) is Task:
            future = cython.cast(Future, yielded)
            if future._blocking and future._loop is self._loop and future is not self:
                future._blocking = False
                self._waiting = future
                if not future.add_waiter(self):
                    self._loop.call_soon(self._wakeup, future, context=self._task_context)
                if self._must_cancel and future.request_cancel(self._value):
                    self._must_cancel = False
                return
        try:
            self.wait_for_other(yielded)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:
            self._waiting = None
            self._loop.call_soon(self._step, exc, context=self._task_context)

    def wait_for_other(self, yielded: Any) -> None:
        """Do the same with what is not one of our futures, or not awaited as one should be."""
        blocking = getattr(yielded, '_asyncio_future_blocking', None)
        if blocking is None:
            if isinstance(yielded, Generator):
                self.refuse(f'yield was used instead of yield from for generator in task {self!r} with {yielded!r}')
            else:
                self.refuse(f'Task got bad yield: {yielded!r}')
        elif yielded is self:
            self.refuse(f'Task cannot await on itself: {self!r}')
        elif loop_of(yielded) is not self._loop:
            self.refuse(f'Task {self!r} got Future {yielded!r} attached to a different loop')
        elif not blocking:
            self.refuse(f'yield was used instead of yield from in task {self!r} with {yielded!r}')
        else:
            yielded._asyncio_future_blocking = False
            yielded.add_done_callback(self._wakeup, context=self._task_context)
            self._waiting = yielded
            if self._must_cancel:
                self.cancel_awaited(yielded)

    def cancel_awaited(self, future: Any) -> None:
        """Pass a cancel() on to what is awaited now; if that can't take it, the next step will."""
        try:
            if cancel_future(future, self._value):
                self._must_cancel = False
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:
            message = f'Exception in cancel() of what {self!r} awaits'
            self._loop.call_exception_handler({'message': message, 'exception': exc, 'task': self})

    def refuse(self, words: str) -> None:
        """Raise RuntimeError in the coroutine, in its next step."""
        self._loop.call_soon(self._step, RuntimeError(words), context=self._task_context)

    def __del__(self) -> None:
        if self._last_words & UNFINISHED and self._status == PENDING and self._loop is not None:
            self._last_words &= ~UNFINISHED
            context = {'task': self, 'message': 'Task was destroyed but it is pending!'}
            if self._source_traceback:
                context['source_traceback'] = self._source_traceback
            self._loop.call_exception_handler(context)
        self.report_unretrieved()

    def _repr_info(self) -> list[str]:
        return repr_info(base_tasks._task_repr_info, self)

    # The private names of asyncio.Task that libraries read.

    @property
    def _fut_waiter(self) -> Any:
        return self._waiting

    @property
    def _num_cancels_requested(self) -> int:
        return self._cancel_requests

    @property
    def _context(self) -> Context:
        context: Context = self._task_context
        return context

    @property
    def _log_destroy_pending(self) -> bool:
        return self._last_words & UNFINISHED != 0

    @_log_destroy_pending.setter
    def _log_destroy_pending(self, value: bool) -> None:
        if value:
            self._last_words |= UNFINISHED
        else:
            self._last_words &= ~UNFINISHED

    @_log_destroy_pending.deleter
    def _log_destroy_pending(self) -> None:
        raise AttributeError('_log_destroy_pending cannot be deleted')


def cancel_future(future: Any, msg: Any) -> bool:
    """Cancel any future, of whatever class."""
    if type(future) is Future or type(future) is Task:
        return cython.cast(Future, future).request_cancel(msg)
    return bool(future.cancel(msg=msg))


def loop_of(future: Any) -> Any:
    """Return the loop of any future, of whatever class."""
    get_loop = getattr(future, 'get_loop', None)
    return future._loop if get_loop is None else get_loop()


def swap_foreign_task(loop: Any, task: Any) -> Any:
    """Make a task the current one of a loop that is not ours; return the one before."""
    if sys.version_info >= (3, 12):
        return asyncio.tasks._swap_current_task(loop, task)  # type: ignore[attr-defined]
    current = asyncio.tasks._current_tasks  # type: ignore[attr-defined]
    previous = current.pop(loop, None)
    if task is not None:
        current[loop] = task
    return previous


def new_task(scheduler: Scheduler, coro: Any, name: Any, context: Context | None) -> Task:
    """Make a task of a loop of ours that is neither scheduled nor registered yet."""
    task: Task = Task.__new__(Task)
    task._loop = scheduler
    task._native = True
    task.start(coro, name, context)
    return task


copy_methods(Task, Future)
if cython.compiled:
    _sample = Task.__new__(Task)
    recycle_future(
        Task,
        _sample,
        cython.cast(Task, _sample)._last_words,
        cython.cast(Task, _sample)._attributes,  # type: ignore[attr-defined]
    )
    del _sample
else:
    indivisible(Task, 'request_cancel', 'uncancel', 'wait_for', 'complete')
