"""Datagrams: UDP, and Unix sockets that keep messages apart."""

from __future__ import annotations

from asyncio import selector_events
from asyncio.base_events import BaseEventLoop
from typing import Any

from ..core.loop import LoopCore

_base_loop: Any = BaseEventLoop
_selector_events: Any = selector_events


class Datagrams(LoopCore):
    """Datagram endpoints."""

    __slots__ = ()

    create_datagram_endpoint = _base_loop.create_datagram_endpoint

    def _make_datagram_transport(
        self, sock: Any, protocol: Any, address: Any = None, waiter: Any = None, extra: Any = None
    ) -> Any:
        return _selector_events._SelectorDatagramTransport(self, sock, protocol, address, waiter, extra)
