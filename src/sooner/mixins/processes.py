"""Processes that the loop starts."""

from __future__ import annotations

from asyncio.base_events import BaseEventLoop
from typing import Any

from ..core.loop import LoopCore
from ..process.transport import ProcessTransport

_base_loop: Any = BaseEventLoop


class Processes(LoopCore):
    """Subprocesses."""

    __slots__ = ()

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
        waiter = self.create_future()
        transport = ProcessTransport(
            self, protocol, args, shell, stdin, stdout, stderr, bufsize, waiter=waiter, extra=extra, **kwargs
        )
        try:
            await waiter
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            transport.close()
            await transport._wait()
            raise
        return transport
