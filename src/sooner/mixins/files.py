"""Callbacks for when a file can be read or written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.handle import Handle
from ..core.loop import LoopCore
from ..net.operations import Queue


class Files(LoopCore):
    """Readers and writers of file descriptors.

    fd may be a file descriptor or an object with fileno(). What is watched must be removed before it is closed; the
    object that was watched is still known by itself when its descriptor is gone, and can be removed then. So these are
    kept: `_read_files` and `_written_files`, by the number of the descriptor.
    """

    __slots__ = ()
    STATE = ('_read_files', '_written_files')

    _open_transports: dict[int, Any]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._read_files: dict[int, Any] = {}
        self._written_files: dict[int, Any] = {}

    def add_reader(self, fd: Any, callback: Callable[..., object], *args: Any) -> Handle:
        """Call callback(*args) in each turn in which fd can be read, instead of what was called before."""
        self._ensure_fd_no_transport(fd)
        return self._watch(self._driver.set_reader, self._read_files, fd, callback, args, 'add_reader')

    def remove_reader(self, fd: Any) -> bool:
        """Undo add_reader(); return whether there was anything to undo."""
        number = known_descriptor(fd, self._read_files)
        self._ensure_fd_no_transport(number)
        return self._unwatch(self._driver.set_reader, self._read_files, number)

    def add_writer(self, fd: Any, callback: Callable[..., object], *args: Any) -> Handle:
        """Call callback(*args) in each turn in which fd can be written, instead of what was called before."""
        self._ensure_fd_no_transport(fd)
        return self._watch(self._driver.set_writer, self._written_files, fd, callback, args, 'add_writer')

    def remove_writer(self, fd: Any) -> bool:
        """Undo add_writer(); return whether there was anything to undo."""
        number = known_descriptor(fd, self._written_files)
        self._ensure_fd_no_transport(number)
        return self._unwatch(self._driver.set_writer, self._written_files, number)

    # asyncio's names of the same for a transport's own file.

    def _add_reader(self, fd: Any, callback: Callable[..., object], *args: Any) -> Handle:
        return self._watch(self._driver.set_reader, self._read_files, fd, callback, args, 'add_reader')

    def _remove_reader(self, fd: Any) -> bool:
        return self._unwatch(self._driver.set_reader, self._read_files, known_descriptor(fd, self._read_files))

    def _add_writer(self, fd: Any, callback: Callable[..., object], *args: Any) -> Handle:
        return self._watch(self._driver.set_writer, self._written_files, fd, callback, args, 'add_writer')

    def _remove_writer(self, fd: Any) -> bool:
        return self._unwatch(self._driver.set_writer, self._written_files, known_descriptor(fd, self._written_files))

    def _forget_files(self) -> None:
        self._read_files.clear()
        self._written_files.clear()

    def _ensure_fd_no_transport(self, fd: Any) -> None:
        """Raise RuntimeError if a file is a transport's."""
        number = file_descriptor(fd)
        known = self._open_transports.get(number)
        transport = known and known()
        if transport is not None and not transport.is_closing():
            raise RuntimeError(f'File descriptor {fd!r} is used by transport {transport!r}')

    def _watch(
        self, set_handle: Any, files: dict[int, Any], fd: Any, callback: Any, args: tuple[Any, ...], method: str
    ) -> Handle:
        self._check_closed()
        if not callable(callback):
            raise TypeError(f'a callable object was expected by {method}(), got {callback!r}')
        handle = Handle(callback, args, self)
        number = file_descriptor(fd)
        previous = set_handle(number, handle)
        if fd is not number:
            files[number] = fd
        elif files:
            files.pop(number, None)
        if previous is not None:
            previous.cancel()
        return handle

    def _unwatch(self, set_handle: Any, files: dict[int, Any], number: int) -> bool:
        if self.is_closed():
            return False
        files.pop(number, None)
        previous = set_handle(number, None)
        if isinstance(previous, Queue):
            return previous.cancel()
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


def known_descriptor(file: Any, files: dict[int, Any]) -> int:
    """Return the file descriptor of a file that may be closed, if it is among those that were open under these numbers.

    ValueError if not.
    """
    try:
        return file_descriptor(file)
    except ValueError:
        for number, known in files.items():
            if known is file:
                return number
        raise
