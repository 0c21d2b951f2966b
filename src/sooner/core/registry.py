"""All loops of this process, for those who ask for all tasks and for children made by fork().

`asyncio.all_tasks()` reads a WeakSet in which every task has to be registered: that costs more than the rest of a
task's life. Our loops know their tasks; so here that one set is given a class whose iteration, length and membership
cover them too. Nothing else of asyncio is touched.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import weakref
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .loop import LoopCore

loops: weakref.WeakSet[LoopCore] = weakref.WeakSet()


def all_loops() -> list[LoopCore]:
    """Tell the loops, also while other threads make some."""
    while True:
        try:
            return list(loops)
        except RuntimeError:  # the set changed its size during iteration: asyncio.all_tasks() tries again, too
            pass


def held_tasks() -> list[Any]:
    """Tell the tasks that all loops hold."""
    return list(chain.from_iterable(loop.tasks() for loop in all_loops()))


class AllTasks(weakref.WeakSet[Any]):
    """asyncio's set of the tasks that registered themselves, and those of our loops, which need not."""

    def __iter__(self) -> Iterator[Any]:
        return chain(list(super().__iter__()), held_tasks())

    def __len__(self) -> int:
        return super().__len__() + len(held_tasks())

    def __contains__(self, task: object) -> bool:
        return super().__contains__(task) or any(task is held for held in held_tasks())


def _registered_tasks() -> Iterator[weakref.WeakSet[Any]]:
    """Find the set: 3.11 and before `_all_tasks`, then `_scheduled_tasks`; since 3.14 `_asyncio` has it to itself."""
    if sys.version_info >= (3, 14):
        import _asyncio

        found: list[Any] = gc.get_referents(_asyncio)
    else:
        found = [getattr(asyncio.tasks, name, None) for name in ('_scheduled_tasks', '_all_tasks')]
    return (each for each in found if type(each) is weakref.WeakSet)


def _prepare_fork() -> None:
    for loop in all_loops():
        loop.prepare_fork()


def _mark_forked() -> None:
    for loop in all_loops():
        loop.mark_forked()


for _tasks in _registered_tasks():
    _tasks.__class__ = AllTasks
if hasattr(os, 'register_at_fork'):
    os.register_at_fork(before=_prepare_fork, after_in_child=_mark_forked)
