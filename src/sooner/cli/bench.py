"""`sooner bench`: chooses what to measure, shows it as it comes in, writes it down."""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sooner.bench.operations import OPERATIONS, Operation
from sooner.bench.results import Results
from sooner.bench.rounds import CAREFUL, QUICK, Measured, Plan, installed_loops, measure
from sooner.cli.table import results_table

#: Lines of the screen that the rows of a table leave to its head, its notes and the bar.
_LINES_AROUND = 12


def bench(
    only: list[str],
    loop: list[str],
    rounds: int | None,
    quick: bool,
    json: Path | None,
    plot: Path | None,
    command: str,
) -> int:
    """Measure, print the table, write the files; 0 if every worker did its work, else 1."""
    operations = _choose(only, quick)
    loops = choose_loops(loop)
    plan = QUICK if quick else CAREFUL
    if rounds is not None:
        plan = dataclasses.replace(plan, rounds=rounds)
    require_matplotlib(plot)
    console = Console()
    results = measure_visibly(console, loops, operations, plan, command)
    return conclude(console, results, json, plot)


def require_matplotlib(plot: Path | None) -> None:
    if plot is not None and importlib.util.find_spec('matplotlib') is None:
        raise typer.BadParameter(
            'a plot needs matplotlib; install it with: pip install "sooner[bench]"', param_hint='--plot'
        )


def conclude(console: Console, results: Results, json: Path | None, plot: Path | None) -> int:
    """Print the table, write the files, and return 0 if something was measured and nothing failed, else 1."""
    console.print(results_table(results))
    if json is not None:
        results.save(json)
    if plot is not None:
        from sooner.bench.plot import draw

        draw(results, plot)
    figures = [figure for row in results.rows.values() for figure in row.figures.values()]
    return 1 if any(figure.error for figure in figures) or not any(figure.rounds for figure in figures) else 0


def measure_visibly(
    console: Console, loops: dict[str, str], operations: Sequence[Operation], plan: Plan, command: str
) -> Results:
    """Measure under a progress bar, with the table filling above it; both are gone at the end."""
    with progress_shown(console, len(operations) * plan.rounds * len(loops)) as show:
        return measure(loops, operations, plan, command=command, progress=show)


@contextlib.contextmanager
def progress_shown(console: Console, turns: int) -> Iterator[Callable[[Measured, str, Results], None]]:
    """Show, after each of so many turns, how many are left, and the rows that were measured last."""
    bar = Progress(
        TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )
    task = bar.add_task('starting', total=turns)
    rows: dict[str, None] = {}  # used as a set that knows the order
    with Live(console=console, transient=True, refresh_per_second=4) as live:

        def show(operation: Measured, loop: str, results: Results) -> None:
            bar.update(task, advance=1, description=f'{operation.name} on {loop}')
            rows.update(dict.fromkeys(operation.rows))
            last = list(rows)[-max(1, console.height - _LINES_AROUND) :]
            live.update(Group(results_table(results, last), bar) if console.is_terminal else '')

        yield show


def _choose(only: list[str], quick: bool) -> list[Operation]:
    if not only:
        return [operation for operation in OPERATIONS.values() if not (quick and operation.name.startswith('million'))]
    patterns = [pattern for argument in only for pattern in argument.split(',')]
    for pattern in patterns:
        if not fnmatch.filter(OPERATIONS, pattern):
            raise typer.BadParameter(
                f'no operation is called {pattern!r}. There are: {", ".join(OPERATIONS)}', param_hint='--only'
            )
    return [
        operation
        for name, operation in OPERATIONS.items()
        if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    ]


def choose_loops(arguments: list[str]) -> dict[str, str]:
    """Return name and factory of the loops that are installed and of those that were asked for."""
    return installed_loops() | dict(map(_parse_loop, arguments))


def _parse_loop(argument: str) -> tuple[str, str]:
    name, named, factory = argument.rpartition('=')
    module, _, attribute = factory.partition(':')
    if not module or not attribute:
        raise typer.BadParameter(
            f'{argument!r} does not say where the loop comes from, as MODULE:FACTORY does', param_hint='--loop'
        )
    return (name if named else module), factory
