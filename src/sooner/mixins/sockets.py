"""Plain sockets: sock_recv() and its kin, sendfile()."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import socket
import sys
from asyncio import SelectorEventLoop, SendfileNotAvailableError
from asyncio.base_events import BaseEventLoop, _check_ssl_socket  # type: ignore[attr-defined]
from typing import Any

from ..net.operations import SocketLoop

_base_loop: Any = BaseEventLoop

_LARGEST_BLOCK = sys.maxsize // 2 + 1
_ALWAYS_SEEKS = SelectorEventLoop._sock_sendfile_update_filepos.__code__.co_argcount == 3  # type: ignore[attr-defined]
"""Whether asyncio sets the position of a file that was to be sent also if nothing of it was: since 3.14."""


class Sockets(SocketLoop):
    """Operations on non-blocking sockets. Most are those of SocketLoop."""

    __slots__ = ()

    _open_transports: dict[int, Any]
    _ensure_resolved: Any

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect a non-blocking socket to an address; the name of a host is looked up."""
        _check_ssl_socket(sock)
        if self.get_debug() and sock.gettimeout() != 0:
            raise ValueError('the socket must be non-blocking')
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            found = await self._ensure_resolved(
                address, family=sock.family, type=sock.type, proto=sock.proto, loop=self
            )
            address = found[0][4]
        await self._sock_connect(sock, address)

    # Sending files. Arguments are checked, and what can't be sent natively is, by the standard library's methods.

    sock_sendfile = _base_loop.sock_sendfile
    sendfile = _base_loop.sendfile
    _check_sendfile_params = _base_loop._check_sendfile_params
    _sendfile_fallback = _base_loop._sendfile_fallback
    _sock_sendfile_fallback = _base_loop._sock_sendfile_fallback

    async def _sendfile_native(self, transport: Any, file: Any, offset: int, count: int | None) -> int:
        """Send from a file through a transport's socket, which is nobody's for that time."""
        fd = transport._sock_fd
        was_reading = transport.is_reading()
        transport.pause_reading()
        known = self._open_transports.pop(fd)
        try:
            await transport._make_empty_waiter()
            sent: int = await self.sock_sendfile(transport._sock, file, offset, count, fallback=False)
            return sent
        finally:
            transport._reset_empty_waiter()
            if not transport.is_closing():
                self._open_transports[fd] = known
                if was_reading:
                    transport.resume_reading()

    async def _sock_sendfile_native(self, sock: socket.socket, file: Any, offset: int, count: int | None) -> int:
        """Send from a file by sendfile(2); SendfileNotAvailableError if nothing was sent that way."""
        try:
            source = file.fileno()
            size = os.fstat(source).st_size
        except (AttributeError, io.UnsupportedOperation, OSError):
            raise SendfileNotAvailableError('not a regular file') from None
        left = count or size
        start = offset
        try:
            while left > 0:
                try:
                    sent = os.sendfile(sock.fileno(), source, offset, min(left, _LARGEST_BLOCK))
                except (BlockingIOError, InterruptedError):
                    await self._sock_writable(sock)
                    continue
                except OSError as exc:
                    if offset == start:
                        raise SendfileNotAvailableError('os.sendfile call failed') from exc
                    if exc.errno == errno.ENOTCONN and type(exc) is not ConnectionError:
                        raise ConnectionError('socket is not connected', errno.ENOTCONN) from exc
                    raise
                if sent == 0:
                    break
                offset += sent
                if count:
                    left -= sent
                self.poll_next_turn()
                await asyncio.sleep(0)  # who reads fast must not keep all others waiting
            return offset - start
        finally:
            if offset > start or _ALWAYS_SEEKS:
                os.lseek(source, offset, os.SEEK_SET)
