"""Pipes, FIFOs and terminals."""

from __future__ import annotations

from asyncio import unix_events
from asyncio.base_events import BaseEventLoop
from typing import Any

from ..core.loop import LoopCore

_base_loop: Any = BaseEventLoop
_unix_events: Any = unix_events


class Pipes(LoopCore):
    """Ends of pipes."""

    __slots__ = ()

    connect_read_pipe = _base_loop.connect_read_pipe
    connect_write_pipe = _base_loop.connect_write_pipe

    def _make_read_pipe_transport(self, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None) -> Any:
        return _unix_events._UnixReadPipeTransport(self, pipe, protocol, waiter, extra)

    def _make_write_pipe_transport(self, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None) -> Any:
        return _unix_events._UnixWritePipeTransport(self, pipe, protocol, waiter, extra)
