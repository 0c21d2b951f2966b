"""`sooner bench`: chooses what to measure, shows it as it comes in, writes it down."""

from __future__ import annotations

import dataclasses
import fnmatch
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sooner.bench.operations import OPERATIONS, Operation
from sooner.bench.results import Results
from sooner.bench.rounds import CAREFUL, QUICK, Plan, installed_loops, measure
from sooner.cli.table import results_table


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
    loops = installed_loops() | dict(map(_parse_loop, loop))
    plan = QUICK if quick else CAREFUL
    if rounds is not None:
        plan = dataclasses.replace(plan, rounds=rounds)
    if plot is not None and importlib.util.find_spec('matplotlib') is None:
        raise typer.BadParameter(
            'a plot needs matplotlib; install it with: pip install "sooner[bench]"', param_hint='--plot'
        )
    console = Console()
    results = measure_visibly(console, loops, operations, plan, command)
    console.print(results_table(results))
    if json is not None:
        results.save(json)
    if plot is not None:
        from sooner.bench.plot import draw

        draw(results, plot)
    return 1 if any(figure.error for row in results.rows.values() for figure in row.figures.values()) else 0


def measure_visibly(
    console: Console, loops: dict[str, str], operations: Sequence[Operation], plan: Plan, command: str
) -> Results:
    """Measure under a progress bar, with the table filling above it; both are gone at the end."""
    bar = Progress(
        TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )
    task = bar.add_task('starting', total=len(operations) * plan.rounds * len(loops))
    with Live(console=console, transient=True, refresh_per_second=4) as live:

        def show(operation: Operation, loop: str, results: Results) -> None:
            bar.update(task, advance=1, description=f'{operation.name} on {loop}')
            live.update(Group(results_table(results), bar) if console.is_terminal else '')

        return measure(loops, operations, plan, command=command, progress=show)


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


def _parse_loop(argument: str) -> tuple[str, str]:
    name, named, factory = argument.rpartition('=')
    module, _, attribute = factory.partition(':')
    if not module or not attribute:
        raise typer.BadParameter(
            f'{argument!r} does not say where the loop comes from, as MODULE:FACTORY does', param_hint='--loop'
        )
    return (name if named else module), factory
