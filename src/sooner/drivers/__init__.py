"""Drivers: the ways to wait for files, timers and other threads.

`epoll` is Linux's; `selector` uses the standard library's `selectors`, and runs everywhere.
"""

from __future__ import annotations

import os
import sys

from ..core.driver import Driver

DRIVERS = ('epoll', 'selector')


def new_driver(name: str | None = None) -> Driver:
    """Make a driver: the one named, or the one in the environment variable SOONER_DRIVER, or the best there is."""
    name = name or os.environ.get('SOONER_DRIVER') or ('epoll' if sys.platform == 'linux' else 'selector')
    if name == 'epoll':
        from .epoll import EpollDriver

        return EpollDriver()
    if name == 'selector':
        from .selector import SelectorDriver

        return SelectorDriver()
    raise ValueError(f'no driver is named {name!r}; there are: {", ".join(DRIVERS)}')
