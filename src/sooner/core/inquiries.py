"""What is asked of the interpreter and of asyncio where it need not be fast."""

from __future__ import annotations

import asyncio
import sys
from asyncio import format_helpers
from collections.abc import Callable
from traceback import StackSummary
from types import FrameType
from typing import Any

_PACKAGE = __name__.partition('.')[0] + '.'


def creation_stack() -> StackSummary:
    """Return the stack of whoever made a handle, a future or a task: without the frames of this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get('__name__', '').startswith(_PACKAGE):
        frame = frame.f_back
    stack: StackSummary = format_helpers.extract_stack(frame)
    return stack


def wraps_stop_iteration() -> bool:
    """Tell whether set_exception(StopIteration()) gives a RuntimeError here, or, as before some 3.12, a TypeError."""

    class NoLoop:
        """All that a future asks of a loop when it is made."""

        def get_debug(self) -> bool:
            return False

        def call_exception_handler(self, context: object) -> None:
            """Hear that nobody wanted the exception."""

    try:
        asyncio.Future(loop=NoLoop()).set_exception(StopIteration())  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


def repr_info(tell: Callable[[Any], list[str]], future: Any) -> list[str]:
    """Return what one of asyncio's functions says of a future."""
    try:
        return tell(future)
    except TypeError:  # another thread completed it, between two looks at `_callbacks`
        return tell(future)
