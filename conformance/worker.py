"""The process that runs one test class, and writes down each test's start and outcome.

`python -m conformance.worker REPORT` reads a job (JSON) from standard input: the loop, the unit, the tests to run and
a limit in seconds for each. REPORT gets one JSON object a line, flushed, so that a crash loses nothing but the test
that crashed. `python -m conformance.worker --discover LOOP REPORT` lists what there is to run on that loop.
"""

from __future__ import annotations

import faulthandler
import fnmatch
import importlib
import json
import signal
import sys
import time
import traceback
import unittest
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from . import selection
from .families import families_of
from .substitution import Mode, Subject, Substitution

TRACEBACK_LINES = 60


class Recorder(unittest.TestResult):
    """Writes a line when a test starts and one when it ends, and kills the process when one takes too long."""

    def __init__(self, report: IO[str], substitution: Substitution, limits: dict[str, float]) -> None:
        super().__init__()
        self._report = report
        self._substitution = substitution
        self._limits = limits
        self._outcome: dict[str, Any] = {}
        self._began = 0.0

    def write(self, entry: dict[str, Any]) -> None:
        self._report.write(json.dumps(entry) + '\n')
        self._report.flush()

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        name = test._testMethodName
        self._outcome = {'test': name, 'outcome': 'passed'}
        self.write({'start': name})
        self._substitution.tally.clear()
        faulthandler.dump_traceback_later(self._limits[name], exit=True, file=2)
        self._began = time.monotonic()

    def stopTest(self, test: unittest.TestCase) -> None:
        seconds = time.monotonic() - self._began
        faulthandler.cancel_dump_traceback_later()
        loops, stray_loops, tasks = self._substitution.tally.read()
        self._outcome |= {
            'seconds': round(seconds, 3),
            'loops': loops,
            'stray_loops': stray_loops,
            'tasks': tasks,
        }
        self.write(self._outcome)
        super().stopTest(test)

    def _note(self, outcome: str, why: str, details: str = '') -> None:
        if self._outcome.get('outcome') == 'passed':
            self._outcome |= {'outcome': outcome, 'why': why, 'traceback': details}

    def _failed(self, outcome: str, test: unittest.TestCase, error: Any) -> None:
        why = ''.join(traceback.format_exception_only(error[1])).strip()
        details = ''.join(traceback.format_exception(error[1]))
        details = '\n'.join(details.splitlines()[-TRACEBACK_LINES:])
        if isinstance(test, unittest.TestCase):
            self._note(outcome, why, details)
        else:  # a fixture of the class or the module: none of its tests will run
            self.write({'fixture': str(test), 'why': why, 'traceback': details})

    def addError(self, test: Any, err: Any) -> None:
        self._failed('error', test, err)

    def addFailure(self, test: Any, err: Any) -> None:
        self._failed('failed', test, err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self._failed('failed' if issubclass(err[0], test.failureException) else 'error', test, err)

    def addSkip(self, test: Any, reason: str) -> None:
        if isinstance(test, unittest.TestCase):
            self._note('skipped', reason)
        else:
            self.write({'fixture': str(test), 'skipped': True, 'why': reason, 'traceback': ''})

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        self._note('skipped', 'expected failure')

    def addUnexpectedSuccess(self, test: Any) -> None:
        self._note('failed', 'unexpected success')


def import_tests(name: str, substitution: Substitution) -> ModuleType:
    """The test module, with the families for the loop under test derived in it."""
    module = importlib.import_module(selection.import_name(name))
    substitution.adapt(module)
    for family in families_of(name):
        if family.needs <= substitution.subject.offers:
            family.derive(module, substitution)
    return module


def run_unit(job: dict[str, Any], report: IO[str]) -> None:
    """Run the job's tests in their usual order."""
    subject = Subject.load(job['loop'])
    substitution = Substitution(subject, Mode(job['mode']))
    substitution.install()
    if job['module'].startswith(f'{selection.ASYNCIO_TESTS}.'):
        substitution.install_in_test_utils(importlib.import_module(f'test.{selection.ASYNCIO_TESTS}.utils'))
    substitution.prove()
    recorder = Recorder(report, substitution, job['limits'])
    recorder.write({'subject': subject.describe()})
    module = import_tests(job['module'], substitution)
    case = getattr(module, job['case'])
    unittest.TestSuite(case(test) for test in job['limits']).run(recorder)


def discover(loop: str, report: IO[str]) -> None:
    """List the classes of every selected module with their tests, and the families with what they need."""
    subject = Subject.load(loop)
    print(json.dumps({'subject': subject.describe(), 'offers': sorted(subject.offers)}), file=report)
    substitution = Substitution(Subject.load('asyncio'), Mode.AS_WRITTEN)
    for name, patterns in selection.modules().items():
        try:
            module = importlib.import_module(selection.import_name(name))
        except unittest.SkipTest as skip:
            print(json.dumps({'module': name, 'skipped': str(skip)}), file=report)
            continue
        written = [
            value
            for key, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, unittest.TestCase) and value.__name__ == key
            if value.__module__ == module.__name__
            if any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)
        ]
        for case in written:
            _list(report, name, case, selection.modes_of(name), frozenset())
        for family in families_of(name):
            derived = family.derive(module, substitution)
            if derived is not None:
                _list(report, name, derived, family.modes, family.needs)


def _list(
    report: IO[str], module: str, case: type[unittest.TestCase], modes: tuple[Mode, ...], needs: frozenset[str]
) -> None:
    tests = unittest.defaultTestLoader.getTestCaseNames(case)
    for mode in modes:
        # Without tasks of its own, a loop has nothing to mix.
        needed = needs | {'Task'} if mode in (Mode.STOCK_TASKS, Mode.OWN_TASKS) else needs
        entry = {'module': module, 'case': case.__name__, 'mode': mode, 'tests': tests, 'needs': sorted(needed)}
        if tests:
            print(json.dumps(entry), file=report)


def main() -> None:
    arguments = sys.argv[1:]
    # A background job of a shell inherits SIGINT ignored, and some tests expect Python's own handler.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Path(arguments[-1]).open('a') as report:
        if arguments[0] == '--discover':
            discover(arguments[1], report)
        else:
            run_unit(json.load(sys.stdin), report)
        report.write(json.dumps({'end': True}) + '\n')


if __name__ == '__main__':
    main()
