"""Task factories."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from .core.task import Task

TaskFactory = Callable[..., Any]


def create_eager_task_factory(custom_task_constructor: Callable[..., Any]) -> TaskFactory:
    """Return a task factory whose tasks make their first step at once, when they are created in a running loop."""

    def factory(loop: Any, coro: Coroutine[Any, Any, Any], **kwargs: Any) -> Any:
        kwargs.setdefault('eager_start', True)
        return custom_task_constructor(coro, loop=loop, **kwargs)

    return factory


eager_task_factory = create_eager_task_factory(Task)
