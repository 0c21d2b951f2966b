"""Running a suite on a loop: as many processes as it takes, until every test has an outcome."""

from __future__ import annotations

import collections
import contextlib
import importlib
import json
import os
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .environments import BUILD, link_package, make_environment, unpack_source
from .isolation import MARK, World, end_processes, new_world
from .services import running
from .suites import HERE, Suite

LOOPS = {
    'asyncio': '',
    'sooner': 'sooner:new_event_loop',
    'uvloop': 'uvloop:new_event_loop',
    'rloop': 'rloop:new_event_loop',
}
"""By name, what makes them, as MODULE:CALLABLE; nothing stands for asyncio's own."""

STOCK_CLASS = 'asyncio.unix_events._UnixSelectorEventLoop'
MOST_PROCESSES = 50
"""Tests that may end their process before a run is given up."""

BAD = ('failed', 'error', 'crashed', 'hung')
PASSED_TO_TESTS = ('SOONER_DRIVER', 'SOONER_PURE', 'PYTHONASYNCIODEBUG')
"""Variables that the tests get too, where they are set."""


@dataclass
class Outcome:
    """How a test ended.

    Attributes:
        outcome: passed, skipped (also where it was expected to fail), failed, error, crashed or hung.
        why: the first line of the error.
        seconds: how long it took.
        again: whether this is the outcome of a second attempt.
    """

    outcome: str
    why: str = ''
    seconds: float = 0.0
    again: bool = False

    @property
    def passed(self) -> bool:
        return self.outcome == 'passed'

    @property
    def bad(self) -> bool:
        return self.outcome in BAD


@dataclass
class Run:
    """A suite's outcomes on one loop.

    Attributes:
        tests: by pytest's node id.
        seconds: how long all of it took.
        loops: how many loops of each class the tests made.
        wanted: the class that they should have made.
        notes: what went wrong beside the tests.
    """

    tests: dict[str, Outcome] = field(default_factory=dict)
    seconds: float = 0.0
    loops: collections.Counter[str] = field(default_factory=collections.Counter)
    wanted: str = ''
    notes: list[str] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        """Whether most loops that the tests made were the one under test: else the run says nothing about it."""
        return 2 * self.loops[self.wanted] > self.loops.total()

    @property
    def passed(self) -> int:
        return sum(test.passed for test in self.tests.values())

    @property
    def applicable(self) -> int:
        """How many were not skipped."""
        return sum(test.outcome != 'skipped' for test in self.tests.values())


class Executor:
    """Runs one suite, on any loop, with its environment and its sources made ready once."""

    def __init__(self, suite: Suite, keep: bool = False) -> None:
        """Make the environment.

        Raises:
            Failure: something cannot be installed.
        """
        self.suite = suite
        self._keep = keep
        self._programs = make_environment(suite)

    def run(self, loop: str, only: Iterable[str] = (), again: bool = False) -> Run:
        """Run all tests, or these, on a loop: a name of LOOPS, or MODULE:CALLABLE. A log of before is kept `again`.

        Raises:
            Failure: a service does not start, or there is no such loop here.
        """
        factory = LOOPS.get(loop, loop)
        log = BUILD / 'logs' / f'{self.suite.name}-{loop.replace(":", "-")}.log'
        log.parent.mkdir(parents=True, exist_ok=True)
        if not again:
            log.write_text('')
        began = time.monotonic()
        with new_world(self._keep) as world:
            path = world.folder / 'path'
            path.mkdir()
            (world.folder / 'source').mkdir()
            if factory:
                link_package(factory.partition(':')[0], path)
            cwd = unpack_source(self.suite, world.folder / 'source')
            with running(self.suite.services, world) as variables:
                attempt = _Attempt(self, world, cwd, factory, variables, log)
                run = attempt.run(only, self.suite.timeout + began - time.monotonic())
        run.seconds = time.monotonic() - began
        return run

    def command(self, variables: dict[str, str]) -> list[object]:
        """pytest, with what belongs to every suite."""
        ours = ('-q', '-p', 'outcomes', '-p', 'no:cacheprovider', '-o', 'faulthandler_timeout=0')
        deselected = (f'--deselect={test}' for each in self.suite.without for test in each.tests)
        return [self._programs / 'pytest', *ours, *deselected, *(_fill(word, variables) for word in self.suite.pytest)]

    def environment(self, world: World, variables: dict[str, str]) -> dict[str, str]:
        """The variables that every process of the tests gets, but those that bring in the loop."""
        here = {name: os.environ[name] for name in PASSED_TO_TESTS if name in os.environ}
        suites = {name: _fill(value, variables) for name, value in self.suite.environment}
        given = {
            'PATH': f'{self._programs}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
            'HOME': f'{world.folder}/home',
            'TMPDIR': f'{world.folder}/tmp',
            'LANG': 'C.UTF-8',
            'TERM': 'xterm',
            'USER': 'root',
            MARK: world.folder.name,
        }
        return given | here | variables | suites


def class_of_loop(factory: str) -> str:
    """The full name of the class of the loops that are to be made."""
    if not factory:
        return STOCK_CLASS
    module, _, name = factory.partition(':')
    loop = getattr(importlib.import_module(module), name)()
    loop.close()
    return f'{type(loop).__module__}.{type(loop).__qualname__}'


def _fill(text: str, variables: dict[str, str]) -> str:
    for name, value in variables.items():
        text = text.replace(f'{{{name}}}', value)
    return text


class _Attempt:
    """One run of a suite in one world."""

    def __init__(
        self, executor: Executor, world: World, cwd: Path, factory: str, variables: dict[str, str], log: Path
    ) -> None:
        self._suite = executor.suite
        self._world = world
        self._command = world.command(cwd, *executor.command(variables))
        self._log = log
        self._made = world.folder / 'loops'
        self._made.mkdir()
        self._made.chmod(0o1777)
        self._files = {name: world.folder / name for name in ('outcomes', 'done', 'only')}
        for file in self._files.values():
            file.touch()
        env = executor.environment(world, variables)
        paths = [str(HERE / 'inside'), str(world.folder / 'path'), env.get('PYTHONPATH', '')]
        env['PYTHONPATH'] = os.pathsep.join(filter(None, paths))
        self._wanted = class_of_loop(factory)
        self._environment = env | {
            'LIBRARIES_LOOP': factory,
            'LIBRARIES_LOOPS_MADE': str(self._made),
            'LIBRARIES_SELECTOR_LOOP': str(int(self._suite.selector_loop)),
            'LIBRARIES_TEST_TIMEOUT': str(self._suite.test_timeout),
            **{f'LIBRARIES_{name.upper()}': str(file) for name, file in self._files.items()},
        }

    def run(self, only: Iterable[str], seconds: float) -> Run:
        """Start processes until no test is left over from one that ended before its time."""
        run = Run(wanted=self._wanted)
        self._files['only'].write_text(''.join(f'{test}\n' for test in only))
        until = time.monotonic() + seconds
        for _ in range(MOST_PROCESSES):
            status = self._start(until)
            unfinished = self._read(run, status is None)
            if status is None:
                run.notes.append(f'ended after {self._suite.timeout:g} s')
                break
            if unfinished is None:
                if status not in (0, 1, 5) or not run.tests:
                    run.notes.append(f'exit status {status}, see {self._log}')
                break
            self._files['outcomes'].write_text('')
            self._files['done'].write_text(''.join(f'{test}\n' for test in run.tests))
        else:
            run.notes.append(f'given up after {MOST_PROCESSES} tests that ended their process')
        for file in self._made.iterdir():
            run.loops.update(file.read_text().split())
        # The folder has another name in another run.
        run.tests = {test.replace(str(self._world.folder), '.'): outcome for test, outcome in run.tests.items()}
        return run

    def _start(self, until: float) -> int | None:
        """Run a process to its end, and end whatever it left behind; return its status, or None if it took too long."""
        with self._log.open('a') as log:
            process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                return process.wait(max(until - time.monotonic(), 1.0))
            except subprocess.TimeoutExpired:
                return None
            finally:
                end_processes(self._world.folder.name, process.pid)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)

    def _read(self, run: Run, timed_out: bool) -> str | None:
        """Take in what the process reported; return the test that it did not finish."""
        unfinished: str | None = None
        for line in self._files['outcomes'].read_text().splitlines():
            entry = json.loads(line)
            unfinished = entry.get('start')
            if unfinished is None:
                test = entry.pop('test')
                run.tests[test] = Outcome(**entry)
        if unfinished is not None:
            hung = timed_out or 'Timeout (' in self._log.read_text(errors='replace')[-20000:]
            run.tests[unfinished] = Outcome('hung' if hung else 'crashed')
        return unfinished
