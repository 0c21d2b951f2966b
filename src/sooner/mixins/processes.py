"""Processes that the loop starts."""

from __future__ import annotations

from asyncio.base_events import BaseEventLoop
from typing import Any

from ..core.loop import LoopCore
from ..process.exit import ThreadWatch
from ..process.transport import ProcessTransport

_base_loop: Any = BaseEventLoop


class Processes(LoopCore):
    """Subprocesses. `_thread_watches` are those that a thread waits for."""

    __slots__ = ()
    STATE = ('_thread_watches',)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._thread_watches: set[ThreadWatch] = set()

    subprocess_exec = _base_loop.subprocess_exec
    subprocess_shell = _base_loop.subprocess_shell
    _log_subprocess = _base_loop._log_subprocess

    async def _make_subprocess_transport(
        self,
        protocol: Any,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        extra: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> ProcessTransport:
        transport = ProcessTransport(self, protocol, args, shell, stdin, stdout, stderr, bufsize, extra, **kwargs)
        await transport.connect()
        return transport

    def _forget_children(self) -> None:
        self._thread_watches.clear()
