"""What the tests of both benchmarks need: workers that find sooner, and the command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from patience import PATIENCE

import sooner

FAILING_LOOPS = """
import asyncio, os

def without_futures():
    class Loop(asyncio.SelectorEventLoop):
        def create_future(self):
            raise NotImplementedError('no futures here')
    return Loop()

def without_threads():
    class Loop(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(self, *args):
            raise NotImplementedError('no threads here')
    return Loop()

def without_servers():
    class Loop(asyncio.SelectorEventLoop):
        async def create_server(self, *args, **kwargs):
            raise NotImplementedError('no servers here')
    return Loop()

def that_answers_wrong():
    class Loop(asyncio.SelectorEventLoop):
        def _make_socket_transport(self, *args, **kwargs):
            transport = super()._make_socket_transport(*args, **kwargs)
            write = transport.write
            transport.write = lambda data: write(data[:-1] + b'?')
            return transport
    return Loop()

def that_drops_connections():
    class Loop(asyncio.SelectorEventLoop):
        def _make_socket_transport(self, *args, **kwargs):
            transport = super()._make_socket_transport(*args, **kwargs)
            transport.write = lambda data: transport.abort()
            return transport
    return Loop()

def that_fails_while_serving():
    class Loop(asyncio.SelectorEventLoop):
        def _make_socket_transport(self, *args, **kwargs):
            transport = super()._make_socket_transport(*args, **kwargs)
            transport.write = None
            return transport
    return Loop()

def that_crashes():
    os._exit(7)
"""


@pytest.fixture(autouse=True)
def workers_find_sooner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Workers find sooner, and the module of failing loops, and others that a test puts into its directory."""
    (tmp_path / 'failing.py').write_text(FAILING_LOOPS)
    paths = filter(None, [str(Path(sooner.__file__).parents[1]), str(tmp_path), os.environ.get('PYTHONPATH')])
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(paths))
    monkeypatch.setenv('COLUMNS', '200')


@pytest.fixture
def run_command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `sooner` with these arguments."""
    pytest.importorskip('typer')
    pytest.importorskip('rich')

    def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, '-m', 'sooner', *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    return run_command
