"""Starts workers, one test class each, and turns their reports into outcomes.

A test that crashes the process or takes too long costs itself: the rest of its class goes on in a new process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .selection import Unit
from .substitution import Mode

PROJECT = Path(__file__).resolve().parent.parent
GRACE = 20.0
"""Seconds beyond a test's own limit before the process is killed from outside: imports and fixtures have no limit."""

LOG_TAIL = 4000
"""Characters of a dead worker's output that are kept."""


@dataclass
class Outcome:
    """How one test ended.

    Attributes:
        outcome: passed, skipped, failed, error, crashed or hung.
        why: the last line of the traceback, the reason of a skip, or how the process died.
        traceback: its last lines, or the last output of a process that died.
        seconds: how long it took.
        loops: loops of the subject that it made.
        stray_loops: asyncio's own loops that it made although another loop was to be used.
        tasks: tasks made by a counting task factory.
        attempts: how often it was run to get this outcome.
    """

    outcome: str
    why: str = ''
    traceback: str = ''
    seconds: float = 0.0
    loops: int = 0
    stray_loops: int = 0
    tasks: int = 0
    attempts: int = 1

    @property
    def passed(self) -> bool:
        return self.outcome == 'passed'


def environment() -> dict[str, str]:
    """The parent's, with this package importable and nothing that would change how asyncio runs."""
    env = {name: value for name, value in os.environ.items() if name not in ('PYTHONASYNCIODEBUG', 'PYTHONDEVMODE')}
    # A worker runs in a folder of its own, where a relative entry would mean another place.
    given = filter(None, env.get('PYTHONPATH', '').split(os.pathsep))
    paths = [str(PROJECT), *(str(Path(entry).resolve()) for entry in given)]
    env['PYTHONPATH'] = os.pathsep.join(paths)
    return env


@dataclass
class Discovery:
    """What there is to run.

    Attributes:
        subject: what `Subject.describe` says of the loop under test.
        units: those whose classes the loop's package offers.
        skipped: modules that cannot be imported here, with the reason.
    """

    subject: dict[str, Any]
    units: list[Unit]
    skipped: dict[str, str]


def discover(loop: str) -> Discovery:
    """All that the interpreter ships and that can be run on that loop.

    Raises:
        RuntimeError: the loop or the interpreter's tests cannot be imported.
    """
    with tempfile.TemporaryDirectory(prefix='cf-') as folder:
        report = Path(folder) / 'report'
        done = subprocess.run(
            [sys.executable, '-m', 'conformance.worker', '--discover', loop, str(report)],
            env=environment(),
            cwd=folder,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            last = done.stderr.strip().rpartition('\n')[2]
            raise RuntimeError(f'{sys.executable} cannot run its tests on {loop}: {last}')
        entries = [json.loads(line) for line in report.read_text().splitlines()]
    found = Discovery(entries[0]['subject'], [], {})
    offers = frozenset(entries[0]['offers'])
    for entry in entries[1:]:
        if 'skipped' in entry:
            found.skipped[entry['module']] = entry['skipped']
        elif 'tests' in entry and offers.issuperset(entry['needs']):
            found.units.append(Unit(entry['module'], entry['case'], Mode(entry['mode']), tuple(entry['tests'])))
    return found


@dataclass
class Run:
    """The outcomes of one unit's tests on one loop, by the names of the tests."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    subject: dict[str, Any] = field(default_factory=dict)


def run_unit(unit: Unit, loop: str, limits: dict[str, float]) -> Run:
    """Run the tests named in `limits` (each with its limit in seconds) in as many processes as it takes."""
    run = Run()
    left = dict(limits)
    while left:
        ended = _run_worker(unit, loop, left, run)
        left = {test: limit for test, limit in left.items() if test not in run.outcomes}
        if left and not ended.progressed:
            died = Outcome('error', ended.why, ended.log)
            run.outcomes.update(dict.fromkeys(left, died))
            break
    return run


@dataclass(frozen=True)
class _Ended:
    """How a worker ended: whether any test got an outcome, how the process died, and its last output."""

    progressed: bool
    why: str
    log: str


def _run_worker(unit: Unit, loop: str, limits: dict[str, float], run: Run) -> _Ended:
    job = {'loop': loop, 'module': unit.module, 'case': unit.case, 'mode': unit.mode, 'limits': limits}
    with tempfile.TemporaryDirectory(prefix='cf-', ignore_cleanup_errors=True) as folder:
        report, log = Path(folder) / 'report', Path(folder) / 'log'
        report.touch()
        cwd = Path(folder) / 'cwd'
        cwd.mkdir()
        with log.open('wb') as output:
            process = subprocess.Popen(
                [sys.executable, '-m', 'conformance.worker', str(report)],
                env=environment() | {'TMPDIR': str(cwd)},
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(json.dumps(job).encode())
            hung = _wait(process, report, max(limits.values()) + GRACE)
        text = log.read_text(errors='replace')
        return _read_report(report.read_text(), run, process.returncode, hung, text)


def _wait(process: subprocess.Popen[bytes], report: Path, patience: float) -> bool:
    """Wait for the end; kill the process when its report stands still. Whatever it started is killed in any case."""
    hung = False
    last_size, last_change = -1, time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
            break
        size = report.stat().st_size
        if size != last_size:
            last_size, last_change = size, time.monotonic()
        elif time.monotonic() - last_change > patience:
            hung = True
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return hung


def _read_report(report: str, run: Run, status: int, hung: bool, log: str) -> _Ended:
    current: str | None = None
    finished = 0
    complete = False
    fixture: Outcome | None = None
    for line in report.splitlines():
        entry = json.loads(line)
        if 'start' in entry:
            current = entry['start']
        elif 'test' in entry:
            test = entry.pop('test')
            run.outcomes[test] = Outcome(**entry)
            current = None
            finished += 1
        elif 'subject' in entry:
            run.subject = entry['subject']
        elif 'fixture' in entry:
            outcome = 'skipped' if entry.get('skipped') else 'error'
            fixture = Outcome(outcome, entry['why'], entry['traceback'])
        elif 'end' in entry:
            complete = True
    why = _how_it_died(status)
    tail = log[-LOG_TAIL:]
    if current is not None:
        timed_out = hung or 'Timeout (' in tail
        run.outcomes[current] = Outcome('hung' if timed_out else 'crashed', 'took too long' if timed_out else why, tail)
        finished += 1
    elif complete and status != 0 and not hung:
        run.outcomes['(exit)'] = Outcome('crashed', f"at the interpreter's exit: {why}", tail)
    elif complete and hung:
        run.outcomes['(exit)'] = Outcome('hung', 'the process did not end after the tests', tail)
    if fixture is not None:
        # unittest runs no test after a fixture failed, so what has no outcome has this one.
        return _Ended(False, fixture.why, fixture.traceback)
    return _Ended(finished > 0, why, tail)


def _how_it_died(status: int) -> str:
    if status < 0:
        return f'killed by {signal.Signals(-status).name}'
    return f'the process ended with status {status}'
