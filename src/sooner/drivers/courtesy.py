"""Courtesy: that a busy loop lets other threads run."""

from __future__ import annotations

import sys
import time
from threading import active_count

_PAUSE = 100e-6
"""Seconds: a thread that is waked up runs again after some tens of microseconds."""


class Courtesy:
    """For a driver whose polls release the GIL.

    To release it for a moment is worse than to keep it. A thread that waits for the GIL demands it when nobody released
    it for sys.getswitchinterval(): then it gets it. Each release wakes that thread up and has it wait anew; and before
    it runs, the one that polled has the GIL again. So a busy loop that polls more often than that would run alone.
    """

    def __init__(self) -> None:
        self._paused = 0.0

    def poll(self) -> None:
        """Be told of a poll: pause, if there are other threads and the last time is long enough ago."""
        if active_count() > 1:
            now = time.monotonic()
            if now - self._paused >= sys.getswitchinterval():
                time.sleep(_PAUSE)
                self._paused = now
