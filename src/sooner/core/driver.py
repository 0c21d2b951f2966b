"""Driver: what a loop needs of the world outside, to wait for it."""

from __future__ import annotations

from .scheduler import Runnable, Scheduler


class Driver:
    """The interface. A driver serves one loop, in its thread; wake() alone may be called from any thread."""

    name = 'none'

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
