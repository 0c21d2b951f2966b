"""Names of hosts and services."""

from __future__ import annotations

from asyncio.base_events import BaseEventLoop
from typing import Any

from ..core.loop import LoopCore

_base_loop: Any = BaseEventLoop


class Names(LoopCore):
    """Resolving names, in threads of the default executor."""

    __slots__ = ()

    getaddrinfo = _base_loop.getaddrinfo
    getnameinfo = _base_loop.getnameinfo
    _getaddrinfo_debug = _base_loop._getaddrinfo_debug
