"""An event loop for asyncio, with a Future and a Task of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _source as _source  # first: it decides where the other modules come from
from ._build import BuildInfo, build_info
from ._version import __version__
from .core.handle import Handle, TimerHandle
from .core.statistics import Statistics
from .eventloop import Loop, new_event_loop
from .factories import create_eager_task_factory, eager_task_factory
from .policy import install, uninstall
from .run import Runner, run

if TYPE_CHECKING:
    from asyncio import DefaultEventLoopPolicy as EventLoopPolicy

    from ._static import Future, Task
else:
    from .core.future import Future
    from .core.task import Task

__all__ = [
    'BuildInfo',
    'EventLoopPolicy',
    'Future',
    'Handle',
    'Loop',
    'Runner',
    'Statistics',
    'Task',
    'TimerHandle',
    '__version__',
    'build_info',
    'create_eager_task_factory',
    'eager_task_factory',
    'install',
    'new_event_loop',
    'run',
    'uninstall',
]


def __getattr__(name: str) -> Any:
    if name == 'EventLoopPolicy':
        from . import policy

        return policy.EventLoopPolicy
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
