"""Listener: a socket that accepts connections."""

from __future__ import annotations

import errno
import logging
import os
from asyncio import constants
from asyncio.trsock import TransportSocket
from collections.abc import Callable
from contextvars import Context
from typing import Any

import cython

from ..core.loop import LoopCore
from ..core.scheduler import Runnable, Scheduler
from .stream import StreamTransport

if not cython.compiled:
    from .._capi import context_call, copy_context
    from .adoption import adopt_stream
    from .stream import accept_transport

_EXHAUSTED: Any = cython.declare(frozenset, frozenset([errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]))
_RETRY_DELAY: Any = cython.declare(object, constants.ACCEPT_RETRY_DELAY)
_logger: Any = cython.declare(object, logging.getLogger('asyncio'))


class Listener(Runnable):
    """Accepts what waits, each time that the socket is ready: at most `backlog` connections, then the loop goes on.

    Each connection gets a protocol, and a transport, with the server that counts it, in a copy of the context that the
    listener was made in. Where something has to stand between the two, as TLS does, or the socket is not one of TCP,
    `connect` makes them: it is called with the protocol, the new socket and its peer's address.

    Where the system has no room for another connection, the listener waits for a second and tries again; those who
    connect wait as long.
    """

    if not cython.compiled:
        _loop: Any = None
        _sock: Any = None
        _protocol_factory: Any = None
        _connect: Any = None
        _server: Any = None
        _context: Any = None
        _backlog: int = 0
        _accepts: bool = False
        _retry: Any = None

    def __init__(
        self,
        loop: Any,
        sock: Any,
        protocol_factory: Callable[[], Any],
        connect: Callable[[Any, Any, Any], object] | None,
        server: Any,
        backlog: int,
        context: Context | None = None,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._protocol_factory = protocol_factory
        self._connect = connect
        self._server = server
        self._backlog = max(backlog, 1)  # of 0 the system makes that, too
        self._context = copy_context() if context is None else context

    def start(self) -> None:
        """Begin to accept."""
        self._retry = None
        self._accepts = True
        cython.cast(LoopCore, self._loop)._driver.set_reader(self._sock.fileno(), self)

    def stop(self) -> None:
        """Accept no more."""
        self._accepts = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        cython.cast(LoopCore, self._loop)._driver.set_reader(self._sock.fileno(), None)

    def run(self, scheduler: Scheduler) -> None:
        scheduler.set_current(None)
        fd: cython.int = self._sock.fileno()
        for _ in range(self._backlog):
            if not self._accepts:  # a callback of this turn closed the server, or the protocol that was made last did
                return
            try:
                if self._connect is not None:
                    waiting = self.accept_socket()
                else:
                    waiting = self.accept_connection(fd)
            except OSError as exc:
                self.refuse(exc)
                return
            if not waiting:
                return

    def accept_connection(self, fd: cython.int) -> bool:
        """Accept a TCP connection; return False if none waits."""
        transport = accept_transport(self._sock, fd)
        if transport is None:
            return False
        context = self._context.copy()
        failure = context_call(context, False, self._begin, (transport, context))
        if failure is not None:
            os.close(transport._sock_fd)
            self.report(failure)
        elif self._loop._debug:
            _logger.debug('%r got a new connection: %r', self._server, transport)
        return True

    def _begin(self, transport: StreamTransport, context: Context) -> None:
        protocol = self._protocol_factory()
        adopt_stream(self._loop, protocol)
        transport.begin(self._loop, protocol, self._server, context)

    def accept_socket(self) -> bool:
        """Do the same with an object for the socket."""
        try:
            connection, address = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        connection.setblocking(False)
        if self._loop._debug:
            _logger.debug('%r got a new connection from %r: %r', self._server, address, connection)
        failure = context_call(self._context.copy(), False, self._connect_protocol, (connection, address))
        if failure is not None:
            connection.close()
            self.report(failure)
        return True

    def _connect_protocol(self, connection: Any, address: Any) -> None:
        self._connect(self._protocol_factory(), connection, address)

    def report(self, exc: BaseException) -> None:
        """Tell the exception handler that a connection got no transport."""
        if isinstance(exc, (KeyboardInterrupt, SystemExit)):
            raise exc
        self._loop.call_exception_handler(
            {'message': 'Error on transport creation for incoming connection', 'exception': exc}
        )

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
