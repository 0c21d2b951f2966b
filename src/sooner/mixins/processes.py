"""Processes that the loop starts."""

from __future__ import annotations

from asyncio.base_events import BaseEventLoop
from typing import Any

from ..core.loop import LoopCore

_base_loop: Any = BaseEventLoop


class Processes(LoopCore):
    """Subprocesses."""

    __slots__ = ()

    subprocess_exec = _base_loop.subprocess_exec
    subprocess_shell = _base_loop.subprocess_shell
    _log_subprocess = _base_loop._log_subprocess
