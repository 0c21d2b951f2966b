"""Transports of one direction: the ends of pipes and FIFOs, terminals, and sockets that are used like those.

Writing is done at once, not when the running callback returns as with sockets: other code may write to the same
terminal or the same file, and what is written first must come first.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import select
import socket
import stat
from asyncio import constants
from collections.abc import Iterable
from typing import Any

import cython

from ..core.loop import LoopCore
from ..core.scheduler import Scheduler
from .operations import SocketLoop
from .transport import FileTransport, Receiver

if not cython.compiled:
    from .._capi import context_call, context_method1

_ROOM: Any = cython.declare(object, 64 * 1024)  # of a pipe, unless somebody asked for more
_WARN_OF_LOST_WRITES: Any = cython.declare(cython.int, constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES)
_ReadTransport: Any = cython.declare(object, asyncio.ReadTransport)
_Transport: Any = cython.declare(object, asyncio.Transport)
_logger: Any = cython.declare(object, logging.getLogger('asyncio'))
_read: Any = cython.declare(object, os.read)
_write: Any = cython.declare(object, os.write)
_FIFO: Any = cython.declare(cython.int, stat.S_IFIFO)
_SOCKET: Any = cython.declare(cython.int, stat.S_IFSOCK)
_TERMINAL: Any = cython.declare(cython.int, stat.S_IFCHR)


class PipeTransport(FileTransport):
    """One end of a pipe, or of something like it. `_kind` tells of what: _FIFO, _SOCKET or _TERMINAL.

    It is not in the loop's list of transports: a terminal that is read and written may have one for each.
    """

    if not cython.compiled:
        _kind: int = 0

    def __init__(
        self, loop: Any, pipe: Any, protocol: Any, waiter: Any = None, extra: dict[str, Any] | None = None
    ) -> None:
        """Connect a file, which from now on is the transport's and does not block, with a protocol.

        ValueError if the file is of a kind that can't be waited for.
        """
        self.set_up(loop, protocol, {} if extra is None else extra, None)
        self.open(pipe, waiter)

    def open(self, pipe: Any, waiter: Any) -> None:
        self._extra['pipe'] = pipe
        fd: cython.int = pipe.fileno()
        kind: cython.int = stat.S_IFMT(os.fstat(fd).st_mode)
        if kind != _FIFO and kind != _SOCKET and kind != _TERMINAL:
            raise ValueError(
                f'Pipe transport is for pipes, sockets and character devices only, not for {pipe!r}; '
                'read and write regular files in a thread'
            )
        os.set_blocking(fd, False)
        self._kind = kind
        self._file = pipe
        self._sock_fd = fd
        self._waiter = waiter
        self._alive = 1
        cython.cast(SocketLoop, self._loop).take_file(fd)
        cython.cast(Scheduler, self._loop).push(self)

    @property
    def _pipe(self) -> Any:
        """The file, under the name that asyncio's own transports have for it; None once it is closed."""
        return self._file

    @_pipe.setter
    def _pipe(self, pipe: Any) -> None:
        self._file = pipe
        self._alive = pipe is not None

    def send_outbox(self) -> None:
        """Nothing is ever put off."""

    def __repr__(self) -> str:
        info = [type(self).__name__]
        if not self._alive:
            info.append('closed')
        elif self._closing:
            info.append('closing')
        else:
            info.append('open')
        info.append(f'fd={self._sock_fd}')
        if self._alive:
            info.append('polling' if self._reading or self._writer is not None else 'idle')
        return f'<{" ".join(info)}>'


class ReadPipeTransport(PipeTransport):
    """The end that is read.

    `_always_ready` is true for a file that the driver refuses to watch as there is never anything to wait for, such as
    /dev/null: it is read turn by turn.
    """

    if not cython.compiled:
        _always_ready: bool = False

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Pass isinstance(transport, asyncio.ReadTransport)."""
        return _ReadTransport

    def start_reading(self) -> None:
        if self._always_ready and self._made and not self._closing and not self._paused:
            self._reading = True
            cython.cast(Scheduler, self._loop).push(self)
            return
        try:
            FileTransport.start_reading(self)
        except PermissionError:
            self._always_ready = True
            self.start_reading()

    def stop_reading(self) -> None:
        if self._always_ready:
            self._reading = False
        else:
            FileTransport.stop_reading(self)

    def read_ready(self) -> None:
        try:
            data = _read(self._sock_fd, _ROOM)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            if exc.errno != errno.EIO or self._kind != _TERMINAL:
                self.tell(exc, 'Fatal read error on pipe transport')
                self.force_close(exc)
                return
            data = b''  # so Linux tells that the other side of a terminal was closed
        if not data:
            self.receive_eof()
            return
        if self._receiver is not None:
            try:
                cython.cast(Receiver, self._receiver).receive(data)
            except BaseException as exc:
                self.fail(exc, 'Fatal error: protocol.data_received() call failed.')
        else:
            failure = context_method1(self._context, self._protocol, 'data_received', data)
            if failure is not None:
                self.fail(failure, 'Fatal error: protocol.data_received() call failed.')
        if self._always_ready and self._reading:
            cython.cast(Scheduler, self._loop).push(self)

    def receive_eof(self) -> None:
        """Nobody writes any more."""
        if cython.cast(LoopCore, self._loop)._debug:
            _logger.debug('%r was closed by peer', self)
        self._closing = True
        self.stop_reading()
        failure = context_call(self._context, False, self._protocol.eof_received, None)
        if failure is not None:
            self.fail(failure, 'Fatal error: protocol.eof_received() call failed.')
        elif self._conn_lost == 0:
            self.lose(None)


class WritePipeTransport(PipeTransport):
    """The end that is written.

    In a pipe or a socket, the file is watched for reading too: that tells when its reader has gone, also while there is
    nothing to write. `_buffer` is what waits to be written.
    """

    if not cython.compiled:
        _buffer: bytearray
        _written_in_vain: int = 0

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Pass isinstance(transport, asyncio.WriteTransport); asyncio's own are asyncio.Transports too."""
        return _Transport

    def open(self, pipe: Any, waiter: Any) -> None:
        self._buffer = bytearray()
        PipeTransport.open(self, pipe, waiter)

    def start_reading(self) -> None:
        if self._kind != _TERMINAL:
            FileTransport.start_reading(self)

    def read_ready(self) -> None:
        """Find out whether the reader has gone; if not, only writing can tell."""
        if self.reader_has_gone():
            if cython.cast(LoopCore, self._loop)._debug:
                _logger.debug('%r was closed by peer', self)
            self.force_close(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) if self._size > 0 else None)
        else:
            self.stop_reading()

    def reader_has_gone(self) -> bool:
        """Tell that apart from something to read, in a FIFO opened for both or a socket that is somebody else's too."""
        poll = select.poll()
        poll.register(self._sock_fd, 0)
        if poll.poll(0):  # an error or a hang-up
            return True
        if self._kind != _SOCKET:
            return False
        sock = socket.socket(fileno=self._sock_fd)
        try:
            return not sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        finally:
            sock.detach()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write bytes, now or later, without waiting.

        TypeError for what is no bytes. What is written after close(), or when nobody reads any more, is dropped; that
        is logged if it goes on.
        """
        if type(data) is not bytes:
            self.check_bytes(data)
            view = memoryview(data)
            data = view.cast('B') if view.c_contiguous else bytes(view)
        size: cython.Py_ssize_t = len(data)
        if size == 0:
            return
        if self._closing:
            self.write_in_vain()
            return
        written: cython.Py_ssize_t = 0
        if self._size == 0:
            cython.cast(LoopCore, self._loop).expect_events()
            try:
                written = _write(self._sock_fd, data)
            except (BlockingIOError, InterruptedError):
                pass
            except BaseException as exc:
                self.fail(exc, 'Fatal write error on pipe transport')
                return
            if written == size:
                return
            self.start_writing()
        self._buffer += memoryview(data)[written:] if written > 0 else data
        self._size += size - written
        self.maybe_pause_protocol()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Write several, in one go."""
        self.write(b''.join(list_of_data))

    def write_in_vain(self) -> None:
        if self._written_in_vain >= _WARN_OF_LOST_WRITES:
            _logger.warning('pipe closed by peer or os.write(pipe, data) raised exception.')
        self._written_in_vain += 1

    def _write_ready(self) -> None:
        if self._conn_lost > 0:
            return
        cython.cast(LoopCore, self._loop).expect_events()
        try:
            written: cython.Py_ssize_t = _write(self._sock_fd, self._buffer)
        except (BlockingIOError, InterruptedError):
            return
        except BaseException as exc:
            self.fail(exc, 'Fatal write error on pipe transport')
            return
        del self._buffer[:written]
        self._size -= written
        self.maybe_resume_protocol()  # which may write
        if self._size > 0 or self._writer is None:
            return
        self.stop_writing()
        if self._closing:
            self.lose(None)

    def forget_writes(self) -> None:
        self._buffer.clear()
        self._size = 0

    def can_write_eof(self) -> bool:
        """Tell that write_eof() works: it is close()."""
        return True

    def write_eof(self) -> None:
        """Close once everything is written."""
        self.close()
