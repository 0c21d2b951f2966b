"""Future and Task as a type checker is to see them: never imported when a program runs.

At run time they are classes of their own, for which isinstance() says that they are asyncio's; to a checker, subclasses
of those say the same, and give `Future[int]`.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar('T')


class Future(asyncio.Future[T]):
    """A result that is not there yet."""


class Task(asyncio.Task[T]):
    """A coroutine that runs in an event loop."""
