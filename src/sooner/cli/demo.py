"""`sooner demo`: asyncio programs run unchanged, and the loops of this machine race, on one screen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rich.columns import Columns
from rich.console import Console
from rich.text import Text

from sooner.bench.operations import OPERATIONS
from sooner.bench.rounds import KNOWN_LOOPS, QUICK, installed_loops
from sooner.cli.bench import measure_visibly
from sooner.cli.table import results_table

#: The repository's examples/, of which the wheel holds a copy here.
_EXAMPLES = Path(__file__).parent / 'examples'

_PROGRAMS = ('asyncio_future_event_loop.py', 'asyncio_future_await.py', 'asyncio_future_callback.py')

#: Of each kind one, and not those alone that we are good at.
_RACED = (
    'call_soon_chain',
    'await_future',
    'create_await_task',
    'sleep_zero',
    'task_group',
    'queue_ping_pong',
    'call_later_fire',
    'run_in_executor',
)


def demo() -> int:
    """Show it, and return 0 if the programs said the same as under python and every loop was measured, else 1."""
    console = Console()
    same = _show_programs(console)
    loops = installed_loops()
    command = f'sooner bench --quick --only {",".join(_RACED)}'
    console.print(Text(command, style='bold'))
    results = measure_visibly(console, loops, [OPERATIONS[name] for name in _RACED], QUICK, command)
    console.print(results_table(results))
    missing = [name for name in KNOWN_LOOPS if name not in loops]
    if missing:
        console.print(
            Text(
                f'Not installed here: {", ".join(missing)}. To see how they do: pip install {" ".join(missing)}',
                style='dim',
            )
        )
    failed = any(figure.error for row in results.rows.values() for figure in row.figures.values())
    return 0 if same and not failed else 1


def _show_programs(console: Console) -> bool:
    """Run the programs as `sooner run` and as `python`, show what they print, and return whether it was the same."""
    blocks = []
    different = []
    for program in _PROGRAMS:
        output = _output_of('-m', 'sooner', 'run', str(_EXAMPLES / program))
        if output != _output_of(str(_EXAMPLES / program)):
            different.append(program)
        blocks.append(Text.assemble((f'sooner run {program}\n', 'bold'), output))
    console.print(Columns(blocks))
    if different:
        console.print(Text(f'python prints something else for {", ".join(different)}', style='bold red'))
    else:
        console.print(
            Text('Nothing in these programs speaks of sooner, and python prints the same for each.', style='dim')
        )
    return not different


def _output_of(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    ).stdout
