"""Callbacks for when a file can be read or written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.handle import Handle
from ..core.loop import LoopCore


class Files(LoopCore):
    """Readers and writers of file descriptors.

    fd may be a file descriptor or an object with fileno(). What is watched must be removed before it is closed.
    """

    __slots__ = ()

    _open_transports: dict[int, Any]

    def add_reader(self, fd: Any, callback: Callable[..., object], *args: Any) -> Handle:
        """Call callback(*args) in each turn in which fd can be read, instead of what was called before."""
        self._ensure_fd_no_transport(fd)
        return self._watch(self._driver.set_reader, fd, callback, args, 'add_reader')

    def remove_reader(self, fd: Any) -> bool:
        """Undo add_reader(); return whether there was anything to undo."""
        self._ensure_fd_no_transport(fd)
        return self._unwatch(self._driver.set_reader, fd)

    def add_writer(self, fd: Any, callback: Callable[..., object], *args: Any) -> Handle:
        """Call callback(*args) in each turn in which fd can be written, instead of what was called before."""
        self._ensure_fd_no_transport(fd)
        return self._watch(self._driver.set_writer, fd, callback, args, 'add_writer')

    def remove_writer(self, fd: Any) -> bool:
        """Undo add_writer(); return whether there was anything to undo."""
        self._ensure_fd_no_transport(fd)
        return self._unwatch(self._driver.set_writer, fd)

    # asyncio's names of the same for a transport's own file.

    def _add_reader(self, fd: Any, callback: Callable[..., object], *args: Any) -> Handle:
        return self._watch(self._driver.set_reader, fd, callback, args, 'add_reader')

    def _remove_reader(self, fd: Any) -> bool:
        return self._unwatch(self._driver.set_reader, fd)

    def _add_writer(self, fd: Any, callback: Callable[..., object], *args: Any) -> Handle:
        return self._watch(self._driver.set_writer, fd, callback, args, 'add_writer')

    def _remove_writer(self, fd: Any) -> bool:
        return self._unwatch(self._driver.set_writer, fd)

    def _ensure_fd_no_transport(self, fd: Any) -> None:
        """Raise RuntimeError if a file is a transport's."""
        number = file_descriptor(fd)
        known = self._open_transports.get(number)
        transport = known and known()
        if transport is not None and not transport.is_closing():
            raise RuntimeError(f'File descriptor {fd!r} is used by transport {transport!r}')

    def _watch(self, set_handle: Any, fd: Any, callback: Any, args: tuple[Any, ...], method: str) -> Handle:
        self._check_closed()
        if not callable(callback):
            raise TypeError(f'a callable object was expected by {method}(), got {callback!r}')
        handle = Handle(callback, args, self)
        previous = set_handle(file_descriptor(fd), handle)
        if previous is not None:
            previous.cancel()
        return handle

    def _unwatch(self, set_handle: Any, fd: Any) -> bool:
        if self.is_closed():
            return False
        previous = set_handle(file_descriptor(fd), None)
        if previous is None:
            return False
        previous.cancel()
        return True


def file_descriptor(file: Any) -> int:
    """Return the file descriptor of what is one, or has one; ValueError if that is not so."""
    if isinstance(file, int):
        fd = file
    else:
        try:
            fd = int(file.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f'Invalid file object: {file!r}') from None
    if fd < 0:
        raise ValueError(f'Invalid file descriptor: {fd}')
    return fd
