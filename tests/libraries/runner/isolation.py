"""A world of its own for a run of a suite: its network, its files, its processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARK = 'LIBRARIES_RUN'
"""The variable by which all processes of a run are found again."""

HOSTS = '127.0.0.1 localhost\n::1 localhost\n'

_HOLD = 'mount --bind "$1" /etc/hosts && ip link set lo up multicast on && echo ready && exec sleep infinity'


@dataclass(frozen=True)
class World:
    """What a run has for itself.

    Attributes:
        folder: its files; the name is short, as Unix sockets have to find room below it.
        enter: the beginning of a command line that runs in it.
        apart: whether its network has nothing but a loopback interface, and nobody else is in it.
    """

    folder: Path
    enter: tuple[str, ...]
    apart: bool

    def command(self, cwd: Path, *words: object) -> list[str]:
        """A command line that runs these words in this world."""
        return [*self.enter, 'sh', '-c', 'cd "$1" && shift && exec "$@"', 'sh', str(cwd), *map(str, words)]


@contextlib.contextmanager
def new_world(keep: bool = False) -> Iterator[World]:
    """Make one; at the end, end all of its processes and remove its files.

    Where namespaces can be made, it has a network with a loopback interface alone, in which localhost is an IPv4 and an
    IPv6 address; else it has the machine's.
    """
    folder = Path(tempfile.mkdtemp(prefix='lib-'))
    folder.chmod(0o755)  # PostgreSQL's user goes through it
    for name in ('home', 'tmp'):
        (folder / name).mkdir()
    (folder / 'tmp').chmod(0o1777)
    hosts = folder / 'hosts'
    hosts.write_text(HOSTS)
    try:
        with _namespaces(hosts) as enter:
            yield World(folder, enter, bool(enter))
    finally:
        end_processes(folder.name)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _namespaces(hosts: Path) -> Iterator[tuple[str, ...]]:
    if not all(map(shutil.which, ('unshare', 'nsenter', 'ip'))):
        yield ()
        return
    holder = subprocess.Popen(
        ['unshare', '--net', '--mount', 'sh', '-c', _HOLD, 'sh', str(hosts)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert holder.stdout is not None
    with holder:
        try:
            made = holder.stdout.readline() == 'ready\n'
            yield ('nsenter', f'--target={holder.pid}', '--net', '--mount') if made else ()
        finally:
            holder.kill()


def end_processes(mark: str, group: int | None = None) -> None:
    """Kill a process group, and whatever else carries this mark in its environment."""
    if group is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    wanted = f'{MARK}={mark}'.encode()
    for environment in Path('/proc').glob('[0-9]*/environ'):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if wanted in environment.read_bytes().split(b'\0'):
                os.kill(int(environment.parent.name), signal.SIGKILL)
