"""One turn: a server on one processor, its load on another, and how many requests were answered.

The server is a fresh process in each turn; the load checks every answer. Whoever fails first says why.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from sooner.bench.echo.equipment import Equipment, find_program
from sooner.bench.echo.servers import HOST, NOWHERE, Place
from sooner.bench.echo.worker import Work
from sooner.bench.echo.workloads import Case
from sooner.bench.results import LIMIT, LoopInfo, Results
from sooner.bench.rounds import (
    MissingError,
    Plan,
    Turn,
    TurnError,
    last_line,
    loop_info,
    take_turns,
    worker_command,
)
from sooner.bench.worker import resident_bytes

CAREFUL = Plan(rounds=5, seconds=0.4, samples=2)
QUICK = Plan(rounds=3, seconds=0.2, samples=2)

#: How the limit stands among the loops: its file instead of a factory.
LIMIT_FACTORY = 'echo_server.c'

_NO_LIMIT = 'nobody wrote that in C'

#: Seconds under load before anything is counted.
WARM_UP = 0.3

#: Seconds that a turn may take beyond those that are counted.
PATIENCE = 60

#: Connections that are open already when those come that are weighed: what the first ones cost is no matter of number.
HELD_BEFORE = 100


def measure(
    loops: Mapping[str, str],
    cases: Sequence[Case],
    plan: Plan = CAREFUL,
    *,
    command: str,
    progress: Callable[[Case, str, Results], None] = lambda case, loop, results: None,
) -> Results:
    """Measure every case on every loop (name: factory), and on the limit."""
    processors = choose_processors()
    with Equipment(processors[1]) as equipment:

        def take_turn(case: Case, factory: str) -> Turn:
            return _Bench(equipment, processors[0], plan, case, factory).take_turn()

        everyone = {**loops, LIMIT: LIMIT_FACTORY}
        return take_turns(everyone, cases, plan.rounds, take_turn, command=command, progress=progress)


def choose_processors() -> tuple[int, int] | tuple[None, None]:
    """Return a processor for the server and one for the load, of different cores if there are; or two times None."""
    usable = sorted(os.sched_getaffinity(0))
    first = usable[0]
    others = [processor for processor in usable if processor not in same_core(first)] or usable[1:]
    return (first, others[0]) if others else (None, None)


def same_core(processor: int) -> set[int]:
    path = Path(f'/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list')
    try:
        ranges = [part.split('-') for part in path.read_text().strip().split(',')]
    except OSError:
        return {processor}
    return {number for bounds in ranges for number in range(int(bounds[0]), int(bounds[-1]) + 1)}


@dataclasses.dataclass
class _Server:
    process: subprocess.Popen[str]
    #: A port or a path.
    address: str
    loop: LoopInfo
    errors: IO[str]

    def complaint(self) -> str:
        """Return the last line that it wrote to its standard error."""
        self.errors.seek(0)
        return last_line(self.errors.read())


@dataclasses.dataclass
class _Bench:
    """One turn of one loop at one case."""

    equipment: Equipment
    processor: int | None
    plan: Plan
    case: Case
    factory: str

    def take_turn(self) -> Turn:
        workload = self.case.workload
        for package in workload.packages:
            if importlib.util.find_spec(package) is None:
                raise MissingError(f'{package} is not installed: pip install {" ".join(workload.packages)}')
        if workload.load == 'none':
            return self._run_client()
        load = {'wrk': self._load_http, 'hold': self._weigh}.get(workload.load, self._load)
        # The load is made ready before the server, which would only wait for it.
        tool = (
            find_program('wrk', 'wrk')
            if workload.load == 'wrk'
            else self.equipment.program('echo_load', tls=workload.transport == 'tls')
        )
        with self._server() as server:
            return Turn(load(server, tool), server.loop)

    def _run_client(self) -> Turn:
        workload, plan = self.case.workload, self.plan
        if not workload.limited and self.factory == LIMIT_FACTORY:
            raise MissingError(_NO_LIMIT)
        work = Work(
            self.factory,
            workload.program,
            port=self.equipment.service(workload.service) if workload.service else 0,
            concurrency=self.case.connections,
            warm_up=WARM_UP,
            seconds=plan.seconds,
            samples=plan.samples,
            limit=self._limit,
        )
        # Programs that it starts itself inherit its processors, so it gets all of them.
        processor = self.processor if workload.service else None
        with self._started([*worker_command('echo.worker'), work.encode()], processor) as server:
            report = self._read_line(server, 'samples')
            return Turn(self._rows(report['samples']), loop_info(self.factory, report))

    @contextlib.contextmanager
    def _server(self) -> Iterator[_Server]:
        workload = self.case.workload
        with tempfile.TemporaryDirectory(prefix='sooner-bench-') as folder:
            certificate = self.equipment.certificate() if workload.transport == 'tls' else NOWHERE
            place = dataclasses.replace(certificate, path=f'{folder}/socket' if workload.transport == 'unix' else '')
            with self._started(self._server_command(place), self.processor) as server:
                report = self._read_line(server, 'port')
                server.address = place.path or str(report['port'])
                if 'class' in report:
                    server.loop = loop_info(self.factory, report)
                yield server

    def _server_command(self, place: Place) -> list[str]:
        workload = self.case.workload
        if self.factory != LIMIT_FACTORY:
            work = Work(self.factory, workload.program, place, workload.fresh, limit=self._limit)
            return [*worker_command('echo.worker'), work.encode()]
        if not workload.limited:
            raise MissingError(_NO_LIMIT)
        program = self.equipment.program('echo_server', tls=workload.transport == 'tls')
        places = {'tls': [place.certificate, place.key], 'unix': [place.path]}
        return [program, workload.transport, *places.get(workload.transport, [])]

    @contextlib.contextmanager
    def _started(self, command: list[str], processor: int | None) -> Iterator[_Server]:
        with tempfile.TemporaryFile('w+') as errors:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
            try:
                if processor is not None:
                    os.sched_setaffinity(process.pid, {processor})
                yield _Server(process, '', LoopInfo(self.factory), errors)
            finally:
                process.kill()
                process.communicate()

    def _read_line(self, server: _Server, key: str) -> dict[str, Any]:
        """Return what the process says first, with this key in it. The process has a time limit of its own."""
        assert server.process.stdout is not None
        line = server.process.stdout.readline()
        if not line:
            status = server.process.wait()
            late = status == -signal.SIGALRM
            raise self._failure(
                server, f'not done after {self._limit} seconds' if late else f'the worker ended with status {status}'
            )
        report: dict[str, Any] = json.loads(line)
        assert key in report, line
        return report

    def _failure(self, server: _Server, otherwise: str) -> TurnError:
        complaint = server.complaint()
        if complaint.startswith('NotImplementedError'):
            return MissingError(f'{self.case.workload.title}: {complaint}')
        return TurnError(complaint or otherwise)

    # Loads

    def _load(self, server: _Server, echo_load: str) -> dict[str, list[float]]:
        plan = self.plan
        spans = [WARM_UP, plan.seconds, plan.samples, server.process.pid]
        load = self.equipment.start(
            [*self._load_command(echo_load, server, self.case.connections), *map(str, spans)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        output = self._output(load, server)
        return self._rows(json.loads(output)['samples'])

    def _load_command(self, echo_load: str, server: _Server, connections: int) -> list[str]:
        workload = self.case.workload
        return [echo_load, workload.load, workload.transport, server.address, str(connections), str(self.case.size)]

    def _output(self, load: subprocess.Popen[str], server: _Server) -> str:
        """Return what a load prints, when it is done."""
        with load:
            try:
                output, errors = load.communicate(timeout=self._limit)
            except BaseException as exc:
                load.kill()
                if isinstance(exc, subprocess.TimeoutExpired):
                    raise TurnError(f'the load was not done after {self._limit} seconds') from None
                raise
        if load.returncode != 0:
            raise self._failure(server, last_line(errors) or f'the load ended with status {load.returncode}')
        return output

    def _weigh(self, server: _Server, echo_load: str) -> dict[str, list[float]]:
        """Say by how many bytes the process grows for each connection that was served once, and is open."""
        with contextlib.ExitStack() as held:
            weights = []
            for connections in (HELD_BEFORE, self.case.connections):
                command = self._load_command(echo_load, server, connections)
                pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE}
                load = held.enter_context(self.equipment.start(command, **pipes))
                held.callback(load.kill)
                assert load.stdout is not None
                if not load.stdout.readline():
                    self._output(load, server)
                weights.append(resident_bytes(server.process.pid))
        return {self.case.name: [(weights[1] - weights[0]) / self.case.connections]}

    def _load_http(self, server: _Server, wrk: str) -> dict[str, list[float]]:
        """Let wrk ask; the first time is the warm-up. It counts whole seconds only."""
        seconds = max(1, round(self.plan.seconds))
        command = [wrk, '-t1', f'-c{self.case.connections}', f'-d{seconds}s', f'http://{HOST}:{server.address}/']
        processor_time = ~server.process.pid << 3 | 2  # the clock that clock_getcpuclockid(3) names
        samples = []
        for _ in range(1 + self.plan.samples):
            before = time.clock_gettime(processor_time)
            load = self.equipment.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            output = self._output(load, server)
            failed = re.search(r'Socket errors: .*|Non-2xx.*', output)
            counted = re.search(r'(\d+) requests in', output)
            rate = re.search(r'Requests/sec: *([\d.]+)', output)
            if failed is not None or counted is None or rate is None:
                raise self._failure(server, failed[0] if failed is not None else f'wrk said: {last_line(output)}')
            requests = int(counted[1])
            used = time.clock_gettime(processor_time) - before
            samples.append({'requests': requests, 'seconds': requests / float(rate[1]), 'processor': used})
        return self._rows(samples[1:])

    def _rows(self, samples: list[dict[str, float]]) -> dict[str, list[float]]:
        if not all(sample['requests'] for sample in samples):
            raise TurnError(f'no request was answered in {self.plan.seconds} seconds')
        return {
            self.case.name: [sample['requests'] / sample['seconds'] for sample in samples],
            f'{self.case.name}-cpu': [sample['processor'] / sample['requests'] * 1e9 for sample in samples],
        }

    @property
    def _limit(self) -> int:
        return round(PATIENCE + WARM_UP + (self.plan.samples + 1) * max(1, self.plan.seconds))
