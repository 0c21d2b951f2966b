"""Lets the loops take turns: for each operation A B C D, A B C D, ..., each turn in a fresh process.

So a machine that grows slower for a minute (its neighbours, its heat) makes every loop slower, and no loop inherits
what another has left in the allocator, in type caches or in asyncio.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sooner.bench.operations import Operation
from sooner.bench.results import Figure, LoopInfo, Results, Row, describe_machine, describe_python

#: The loops that are measured where they are installed, and how each is made.
KNOWN_LOOPS = {
    'asyncio': 'asyncio:new_event_loop',
    'uvloop': 'uvloop:new_event_loop',
    'rloop': 'rloop:new_event_loop',
    'sooner': 'sooner:new_event_loop',
}

#: Seconds after which a worker is given up. The slowest, a million timers on asyncio, takes a tenth of that.
WORKER_LIMIT = 100


@dataclass(frozen=True)
class Plan:
    """How carefully to measure."""

    rounds: int = 5
    #: Seconds that one sample lasts at least.
    seconds: float = 0.1
    #: Samples of one process, of which the median counts.
    samples: int = 3


CAREFUL = Plan()
QUICK = Plan(rounds=3, seconds=0.02, samples=3)


def installed_loops() -> dict[str, str]:
    """Return name and factory of every known loop that can be imported here."""
    return {
        name: factory
        for name, factory in KNOWN_LOOPS.items()
        if importlib.util.find_spec(factory.partition(':')[0]) is not None
    }


class TurnError(Exception):
    """A turn came to nothing. The message is what the figure says of it."""


class MissingError(TurnError):
    """It could not take place: the loop cannot do this, or the machine has not got what it takes."""


@dataclass
class Turn:
    """What one loop did in one turn."""

    #: By the name of the row.
    samples: dict[str, list[float]]
    loop: LoopInfo


class Measured(Protocol):
    """Something that the loops take turns at."""

    @property
    def name(self) -> str: ...

    @property
    def rows(self) -> dict[str, tuple[str, str]]:
        """Title and unit of each row that it fills, by the row's name."""
        ...


AnyMeasured = TypeVar('AnyMeasured', bound=Measured)


def take_turns(
    loops: Mapping[str, str],
    operations: Sequence[AnyMeasured],
    rounds: int,
    take_turn: Callable[[AnyMeasured, str], Turn],
    *,
    command: str,
    progress: Callable[[AnyMeasured, str, Results], None] = lambda operation, loop, results: None,
) -> Results:
    """Let every loop (name: factory) take its turns at every operation; after each call `progress` with what is known.

    A turn that fails costs its figure, not the run: the figure says what went wrong, and that loop's other turns at
    that operation are left out.
    """
    results = Results(
        command,
        describe_python(),
        describe_machine(),
        {name: LoopInfo(factory) for name, factory in loops.items()},
        {
            row: Row(title, unit, {name: Figure() for name in loops})
            for operation in operations
            for row, (title, unit) in operation.rows.items()
        },
    )
    for operation in operations:
        for _ in range(rounds):
            for name, factory in loops.items():
                figures = {row: results.rows[row].figures[name] for row in operation.rows}
                if all(figure.error is None and figure.missing is None for figure in figures.values()):
                    try:
                        turn = take_turn(operation, factory)
                    except MissingError as reason:
                        for figure in figures.values():
                            figure.missing = str(reason)
                    except TurnError as failure:
                        for figure in figures.values():
                            figure.error = str(failure)
                    else:
                        results.loops[name] = turn.loop
                        for row, samples in turn.samples.items():
                            figures[row].rounds.append(samples)
                progress(operation, name, results)
    return results


def measure(
    loops: Mapping[str, str],
    operations: Sequence[Operation],
    plan: Plan = CAREFUL,
    *,
    command: str,
    progress: Callable[[Operation, str, Results], None] = lambda operation, loop, results: None,
) -> Results:
    """Measure every operation on every loop (name: factory); see `take_turns`."""

    def take_turn(operation: Operation, factory: str) -> Turn:
        return run_worker(operation, factory, plan)

    return take_turns(loops, operations, plan.rounds, take_turn, command=command, progress=progress)


def run_worker(operation: Operation, factory: str, plan: Plan) -> Turn:
    try:
        worker = subprocess.run(
            [*worker_command('worker'), factory, operation.name, str(plan.seconds), str(plan.samples)],
            capture_output=True,
            text=True,
            timeout=WORKER_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TurnError(f'not done after {WORKER_LIMIT} seconds') from None
    if worker.returncode != 0:
        raise TurnError(last_line(worker.stderr) or f'the worker ended with status {worker.returncode}')
    report = json.loads(worker.stdout)
    return Turn({operation.name: report['samples']}, loop_info(factory, report))


def worker_command(module: str) -> list[str]:
    """Return the beginning of a command line that calls main() of a module of this package.

    The package `sooner` is not imported for that.
    """
    start = f'import sys; sys.path.insert(0, sys.argv.pop(1)); import bench.{module} as it; del sys.path[0]; it.main()'
    return [sys.executable, '-c', start, str(Path(__file__).parents[1])]


def loop_info(factory: str, report: Mapping[str, Any]) -> LoopInfo:
    """Make a LoopInfo of what a worker says of its loop."""
    return LoopInfo(factory, report['class'], report['version'], report['compiled'])


def last_line(text: str) -> str:
    return text.strip().rpartition('\n')[2]
