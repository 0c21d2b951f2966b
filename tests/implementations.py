"""What the tests run on: sooner's loops, one a driver, and asyncio's."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sooner
from sooner.drivers import DRIVERS


@dataclass(frozen=True)
class Implementation:
    """A loop and the classes that belong to it: sooner's with a driver, or the standard library's."""

    name: str
    make_loop: Callable[[], Any]
    Future: Any
    Task: Any
    Handle: Any
    TimerHandle: Any

    @property
    def is_stock(self) -> bool:
        return self.name == 'asyncio'


STOCK = Implementation(
    'asyncio', asyncio.new_event_loop, asyncio.Future, asyncio.Task, asyncio.Handle, asyncio.TimerHandle
)
OURS = {
    driver: Implementation(
        driver,
        lambda driver=driver: sooner.new_event_loop(driver),
        sooner.Future,
        sooner.Task,
        sooner.Handle,
        sooner.TimerHandle,
    )
    for driver in DRIVERS
    if driver != 'epoll' or sys.platform == 'linux'
}
