"""Pipes, FIFOs and terminals."""

from __future__ import annotations

from asyncio.base_events import BaseEventLoop
from typing import Any

from ..core.loop import LoopCore
from ..net.adoption import adopt_stream
from ..net.pipe import ReadPipeTransport, WritePipeTransport

_base_loop: Any = BaseEventLoop


class Pipes(LoopCore):
    """Ends of pipes."""

    __slots__ = ()

    connect_read_pipe = _base_loop.connect_read_pipe
    connect_write_pipe = _base_loop.connect_write_pipe

    def _make_read_pipe_transport(
        self, pipe: Any, protocol: Any, waiter: Any = None, extra: dict[str, Any] | None = None
    ) -> ReadPipeTransport:
        adopt_stream(self, protocol)
        return ReadPipeTransport(self, pipe, protocol, waiter, extra)

    def _make_write_pipe_transport(
        self, pipe: Any, protocol: Any, waiter: Any = None, extra: dict[str, Any] | None = None
    ) -> WritePipeTransport:
        return WritePipeTransport(self, pipe, protocol, waiter, extra)
