"""ProcessTransport: a child process, watched through a file descriptor that stands for it (pidfd_open(2)).

No signal handler and no child watcher is needed, so it works in any thread.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from asyncio.base_subprocess import BaseSubprocessTransport
from typing import Any

logger = logging.getLogger('asyncio')

_Base: Any = BaseSubprocessTransport


class ProcessTransport(_Base):  # type: ignore[misc]
    """A child process and its pipes."""

    _pidfd = -1

    def _start(self, args: Any, shell: bool, stdin: Any, stdout: Any, stderr: Any, bufsize: int, **kwargs: Any) -> None:
        self._proc = subprocess.Popen(
            args, shell=shell, stdin=stdin, stdout=stdout, stderr=stderr, bufsize=bufsize, **kwargs
        )
        self._pidfd = os.pidfd_open(self._proc.pid)
        self._loop._add_reader(self._pidfd, self._collect)

    def _collect(self) -> None:
        """Learn how the process ended."""
        self._loop._remove_reader(self._pidfd)
        try:
            status = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        except ChildProcessError:  # somebody else was told
            returncode = self._proc.returncode
            if returncode is None:
                returncode = 255
                logger.warning(
                    'child process pid %d exit status already read: will report returncode 255', self._proc.pid
                )
        else:
            assert status is not None
            returncode = status.si_status if status.si_code == os.CLD_EXITED else -status.si_status
        os.close(self._pidfd)
        self._pidfd = -1
        self._process_exited(returncode)

    def send_signal(self, signal: int) -> None:
        """Send the process a signal, unless it has ended."""
        self._check_proc()
        if self._pidfd >= 0:
            send_signal_to(self._pidfd, signal)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def send_signal_to(pidfd: int, number: int) -> None:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        pass
