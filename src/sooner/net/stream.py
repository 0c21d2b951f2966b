"""StreamTransport: a connected stream socket, TCP or Unix.

Reading is one recv(2) each time that the socket is ready. Writing waits until the callback that writes returns: then
all that it wrote leaves with one system call (see `Scheduler.defer_sending`). Whatever could tell the difference sends
first: asking for the size of the buffer, close(), write_eof(), writing more than the limit allows.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from asyncio import constants, transports
from asyncio.trsock import TransportSocket
from collections.abc import Iterable
from contextvars import Context
from typing import Any

import cython

from ..core.loop import LoopCore
from ..core.scheduler import Scheduler
from .operations import SocketLoop
from .transport import FileTransport, Receiver, Transport

if not cython.compiled:
    from .._capi import (
        Endpoints,
        accept_stream,
        context_call,
        context_method1,
        context_value1,
        copy_bytes,
        copy_methods,
        own_address,
        peer_address,
        recv_block,
        recv_into,
        recycle_future,
        send_bytes,
        send_vector,
    )
    from ..core.scheduler import FORKED

_COPIED: Any = cython.declare(cython.Py_ssize_t, 64 * 1024)
_MOST_RECEIVED: Any = cython.declare(object, 256 * 1024)
_MOST_DEFERRED: Any = cython.declare(cython.Py_ssize_t, 64 * 1024)
_BufferedProtocol: Any = cython.declare(object, asyncio.BufferedProtocol)
_Transport: Any = cython.declare(object, transports._FlowControlMixin)  # asyncio.Transport; sendfile() asks for it
_logger: Any = cython.declare(object, logging.getLogger('asyncio'))
_ATTACHES_TRANSPORTS: Any = cython.declare(bool, sys.version_info >= (3, 13))

_TCP: Any = cython.declare(tuple, (socket.AF_INET, socket.AF_INET6))


class StreamTransport(FileTransport):
    """A connected stream socket.

    `_chunks` are the bytes objects that are to be sent, the first of them from `_sent` on. `_empty_waiter` is a future
    that waits until everything is sent. `_ends` are the addresses of an accepted connection: `_extra` is only made of
    them when somebody asks, and an object of the socket. `_by_methods` tells that the socket's class has methods of its
    own, which are to be called.
    """

    _start_tls_compatible = True
    _sendfile_compatible = constants._SendfileMode.TRY_NATIVE

    if not cython.compiled:
        _ends: Endpoints
        _chunks: list[bytes]
        _sent: int = 0
        _eof: bool = False
        _by_methods: bool = False
        _empty_waiter: Any = None

    def __init__(
        self,
        loop: Any,
        sock: socket.socket,
        protocol: Any,
        waiter: Any = None,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        context: Context | None = None,
    ) -> None:
        """Connect a non-blocking stream socket, which from now on is the transport's, with a protocol."""
        self._chunks = []
        self._by_methods = has_own_methods(sock)
        self.set_up(loop, protocol, {} if extra is None else extra, context)
        self.name_socket(sock)
        self.attach(server)
        self.open(sock, waiter)

    def begin(self, loop: Any, protocol: Any, server: Any, context: Context) -> None:
        """Do what __init__() does, for an accepted connection."""
        self._chunks = []
        self.set_up(loop, protocol, None, context)
        self.attach(server)
        self.enlist()

    def attach(self, server: Any) -> None:
        """Be counted by a server, or None."""
        if server is not None:
            if _ATTACHES_TRANSPORTS:
                server._attach(self)
            else:
                server._attach()
            self._server = server

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Pass isinstance(transport, asyncio.Transport)."""
        return _Transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if self._extra is None:
            self.name_ends()
        return self._extra.get(name, default)

    def name_ends(self) -> None:
        """Say what get_extra_info() tells, of an accepted connection."""
        self._extra = {'peername': peer_address(self._ends), 'sockname': own_address(self._ends)}
        sock = self._sock
        if sock is None:  # there it is too late for all but the names
            sock = socket.socket()
            sock.close()
        self._extra['socket'] = TransportSocket(sock)

    @property
    def _sock(self) -> Any:
        if self._file is None and self._alive:
            self._file = socket.socket(fileno=self._sock_fd)
            self._file.setblocking(False)
        return self._file

    def close_file(self) -> None:
        if self._file is None:
            os.close(self._sock_fd)
        else:
            FileTransport.close_file(self)

    def name_socket(self, sock: socket.socket) -> None:
        """Say what get_extra_info() tells; send small writes at once (TCP_NODELAY)."""
        extra = self._extra
        extra['socket'] = TransportSocket(sock)
        try:
            extra['sockname'] = sock.getsockname()
        except OSError:
            extra['sockname'] = None
        if 'peername' not in extra:
            try:
                extra['peername'] = sock.getpeername()
            except OSError:
                extra['peername'] = None
        if sock.family in _TCP:
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:  # no TCP, such as SCTP; or the peer has gone already
                pass

    # Reading.

    def read_ready(self) -> None:
        if self._buffered:
            self.read_into_buffer()
            return
        try:
            if self._by_methods:
                data = call_socket('recv', self._sock, _MOST_RECEIVED)
            else:
                data = recv_block(
                    self._sock_fd,
                    cython.cast(SocketLoop, self._loop)._received,
                    cython.cast(SocketLoop, self._loop)._received_much,
                )
        except BaseException as exc:
            self.fail(exc, 'Fatal read error on socket transport')
            return
        if data is None:
            return
        if len(cython.cast(bytes, data)) == 0:
            self.read_end()
            return
        if self._receiver is not None:
            try:
                cython.cast(Receiver, self._receiver).receive_first(data, cython.cast(Scheduler, self._loop))
            except BaseException as exc:
                self.fail(exc, 'Fatal error: protocol.data_received() call failed.')
        else:
            failure = context_method1(self._context, self._protocol, 'data_received', data)
            if failure is not None:
                self.fail(failure, 'Fatal error: protocol.data_received() call failed.')

    def read_into_buffer(self) -> None:
        """Read for a BufferedProtocol."""
        try:
            buffer = context_value1(self._context, self._protocol, 'get_buffer', -1)
            if len(buffer) == 0:
                raise RuntimeError('get_buffer() returned an empty buffer')
        except BaseException as exc:
            self.fail(exc, 'Fatal error: protocol.get_buffer() call failed.')
            return
        try:
            size: cython.Py_ssize_t
            if self._by_methods:
                received = call_socket('recv_into', self._sock, buffer)
                size = -1 if received is None else received
            else:
                size = recv_into(self._sock_fd, buffer)
        except BaseException as exc:
            self.fail(exc, 'Fatal read error on socket transport')
            return
        if size > 0:
            failure = context_method1(self._context, self._protocol, 'buffer_updated', size)
            if failure is not None:
                self.fail(failure, 'Fatal error: protocol.buffer_updated() call failed.')
        elif size == 0:
            self.read_end()

    def read_end(self) -> None:
        """Meet the end of the stream."""
        failure = context_call(self._context, False, self._receive_eof, None)
        if failure is not None:  # that must end the loop
            raise failure

    def _receive_eof(self) -> None:
        """Tell the protocol that the peer sends no more."""
        if cython.cast(LoopCore, self._loop)._debug:
            _logger.debug('%r received EOF', self)
        try:
            keep_open = self._protocol.eof_received()
        except BaseException as exc:
            self.fail(exc, 'Fatal error: protocol.eof_received() call failed.')
            return
        if keep_open:
            self.stop_reading()
        else:
            self.close()

    # Writing.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, now or later, without waiting.

        TypeError for what is no bytes, RuntimeError after write_eof(). What is written after the connection was lost is
        dropped; that is logged if it goes on.
        """
        if type(data) is not bytes:
            self.write_other(data)
            return
        self.check_writable('write')
        if self._conn_lost > 0:
            if len(data) > 0:
                self.write_in_vain()
        else:
            self.append(data)

    def write_other(self, data: Any) -> None:
        """Write what its owner may change or free: little is copied; of much, only what could not be sent at once."""
        self.check_bytes(data)
        self.check_writable('write')
        if self._conn_lost > 0:
            if len(data) > 0:
                self.write_in_vain()
            return
        little = copy_bytes(data, _COPIED, cython.cast(SocketLoop, self._loop)._copied)
        if little is not None:
            self.append(little)
            return
        view = memoryview(data)
        view = view.cast('B') if view.c_contiguous else memoryview(view.tobytes())
        self.send_outbox()
        if self._size == 0 and self._conn_lost == 0:
            view = self.send_view(view)
        if self._conn_lost == 0:
            self.append(bytes(view))

    def send_view(self, view: Any) -> Any:
        """Send what goes now; return the rest."""
        cython.cast(LoopCore, self._loop).expect_events()
        try:
            return view[self._sock.send(view) :]
        except (BlockingIOError, InterruptedError):
            return view
        except BaseException as exc:
            self.fail(exc, 'Fatal write error on socket transport')
            return view

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send several, in one go if possible."""
        self.check_writable('writelines')
        for data in list_of_data:
            self.write(data if isinstance(data, (bytes, bytearray, memoryview)) else memoryview(data))

    def check_writable(self, method: str) -> None:
        """Raise RuntimeError if nothing can be written any more, or now."""
        if self._eof:
            raise RuntimeError(f'Cannot call {method}() after write_eof()')
        if self._empty_waiter is not None:
            raise RuntimeError(f'unable to {method}; sendfile is in progress')

    def append(self, data: bytes) -> None:
        """Send bytes after what waits already: when this callback returns, or now."""
        size: cython.Py_ssize_t = len(data)
        if size == 0:
            return
        self._chunks.append(data)
        self._size += size
        if self._writer is not None:
            self.maybe_pause_protocol()
        elif (
            self._size > _MOST_DEFERRED
            or self._size > self._high
            or not cython.cast(Scheduler, self._loop).defer_sending(self)
        ):
            if cython.cast(Scheduler, self._loop)._status == FORKED:
                self.forget_writes()
                cython.cast(Scheduler, self._loop).check_usable()
            self.send_outbox()

    def send_outbox(self) -> None:
        if self._size == 0 or self._writer is not None:
            return
        if cython.cast(Scheduler, self._loop)._status == FORKED:  # what waits is sent by the parent
            self.forget_writes()
            return
        self.send_chunks()
        if self._size > 0:
            self.start_writing()
            self.maybe_pause_protocol()

    def send_chunks(self) -> None:
        """Send what goes now."""
        chunks = self._chunks
        sent: cython.Py_ssize_t
        while self._size > 0:
            try:
                if self._by_methods:
                    taken = call_socket('send', self._sock, memoryview(chunks[0])[self._sent :])
                    sent = -1 if taken is None else taken
                elif len(chunks) == 1:
                    sent = send_bytes(self._sock_fd, chunks[0], self._sent)
                else:
                    sent = send_vector(self._sock_fd, chunks, self._sent)
            except BaseException as exc:
                self.forget_writes()
                self.fail(exc, 'Fatal write error on socket transport')
                if self._empty_waiter is not None and not self._empty_waiter.done():
                    self._empty_waiter.set_exception(exc)
                return
            if sent < 0:
                return
            cython.cast(LoopCore, self._loop).expect_events()
            self._size -= sent
            if self._size == 0:
                chunks.clear()
                self._sent = 0
            elif not self.drop_sent(sent):
                return

    def drop_sent(self, sent: cython.Py_ssize_t) -> bool:
        """Forget what was sent, of more; return whether that ended where a chunk does, so that more may go."""
        chunks = self._chunks
        sent += self._sent
        count: cython.Py_ssize_t = 0
        while sent >= len(chunks[count]):
            sent -= len(chunks[count])
            count += 1
        del chunks[:count]
        self._sent = sent
        return sent == 0

    def forget_writes(self) -> None:
        self._chunks.clear()
        self._size = self._sent = 0

    def _write_ready(self) -> None:
        if self._conn_lost > 0:
            return
        self.send_chunks()
        if self._conn_lost > 0:
            return
        self.maybe_resume_protocol()  # which may write
        if self._size > 0 or self._writer is None:
            return
        self.stop_writing()
        if self._empty_waiter is not None and not self._empty_waiter.done():
            self._empty_waiter.set_result(None)
        if self._closing:
            self.lose(None)
        elif self._eof:
            self.shut_down()

    def get_write_buffer_size(self) -> int:
        self.send_outbox()
        return self._size

    def can_write_eof(self) -> bool:
        """Tell that the transport can be closed for writing alone."""
        return True

    def write_eof(self) -> None:
        """Close for writing once everything is sent; the peer may go on."""
        if self._closing or self._eof:
            return
        self.send_outbox()
        self._eof = True
        if self._size == 0 and self._conn_lost == 0:
            self.shut_down()

    def shut_down(self) -> None:
        """Tell the peer that there is no more."""
        cython.cast(LoopCore, self._loop).expect_events()
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as exc:  # the peer has gone
            self.fail(exc, 'Fatal write error on socket transport')

    def release(self) -> None:
        self._receiver = None
        FileTransport.release(self)
        if self._empty_waiter is not None and not self._empty_waiter.done():
            self._empty_waiter.set_exception(ConnectionError('Connection is closed by peer'))

    # For sendfile(), which writes to the socket itself.

    def _make_empty_waiter(self) -> Any:
        """Return a future that is done when everything is sent; until _reset_empty_waiter() nothing can be written."""
        if self._empty_waiter is not None:
            raise RuntimeError('Empty waiter is already set')
        self.send_outbox()
        self._empty_waiter = self._loop.create_future()
        if self._size == 0:
            self._empty_waiter.set_result(None)
        return self._empty_waiter

    def _reset_empty_waiter(self) -> None:
        self._empty_waiter = None


def has_own_methods(sock: Any) -> bool:
    """Tell whether the class of a socket receives and sends in another way than sockets do."""
    kind = type(sock)
    return kind is not socket.socket and any(
        getattr(kind, name, None) is not getattr(socket.socket, name) for name in ('recv', 'recv_into', 'send')
    )


def call_socket(name: str, sock: Any, argument: Any) -> Any:
    """Call a method of a socket; return None if it would block."""
    try:
        return getattr(sock, name)(argument)
    except (BlockingIOError, InterruptedError):
        return None


def accept_transport(sock: socket.socket, fd: cython.int) -> StreamTransport | None:
    """Accept a TCP connection that waits at a listening socket, for begin(); return None if none waits."""
    transport: StreamTransport = StreamTransport.__new__(StreamTransport)
    if not cython.compiled:
        transport._ends = Endpoints()
    transport._sock_fd = accept_stream(sock, fd, transport._ends)
    return None if transport._sock_fd < 0 else transport


copy_methods(StreamTransport, FileTransport)
copy_methods(StreamTransport, Transport)
if cython.compiled:
    _sample = StreamTransport.__new__(StreamTransport)
    recycle_future(
        StreamTransport,
        _sample,
        cython.cast(StreamTransport, _sample)._alive,
        cython.cast(StreamTransport, _sample)._attributes,  # type: ignore[attr-defined]
    )
    del _sample
