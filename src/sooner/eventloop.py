"""Loop: asyncio's event loop API, made of the parts below."""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings
from asyncio import base_events
from collections.abc import Awaitable, Generator
from contextvars import Context
from typing import Any, TypeVar

from .core.driver import Driver
from .core.loop import LoopCore, adopt_methods
from .core.registry import loops
from .drivers import new_driver
from .mixins.asyncgens import AsyncGenerators
from .mixins.connections import Connections
from .mixins.datagrams import Datagrams
from .mixins.exceptions import ExceptionHandling
from .mixins.executors import Executors
from .mixins.files import Files
from .mixins.names import Names
from .mixins.pipes import Pipes
from .mixins.processes import Processes
from .mixins.signals import Signals
from .mixins.sockets import Sockets
from .net.operations import SocketLoop

T = TypeVar('T')

_ORIGIN_DEPTH = 10
"""Frames that debug mode remembers of where a coroutine was made, as asyncio's."""

_FACTORIES_TAKE_NAMES = sys.version_info >= (3, 14)
"""Before, asyncio sets the name of what the factory made."""

_set_running_loop = asyncio._set_running_loop
_get_running_loop = asyncio._get_running_loop
_stop_when_done = base_events._run_until_complete_cb  # type: ignore[attr-defined]  # anyio looks for this very function

logger = logging.getLogger('asyncio')


class Loop(  # type: ignore[misc]
    ExceptionHandling,
    Executors,
    Signals,
    AsyncGenerators,
    Files,
    Names,
    Connections,
    Datagrams,
    Sockets,
    Pipes,
    Processes,
    LoopCore,
    asyncio.AbstractEventLoop,
):
    """An asyncio event loop."""

    __slots__ = (
        *ExceptionHandling.STATE,
        *Executors.STATE,
        *Signals.STATE,
        *AsyncGenerators.STATE,
        *Files.STATE,
        *Connections.STATE,
        *Processes.STATE,
    )

    def __init__(self, driver: Driver | str | None = None) -> None:
        """Make a loop with a driver: itself, or its name, or None for the best one here."""
        super().__init__(driver if isinstance(driver, Driver) else new_driver(driver))
        loops.add(self)
        self.set_debug(asyncio.coroutines._is_debug_mode())  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return (
            f'<{type(self).__name__} running={self.is_running()} closed={self.is_closed()} '
            f'debug={self.get_debug()} driver={self._driver.name}>'
        )

    def run_forever(self) -> None:
        """Run until stop() is called. RuntimeError if a loop runs in this thread already, or this one is closed."""
        self._check_closed()
        self._check_running()
        self.notice_replacements()
        hooks = sys.get_asyncgen_hooks()
        depth = sys.get_coroutine_origin_tracking_depth()
        try:
            if self.get_debug():
                sys.set_coroutine_origin_tracking_depth(_ORIGIN_DEPTH)
            sys.set_asyncgen_hooks(self._asyncgen_firstiter_hook, self._asyncgen_finalizer_hook)
            self._catch_signals()
            _set_running_loop(self)
            self.run_turns()
        finally:
            _set_running_loop(None)
            self._release_wakeup()
            sys.set_asyncgen_hooks(*hooks)
            sys.set_coroutine_origin_tracking_depth(depth)

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Run until an awaitable is done; return its result, or raise its exception.

        A coroutine is run by a task. RuntimeError if the loop was stopped before.
        """
        self._check_closed()
        self._check_running()
        ours = not asyncio.isfuture(future)
        waited: Any = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]
        if ours:
            waited._log_destroy_pending = False  # that it did not finish is said below
        waited.add_done_callback(_stop_when_done)
        try:
            self.run_forever()
        except BaseException:
            if ours and waited.done() and not waited.cancelled():
                waited.exception()  # it is being raised, and nobody else can ask for it
            raise
        finally:
            waited.remove_done_callback(_stop_when_done)
        if not waited.done():
            raise RuntimeError('Event loop stopped before Future completed.')
        result: T = waited.result()
        return result

    def close(self) -> None:
        """Forget all callbacks, release files and threads. Nothing can be scheduled any more.

        RuntimeError if the loop runs. Closing again does nothing.
        """
        if self.is_running():
            raise RuntimeError('Cannot close a running event loop')
        if self.is_closed():
            return
        if self.get_debug():
            logger.debug('Close %r', self)
        for task in self._release():
            asyncio.tasks._register_task(task)  # pending for ever, but known

    def _release(self) -> list[Any]:
        """Close; return the tasks that the loop held."""
        self._close_signals()
        tasks = self.drop_everything()
        self._driver.close()
        self._forget_files()
        self._abandon_executor()
        self._forget_children()
        return tasks

    def __del__(self) -> None:
        if not self.is_closed() and type(self._driver) is not Driver:  # else it was never made
            warnings.warn(f'unclosed event loop {self!r}', ResourceWarning, source=self, stacklevel=2)
            if not self.is_running():
                self._release()

    def set_debug(self, enabled: bool) -> None:
        """Switch debug mode.

        In it, callbacks longer than slow_callback_duration are logged, wrong threads are refused, and handles, futures
        and tasks remember where they were made.
        """
        self.set_debugging(bool(enabled))
        if self.is_running():
            self.call_soon_threadsafe(sys.set_coroutine_origin_tracking_depth, _ORIGIN_DEPTH if enabled else 0)

    def create_task_by_factory(self, coro: Any, name: Any, context: Context | None, kwargs: dict[str, Any]) -> Any:
        factory = self.get_task_factory()
        if context is not None:
            kwargs['context'] = context
        if _FACTORIES_TAKE_NAMES and name is not None:
            kwargs['name'] = name
        task = factory(self, coro, **kwargs)
        if not _FACTORIES_TAKE_NAMES and name is not None and hasattr(task, 'set_name'):
            task.set_name(name)
        return task

    def _check_running(self) -> None:
        if self.is_running():
            raise RuntimeError('This event loop is already running')
        if _get_running_loop() is not None:
            raise RuntimeError('Cannot run the event loop while another loop is running')


adopt_methods(Loop, SocketLoop, LoopCore)


def new_event_loop(driver: Driver | str | None = None) -> Loop:
    """Make a new Loop; asyncio's Runner takes this as loop_factory."""
    return Loop(driver)
