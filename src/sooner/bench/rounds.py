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

_START_WORKER = (
    'import sys; sys.path.insert(0, sys.argv.pop(1)); import bench.worker; del sys.path[0]; bench.worker.main()'
)


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


def measure(
    loops: Mapping[str, str],
    operations: Sequence[Operation],
    plan: Plan = CAREFUL,
    *,
    command: str,
    progress: Callable[[Operation, str, Results], None] = lambda operation, loop, results: None,
) -> Results:
    """Measure every operation on every loop (name: factory); after each turn call `progress` with what is known.

    A worker that fails costs its figure, not the run: the figure says what went wrong.
    """
    results = Results(
        command,
        describe_python(),
        describe_machine(),
        {name: LoopInfo(factory) for name, factory in loops.items()},
        {
            operation.name: Row(operation.title, operation.unit, {name: Figure() for name in loops})
            for operation in operations
        },
    )
    for operation in operations:
        figures = results.rows[operation.name].figures
        for _ in range(plan.rounds):
            for name, factory in loops.items():
                figure = figures[name]
                if figure.error is None:
                    _take_turn(figure, results, name, factory, operation, plan)
                progress(operation, name, results)
    return results


def _take_turn(figure: Figure, results: Results, name: str, factory: str, operation: Operation, plan: Plan) -> None:
    package = Path(__file__).parent
    arguments = [str(package.parent), factory, operation.name, str(plan.seconds), str(plan.samples)]
    try:
        worker = subprocess.run(
            [sys.executable, '-c', _START_WORKER, *arguments],
            capture_output=True,
            text=True,
            timeout=WORKER_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        figure.error = f'not done after {WORKER_LIMIT} seconds'
        return
    if worker.returncode != 0:
        figure.error = worker.stderr.strip().rpartition('\n')[2] or f'the worker ended with status {worker.returncode}'
        return
    report = json.loads(worker.stdout)
    figure.rounds.append(report['samples'])
    results.loops[name] = LoopInfo(factory, report['class'], report['version'], report['compiled'])
