"""PostgreSQL and Redis for the suites that want them: fresh ones, on the loopback interface, for one run."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .environments import Failure, succeed
from .isolation import World
from .suites import HERE

PATIENCE = 30.0
"""Seconds for a service to answer."""

PROGRAMS = {
    'postgresql': ('initdb', 'postgres', 'pg_isready'),
    'postgresql-programs': ('pg_ctl', 'postgres', 'initdb', 'pg_basebackup'),
    'redis': ('redis-server', 'redis-cli'),
}
"""What each service takes."""

PACKAGES = {'postgresql': 'postgresql', 'postgresql-programs': 'postgresql', 'redis': 'redis-server'}
"""The packages of Debian that bring it."""


def find(program: str) -> str | None:
    """Where it is; PostgreSQL's are on nobody's PATH, and the newest version's are taken."""
    versions = sorted(Path('/usr/lib/postgresql').glob('*/bin'), key=lambda folder: -float(folder.parent.name))
    path = [*map(str, versions), *os.environ.get('PATH', os.defpath).split(os.pathsep), '/usr/sbin']
    return shutil.which(program, path=os.pathsep.join(path))


def missing(services: tuple[str, ...]) -> str | None:
    """Why these services cannot be started here, or None."""
    for service in services:
        if service not in PROGRAMS:
            return f'no such service: {service}'
        if absent := [program for program in PROGRAMS[service] if find(program) is None]:
            return f'no {", ".join(absent)} here (Debian: apt-get install {PACKAGES[service]})'
    return None


@contextlib.contextmanager
def running(services: tuple[str, ...], world: World) -> Iterator[dict[str, str]]:
    """Start these services; give the variables that tell the tests where they are.

    Raises:
        Failure: one of them does not start.
    """
    variables: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        for service in services:
            variables |= STARTERS[service](world, stack)
        yield variables


def _port(world: World, usual: int) -> str:
    if world.apart:
        return str(usual)  # nobody else is in there
    with socket.create_server(('127.0.0.1', 0)) as server:
        return str(server.getsockname()[1])


def _program(name: str) -> str:
    path = find(name)
    assert path is not None, 'missing() was asked before'
    return path


def _start(world: World, stack: contextlib.ExitStack, command: list[object], ready: list[object]) -> None:
    process = subprocess.Popen(
        world.command(world.folder, *command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    stack.callback(_stop, process)
    until = time.monotonic() + PATIENCE
    while subprocess.run(world.command(world.folder, *ready), capture_output=True).returncode:
        if process.poll() is not None or time.monotonic() > until:
            raise Failure(f'{command[0]} does not answer')
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    for sent in (signal.SIGINT, signal.SIGKILL):  # to PostgreSQL, the first says: now, whoever is connected
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
            return


def _postgresql(world: World, stack: contextlib.ExitStack) -> dict[str, str]:
    folder = world.folder / 'postgresql'
    folder.mkdir()
    user: list[object] = []
    if os.geteuid() == 0:  # as which it refuses to run
        shutil.chown(folder, 'postgres', 'postgres')
        user = ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups']
    data, port = folder / 'data', _port(world, 5432)
    succeed(
        *(*user, _program('initdb'), '--pgdata', data, '--username=postgres', '--auth=trust'),
        *('--encoding=UTF8', '--no-locale', '--no-sync'),
        cwd=folder,
    )
    server = [_program('postgres'), '-D', data, '-p', port, '-F', '-h', '127.0.0.1', '-k', folder]
    ready = [_program('pg_isready'), '--host=127.0.0.1', f'--port={port}']
    _start(world, stack, [*user, *server], ready)
    return {'PGHOST': '127.0.0.1', 'PGPORT': port, 'PGUSER': 'postgres', 'PGDATABASE': 'postgres'}


def _postgresql_programs(world: World, stack: contextlib.ExitStack) -> dict[str, str]:
    """For tests that start servers of their own, and may be run by root: programs that change the user first."""
    folder = world.folder / 'postgresql-programs'
    folder.mkdir()
    for name in (*PROGRAMS['postgresql-programs'], 'pg_resetwal'):
        (folder / name).symlink_to(HERE / 'inside' / 'postgresql-program')
    return {'PGINSTALLATION': str(folder), 'PG_REAL': str(Path(_program('pg_ctl')).parent)}


def _redis(world: World, stack: contextlib.ExitStack) -> dict[str, str]:
    port, path = _port(world, 6379), world.folder / 'redis.sock'
    server = [_program('redis-server'), '--bind', '127.0.0.1', '--port', port, '--unixsocket', path]
    server += ['--save', '', '--dir', world.folder]
    _start(world, stack, server, [_program('redis-cli'), '-s', path, 'ping'])
    return {
        'REDIS_HOST': '127.0.0.1',
        'REDIS_PORT': port,
        'REDIS_URL': f'redis://127.0.0.1:{port}/0',
        'REDIS_SOCKET': str(path),
    }


STARTERS: dict[str, Callable[[World, contextlib.ExitStack], dict[str, str]]] = {
    'postgresql': _postgresql,
    'postgresql-programs': _postgresql_programs,
    'redis': _redis,
}
