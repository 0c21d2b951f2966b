"""What a benchmark needs beside Python: programs in C, a certificate, PostgreSQL, Redis, wrk.

All of it is made or started when it is first asked for, in a temporary directory, on loopback, and is gone when the
benchmark ends. Where something cannot be had the rest goes on without: MissingError says what to install.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from sooner.bench.echo.servers import HOST, Place
from sooner.bench.rounds import MissingError, last_line

C_OPTIONS = ('-std=c11', '-O2', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Wconversion')

_HERE = Path(__file__).parent

Made = TypeVar('Made')

#: Seconds that anything may take to be made, or to start.
_PATIENCE = 60


def compile_program(name: str, target: Path, *, tls: bool = False, options: Iterable[str] = ()) -> None:
    """Compile NAME.c of this package with CC, or with what Python was compiled with."""
    compiler = shlex.split(os.environ.get('CC') or sysconfig.get_config_var('CC') or 'cc')
    if shutil.which(compiler[0]) is None:
        raise MissingError(f'there is no C compiler {compiler[0]!r}; Debian: apt-get install gcc libc6-dev')
    ssl = (['-DWITH_TLS'], ['-lssl', '-lcrypto']) if tls else ([], [])
    command = [*compiler, *C_OPTIONS, *options, *ssl[0], '-o', str(target), str(_HERE / f'{name}.c'), *ssl[1]]
    compiled = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if compiled.returncode == 0:
        return
    if tls and 'openssl/' in compiled.stderr:
        raise MissingError("OpenSSL's headers are missing; Debian: apt-get install libssl-dev")
    raise MissingError(f'{name}.c cannot be compiled: {_first_error(compiled.stderr)}')


def _first_error(output: str) -> str:
    return next((line for line in output.splitlines() if 'error' in line), last_line(output))


class Equipment:
    """Use it as a context manager: what it started ends with it."""

    def __init__(self, processor: int | None = None) -> None:
        """What it starts runs on that processor, or where the system likes."""
        self.processor = processor
        self._exits = contextlib.ExitStack()
        self._made: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.folder = Path(self._exits.enter_context(tempfile.TemporaryDirectory(prefix='sooner-bench-')))
        self.folder.chmod(0o711)  # PostgreSQL runs as another user, and has a directory in this one
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exits.close()

    def program(self, name: str, *, tls: bool) -> str:
        """Return the path of an executable of NAME.c."""

        def build() -> str:
            target = self.folder / f'{name}{"_tls" if tls else ""}'
            compile_program(name, target, tls=tls)
            return str(target)

        return self._once(f'{name} {tls}', build)

    def certificate(self) -> Place:
        """Return a place with a certificate for localhost, signed by itself, and its key."""
        return self._once('certificate', self._make_certificate)

    def service(self, name: str) -> int:
        """Return the port of a server that listens on loopback: 'postgres' or 'redis'."""
        start = {'postgres': self._start_postgres, 'redis': self._start_redis}[name]
        return self._once(name, start)

    def start(self, command: list[str], **options: Any) -> subprocess.Popen[str]:
        """Start a program on the equipment's processor."""
        process = subprocess.Popen(command, text=True, **options)
        if self.processor is not None:
            os.sched_setaffinity(process.pid, {self.processor})
        return process

    def _once(self, key: str, make: Callable[[], Made]) -> Made:
        """Return what `make` returns or raise what it raises, without doing it again."""
        if key not in self._made:
            try:
                self._made[key] = make()
            except MissingError as reason:
                self._made[key] = reason
        made: Made | MissingError = self._made[key]
        if isinstance(made, MissingError):
            raise made
        return made

    def _make_certificate(self) -> Place:
        openssl = find_program('openssl', 'openssl')
        place = Place(certificate=str(self.folder / 'certificate.pem'), key=str(self.folder / 'key.pem'))
        kind = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=localhost')
        files = ('-keyout', place.key, '-out', place.certificate)
        _run([openssl, 'req', '-x509', *kind, '-days', '2', *files])
        return place

    def _start_redis(self) -> int:
        redis = find_program('redis-server', 'redis-server')
        port = free_port()
        volatile = ('--save', '', '--appendonly', 'no', '--dir', str(self.folder))
        self._start_service([redis, '--bind', HOST, '--port', str(port), *volatile])
        self._wait_until('redis-server', lambda: _answers(port))
        return port

    def _start_postgres(self) -> int:
        programs = Path(os.path.realpath(find_program('postgres', 'postgresql', '/usr/lib/postgresql/*/bin'))).parent
        port = free_port()
        data = self.folder / 'postgres'
        data.mkdir()
        who = _other_than_root()
        if who:
            os.chown(data, who['user'], who['group'])
        settings = ('-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale', 'C', '--no-sync')
        _run([str(programs / 'initdb'), '-D', str(data), *settings], cwd=data, **who)
        listening = ('-h', HOST, '-p', str(port), '-k', '', '-c', 'fsync=off')
        self._start_service([str(programs / 'postgres'), '-D', str(data), *listening], cwd=data, **who)
        is_ready = [str(programs / 'pg_isready'), '-q', '-h', HOST, '-p', str(port)]
        self._wait_until('postgres', lambda: subprocess.run(is_ready, check=False).returncode == 0)
        return port

    def _start_service(self, command: list[str], **options: Any) -> None:
        quiet = {'stdin': subprocess.DEVNULL, 'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
        process = self.start(command, **quiet, **options)

        def stop() -> None:
            process.send_signal(signal.SIGINT)  # to PostgreSQL it means: whatever your clients are at
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

        self._exits.callback(stop)

    def _wait_until(self, name: str, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE
        while not ready():
            if time.monotonic() > end:
                raise MissingError(f'{name} does not start')
            time.sleep(0.05)


def find_program(name: str, package: str, elsewhere: str = '') -> str:
    """Return the path of a program that is on PATH, or in a directory that matches `elsewhere`."""
    directories = sorted(Path('/').glob(elsewhere.lstrip('/')), reverse=True) if elsewhere else []
    for path in (None, *map(str, directories)):
        found = shutil.which(name, path=path)
        if found is not None:
            return found
    raise MissingError(f'{name} is not installed; Debian: apt-get install {package}')


def free_port() -> int:
    with socket.create_server((HOST, 0)) as unused:
        port: int = unused.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def _other_than_root() -> dict[str, Any]:
    """Return who is to run what refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ('postgres', 'nobody'):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {'user': entry.pw_uid, 'group': entry.pw_gid, 'extra_groups': []}
    raise MissingError('PostgreSQL refuses to run as root, and there is nobody else')


def _run(command: list[str], **options: Any) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False, **options)
    if done.returncode != 0:
        raise MissingError(f'{Path(command[0]).name} failed: {_first_error(done.stderr)}')
