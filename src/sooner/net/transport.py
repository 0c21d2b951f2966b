"""Transports: what all of them have in common, whatever they move bytes through.

`Transport` holds a protocol and its flow control; `FileTransport` adds a file that the driver watches.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings
from asyncio import constants
from contextvars import Context
from typing import Any
from weakref import ref

import cython

from ..core.loop import LoopCore
from ..core.scheduler import Outbox, Runnable, Scheduler
from .operations import SocketLoop

if not cython.compiled:
    from .._capi import context_call, context_method1, copy_context
    from ..core.scheduler import WAITING

_HIGH_WATER: Any = cython.declare(cython.Py_ssize_t, 64 * 1024)
_WARN_OF_LOST_WRITES: Any = cython.declare(cython.int, constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES)
_logger: Any = cython.declare(object, logging.getLogger('asyncio'))
_SERVERS_KNOW_TRANSPORTS: Any = cython.declare(cython.bint, sys.version_info >= (3, 13))
_BufferedProtocol: Any = cython.declare(object, asyncio.BufferedProtocol)
_BaseTransport: Any = cython.declare(object, asyncio.BaseTransport)


class Receiver:
    """A protocol that is given its bytes without a call through Python: TLS, and the reader of a stream.

    A transport asks its protocol for one by the attribute `_receiver`; the protocol's other methods are called as
    always.
    """

    def receive(self, data: bytes) -> None:
        """Take bytes, never none at all; in no particular context. What is raised closes the transport."""
        raise NotImplementedError

    def receive_first(self, data: bytes, scheduler: Scheduler) -> None:
        """Do receive(), where the loop called nothing else: a task may go on at once, not in the next turn."""
        self.receive(data)

    def flush(self) -> None:
        """Write to the transport what waits to be written above it: it is to be sent now, or the transport closes."""


class Transport(Outbox):
    """A protocol and its flow control.

    `_size` is the number of bytes that are to be written yet. `_alive` tells that __del__() has something to say.
    `_receiver` is the protocol's Receiver, or None; `_buffered` tells that it is a BufferedProtocol.
    """

    if not cython.compiled:
        _loop: Any = None
        _protocol: Any = None
        _receiver: Any = None
        _extra: Any = {}  # replaced, never changed; or None: see set_up()
        _context: Any = None
        _size: int = 0
        _high: int = 0
        _low: int = 0
        _alive: int = 0
        _closing: bool = False
        _buffered: bool = False
        _protocol_paused: bool = False

    def set_up(self, loop: Any, protocol: Any, extra: dict[str, Any] | None, context: Context | None) -> None:
        """Be made: with a context of its own to call the protocol in, by default a copy of the current one.

        `extra` is None of a transport whose get_extra_info() finds out what it tells when it is asked.
        """
        self._loop = loop
        self._extra = extra
        self._context = copy_context() if context is None else context
        self._high = _HIGH_WATER
        self._low = _HIGH_WATER // 4
        self.set_protocol(protocol)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the transport under a name, such as 'peername' or 'socket'."""
        return self._extra.get(name, default)

    def get_protocol(self) -> Any:
        """Return the protocol; None once the connection is lost."""
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        """Have another protocol called from now on."""
        self._protocol = protocol
        try:
            receiver = getattr(protocol, '_receiver', None)
        except Exception:  # of a __getattr__() that does not know such names
            receiver = None
        self._receiver = receiver if isinstance(receiver, Receiver) else None
        self._buffered = self._receiver is None and isinstance(protocol, _BufferedProtocol)

    def is_closing(self) -> bool:
        """Tell whether the transport is closed, or about to be."""
        return self._closing

    def is_open(self) -> bool:
        """Tell whether what is written now will be sent, as far as anybody knows."""
        return not self._closing

    def flush(self) -> None:
        """Send what was written, here and above, as far as it goes now."""
        if self._receiver is not None:
            cython.cast(Receiver, self._receiver).flush()
        self.send_outbox()

    # Flow control: the protocol is paused while more than `_high` bytes wait, until there are no more than `_low`.

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        """Set the limits, in bytes, beyond which the protocol is paused and below which it is resumed.

        Default: high is 64 KiB, or four times low; low is a quarter of high. ValueError unless high >= low >= 0.
        """
        if high is None:
            high = _HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f'high ({high!r}) must be >= low ({low!r}) must be >= 0')
        if self._outbox_waits:
            self.send_outbox()
        self._high = int(min(high, sys.maxsize))
        self._low = int(min(low, sys.maxsize))
        self.maybe_pause_protocol()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the limits as (low, high), in bytes."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Return the number of bytes that are to be written yet."""
        return self._size

    def maybe_pause_protocol(self) -> None:
        """Call pause_writing() if there is too much to write."""
        if self._size > self._high and not self._protocol_paused:
            self._protocol_paused = True
            self.call_flow_control('pause_writing')

    def maybe_resume_protocol(self) -> None:
        """Call resume_writing() if there is little enough to write again."""
        if self._protocol_paused and self._size <= self._low:
            self._protocol_paused = False
            self.call_flow_control('resume_writing')

    def call_flow_control(self, name: str) -> None:
        try:
            getattr(self._protocol, name)()
        except BaseException as exc:
            self.tell(exc, f'protocol.{name}() failed')

    def tell(self, exc: BaseException, message: str) -> None:
        """Tell the exception handler, unless it is no business of a handler."""
        if isinstance(exc, (KeyboardInterrupt, SystemExit)):
            raise exc
        self._loop.call_exception_handler(
            {'message': message, 'exception': exc, 'transport': self, 'protocol': self._protocol}
        )


class WriteReady(Runnable):
    """What runs when the file of a transport can be written again."""

    if not cython.compiled:
        _transport: Any = None

    def run(self, scheduler: Scheduler) -> None:
        transport: FileTransport | None = self._transport
        if transport is not None:
            scheduler.set_current(None)
            exc = context_call(transport._context, False, transport._write_ready, None)
            if exc is not None:
                transport.fail(exc, 'Fatal write error on transport')


class FileTransport(Transport):
    """A transport of a file that the driver watches.

        NEW      --the loop runs it: connection_made()-------------> OPEN
        OPEN     --close(), the peer's end of the stream-----------> CLOSING   (what was written is still sent)
        OPEN     --abort(), an error-------------------------------> LOST      (what was written is dropped)
        CLOSING  --everything is sent; abort(), an error-----------> LOST
        LOST     --in the loop's next turn: connection_lost()------> CLOSED    (the file is closed)

    In OPEN the file is watched for reading unless it is paused; in OPEN and CLOSING for writing while something waits
    to be written. `_made` is false in NEW, `_closing` true from CLOSING on. `_conn_lost` is 0 before LOST, and from
    then on counts, also what is written in vain; `_error` is then what connection_lost() is told. `_alive` is 0 in
    CLOSED. `_file` is the file, or None where a subclass only makes an object of it when somebody asks (`_sock`).
    """

    if not cython.compiled:
        _file: Any = None
        _sock_fd: int = -1
        _server: Any = None
        _waiter: Any = None
        _writer: Any = None
        _error: BaseException | None = None
        _conn_lost: int = 0
        _made: bool = False
        _paused: bool = False
        _reading: bool = False

    def open(self, file: Any, waiter: Any) -> None:
        """Have a file, and the loop make the connection; then a waiter, or None, is given the result None."""
        self._file = file
        self._sock_fd = file.fileno()
        self._waiter = waiter
        self.enlist()

    def enlist(self) -> None:
        """Have the loop know whose file it is, and make the connection."""
        cython.cast(SocketLoop, self._loop).take_file(self._sock_fd)
        self._loop._open_transports[self._sock_fd] = ref(self)
        cython.cast(Scheduler, self._loop).push(self)
        self._alive = 1  # from here on nobody else closes the file

    @property
    def _sock(self) -> Any:
        """The file as an object; None once it is closed."""
        return self._file

    def run(self, scheduler: Scheduler) -> None:
        scheduler.set_current(None)
        if self._reading:
            self.read_ready()
        elif not self._made:
            self.make_connection()
        elif self._conn_lost > 0 and self._alive:
            self.lose_connection()

    def make_connection(self) -> None:
        """Tell the protocol, then begin to read."""
        self._made = True
        waiter = self._waiter
        self._waiter = None
        exc = context_method1(self._context, self._protocol, 'connection_made', self)
        interrupt = exc if isinstance(exc, (KeyboardInterrupt, SystemExit)) else None
        if exc is not None and interrupt is None:
            if waiter is not None and not waiter.done() and isinstance(exc, Exception):
                waiter.set_exception(exc)  # who waits is told, and need not be told twice
            else:
                self.tell(exc, 'Fatal error: protocol.connection_made() call failed.')
            self.force_close(exc)
        try:
            self.start_reading()
        except OSError as failure:  # the file was closed by somebody, or is none that can be watched
            if waiter is not None and not waiter.done():
                waiter.set_exception(failure)
            self.fail(failure, 'Fatal error: the file cannot be watched')
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        if interrupt is not None:  # that ends the loop, not the connection
            raise interrupt

    def read_ready(self) -> None:
        """Read, as the file can be."""
        raise NotImplementedError

    def _write_ready(self) -> None:
        """Write, as the file can be."""
        raise NotImplementedError

    # Watching.

    def start_reading(self) -> None:
        """Watch the file for reading, unless it is not to be read."""
        if self._made and not self._closing and not self._paused and not self._reading:
            cython.cast(LoopCore, self._loop)._driver.set_reader(self._sock_fd, self)
            self._reading = True

    def stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            cython.cast(LoopCore, self._loop)._driver.set_reader(self._sock_fd, None)

    def start_writing(self) -> None:
        """Watch the file for writing."""
        if self._writer is None:
            writer: WriteReady = WriteReady.__new__(WriteReady)
            writer._transport = self
            cython.cast(LoopCore, self._loop)._driver.set_writer(self._sock_fd, writer)
            self._writer = writer

    def stop_writing(self) -> None:
        if self._writer is not None:
            cython.cast(WriteReady, self._writer)._transport = None
            self._writer = None
            cython.cast(LoopCore, self._loop)._driver.set_writer(self._sock_fd, None)

    def is_reading(self) -> bool:
        """Tell whether data is received: not if that is paused, or the transport is closing."""
        return not self._closing and not self._paused

    def pause_reading(self) -> None:
        """Receive nothing until resume_reading()."""
        if self._closing or self._paused:
            return
        self._paused = True
        self.stop_reading()
        if cython.cast(LoopCore, self._loop)._debug:
            _logger.debug('%r pauses reading', self)

    def resume_reading(self) -> None:
        """Undo pause_reading()."""
        if self._closing or not self._paused:
            return
        self._paused = False
        self.start_reading()
        if cython.cast(LoopCore, self._loop)._debug:
            _logger.debug('%r resumes reading', self)

    # The end.

    def close(self) -> None:
        """Read no more, send what was written, then close; the protocol's connection_lost(None) follows."""
        if self._closing:
            return
        cython.cast(LoopCore, self._loop).check_thread()
        self.flush()
        if self._closing:  # that failed
            return
        self._closing = True
        self.stop_reading()
        if self._size == 0:
            self.lose(None)

    def abort(self) -> None:
        """Close without writing what waits to be written; the protocol's connection_lost(None) follows."""
        self._force_close(None)

    def fail(self, exc: BaseException, message: str) -> None:
        """Close because of an error: of the connection, or in the protocol, of which the exception handler is told."""
        if isinstance(exc, (KeyboardInterrupt, SystemExit)):
            raise exc
        if self._loop is None:
            return
        if not isinstance(exc, OSError):
            self.tell(exc, message)
        elif cython.cast(LoopCore, self._loop)._debug:
            _logger.debug('%r: %s', self, message, exc_info=exc)
        self.force_close(exc)

    def force_close(self, exc: BaseException | None) -> None:
        """Close now; the protocol's connection_lost(exc) follows.

        What waits to be written is dropped, but not what was only put off until the callback that wrote it returns.
        """
        if self._conn_lost == 0:
            self.send_outbox()
        if self._conn_lost > 0:
            return
        self.forget_writes()
        if not self._closing:
            self._closing = True
            self.stop_reading()
        self.lose(exc)

    def _force_close(self, exc: BaseException | None) -> None:
        if self._conn_lost == 0:  # of asyncio's private names, the one that protocols call which are transports
            cython.cast(LoopCore, self._loop).check_thread()
            self.flush()
            self.force_close(exc)

    def forget_writes(self) -> None:
        """Drop what waits to be written."""
        self._size = 0

    def lose(self, exc: BaseException | None) -> None:
        """Have connection_lost() called in the next turn."""
        self._conn_lost += 1
        self._error = exc
        self.stop_writing()
        if cython.cast(Scheduler, self._loop)._status <= WAITING:  # else nobody is called any more
            cython.cast(Scheduler, self._loop).push(self)

    def lose_connection(self) -> None:
        """Tell the protocol, and close the file."""
        loop, protocol = self._loop, self._protocol
        exc = context_method1(self._context, protocol, 'connection_lost', self._error)
        self.release()
        if isinstance(exc, (KeyboardInterrupt, SystemExit)):
            raise exc
        if exc is not None:
            loop.call_exception_handler(
                {
                    'message': 'Fatal error: protocol.connection_lost() call failed.',
                    'exception': exc,
                    'transport': self,
                    'protocol': protocol,
                }
            )

    def release(self) -> None:
        """Close the file, and let go of everything."""
        self._alive = 0
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        known = self._loop._open_transports.get(self._sock_fd)
        if known is not None and known() is self:
            del self._loop._open_transports[self._sock_fd]
        try:
            self.close_file()  # OSError if somebody else did, which is a fault to be told of
        finally:
            cython.cast(LoopCore, self._loop).expect_events()
            self._protocol = self._loop = self._waiter = self._error = None
            self.leave_server()

    def leave_server(self) -> None:
        """Be counted no more by a server."""
        server = self._server
        self._server = None
        if server is not None:
            if _SERVERS_KNOW_TRANSPORTS:
                server._detach(self)
            else:
                server._detach()

    def close_file(self) -> None:
        """Close the file."""
        self._file.close()
        self._file = None

    def check_bytes(self, data: Any) -> None:
        """Raise TypeError for what cannot be written."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            kind = type(data).__name__
            raise TypeError(f'data argument must be a bytes, bytearray, or memoryview object, not {kind!r}')

    def write_in_vain(self) -> None:
        """Count what is written after the connection was lost, and warn if that goes on."""
        if self._conn_lost >= _WARN_OF_LOST_WRITES:
            _logger.warning('socket.send() raised exception.')
        self._conn_lost += 1

    def __del__(self) -> None:
        if self._alive:
            warnings.warn(f'unclosed transport {self!r}', ResourceWarning, source=self, stacklevel=1)
            self._alive = 0
            self.close_file()
            self.leave_server()

    def __repr__(self) -> str:
        info = [type(self).__name__]
        if not self._alive:
            info.append('closed')
        elif self._closing:
            info.append('closing')
        info.append(f'fd={self._sock_fd}')
        if self._loop is not None and not self._loop.is_closed():
            info.append(f'read={"polling" if self._reading else "idle"}')
            state = 'idle' if self._writer is None else 'polling'
            info.append(f'write=<{state}, bufsize={self._size}>')
        return f'<{" ".join(info)}>'
