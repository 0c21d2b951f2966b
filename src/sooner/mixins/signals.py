"""Signals: handlers that run in the loop, and a loop that wakes up for every signal."""

from __future__ import annotations

import asyncio
import errno
import inspect
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

from ..core.handle import Handle
from ..core.loop import LoopCore


def _do_nothing(signum: int, frame: object) -> None:
    """Be a Python signal handler: with one, the interpreter writes the signal's number to the wake-up socket."""


class Signals(LoopCore):
    """Signal handlers of a loop.

    While the loop runs in the main thread, signals are written to its socket (signal.set_wakeup_fd), so that one
    which arrives just before the loop begins to wait ends that wait, and Ctrl-C is never late.
    """

    __slots__ = ()
    STATE = ('_signal_handlers', '_signal_reader', '_signal_writer')

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._signal_reader: socket.socket | None = None
        self._signal_writer: socket.socket | None = None
        self._signal_handlers: dict[int, Handle] = {}

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:
        """Call callback(*args) in the loop whenever the signal comes, instead of what was done before.

        ValueError if there is no such signal, RuntimeError if it can't be caught or this is not the main thread.
        """
        if asyncio.iscoroutine(callback) or inspect.iscoroutinefunction(callback):
            raise TypeError('coroutines cannot be used with add_signal_handler()')
        if not callable(callback):
            raise TypeError(f'a callable object was expected by add_signal_handler(), got {callback!r}')
        _check_signal(sig)
        self._check_closed()
        try:
            signal.set_wakeup_fd(self._wakeup_socket().fileno())
        except (ValueError, OSError) as exc:
            raise RuntimeError(str(exc)) from exc
        self._signal_handlers[sig] = Handle(callback, args, self)
        try:
            signal.signal(sig, _do_nothing)
            signal.siginterrupt(sig, False)
        except OSError as exc:
            del self._signal_handlers[sig]
            self._release_wakeup()
            if exc.errno == errno.EINVAL:
                raise RuntimeError(f'sig {sig} cannot be caught') from exc
            raise

    def remove_signal_handler(self, sig: int) -> bool:
        """Do what Python does by default when the signal comes; return whether there was a handler."""
        _check_signal(sig)
        if self._signal_handlers.pop(sig, None) is None:
            return False
        try:
            signal.signal(sig, signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL)
        except OSError as exc:
            if exc.errno == errno.EINVAL:
                raise RuntimeError(f'sig {sig} cannot be caught') from exc
            raise
        self._release_wakeup()
        return True

    def _wakeup_socket(self) -> socket.socket:
        """Return the socket that signals are written to."""
        if self._signal_writer is None:
            self._signal_reader, self._signal_writer = socket.socketpair()
            self._signal_reader.setblocking(False)
            self._signal_writer.setblocking(False)
            self._driver.set_reader(self._signal_reader.fileno(), Handle(self._read_signals, (), self))
        return self._signal_writer

    def _read_signals(self) -> None:
        """Have the handlers of the signals that came run."""
        assert self._signal_reader is not None
        try:
            numbers = self._signal_reader.recv(4096)
        except (BlockingIOError, InterruptedError):
            return
        for number in numbers:
            handle = self._signal_handlers.get(number)
            if handle is not None:
                self.push_ready(handle)

    def _catch_signals(self) -> None:
        """Wake up for signals during a run, if nobody else in this process asked to."""
        if self._signal_handlers or threading.current_thread() is not threading.main_thread():
            return
        previous = signal.set_wakeup_fd(self._wakeup_socket().fileno(), warn_on_full_buffer=False)
        if previous != -1:
            signal.set_wakeup_fd(previous)

    def _release_wakeup(self) -> None:
        """Wake up for signals no longer, unless there are handlers, or the loop runs."""
        if not self._signal_handlers and not self.is_running():
            self._reset_wakeup()

    def _reset_wakeup(self) -> None:
        if self._signal_writer is None or threading.current_thread() is not threading.main_thread():
            return
        previous = signal.set_wakeup_fd(-1)
        if previous not in (-1, self._signal_writer.fileno()):  # somebody else's
            signal.set_wakeup_fd(previous)

    def _close_signals(self) -> None:
        for sig in list(self._signal_handlers):
            self.remove_signal_handler(sig)
        self._reset_wakeup()
        if self._signal_reader is not None and self._signal_writer is not None:
            self._driver.set_reader(self._signal_reader.fileno(), None)
            self._signal_reader.close()
            self._signal_writer.close()
            self._signal_reader = self._signal_writer = None

    def mark_forked(self) -> None:
        super().mark_forked()
        self._reset_wakeup()


def _check_signal(sig: int) -> None:
    if not isinstance(sig, int):
        raise TypeError(f'sig must be an int, not {sig!r}')
    if sig not in signal.valid_signals():
        raise ValueError(f'invalid signal number {sig}')
