"""`sooner bench --echo`: servers under load, and clients, beside what `sooner bench` measures."""

from __future__ import annotations

import dataclasses
import fnmatch
import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

from sooner.bench.echo.turns import CAREFUL, QUICK, measure
from sooner.bench.echo.workloads import CONNECTIONS, KIB, SIZES, WORKLOADS, Case
from sooner.cli.bench import choose_loops, conclude, progress_shown, require_matplotlib

#: What --quick measures of the workloads that are measured at every size and number of connections.
_QUICK_SIZES = (KIB,)
_QUICK_CONNECTIONS = (50,)

#: The smallest message has room for what tells it from the others, see echo_load.c; the largest is a matter of memory.
_SMALLEST, _LARGEST = 16, 16 * KIB * KIB
_MOST_CONNECTIONS = 10_000


def echo(
    only: list[str],
    loop: list[str],
    sizes: str | None,
    connections: str | None,
    seconds: float | None,
    rounds: int | None,
    quick: bool,
    json: Path | None,
    plot: Path | None,
    command: str,
) -> int:
    """Measure, print the table, write the files; 0 if every loop did what it can do, else 1."""
    if sys.platform != 'linux':
        raise typer.BadParameter(f'the load and its limit use epoll, which is only on Linux, not on {sys.platform}')
    cases = _choose(
        only,
        _parse_sizes(sizes) if sizes is not None else _QUICK_SIZES if quick else SIZES,
        _parse_connections(connections) if connections is not None else _QUICK_CONNECTIONS if quick else CONNECTIONS,
    )
    loops = choose_loops(loop)
    plan = QUICK if quick else CAREFUL
    plan = dataclasses.replace(plan, rounds=rounds or plan.rounds, seconds=seconds or plan.seconds)
    require_matplotlib(plot)
    console = Console()
    with progress_shown(console, len(cases) * plan.rounds * (len(loops) + 1)) as show:
        results = measure(loops, cases, plan, command=command, progress=show)
    return conclude(console, results, json, plot)


def _choose(only: list[str], sizes: Sequence[int], connections: Sequence[int]) -> list[Case]:
    """Return the cases whose own name, or their workload's, is asked for."""
    cases = [case for workload in WORKLOADS.values() for case in workload.cases(sizes, connections)]
    if not only:
        return cases
    patterns = [pattern for argument in only for pattern in argument.split(',')]
    chosen: dict[Case, None] = {}  # used as a set that knows the order
    for pattern in patterns:
        found = [
            case
            for case in cases
            if fnmatch.fnmatchcase(case.name, pattern) or fnmatch.fnmatchcase(case.workload.name, pattern)
        ]
        if not found:
            raise typer.BadParameter(
                f'no workload is called {pattern!r}. There are: {", ".join(WORKLOADS)}; '
                f'at a size and number of connections: {cases[0].name}',
                param_hint='--only',
            )
        chosen.update(dict.fromkeys(found))
    return [case for case in cases if case in chosen]


def _parse_sizes(argument: str) -> list[int]:
    sizes = []
    for word in argument.split(','):
        digits = word.strip().lower().removesuffix('b').removesuffix('ki').removesuffix('k')
        size = int(digits) * (KIB if 'k' in word.lower() else 1) if digits.isdecimal() else 0
        if not _SMALLEST <= size <= _LARGEST:
            raise typer.BadParameter(
                f'{word!r} is no size of a message: bytes, or KiB as in 10k, from {_SMALLEST} to {_LARGEST // KIB}k',
                param_hint='--sizes',
            )
        sizes.append(size)
    return sizes


def _parse_connections(argument: str) -> list[int]:
    counts = [int(word) if word.strip().isdecimal() else 0 for word in argument.split(',')]
    if not all(1 <= count <= _MOST_CONNECTIONS for count in counts):
        raise typer.BadParameter(
            f'{argument!r} is no list of numbers from 1 to {_MOST_CONNECTIONS}', param_hint='--connections'
        )
    return counts
