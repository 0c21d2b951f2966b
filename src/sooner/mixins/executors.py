"""Calling functions that block, in threads."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

from ..core.loop import LoopCore


class Executors(LoopCore):
    """The executors that a loop hands functions to."""

    __slots__ = ()
    STATE = ('_default_executor', '_executor_shutdown_called')

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._default_executor: ThreadPoolExecutor | None = None
        self._executor_shutdown_called = False

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Call func(*args) in an executor (None: the loop's own threads); return a future of the result.

        RuntimeError if the loop is closed or its default executor was shut down.
        """
        self._check_closed()
        if not callable(func) or (self.get_debug() and inspect.iscoroutinefunction(func)):
            raise TypeError(f'run_in_executor() needs a function that is not a coroutine function, got {func!r}')
        if executor is None:
            if self._executor_shutdown_called:
                raise RuntimeError('Executor shutdown has been called')
            executor = self._default_executor
            if executor is None:
                executor = self._default_executor = ThreadPoolExecutor(thread_name_prefix='asyncio')
        return asyncio.wrap_future(executor.submit(func, *args), loop=self)  # type: ignore[arg-type]

    def set_default_executor(self, executor: ThreadPoolExecutor) -> None:
        """Have run_in_executor(None, ...) use this one."""
        if not isinstance(executor, ThreadPoolExecutor):
            raise TypeError('executor must be ThreadPoolExecutor instance')
        self._default_executor = executor

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Refuse new work for the default executor and wait until its threads have ended.

        After timeout seconds, warn and wait no longer.
        """
        self._executor_shutdown_called = True
        executor = self._default_executor
        if executor is None:
            return
        ended = self.create_future()

        def shut_down() -> None:
            failure: BaseException | None = None
            try:
                executor.shutdown(wait=True)
            except BaseException as exc:
                failure = exc
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self.call_soon_threadsafe(settle, failure)

        def settle(failure: BaseException | None) -> None:
            if ended.done():
                return
            if failure is None:
                ended.set_result(None)
            else:
                ended.set_exception(failure)

        thread = threading.Thread(target=shut_down)
        thread.start()
        try:
            async with asyncio.timeout(timeout):
                await ended
        except TimeoutError:
            warnings.warn(
                f'The executor did not finishing joining its threads within {timeout} seconds.',
                RuntimeWarning,
                stacklevel=2,
            )
            executor.shutdown(wait=False)
        else:
            thread.join()

    def _abandon_executor(self) -> None:
        """Let the threads end by themselves."""
        self._executor_shutdown_called = True
        executor, self._default_executor = self._default_executor, None
        if executor is not None:
            executor.shutdown(wait=False)
