"""The example programs print what the tutorial says they print."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

import sooner

EXAMPLES = Path(__file__).parent.parent / 'examples'

EVENT_LOOP = """\
scheduling mark_done
entering event loop
setting future result to 'the result'
returned result: 'the result'
closing event loop
future result: 'the result'
"""

AWAIT = """\
scheduling mark_done
setting future result to 'the result'
returned result: 'the result'
"""

CALLBACK = """\
registering callbacks on future
setting result of future
1: future done: the result
2: future done: the result
"""

EXPECTED = {'future_event_loop': EVENT_LOOP, 'future_await': AWAIT, 'future_callback': CALLBACK}


def output_of(*arguments: str | Path) -> str:
    paths = filter(None, [str(Path(sooner.__file__).parents[1]), os.environ.get('PYTHONPATH')])
    environment = os.environ | {'PYTHONPATH': os.pathsep.join(paths)}
    # Warnings are errors: an example must not teach what is deprecated.
    command = [sys.executable, '-W', 'error', *map(str, arguments)]
    done = subprocess.run(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize('name', EXPECTED)
def test_asyncio_program_runs_on_sooner_unchanged(name: str) -> None:
    assert output_of('-m', 'sooner', 'run', EXAMPLES / f'asyncio_{name}.py') == EXPECTED[name]


@pytest.mark.parametrize('name', EXPECTED)
def test_asyncio_program_prints_the_same_under_python(name: str) -> None:
    assert output_of(EXAMPLES / f'asyncio_{name}.py') == EXPECTED[name]


@pytest.mark.parametrize('name', EXPECTED)
def test_program_with_sooners_own_api(name: str) -> None:
    assert output_of(EXAMPLES / f'sooner_{name}.py') == EXPECTED[name]


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob('*.py')} == {
        f'{kind}_{name}' for kind in ('asyncio', 'sooner') for name in EXPECTED
    }
