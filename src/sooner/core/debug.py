"""What only debug mode needs."""

from __future__ import annotations

import sys
from asyncio import format_helpers
from traceback import StackSummary
from types import FrameType

_PACKAGE = __name__.partition('.')[0] + '.'


def creation_stack() -> StackSummary:
    """Return the stack of whoever made a handle, a future or a task: without the frames of this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get('__name__', '').startswith(_PACKAGE):
        frame = frame.f_back
    stack: StackSummary = format_helpers.extract_stack(frame)
    return stack
