"""The command line: runs the interpreter's own asyncio tests on a loop, and says what holds.

    python -m conformance                            everything, on sooner
    python -m conformance test_tasks 'test_events.*' some modules, classes or tests
    python -m conformance --loop uvloop              another loop: asyncio, uvloop, rloop or MODULE:FACTORY
    python -m conformance --record --write-docs      after a look at the result

It uses the interpreter that runs it. The exit status is 1 if a test fails that is not known to fail, or if one passes
that is listed as a deliberate difference; 2 if nothing could be run.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from . import baseline, report, selection
from .launch import Outcome, discover, run_unit
from .selection import Unit
from .verdict import Result, Verdict, judge, judge_stock, not_applicable

DOCUMENT = Path(__file__).resolve().parent.parent / 'docs' / 'compatibility.md'
EXIT = '(exit)'
"""Stands for the end of a worker process, where a crash belongs to no test."""


@dataclass
class Conformance:
    """Runs units on stock asyncio and on the loop under test.

    Attributes:
        loop: the loop under test, as `Subject.load` takes it.
        differences: what is meant to fail.
        stock_limit: seconds for a test on stock asyncio. On the loop under test it gets 10 s and ten times what it
            took there.
        repeats: how often a test that did not pass is tried again.
        known_stock: outcomes on stock asyncio from an earlier run, by test identifier.
    """

    loop: str
    differences: list[baseline.Difference]
    stock_limit: float = 60.0
    repeats: int = 1
    known_stock: dict[str, Outcome] = field(default_factory=dict)

    def run(self, unit: Unit, tests: Iterable[str]) -> dict[str, Result]:
        """The verdict on each of these tests, by test identifier."""
        results: dict[str, Result] = {}
        stock = self._run_on_stock(unit, [test for test in tests if not self._excluded(unit, test, results)])
        applicable: dict[str, Outcome] = {}
        for test, outcome in stock.items():
            excluded = judge_stock(unit, outcome)
            if excluded is None:
                applicable[test] = outcome
            else:
                results[unit.test_id(test)] = excluded
        limits = {test: 10.0 + 10.0 * outcome.seconds for test, outcome in applicable.items()}

        def again(test: str, outcome: Outcome) -> bool:
            return not outcome.passed and self._difference(unit, test) is None

        own = self._run_on(self.loop, unit, limits, again)
        for test, outcome in own.items():
            difference = self._difference(unit, test)
            results[unit.test_id(test)] = judge(unit, stock.get(test, Outcome('passed')), outcome, difference)
        return results

    def _difference(self, unit: Unit, test: str) -> str | None:
        return baseline.reason_of(unit.test_id(test), self.differences)

    def _excluded(self, unit: Unit, test: str, results: dict[str, Result]) -> bool:
        result = not_applicable(unit, test)
        if result is not None:
            results[unit.test_id(test)] = result
        return result is not None

    def _run_on_stock(self, unit: Unit, tests: list[str]) -> dict[str, Outcome]:
        known = {test: self.known_stock[unit.test_id(test)] for test in tests if unit.test_id(test) in self.known_stock}
        limits = {test: self.stock_limit for test in tests if test not in known}

        def again(test: str, outcome: Outcome) -> bool:
            return outcome.outcome in ('failed', 'error', 'crashed')

        outcomes = known | self._run_on('asyncio', unit, limits, again)
        return {test: outcome for test, outcome in outcomes.items() if test != EXIT}

    def _run_on(
        self, loop: str, unit: Unit, limits: dict[str, float], again: Callable[[str, Outcome], bool]
    ) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        for attempt in range(1 + self.repeats):
            wanted = {test: limit for test, limit in limits.items() if test not in outcomes}
            wanted |= {test: limits[test] for test, found in outcomes.items() if test in limits and again(test, found)}
            if not wanted:
                break
            for test, outcome in run_unit(unit, loop, wanted).outcomes.items():
                outcome.attempts = attempt + 1
                outcomes[test] = outcome
        return outcomes


def matches(unit: Unit, test: str, patterns: list[str]) -> bool:
    """Whether a pattern names the module, the class or the test; `test_asyncio.` may be left out."""
    if not patterns:
        return True
    names = [unit.module, unit.name, unit.test_id(test)]
    names += [name.removeprefix(f'{selection.ASYNCIO_TESTS}.') for name in names]
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


def run_all(
    conformance: Conformance, units: list[Unit], patterns: list[str], jobs: int, console: Console
) -> dict[str, Result]:
    """Run the units in `jobs` threads, each of which waits for one worker process at a time."""
    selected = [(unit, [test for test in unit.tests if matches(unit, test, patterns)]) for unit in units]
    selected = [(unit, tests) for unit, tests in selected if tests]
    results: dict[str, Result] = {}
    columns = (TextColumn('{task.description:50}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress, ThreadPoolExecutor(jobs) as pool:
        task = progress.add_task('', total=sum(len(tests) for _, tests in selected))

        def run(unit: Unit, tests: list[str]) -> dict[str, Result]:
            progress.update(task, description=unit.name.removeprefix(f'{selection.ASYNCIO_TESTS}.')[:50])
            found = conformance.run(unit, tests)
            progress.advance(task, len(tests))
            return found

        for found in pool.map(lambda pair: run(*pair), selected):
            results |= found
    return results


def _known_stock(path: Path | None) -> dict[str, Outcome]:
    if path is None:
        return {}
    tests = json.loads(path.read_text())['tests']
    return {test_id: Outcome(**entry['stock']) for test_id, entry in tests.items() if entry['stock'] is not None}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m conformance', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('patterns', nargs='*', metavar='PATTERN', help='modules, classes or tests, as shell patterns')
    parser.add_argument('--loop', default='sooner', help='asyncio, sooner, uvloop, rloop or MODULE:FACTORY')
    parser.add_argument('--jobs', type=int, default=min(2, os.cpu_count() or 1), help='workers at a time')
    parser.add_argument('--repeats', type=int, default=1, help='how often a test that did not pass is tried again')
    parser.add_argument('--timeout', type=float, default=60.0, help='seconds for a test on stock asyncio')
    parser.add_argument('--stock', type=Path, metavar='FILE', help="stock asyncio's outcomes from an earlier --json")
    parser.add_argument('--json', type=Path, metavar='FILE', help='write every outcome there')
    parser.add_argument('--compare', type=Path, metavar='FILE', help='compare with an earlier --json')
    parser.add_argument('--record', action='store_true', help='take this result as what is expected of this Python')
    parser.add_argument('--write-docs', action='store_true', help=f'write the table into {DOCUMENT.name}')
    parser.add_argument('--verbose', action='store_true', help='show the tracebacks of failed tests')
    return parser.parse_args()


def main() -> int:
    """Run what the command line asks for; returns the exit status."""
    options = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        found = discover(options.loop)
    except RuntimeError as error:
        console.print(str(error), markup=False)
        return 2
    is_ours = options.loop.partition(':')[0] == 'sooner'
    differences = baseline.load_differences(found.subject['compiled']) if is_ours else []
    conformance = Conformance(
        loop=options.loop,
        differences=differences,
        stock_limit=options.timeout,
        repeats=options.repeats,
        known_stock=_known_stock(options.stock),
    )
    results = run_all(conformance, found.units, options.patterns, options.jobs, console)
    if not results:
        console.print('No test matches.')
        return 2
    report.print_failures(console, results, options.verbose)
    report.print_table(console, results, found.subject)
    if options.json:
        options.json.write_text(json.dumps(report.to_json(results, found.subject), indent=1))
    lost = report.print_comparison(console, results, options.compare) if options.compare else 0
    if not is_ours:
        return int(any(result.verdict is Verdict.FAILED for result in results.values()))
    changes = baseline.changes(results, differences, whole=not options.patterns)
    report.print_changes(console, changes)
    if options.record:
        console.print(f'Recorded in {baseline.record(results)}.', markup=False)
    if options.write_docs:
        try:
            report.write_documentation(DOCUMENT, baseline.all_differences())
        except (OSError, ValueError) as error:
            console.print(str(error), markup=False)
            return 2
    return int(changes.unexpected or lost > 0)


if __name__ == '__main__':
    raise SystemExit(main())
