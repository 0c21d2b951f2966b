"""Plain sockets: sock_recv() and its kin, sendfile()."""

from __future__ import annotations

from asyncio.base_events import BaseEventLoop
from asyncio.selector_events import BaseSelectorEventLoop
from asyncio.unix_events import _UnixSelectorEventLoop
from typing import Any

from ..core.loop import LoopCore

_base_loop: Any = BaseEventLoop
_selector_loop: Any = BaseSelectorEventLoop
_unix_loop: Any = _UnixSelectorEventLoop


class Sockets(LoopCore):
    """Operations on non-blocking sockets."""

    __slots__ = ()

    _open_transports: dict[int, Any]

    sock_accept = _selector_loop.sock_accept
    sock_connect = _selector_loop.sock_connect
    sock_recv = _selector_loop.sock_recv
    sock_recv_into = _selector_loop.sock_recv_into
    sock_recvfrom = _selector_loop.sock_recvfrom
    sock_recvfrom_into = _selector_loop.sock_recvfrom_into
    sock_sendall = _selector_loop.sock_sendall
    sock_sendto = _selector_loop.sock_sendto
    sock_sendfile = _base_loop.sock_sendfile
    sendfile = _base_loop.sendfile

    _check_sendfile_params = _base_loop._check_sendfile_params
    _sendfile_fallback = _base_loop._sendfile_fallback
    _sock_sendfile_fallback = _base_loop._sock_sendfile_fallback
    _sock_sendfile_native = _unix_loop._sock_sendfile_native
    _sock_sendfile_native_impl = _unix_loop._sock_sendfile_native_impl
    _sock_sendfile_update_filepos = _unix_loop._sock_sendfile_update_filepos
    _sock_add_cancellation_callback = _unix_loop._sock_add_cancellation_callback

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

    for _name in [
        '_sock_accept',
        '_sock_connect',
        '_sock_connect_cb',
        '_sock_read_done',
        '_sock_recv',
        '_sock_recv_into',
        '_sock_recvfrom',
        '_sock_recvfrom_into',
        '_sock_sendall',
        '_sock_sendto',
        '_sock_write_done',
    ]:
        locals()[_name] = getattr(_selector_loop, _name)
    del _name
