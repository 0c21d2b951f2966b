"""How the end of a child process is noticed, and how it is sent signals that reach nobody else.

The number of a process is given to another one as soon as its exit status was read. So nothing here goes by that number
unless it is certain that this has not happened: by a file descriptor that stands for the process (pidfd_open(2), Linux
5.4), or where there is none, by a thread that waits for the end but leaves the status to be read in the loop.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import signal
import threading
import weakref
from collections.abc import Callable
from typing import Any

from ..core.handle import Handle
from ..core.loop import LoopCore

logger = logging.getLogger('asyncio')

_LEAVES_STATUS = hasattr(os, 'waitid')
"""Whether waiting for the end of a process can leave its status for later; macOS can since Python 3.13."""

UNKNOWN_STATUS = 255
"""The exit code of a child whose status somebody else has read, as asyncio's."""


class ExitWatch:
    """Calls callback(returncode) in the loop's thread when a child has ended; then nothing more.

    returncode is as in `subprocess`: the exit code, or the negative number of the signal that ended it. `_process` is
    the child's Popen object.
    """

    def __init__(self, loop: LoopCore, process: Any, callback: Callable[[int], object]) -> None:
        self._loop = loop
        self._process = process
        self._callback = callback
        self._lock = threading.Lock()  # between sending a signal, from whatever thread, and reading the status

    def send_signal(self, number: int) -> None:
        """Send the child a signal, unless its status was read already."""
        raise NotImplementedError

    def is_running(self) -> bool:
        """Tell whether there is a child of this very process that runs; its status stays to be read."""
        raise NotImplementedError

    def lost_status(self) -> int:
        """Tell the exit code after somebody else has read the status: unless that was the Popen object, unknown."""
        returncode: int | None = self._process.returncode
        if returncode is not None:
            return returncode
        logger.warning(
            'child process pid %d exit status already read: will report returncode %d',
            self._process.pid,
            UNKNOWN_STATUS,
        )
        return UNKNOWN_STATUS


class DescriptorWatch(ExitWatch):
    """Watches a file descriptor that stands for the child, `_fd`: -1 before and after. OSError if there is none."""

    _fd = -1

    def __init__(self, loop: LoopCore, process: Any, callback: Callable[[int], object]) -> None:
        super().__init__(loop, process, callback)
        self._fd = os.pidfd_open(process.pid)
        loop._driver.set_reader(self._fd, Handle(self._read_status, (), loop))

    def _read_status(self) -> None:
        try:
            status = os.waitid(os.P_PIDFD, self._fd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            returncode = self.lost_status()
        else:
            if status is None:
                return
            returncode = status.si_status if status.si_code == os.CLD_EXITED else -status.si_status
        self._loop._driver.set_reader(self._fd, None)
        with self._lock:
            os.close(self._fd)
            self._fd = -1
        self._callback(returncode)

    def send_signal(self, number: int) -> None:
        with self._lock:
            if self._fd >= 0:
                try:
                    signal.pidfd_send_signal(self._fd, number)
                except ProcessLookupError:
                    pass

    def is_running(self) -> bool:
        with self._lock:
            return self._fd >= 0 and _runs(os.P_PIDFD, self._fd)

    def __del__(self) -> None:
        if self._fd >= 0:  # the loop was closed before the child ended
            os.close(self._fd)


class ThreadWatch(ExitWatch):
    """Watches with a thread that waits for the child.

    The loop holds the watch until then, the thread does not: what is left when the loop is closed can go. `_ended`
    tells that the status was read.
    """

    def __init__(self, loop: LoopCore, process: Any, callback: Callable[[int], object]) -> None:
        super().__init__(loop, process, callback)
        self._ended = False
        name = f'wait for process {process.pid}'
        threading.Thread(target=_wait_for_end, args=(process.pid, weakref.ref(self)), name=name, daemon=True).start()
        loop._thread_watches.add(self)  # type: ignore[attr-defined]

    def end(self, returncode: int | None) -> None:
        """In the thread: have the status read in the loop, or pass on what was read already."""
        with self._lock:
            self._ended = returncode is not None
        with contextlib.suppress(RuntimeError):  # the loop was closed: the Popen object cares for it
            self._loop.call_soon_threadsafe(self._end, returncode)

    def _end(self, returncode: int | None) -> None:
        if returncode is None:
            returncode = self._read_status()
        self._loop._thread_watches.discard(self)  # type: ignore[attr-defined]
        self._callback(returncode)

    def _read_status(self) -> int:
        with self._lock:
            self._ended = True
            try:
                pid, status = os.waitpid(self._process.pid, os.WNOHANG)
            except ChildProcessError:
                pid = 0
        # Else somebody has read it; another child of ours may have the number by now.
        return os.waitstatus_to_exitcode(status) if pid else self.lost_status()

    def send_signal(self, number: int) -> None:
        with self._lock:
            if not self._ended:
                try:
                    os.kill(self._process.pid, number)
                except ProcessLookupError:
                    pass

    def is_running(self) -> bool:
        with self._lock:
            if self._ended:
                return False
            return not _LEAVES_STATUS or _runs(os.P_PID, self._process.pid)


def _wait_for_end(pid: int, watch: weakref.ref[ThreadWatch]) -> None:
    """Be the thread. Where the system can't leave the status of the child to be read later, read it."""
    returncode = None
    try:
        if _LEAVES_STATUS:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        else:
            returncode = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        pass
    watching = watch()
    if watching is not None:
        watching.end(returncode)


def watch_exit(loop: LoopCore, process: Any, callback: Callable[[int], object]) -> ExitWatch:
    """Watch a child that was started just now, in the best way that the system has."""
    try:
        if kernel_has_descriptors():
            return DescriptorWatch(loop, process, callback)
    except OSError:  # no file descriptor left, say; the child runs, and must be watched
        pass
    return ThreadWatch(loop, process, callback)


@functools.cache
def kernel_has_descriptors() -> bool:
    """Tell whether processes have file descriptors here. OSError if that can't be found out now."""
    if not hasattr(os, 'pidfd_open') or not hasattr(os, 'P_PIDFD'):
        return False
    try:
        fd = os.pidfd_open(os.getpid())
        try:
            signal.pidfd_send_signal(fd, 0)
            os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOHANG)
        finally:
            os.close(fd)
    except ChildProcessError:  # as this process is not its own child
        return True
    except OSError as exc:
        if exc.errno in (errno.ENOSYS, errno.EINVAL, errno.EPERM):  # an old kernel, or a sandbox
            return False
        raise
    return True


def _runs(kind: int, which: int) -> bool:
    try:
        return os.waitid(kind, which, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:  # somebody has read its status; or it is the parent's child, and this process another one
        return False
