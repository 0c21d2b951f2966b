"""The command line.

    make libraries                                      everything, on asyncio and on sooner
    make libraries ARGS="aiohttp redis"                 some suites; --list tells their names
    make libraries ARGS="aiohttp --test tests/test_loop.py::test_default_loop"
    make libraries ARGS="--quick"                       what is worth the time on each change, on sooner alone
    make libraries ARGS="--loop uvloop anyio"           another loop: asyncio, uvloop, rloop or MODULE:CALLABLE
    make libraries ARGS="--record"                      keep the result, after a look at it, and show it in the page
    make libraries ARGS="--write-docs"                  run nothing; show in the page what is recorded

Environments, source archives, logs and outcomes are in build/libraries. The exit status is 1 if something passes on
asyncio and not on the loop under test, or passes although the suite's file lists it as different, or if a suite could
not be run for another reason than a service that this machine lacks; 2 if nothing could be run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys

from rich.console import Console

from . import record, report, services, suites
from .comparison import STOCK, Comparison, compare
from .environments import BUILD, Failure
from .suites import Suite


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python tests/libraries', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('names', nargs='*', metavar='SUITE', help='default: all')
    parser.add_argument('--loop', default='sooner', help='asyncio, sooner, uvloop, rloop or MODULE:CALLABLE')
    parser.add_argument('--alone', action='store_true', help='on asyncio, run only what fails on the other loop')
    parser.add_argument('--quick', action='store_true', help='the suites that are marked as quick, and --alone')
    parser.add_argument('--test', action='append', default=[], metavar='ID', help='this test only; may be repeated')
    parser.add_argument('--list', action='store_true', help='list the suites')
    parser.add_argument('--record', action='store_true', help=f'keep this result, for {report.DOCUMENT.name} too')
    parser.add_argument(
        '--write-docs', action='store_true', help=f'only write what is kept into {report.DOCUMENT.name}'
    )
    parser.add_argument('--keep', action='store_true', help='keep the folders in which the tests ran')
    return parser.parse_args()


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    options = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 120)
    # A shell has what it starts in the background ignore SIGINT, which tests inherit that send it to themselves.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))
    try:
        selected = suites.load(options.names)
    except ValueError as error:
        console.print(str(error), markup=False)
        return 2
    if options.quick:
        selected = [suite for suite in selected if suite.quick]
    if options.list:
        for suite in selected:
            console.print(f'{suite.name}: {suite.title} {suite.version}, {suite.about}', markup=False, highlight=False)
        return 0
    if options.write_docs:
        report.write_documentation(suites.load())
        return 0
    comparisons = []
    for suite in selected:
        comparisons.append(_run(suite, options))
        report.print_line(console, comparisons[-1])
        _keep_outcomes(comparisons[-1])
    report.print_details(console, comparisons)
    report.print_table(console, comparisons, options.loop)
    console.print(report.closing_line(comparisons), markup=False, highlight=False)
    if options.record:
        console.print(f'Recorded in {record.update(comparisons)}.', markup=False)
        report.write_documentation(suites.load())
    if not any(one.own.tests for one in comparisons):
        return 2
    return int(not all(one.good or services.missing(one.suite.services) for one in comparisons))


def _run(suite: Suite, options: argparse.Namespace) -> Comparison:
    why_not = services.missing(suite.services)
    if why_not is None:
        try:
            both = not (options.alone or options.quick)
            return compare(suite, options.loop, both, options.test, options.keep)
        except (Failure, OSError) as error:
            why_not = str(error)
    return Comparison(suite, options.loop, why_not=why_not)


def _keep_outcomes(comparison: Comparison) -> None:
    """Write what came of each test, for who wants to know more than the table says."""
    folder = BUILD / 'outcomes'
    folder.mkdir(parents=True, exist_ok=True)
    for loop, run in {STOCK: comparison.stock, comparison.loop: comparison.own}.items():
        if run is not None and run.tests:
            tests = {test: vars(outcome) for test, outcome in run.tests.items()}
            with contextlib.suppress(OSError):
                file = folder / f'{comparison.suite.name}-{loop.replace(":", "-")}.json'
                file.write_text(json.dumps(tests, indent=1))
