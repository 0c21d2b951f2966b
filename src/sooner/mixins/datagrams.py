"""Datagrams: UDP, and Unix sockets that keep messages apart."""

from __future__ import annotations

import socket
from asyncio.base_events import BaseEventLoop
from typing import Any

from ..core.loop import LoopCore
from ..net.datagram import DatagramTransport

_base_loop: Any = BaseEventLoop


class Datagrams(LoopCore):
    """Datagram endpoints. The arguments for one are the standard library's business."""

    __slots__ = ()

    _ensure_fd_no_transport: Any

    create_datagram_endpoint = _base_loop.create_datagram_endpoint

    def _make_datagram_transport(
        self,
        sock: socket.socket,
        protocol: Any,
        address: Any = None,
        waiter: Any = None,
        extra: dict[str, Any] | None = None,
    ) -> DatagramTransport:
        self._ensure_fd_no_transport(sock)
        return DatagramTransport(self, sock, protocol, address, waiter, extra)
