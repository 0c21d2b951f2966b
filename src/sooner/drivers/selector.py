"""The portable driver: the standard library's `selectors`, and a pipe for wake-ups."""

from __future__ import annotations

import os
import selectors
from errno import EBADF

from ..core.driver import Descriptor, Driver
from ..core.scheduler import Runnable, Scheduler
from .courtesy import Courtesy

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class SelectorDriver(Driver):
    """Each registered file's data is the pair of what reads and what writes.

    `_pipe` has both ends of the pipe, so that who writes to it holds the other end too; None once the driver is closed.
    """

    name = 'selector'

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        self._selector = selector or selectors.DefaultSelector()
        self._courtesy = Courtesy()
        ends = os.pipe()
        self._pipe: tuple[Descriptor, Descriptor] | None = (Descriptor(ends[0]), Descriptor(ends[1]))
        for end in ends:
            os.set_blocking(end, False)
        self._selector.register(ends[0], _READ, None)

    def wait(self, scheduler: Scheduler, timeout: float) -> None:
        if timeout == 0:
            self._courtesy.poll()
        for key, events in self._selector.select(None if timeout < 0 else timeout):
            if key.data is None:
                self._drain()
                continue
            reader, writer = key.data
            if events & _READ and reader is not None:
                scheduler.push_ready(reader)
            if events & _WRITE and writer is not None:
                scheduler.push_ready(writer)

    def wake(self) -> None:
        pipe = self._pipe
        if pipe is not None:
            try:
                os.write(pipe[1].fd, b'\0')
            except BlockingIOError:  # full, which wakes just as well
                pass

    def _drain(self) -> None:
        pipe = self._pipe
        if pipe is not None:
            try:
                while len(os.read(pipe[0].fd, 4096)) == 4096:
                    pass
            except BlockingIOError:
                pass

    def close(self) -> None:
        self._selector.close()
        self._pipe = None

    def set_reader(self, fd: int, reader: Runnable | None) -> Runnable | None:
        previous, writer = self._watched(fd)
        self._update(fd, reader, writer)
        return previous

    def set_writer(self, fd: int, writer: Runnable | None) -> Runnable | None:
        reader, previous = self._watched(fd)
        self._update(fd, reader, writer)
        return previous

    def watches(self, fd: int, runnable: Runnable, writes: bool) -> bool:
        return self._watched(fd)[writes] is runnable

    def _watched(self, fd: int) -> tuple[Runnable | None, Runnable | None]:
        key = (self._selector.get_map() or {}).get(fd)  # None once it is closed
        return (None, None) if key is None else key.data

    def _update(self, fd: int, reader: Runnable | None, writer: Runnable | None) -> None:
        events = (_READ if reader is not None else 0) | (_WRITE if writer is not None else 0)
        known = fd in (self._selector.get_map() or {})
        if events and known:
            try:
                self._selector.modify(fd, events, (reader, writer))
            except FileNotFoundError:  # closed and opened again under the same number
                self._selector.register(fd, events, (reader, writer))
            except OSError as exc:
                if exc.errno != EBADF or (reader is not None and writer is not None):
                    raise
                # One of them is taken out of what is closed, and so watched no more, already.
        elif events:
            self._selector.register(fd, events, (reader, writer))
        elif known:
            self._selector.unregister(fd)
