"""ProcessTransport: a child process, the pipes to it, and the order in which its protocol learns what happens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import subprocess
import warnings
from asyncio.subprocess import SubprocessStreamProtocol
from typing import Any

from ..net.adoption import adopt_reader
from .exit import watch_exit

logger = logging.getLogger('asyncio')


class PipeEnd(asyncio.Protocol):
    """The protocol of this process's end of a pipe: passes on to the process's protocol what happens."""

    def __init__(self, process: ProcessTransport, fd: int) -> None:
        self._process: ProcessTransport = process
        self._fd = fd
        self.transport: Any = None
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        self._process._call('pipe_data_received', self._fd, data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.is_open = False
        self._process._call('pipe_connection_lost', self._fd, exc)
        self._process._finish()

    def pause_writing(self) -> None:
        self._process._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._process._protocol.resume_writing()


class ProcessTransport(asyncio.SubprocessTransport):
    """A child process; its protocol's methods are called so.

        connection_made()                   when the child runs and its pipes are connected
        pipe_data_received(1 or 2, data)    as the child writes
        pipe_connection_lost(fd, exc)       when the child closes a pipe, or close() does
        process_exited()                    when the child has ended
        connection_lost(None)               in a turn after all of these

    The pipes and the exit come in the order in which they happen: a child may close its pipes and go on, and what it
    started in turn may hold them open when it has ended. What happens before connection_made() is `_early`, until then.
    """

    def __init__(
        self,
        loop: Any,
        protocol: Any,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        extra: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Start the child. Raises what `subprocess.Popen` does."""
        super().__init__(extra)
        self._closed = True  # until there is something to close
        self._loop = loop
        self._protocol = protocol
        self._returncode: int | None = None
        self._pipes: dict[int, PipeEnd] = {}
        self._early: list[tuple[str, tuple[Any, ...]]] | None = []
        self._exit_waiters: set[asyncio.Future[int]] = set()
        self._proc: Any = subprocess.Popen(
            args, shell=shell, stdin=stdin, stdout=stdout, stderr=stderr, bufsize=bufsize, **kwargs
        )
        self._pid: int = self._proc.pid
        try:
            self._watch: Any = watch_exit(loop, self._proc, self._process_exited)
        except BaseException:
            self._proc.kill()
            self._proc.wait()
            self._close_files()
            raise
        self._closed = False
        # The Popen object's ways to signal reach nobody else either: its kill() and terminate() call this.
        self._proc.send_signal = self._watch.send_signal  # type: ignore[method-assign, assignment]
        self._extra['subprocess'] = self._proc  # type: ignore[attr-defined]
        if loop.get_debug():
            logger.debug('process %r created: pid %s', args if isinstance(args, (bytes, str)) else args[0], self._pid)

    async def connect(self) -> None:
        """Connect the pipes, then the protocol. If that fails, or is cancelled, the child is killed."""
        process, loop = self._proc, self._loop
        try:
            for fd, file, connect in (
                (0, process.stdin, loop.connect_write_pipe),
                (1, process.stdout, loop.connect_read_pipe),
                (2, process.stderr, loop.connect_read_pipe),
            ):
                if file is not None:
                    end = self._pipes[fd] = PipeEnd(self, fd)
                    end.transport, _ = await connect(lambda end=end: end, file)
            made = loop.create_future()
            loop.call_soon(self._make_connection, made)
            await made
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            self.close()
            self._close_files()
            await self._wait()
            raise

    def _make_connection(self, made: asyncio.Future[None]) -> None:
        self._call_now('connection_made', (self,))
        self._adopt_readers()
        early, self._early = self._early, None
        for call in early or ():
            self._call_now(*call)
        self._finish()
        if not made.done():
            made.set_result(None)

    def _adopt_readers(self) -> None:
        """Make the streams of `asyncio.create_subprocess_exec()` fast."""
        if type(self._protocol) is SubprocessStreamProtocol:
            for reader in (self._protocol.stdout, self._protocol.stderr):
                adopt_reader(self._loop, reader)

    def _close_files(self) -> None:
        """Close the pipes that no transport has."""
        for fd, file in enumerate((self._proc.stdin, self._proc.stdout, self._proc.stderr)):
            if file is not None and (fd not in self._pipes or self._pipes[fd].transport is None):
                file.close()

    # What happens.

    def _call(self, method: str, *args: Any) -> None:
        """Call a method of the protocol, after connection_made()."""
        if self._early is not None:
            self._early.append((method, args))
        else:
            self._call_now(method, args)

    def _call_now(self, method: str, args: tuple[Any, ...]) -> None:
        """Call a method of the protocol; if that fails, the exception handler is told, and all goes on."""
        try:
            getattr(self._protocol, method)(*args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._loop.call_exception_handler(
                {
                    'message': f'protocol.{method}() failed',
                    'exception': exc,
                    'transport': self,
                    'protocol': self._protocol,
                }
            )

    def _process_exited(self, returncode: int) -> None:
        if self._loop.get_debug():
            logger.info('%r exited with return code %r', self, returncode)
        self._returncode = returncode
        if self._proc.returncode is None:
            self._proc.returncode = returncode
        del self._proc.send_signal
        self._call('process_exited')
        self._finish()
        for waiter in self._exit_waiters:
            if not waiter.done():
                waiter.set_result(returncode)

    def _finish(self) -> None:
        """End the connection if nothing can happen any more."""
        if (
            self._early is None
            and self._returncode is not None
            and not any(end.is_open for end in self._pipes.values())
        ):
            self._loop.call_soon(self._call_connection_lost)

    def _call_connection_lost(self) -> None:
        self._call_now('connection_lost', (None,))
        self._loop = self._proc = self._protocol = self._watch = None

    # For the protocol and whoever else has the transport.

    def set_protocol(self, protocol: Any) -> None:
        """Have another protocol called from now on."""
        self._protocol = protocol

    def get_protocol(self) -> Any:
        """Return the protocol; None once the connection is lost."""
        return self._protocol

    def get_pid(self) -> int:
        """Return the number of the process."""
        return self._pid

    def get_returncode(self) -> int | None:
        """Return the exit code, the negative number of the signal that ended the child, or None if it runs."""
        return self._returncode

    def get_pipe_transport(self, fd: int) -> Any:
        """Return the transport of the child's standard input (0), output (1) or error (2) if that is a pipe."""
        end = self._pipes.get(fd)
        return None if end is None else end.transport

    async def _wait(self) -> int:
        """Wait until the child has ended; return the exit code."""
        if self._returncode is not None:
            return self._returncode
        waiter = self._loop.create_future()
        self._exit_waiters.add(waiter)
        try:
            returncode: int = await waiter
        finally:
            self._exit_waiters.discard(waiter)
        return returncode

    def send_signal(self, signal: int) -> None:
        """Send the child a signal, unless it has ended. ProcessLookupError once the connection is lost."""
        if self._proc is None:
            raise ProcessLookupError
        self._watch.send_signal(signal)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def is_closing(self) -> bool:
        """Tell whether close() was called."""
        return self._closed

    def close(self) -> None:
        """Close the pipes, and kill the child if it runs."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(RuntimeError):  # of a loop that is closed, or its process's parent's
            for end in self._pipes.values():
                if end.transport is not None:
                    end.transport.close()
        if self._returncode is None and self._watch.is_running():
            if self._loop.get_debug():
                logger.warning('Close running child process: kill %r', self)
            try:
                self._proc.kill()
            except PermissionError:  # it has become another user's
                pass

    def __del__(self) -> None:
        if not getattr(self, '_closed', True):
            warnings.warn(f'unclosed transport {self!r}', ResourceWarning, source=self, stacklevel=1)
            self.close()

    def __repr__(self) -> str:
        info = [type(self).__name__]
        if self._closed:
            info.append('closed')
        info.append(f'pid={self._pid}')
        info.append('running' if self._returncode is None else f'returncode={self._returncode}')
        for name, fd in (('stdin', 0), ('stdout', 1), ('stderr', 2)):
            if fd in self._pipes:
                info.append(f'{name}={self._pipes[fd].transport!r}')
        return f'<{" ".join(info)}>'
