"""The driver for Linux: epoll(7) and one eventfd(2) for wake-ups.

A file is watched level-triggered unless all that watches it can do with less: see `EdgeTriggered`.
"""

from __future__ import annotations

import os
import select
from errno import EBADF

import cython

from ..core.driver import Descriptor, Driver, EdgeTriggered
from ..core.scheduler import Runnable, Scheduler

if not cython.compiled:
    from .._capi import (
        EpollEvents,
        epoll_change,
        epoll_wait_for,
        event_fd,
        event_mask,
        event_read,
        event_write,
        ring_push,
    )
    from .courtesy import Courtesy

    EPOLLIN, EPOLLPRI, EPOLLOUT, EPOLLRDHUP, EPOLLET = 1, 2, 4, 0x2000, 1 << 31
    EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD = 1, 2, 3


class Watch:
    """What is to be run when a file is ready."""

    if not cython.compiled:
        _reader: Runnable | None = None
        _writer: Runnable | None = None

    def events(self) -> int:
        """Tell the events to ask for."""
        events: cython.int = 0
        level: cython.bint = False
        if self._reader is not None:
            events |= EPOLLIN
            level = not isinstance(self._reader, EdgeTriggered)
        if self._writer is not None:
            events |= EPOLLOUT
            level = level or not isinstance(self._writer, EdgeTriggered)
        if events == 0 or level:
            return events
        if events & EPOLLIN:
            events |= EPOLLPRI | EPOLLRDHUP
        return events | EPOLLET

    def exchange(self, runnable: Runnable | None, writes: cython.bint) -> Runnable | None:
        """Set what reads, or writes; return what did before."""
        if writes:
            previous = self._writer
            self._writer = runnable
        else:
            previous = self._reader
            self._reader = runnable
        return previous


class EpollDriver(Driver):
    """`_watches` is indexed by file descriptor; `_event_fd` is that of `_event`, to be compared with what is ready."""

    name = 'epoll'
    edges = True

    if not cython.compiled:
        _epoll_fd: int = -1
        _event_fd: int = -1
        _event: Descriptor | None = None

    else:

        def __cinit__(self) -> None:
            self._epoll_fd = self._event_fd = -1

    def __init__(self) -> None:
        self.close()
        if not cython.compiled:
            self._events = EpollEvents()
            self._courtesy = Courtesy()
        self._epoll = select.epoll()
        self._epoll_fd = self._epoll.fileno()
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._event = Descriptor(self._event_fd)
        self._watches: list[Watch | None] = []
        self._epoll.register(self._event_fd, EPOLLIN)

    def wait(self, scheduler: Scheduler, timeout: float) -> None:
        if not cython.compiled and timeout == 0:
            self._courtesy.poll()
        count: cython.int = epoll_wait_for(self._epoll, self._epoll_fd, self._events, timeout)
        for i in range(count):
            fd: cython.int = event_fd(self._events, i)
            if fd == self._event_fd:
                event_read(fd)
                continue
            watch: Watch | None = self.watch(fd)
            if watch is None:
                continue
            mask: cython.int = event_mask(self._events, i)
            # An error or a hang-up is for whoever is there to meet it.
            if watch._reader is not None and mask & ~EPOLLOUT:
                if mask & ~(EPOLLIN | EPOLLOUT) and isinstance(watch._reader, EdgeTriggered):
                    cython.cast(EdgeTriggered, watch._reader)._special = True
                ring_push(scheduler._ready, watch._reader)  # push_ready() would be looked up each time
            if watch._writer is not None and mask & ~(EPOLLIN | EPOLLPRI | EPOLLRDHUP):
                ring_push(scheduler._ready, watch._writer)

    def wake(self) -> None:
        event: Descriptor | None = self._event
        if event is not None:
            event_write(event.fd)

    def close(self) -> None:
        if self._event is not None:
            self._event = None
            self._event_fd = -1
            self._epoll.close()
            self._epoll_fd = -1
            self._watches = []

    def __del__(self) -> None:
        self.close()

    def watch(self, fd: cython.int) -> Watch | None:
        """Tell what waits for a file."""
        if 0 <= fd < len(self._watches):
            return self._watches[fd]
        return None

    def set_reader(self, fd: int, reader: Runnable | None) -> Runnable | None:
        return self.exchange(fd, reader, False)

    def set_writer(self, fd: int, writer: Runnable | None) -> Runnable | None:
        return self.exchange(fd, writer, True)

    def watches(self, fd: cython.int, runnable: Runnable, writes: cython.bint) -> bool:
        watch: Watch | None = self.watch(fd)
        return watch is not None and (watch._writer if writes else watch._reader) is runnable

    def exchange(self, fd: cython.int, runnable: Runnable | None, writes: cython.bint) -> Runnable | None:
        """Set what reads a file, or writes; return what did before. OSError if that file can't be watched."""
        watch: Watch = self.watch(fd) or Watch()
        before: cython.int = watch.events()
        previous: Runnable | None = watch.exchange(runnable, writes)
        if runnable is None and previous is None:
            return None
        try:
            self.update(fd, watch, before)
        except OSError as exc:
            if runnable is None and exc.errno == EBADF:  # closed: nothing is watched any more
                self._watches[fd] = None
                return previous
            watch.exchange(previous, writes)
            raise
        return previous

    def update(self, fd: cython.int, watch: Watch, before: cython.int) -> None:
        """Tell the kernel what a file is watched for now, and before.

        Also if that is the same: another file may have the number now, of which the kernel knows nothing.
        """
        events: cython.int = watch.events()
        if events == 0:
            self._watches[fd] = None
            try:
                epoll_change(self._epoll, self._epoll_fd, EPOLL_CTL_DEL, fd, 0)
            except OSError:  # closed before it was taken out: the kernel has forgotten it
                pass
            return
        if before == 0:
            epoll_change(self._epoll, self._epoll_fd, EPOLL_CTL_ADD, fd, events)
        else:
            try:
                epoll_change(self._epoll, self._epoll_fd, EPOLL_CTL_MOD, fd, events)
            except FileNotFoundError:  # closed and opened again under the same number
                epoll_change(self._epoll, self._epoll_fd, EPOLL_CTL_ADD, fd, events)
        while len(self._watches) <= fd:
            self._watches.append(None)
        self._watches[fd] = watch
