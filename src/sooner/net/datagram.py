"""DatagramTransport: a socket that keeps messages apart, UDP or Unix.

Each time that the socket is ready all that has arrived is received, but not so much that others have to wait for long.
What is sent goes at once; only what the system has no room for now is kept, in order.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.trsock import TransportSocket
from collections import deque
from typing import Any

import cython

from ..core.loop import LoopCore
from .transport import FileTransport, Transport

if not cython.compiled:
    from .._capi import (
        context_method1,
        context_method2,
        copy_methods,
        datagram_sender,
        recv_datagram,
        recycle_future,
        send_datagram,
    )

_MOST_AT_ONCE: Any = cython.declare(cython.int, 64)
_LARGEST: Any = cython.declare(object, 256 * 1024)
_IP: Any = cython.declare(tuple, (socket.AF_INET, socket.AF_INET6))

#: Since 3.13 a datagram may be empty, and counts for more than its content.
_SENDS_EMPTY: Any = cython.declare(cython.bint, sys.version_info >= (3, 13))
_HEADER: Any = cython.declare(cython.Py_ssize_t, 8 if sys.version_info >= (3, 13) else 0)


class _Kind(asyncio.Transport, asyncio.DatagramTransport):
    """What asyncio's datagram transports are to isinstance()."""


class DatagramTransport(FileTransport):
    """A datagram socket.

    `_address` is the one address that may be sent to, or None; `_connected` tells that the socket itself has a peer.
    `_datagrams` are those that are to be sent yet, with their addresses. `_ip` tells that addresses are those of IP.
    """

    if not cython.compiled:
        _address: Any = None
        _datagrams: Any = None
        _family: int = 0
        _ip: bool = False
        _connected: bool = False

    def __init__(
        self,
        loop: Any,
        sock: socket.socket,
        protocol: Any,
        address: Any = None,
        waiter: Any = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        """Connect a non-blocking datagram socket, which from now on is the transport's, with a protocol."""
        self._address = address
        self._datagrams = deque()
        self.set_up(loop, protocol, {} if extra is None else extra, None)
        self.name_socket(sock)
        self._connected = bool(self._extra['peername'])
        self._family = sock.family
        self._ip = sock.family in _IP
        self.open(sock, waiter)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Pass isinstance(transport, asyncio.DatagramTransport), and asyncio.Transport as well."""
        return _Kind

    def name_socket(self, sock: socket.socket) -> None:
        """Say what get_extra_info() tells."""
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

    # Receiving.

    def read_ready(self) -> None:
        for _ in range(_MOST_AT_ONCE):
            try:
                if self._ip:
                    data = recv_datagram(self._file, self._sock_fd)
                    addr = datagram_sender()
                else:
                    data, addr = self.receive()
            except OSError as exc:
                self.report(context_method1(self._context, self._protocol, 'error_received', exc), 'error_received')
            except BaseException as exc:
                self.fail(exc, 'Fatal read error on datagram transport')
            else:
                if data is None:
                    return
                failure = context_method2(self._context, self._protocol, 'datagram_received', data, addr)
                if failure is not None:
                    self.report(failure, 'datagram_received')
            if not self._reading:
                return

    def receive(self) -> tuple[Any, Any]:
        """Return the next datagram, or None, and its sender's address."""
        try:
            received: tuple[Any, Any] = self._file.recvfrom(_LARGEST)
        except (BlockingIOError, InterruptedError):
            return None, None
        return received

    def report(self, exc: BaseException | None, method: str) -> None:
        """Tell the exception handler what a method of the protocol raised, which ends nothing."""
        if exc is not None:
            self.tell(exc, f'Exception in callback protocol.{method}()')

    # Sending.

    def sendto(self, data: bytes | bytearray | memoryview, addr: Any = None) -> None:
        """Send a datagram, now or later, without waiting: to an address, or, without one, to the only one there is.

        TypeError for what is no bytes, ValueError for an address that is not that only one. What is sent after the
        transport was closed is dropped; that is logged if it goes on.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f'data argument must be a bytes-like object, not {type(data).__name__!r}')
        if not _SENDS_EMPTY and not data:
            return
        if self._address is not None:
            if addr is not None and addr != self._address:
                raise ValueError(f'Invalid address: must be None or {self._address}')
            addr = self._address
        if self._conn_lost > 0 and (self._address is not None or not self._alive):
            self.write_in_vain()
            return
        if not self._datagrams:
            try:
                if self.send_now(data, addr):
                    return
            except OSError as exc:
                self._protocol.error_received(exc)
                return
            except BaseException as exc:
                self.fail(exc, 'Fatal write error on datagram transport')
                return
            self.start_writing()
        datagram = bytes(data)  # its owner may change it
        self._datagrams.append((datagram, addr))
        self._size += len(datagram) + _HEADER
        self.maybe_pause_protocol()

    def send_now(self, data: Any, addr: Any) -> bool:
        """Send one if that goes now; return whether it did."""
        cython.cast(LoopCore, self._loop).expect_events()
        if self._connected:
            addr = None
        if type(data) is bytes and (self._ip or self._connected):
            outcome: cython.int = send_datagram(self._file, self._sock_fd, self._family, data, addr)
            if outcome >= 0:
                return outcome > 0
        try:
            if self._connected:
                self._file.send(data)
            else:
                self._file.sendto(data, addr)
        except (BlockingIOError, InterruptedError):
            return False
        return True

    def _write_ready(self) -> None:
        while self._datagrams:
            data, addr = self._datagrams[0]
            try:
                if not self.send_now(data, addr):
                    break
            except OSError as exc:
                self.forget_first()
                self._protocol.error_received(exc)
                return
            except BaseException as exc:
                self.fail(exc, 'Fatal write error on datagram transport')
                return
            self.forget_first()
        self.maybe_resume_protocol()  # which may send
        if not self._datagrams and self._writer is not None:
            self.stop_writing()
            if self._closing:
                self.lose(None)

    def forget_first(self) -> None:
        """Do not send the first of those that wait."""
        data, _ = self._datagrams.popleft()
        self._size -= len(data) + _HEADER

    def forget_writes(self) -> None:
        self._datagrams.clear()
        self._size = 0

    def send_outbox(self) -> None:
        """Do nothing: no datagram is put off until the callback that sends it returns."""


copy_methods(DatagramTransport, FileTransport)
copy_methods(DatagramTransport, Transport)
if cython.compiled:
    _sample = DatagramTransport.__new__(DatagramTransport)
    recycle_future(
        DatagramTransport,
        _sample,
        cython.cast(DatagramTransport, _sample)._alive,
        cython.cast(DatagramTransport, _sample)._attributes,  # type: ignore[attr-defined]
    )
    del _sample
