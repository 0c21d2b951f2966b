"""Listener: a socket that accepts connections."""

from __future__ import annotations

import errno
import logging
from asyncio import constants
from asyncio.trsock import TransportSocket
from collections.abc import Callable
from contextvars import Context
from typing import Any

import cython

from ..core.loop import LoopCore
from ..core.scheduler import Runnable, Scheduler

if not cython.compiled:
    from .._capi import context_call, copy_context

_EXHAUSTED: Any = cython.declare(frozenset, frozenset([errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]))
_RETRY_DELAY: Any = cython.declare(object, constants.ACCEPT_RETRY_DELAY)
_logger: Any = cython.declare(object, logging.getLogger('asyncio'))


class Listener(Runnable):
    """Accepts what waits, each time that the socket is ready: at most `backlog` connections, then the loop goes on.

    `serve` is called with each new connection, a non-blocking socket, and its peer's address, in a copy of the context
    that the listener was made in. Where the system has no room for another connection, the listener waits for a second
    and tries again; those who connect wait as long.
    """

    if not cython.compiled:
        _loop: Any = None
        _sock: Any = None
        _serve: Any = None
        _context: Any = None
        _backlog: int = 0
        _retry: Any = None

    def __init__(
        self,
        loop: Any,
        sock: Any,
        serve: Callable[[Any, Any], object],
        backlog: int,
        context: Context | None = None,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._serve = serve
        self._backlog = backlog
        self._context = copy_context() if context is None else context

    def start(self) -> None:
        """Begin to accept."""
        self._retry = None
        cython.cast(LoopCore, self._loop)._driver.set_reader(self._sock.fileno(), self)

    def stop(self) -> None:
        """Accept no more."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        cython.cast(LoopCore, self._loop)._driver.set_reader(self._sock.fileno(), None)

    def run(self, scheduler: Scheduler) -> None:
        scheduler.set_current(None)
        for _ in range(self._backlog):
            try:
                connection, address = self._sock.accept()
                connection.setblocking(False)
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                self.refuse(exc)
                return
            failure = context_call(self._context.copy(), False, self._serve, (connection, address))
            if failure is not None:
                scheduler.report_failure(failure, self)

    def refuse(self, exc: OSError) -> None:
        """Tell the exception handler that a connection could not be accepted."""
        if exc.errno in _EXHAUSTED:
            message = 'socket.accept() out of system resource'
            self.stop()
            self._retry = self._loop.call_later(_RETRY_DELAY, self.start)
        else:
            message = 'socket.accept() failed'
        self._loop.call_exception_handler({'message': message, 'exception': exc, 'socket': TransportSocket(self._sock)})

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self._sock!r}>'
