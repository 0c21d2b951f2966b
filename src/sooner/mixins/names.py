"""Names of hosts and services."""

from __future__ import annotations

import socket
from asyncio.base_events import BaseEventLoop
from types import BuiltinFunctionType
from typing import Any

from ..core.loop import LoopCore

_base_loop: Any = BaseEventLoop
_NUMBERS = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


class Names(LoopCore):
    """Resolving names, in threads of the default executor.

    What is no name needs no thread: it is converted at once. It is the functions of the module `socket` that do all
    this, looked up anew each time, so that programs can put others in their place. Theirs always get a thread.
    """

    __slots__ = ()

    _getaddrinfo_debug = _base_loop._getaddrinfo_debug
    _getaddrinfo_in_thread = _base_loop.getaddrinfo
    _getnameinfo_in_thread = _base_loop.getnameinfo

    async def getaddrinfo(
        self,
        host: str | bytes | None,
        port: str | bytes | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Return what socket.getaddrinfo() does, without blocking the loop."""
        found: list[Any]
        if is_number(port) and is_address(host) and is_own(socket.getaddrinfo):
            resolve = self._getaddrinfo_debug if self.get_debug() else socket.getaddrinfo
            found = resolve(host, port, family, type, proto, flags)
        else:
            found = await self._getaddrinfo_in_thread(host, port, family=family, type=type, proto=proto, flags=flags)
        return found

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """Return what socket.getnameinfo() does, without blocking the loop."""
        if flags & _NUMBERS == _NUMBERS and is_own(socket.getnameinfo):
            return socket.getnameinfo(sockaddr, flags)
        names: tuple[str, str] = await self._getnameinfo_in_thread(sockaddr, flags)
        return names


def is_own(function: Any) -> bool:
    """Tell whether a function of the module `socket` is the standard library's."""
    return isinstance(function, BuiltinFunctionType) or getattr(function, '__globals__', None) is vars(socket)


def is_number(port: str | bytes | int | None) -> bool:
    """Tell whether this is a port, and not the name of a service."""
    return port is None or isinstance(port, int) or (isinstance(port, (str, bytes)) and port.isdigit())


def is_address(host: str | bytes | None) -> bool:
    """Tell whether this is an address, and not the name of a host. None stands for one's own addresses."""
    if host is None:
        return True
    if isinstance(host, bytes):
        host = host.decode('ascii', 'replace')
    if not isinstance(host, str):
        return False
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    try:
        socket.inet_pton(family, host.partition('%')[0])
    except (OSError, ValueError):
        return False
    return True
