"""Driver: what a loop needs of the world outside, to wait for it."""

from __future__ import annotations

import os
from typing import Any

import cython

from .scheduler import Runnable, Scheduler

_close: Any = cython.declare(object, os.close)  # still there when modules are taken down at the end of a program


class EdgeTriggered(Runnable):
    """A reader or a writer that needs to be pushed only when something has changed.

    So it has to go on until there is nothing more to read, or no room to write. A driver may push it more often.

    `_special` is set by a driver with edges when an event told a reader of more than data: an end, an error, or urgent
    data.
    """

    if not cython.compiled:
        _special: bool = False


class Descriptor:
    """A file descriptor, `fd`, that is closed as soon as nobody holds this object.

    For what wake() writes to. A loop may be closed by its thread while another one is about to write, and the number
    may then stand for another file: so that thread holds the object until it has written.
    """

    if not cython.compiled:
        fd: int = -1

    else:

        def __cinit__(self) -> None:
            self.fd = -1

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        if self.fd >= 0:
            _close(self.fd)


class Driver:
    """The interface. A driver serves one loop, in its thread; wake() alone may be called from any thread.

    `edges` tells whether an EdgeTriggered reader or writer, where no other watches the same file, is only pushed when
    something has changed.
    """

    name = 'none'
    edges = False

    def wait(self, scheduler: Scheduler, timeout: float) -> None:
        """Wait for at most timeout seconds (0: do not wait; negative: no limit) and push what became ready."""
        raise NotImplementedError('this loop has no driver: was super().__init__() called?')

    def wake(self) -> None:
        """End the wait, or the next one if there is none now."""
        raise NotImplementedError

    def close(self) -> None:
        """Release what belongs to the operating system."""
        raise NotImplementedError

    def set_reader(self, fd: int, reader: Runnable | None) -> Runnable | None:
        """Push reader whenever fd can be read (None: watch no longer); return the one before."""
        raise NotImplementedError

    def set_writer(self, fd: int, writer: Runnable | None) -> Runnable | None:
        """Push writer whenever fd can be written (None: watch no longer); return the one before."""
        raise NotImplementedError

    def watches(self, fd: cython.int, runnable: Runnable, writes: cython.bint) -> bool:
        """Tell whether this is what is pushed now when fd can be read, or written."""
        raise NotImplementedError
