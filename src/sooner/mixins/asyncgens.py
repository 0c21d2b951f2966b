"""Asynchronous generators that were not run to their end."""

from __future__ import annotations

import asyncio
import warnings
import weakref
from collections.abc import AsyncGenerator
from typing import Any

from ..core.loop import LoopCore


class AsyncGenerators(LoopCore):
    """The asynchronous generators that began to run in a loop (PEP 525)."""

    __slots__ = ()
    STATE = ('_asyncgens', '_asyncgens_shutdown_called')

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._asyncgens_shutdown_called = False
        self._asyncgens: weakref.WeakSet[AsyncGenerator[Any, Any]] = weakref.WeakSet()

    def _asyncgen_firstiter_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        if self._asyncgens_shutdown_called:
            warnings.warn(
                f'asynchronous generator {agen!r} was scheduled after loop.shutdown_asyncgens() call',
                ResourceWarning,
                source=self,
                stacklevel=2,
            )
        self._asyncgens.add(agen)

    def _asyncgen_finalizer_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        self._asyncgens.discard(agen)
        if not self.is_closed():
            self.call_soon_threadsafe(self.create_task, agen.aclose())

    async def shutdown_asyncgens(self) -> None:
        """Close all of them; what they raise goes to the exception handler."""
        self._asyncgens_shutdown_called = True
        agens = list(self._asyncgens)
        self._asyncgens.clear()
        results = await asyncio.gather(*(agen.aclose() for agen in agens), return_exceptions=True)
        for result, agen in zip(results, agens, strict=True):
            if isinstance(result, Exception):
                self.call_exception_handler(
                    {
                        'message': f'an error occurred during closing of asynchronous generator {agen!r}',
                        'exception': result,
                        'asyncgen': agen,
                    }
                )

    # pytest-asyncio has no warning shown about the coroutine of this name, if its loop was closed behind its back.
    shutdown_asyncgens.__qualname__ = 'BaseEventLoop.shutdown_asyncgens'
