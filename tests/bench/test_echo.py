"""`sooner bench --echo`: the programs in C do what they say, no wrong answer is counted, and nothing is lost.

No test judges a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import io
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE

import sooner

if sys.platform != 'linux':
    pytest.skip('the load and its limit use epoll', allow_module_level=True)

from sooner.bench.echo import turns
from sooner.bench.echo.equipment import Equipment, compile_program, find_program
from sooner.bench.echo.servers import Place
from sooner.bench.echo.turns import LIMIT_FACTORY, measure
from sooner.bench.echo.worker import Work
from sooner.bench.echo.workloads import CONNECTIONS, SIZES, WORKLOADS, Case, short_size
from sooner.bench.results import LIMIT, OURS, Figure, LoopInfo, Results, Row
from sooner.bench.rounds import MissingError, Plan

BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'
SHORT = Plan(rounds=1, seconds=0.05, samples=1)

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope='module')
def equipment() -> Iterator[Equipment]:
    with Equipment() as equipment:
        yield equipment


@pytest.fixture(params=[False, True], ids=['plain', 'tls'])
def tls(request: pytest.FixtureRequest, equipment: Equipment) -> bool:
    """Whether the programs are those that know TLS."""
    wanted: bool = request.param
    available(equipment, tls=wanted)
    return wanted


def available(equipment: Equipment, *, tls: bool = False) -> None:
    """Skip the test where its programs cannot be compiled: a loop is used without a C compiler too."""
    try:
        equipment.program('echo_load', tls=tls)
        if tls:
            equipment.certificate()
    except MissingError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def without_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, 'WARM_UP', 0.0)


def one_case(name: str, size: int = 1024, connections: int = 5) -> Case:
    case = WORKLOADS[name].cases([size], [connections])[0]
    return Case(case.workload, case.size, min(case.connections, connections))


# The programs in C


def test_programs_compile_without_a_warning(equipment: Equipment, tls: bool, tmp_path: Path) -> None:
    for name in ('echo_server', 'echo_load'):
        compile_program(name, tmp_path / name, tls=tls, options=['-Werror'])
        assert os.access(tmp_path / name, os.X_OK)


@contextlib.contextmanager
def limit(equipment: Equipment, *arguments: str, tls: bool = False) -> Iterator[int]:
    """Run the server in C, and return its port."""
    command = [equipment.program('echo_server', tls=tls), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())['port']
        finally:
            server.kill()


def echo_of(message: bytes, port: int, context: ssl.SSLContext | None = None, path: str | None = None) -> bytes:
    """Send a message, and no more, and return all that comes back."""

    async def talk() -> bytes:
        if path is not None:
            reader, writer = await asyncio.open_unix_connection(path)
        else:
            name = 'localhost' if context is not None else None
            reader, writer = await asyncio.open_connection('127.0.0.1', port, ssl=context, server_hostname=name)
        writer.write(message)
        if writer.can_write_eof():
            writer.write_eof()
            received = await reader.read()  # after a peer that said all, the server closes
        else:
            received = await reader.readexactly(len(message))
        writer.close()
        await writer.wait_closed()
        return received

    return asyncio.run(asyncio.wait_for(talk(), PATIENCE))


MESSAGES = [b'a', os.urandom(1024), os.urandom(5_000_000)]


@pytest.mark.parametrize('message', MESSAGES, ids=lambda message: str(len(message)))
def test_server_in_c_echoes_every_byte(equipment: Equipment, tmp_path: Path, message: bytes) -> None:
    available(equipment)
    with limit(equipment, 'tcp') as port:
        assert echo_of(message, port) == message
    path = str(tmp_path / 'socket')
    with limit(equipment, 'unix', path) as port:
        assert echo_of(message, port, path=path) == message


@pytest.mark.parametrize('message', MESSAGES, ids=lambda message: str(len(message)))
def test_server_in_c_echoes_every_byte_over_tls(equipment: Equipment, message: bytes) -> None:
    available(equipment, tls=True)
    place = equipment.certificate()
    context = ssl.create_default_context(cafile=place.certificate)
    with limit(equipment, 'tls', place.certificate, place.key, tls=True) as port:
        assert echo_of(message, port, context) == message


def test_server_in_c_echoes_datagrams_to_their_senders(equipment: Equipment) -> None:
    available(equipment)
    with (
        limit(equipment, 'udp') as port,
        socket.socket(type=socket.SOCK_DGRAM) as one,
        socket.socket(type=socket.SOCK_DGRAM) as another,
    ):
        for client in (one, another):
            client.settimeout(PATIENCE)
            client.connect(('127.0.0.1', port))
        one.send(b'one')
        another.send(b'another')
        assert (one.recv(100), another.recv(100)) == (b'one', b'another')


@pytest.mark.parametrize('arguments', [[], ['sctp'], ['unix'], ['tls'], ['tls', 'certificate', 'key']])
def test_server_in_c_explains_itself(equipment: Equipment, arguments: list[str]) -> None:
    available(equipment)
    program = equipment.program('echo_server', tls=False)
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.startswith('usage: ')


# The load


class Answering:
    """A server in a thread that answers with what a function makes of the data, and counts its connections."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.connections = 0
        self._answer = answer
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._serve, args=[connection]))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionError):
            while data := connection.recv(1 << 16):
                answer = self._answer(data)
                if answer is None:
                    return
                connection.sendall(answer)

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *exc: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self._threads:
            thread.join()


def run_load(equipment: Equipment, what: str, port: int, connections: int, size: int, seconds: float = 0.1) -> Any:
    available(equipment)
    spans = () if what == 'hold' else (0.0, seconds, 2, os.getpid())
    command = [equipment.program('echo_load', tls=False), what, 'tcp', port, connections, size, *spans]
    return subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize('size', [16, 1000, 300_000])
def test_load_counts_what_was_answered_in_each_span(equipment: Equipment, size: int) -> None:
    asked = 0

    def answer(data: bytes) -> bytes:
        nonlocal asked
        asked += len(data)
        return data

    with Answering(answer) as server:
        done = run_load(equipment, 'echo', server.port, 3, size)
    assert done.returncode == 0, done.stderr
    samples = json.loads(done.stdout)['samples']
    assert [sample['seconds'] >= 0.1 for sample in samples] == [True, True]
    assert all(sample['processor'] > 0 for sample in samples)
    answered = sum(sample['requests'] for sample in samples)
    assert answered > 0
    assert asked % size == 0  # nobody is left with half a message
    assert answered <= asked // size <= answered + 2 * 3  # what was under way when a span began or ended
    assert server.connections == 3


def test_load_that_reconnects_asks_once_on_each_connection(equipment: Equipment) -> None:
    asked = []
    with Answering(lambda data: asked.append(data) or data) as server:  # type: ignore[func-returns-value]
        done = run_load(equipment, 'reconnect', server.port, 3, 100)
    assert done.returncode == 0, done.stderr
    assert server.connections == len(asked) == len(set(asked))


def test_load_that_holds_asks_once_and_waits(equipment: Equipment) -> None:
    asked = []
    with Answering(lambda data: asked.append(data) or data) as server:  # type: ignore[func-returns-value]
        done = run_load(equipment, 'hold', server.port, 7, 100)
    assert json.loads(done.stdout) == {'held': 7}
    assert len(asked) == 7


def test_messages_are_lines_that_tell_their_connection_and_number(equipment: Equipment) -> None:
    asked = []
    with Answering(lambda data: asked.append(data) or data) as server:  # type: ignore[func-returns-value]
        run_load(equipment, 'echo', server.port, 2, 64)
    assert len(asked) > 2
    assert len(set(asked)) == len(asked)
    assert all(data.find(b'\n') == 63 for data in asked)


def spoiling(position: int) -> Callable[[bytes], bytes]:
    """Change one byte of the thirtieth message and of those after it: not all are compared, but one of them will be."""
    count = 0

    def answer(data: bytes) -> bytes:
        nonlocal count
        count += 1
        spoilt = bytearray(data)
        spoilt[position] ^= 1 if count >= 30 else 0
        return bytes(spoilt)

    return answer


@pytest.mark.parametrize(
    ('answer', 'error'),
    [
        (spoiling(0), 'got something else than it sent'),
        (spoiling(500), 'got something else than it sent'),
        (spoiling(-1), 'got something else than it sent'),
        (lambda data: data + b'!', 'got '),
        (lambda data: data[:-1], 'no answer for 5 seconds'),
        (lambda data: None, 'was closed before its answer'),
    ],
    ids=['first byte', 'middle', 'last byte', 'more', 'less', 'closed'],
)
def test_load_accepts_no_wrong_answer(
    equipment: Equipment, answer: Callable[[bytes], bytes | None], error: str
) -> None:
    with Answering(answer) as server:
        done = run_load(equipment, 'echo', server.port, 1, 1000, seconds=PATIENCE / 4)
    assert done.returncode == 1
    assert done.stderr.startswith('echo_load: ')
    assert error in done.stderr


@pytest.mark.parametrize(
    ('size', 'connections', 'port', 'error'),
    [(8, 1, 1, '16 bytes'), (100, 0, 1, '1 to 65535 connections'), (100, 1, 1, 'cannot connect to port 1: ')],
)
def test_load_explains_what_it_cannot_do(
    equipment: Equipment, size: int, connections: int, port: int, error: str
) -> None:
    done = run_load(equipment, 'echo', port, connections, size)
    assert done.returncode == 1
    assert error in done.stderr


# The equipment


def test_what_is_not_there_is_named_with_the_package_that_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setenv('CC', 'no-such-compiler -m32')
    with Equipment() as equipment:
        with pytest.raises(MissingError, match='apt-get install wrk'):
            find_program('wrk', 'wrk')
        with pytest.raises(MissingError, match="no C compiler 'no-such-compiler'; Debian: apt-get install gcc"):
            equipment.program('echo_load', tls=False)
        with pytest.raises(MissingError, match='apt-get install redis-server'):
            equipment.service('redis')
        with pytest.raises(MissingError, match='apt-get install openssl'):
            equipment.certificate()


def test_headers_of_openssl_are_asked_for_where_only_they_are_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiler = tmp_path / 'compiler'
    compiler.write_text('#!/bin/sh\necho "fatal error: openssl/err.h: No such file or directory" >&2\nexit 1\n')
    compiler.chmod(0o755)
    monkeypatch.setenv('CC', str(compiler))
    with pytest.raises(MissingError, match='apt-get install libssl-dev'):
        compile_program('echo_load', tmp_path / 'load', tls=True)
    with pytest.raises(MissingError, match=r'echo_load.c cannot be compiled: fatal error'):
        compile_program('echo_load', tmp_path / 'load')


def test_nothing_is_tried_twice_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tries = tmp_path / 'tries'
    compiler = tmp_path / 'compiler'
    compiler.write_text(f'#!/bin/sh\necho >>{tries}\nexit 1\n')
    compiler.chmod(0o755)
    monkeypatch.setenv('CC', str(compiler))
    with Equipment() as equipment:
        for _ in range(2):
            with pytest.raises(MissingError):
                equipment.program('echo_load', tls=False)
        assert equipment.folder.is_dir()
    assert tries.read_text() == '\n'
    assert not equipment.folder.exists()


# Workloads


def test_cases_have_names_and_rows_of_their_own() -> None:
    cases = [case for workload in WORKLOADS.values() for case in workload.cases(SIZES, CONNECTIONS)]
    names = [name for case in cases for name in case.rows]
    assert len(names) == len(set(names))
    titles = [(unit, title) for case in cases for title, unit in case.rows.values()]
    assert len(titles) == len(set(titles))
    assert {'protocol-1k-50', 'protocol-1k-50-cpu', 'tls-100k-500', 'idle-1k-1000', 'spawn-8'} <= set(names)
    assert not any('\n' in title for _, title in titles)


def test_sizes_have_short_names() -> None:
    assert [short_size(size) for size in (16, 1000, 1024, 102400)] == ['16', '1000', '1k', '100k']


def test_work_arrives_as_it_was_sent() -> None:
    work = Work('module:factory', 'tls', Place('a path', 'a certificate', 'a key'), concurrency=7, seconds=0.5)
    assert Work.decode(work.encode()) == work


# Turns

SERVED = [name for name, workload in WORKLOADS.items() if workload.load in ('echo', 'reconnect')]


@pytest.mark.usefixtures('without_warm_up')
@pytest.mark.parametrize('name', SERVED)
def test_workload_is_done_by_every_loop_and_by_the_limit(equipment: Equipment, name: str) -> None:
    case = one_case(name)
    available(equipment, tls=case.workload.transport == 'tls')
    loops = {'asyncio': 'asyncio:new_event_loop', 'sooner': 'sooner:new_event_loop'}
    results = measure(loops, [case], SHORT, command='test')
    assert list(results.rows) == [case.name, f'{case.name}-cpu']
    for row in results.rows.values():
        for loop in (*loops, LIMIT):
            figure = row.figures[loop]
            assert (figure.error, figure.missing) == (None, None)
            assert [len(samples) for samples in figure.rounds] == [1]
            assert figure.median
            assert figure.median > 0
    ours = results.loops['sooner']
    assert (ours.version, ours.compiled) == (sooner.__version__, sooner.build_info().compiled)
    assert results.loops[LIMIT] == LoopInfo(LIMIT_FACTORY)


@pytest.mark.usefixtures('without_warm_up')
def test_programs_that_a_loop_starts_are_counted() -> None:
    case = one_case('spawn', connections=2)
    results = measure({'asyncio': 'asyncio:new_event_loop'}, [case], Plan(1, 0.3, 1), command='test')
    assert results.rows[case.name].figures['asyncio'].error is None
    assert results.rows[case.name].figures['asyncio'].median
    assert results.rows[case.name].figures[LIMIT].missing == 'nobody wrote that in C'


@pytest.mark.usefixtures('without_warm_up')
@pytest.mark.parametrize('name', ['idle', 'idle_streams'])
def test_open_connections_are_weighed(equipment: Equipment, name: str) -> None:
    available(equipment)
    case = one_case(name, connections=500)
    results = measure({'asyncio': 'asyncio:new_event_loop'}, [case], SHORT, command='test')
    weights = {loop: figure.median for loop, figure in results.rows[case.name].figures.items()}
    assert weights['asyncio'] is not None
    assert weights[LIMIT] is not None
    assert weights['asyncio'] > weights[LIMIT] >= 0  # a Python object is larger than a struct


@pytest.mark.usefixtures('without_warm_up')
@pytest.mark.parametrize(('name', 'program'), [('uvicorn', 'wrk'), ('aiohttp', 'wrk'), ('redis', 'redis-server')])
def test_libraries_are_measured_where_they_are_installed(name: str, program: str) -> None:
    check_library(name, program)


@pytest.mark.usefixtures('without_warm_up')
def test_postgres_is_started_by_whoever_may() -> None:
    check_library('asyncpg', 'initdb', '/usr/lib/postgresql/*/bin')


def check_library(name: str, program: str, elsewhere: str = '') -> None:
    case = one_case(name)
    missing = [package for package in case.workload.packages if importlib.util.find_spec(package) is None]
    try:
        find_program(program, program, elsewhere)
    except MissingError:
        missing.append(program)
    figure = measure({'asyncio': 'asyncio:new_event_loop'}, [case], SHORT, command='test').rows[case.name].figures
    if missing:
        assert 'is not installed' in (figure['asyncio'].missing or '')
    else:
        assert (figure['asyncio'].error, figure['asyncio'].missing) == (None, None)
        assert figure['asyncio'].median


@pytest.mark.usefixtures('without_warm_up')
@pytest.mark.parametrize(
    ('factory', 'error', 'missing'),
    [
        ('without_servers', None, 'Protocol: NotImplementedError: no servers here'),
        ('that_answers_wrong', 'echo_load: connection 0 got something else than it sent', None),
        ('that_drops_connections', 'echo_load: connection 0 was closed before its answer', None),
        ('that_fails_while_serving', "TypeError: 'NoneType' object is not callable", None),
        ('that_crashes', 'the worker ended with status 7', None),
        ('that_is_not_there', "AttributeError: module 'failing' has no attribute 'that_is_not_there'", None),
    ],
)
def test_failing_loop_costs_its_figures_alone(
    equipment: Equipment, factory: str, error: str | None, missing: str | None
) -> None:
    available(equipment)
    case = one_case('protocol', connections=1)
    loops = {'failing': f'failing:{factory}', 'asyncio': 'asyncio:new_event_loop'}
    results = measure(loops, [case], Plan(rounds=2, seconds=0.05, samples=1), command='test')
    for row in results.rows.values():
        assert (row.figures['failing'].error, row.figures['failing'].missing) == (error, missing)
        assert row.figures['failing'].median is None
        assert len(row.figures['asyncio'].rounds) == 2


@pytest.mark.usefixtures('without_warm_up')
def test_other_loops_serve_without_sooner(equipment: Equipment, tmp_path: Path) -> None:
    available(equipment)
    (tmp_path / 'strict_loop.py').write_text(
        'import asyncio, sys\n'
        'def new_event_loop():\n'
        '    assert not [name for name in sys.modules if name.partition(".")[0] in ("sooner", "typer", "rich")]\n'
        '    return asyncio.new_event_loop()\n'
    )
    case = one_case('protocol')
    results = measure({'strict': 'strict_loop:new_event_loop'}, [case], SHORT, command='test')
    assert results.rows[case.name].figures['strict'].error is None


@pytest.mark.parametrize(
    ('usable', 'cores', 'chosen'),
    [
        ({3}, {3: {3}}, (None, None)),
        ({0, 1}, {0: {0}, 1: {1}}, (0, 1)),
        ({0, 1, 2, 3}, {0: {0, 1}}, (0, 2)),  # 1 is the other half of 0
        ({0, 1}, {0: {0, 1}}, (0, 1)),  # better half a core than none
    ],
)
def test_server_and_load_have_a_core_each_where_there_are_two(
    monkeypatch: pytest.MonkeyPatch, usable: set[int], cores: dict[int, set[int]], chosen: tuple[int | None, int | None]
) -> None:
    monkeypatch.setattr(os, 'sched_getaffinity', lambda process: usable)
    monkeypatch.setattr(turns, 'same_core', lambda processor: cores[processor])
    assert turns.choose_processors() == chosen


# Results


def example(*, ours: float = 240.0, compiled: bool = True, command: str = 'sooner bench --echo') -> Results:
    """Results with every case: sooner answers `ours` requests a second, the others as many as their names say here."""
    rates = {'asyncio': 60.0, 'uvloop': 80.0, 'rloop': 100.0, 'sooner': ours, LIMIT: 250.0}
    loops = {name: LoopInfo(f'{name}:new_event_loop') for name in rates}
    loops['sooner'] = LoopInfo('sooner:new_event_loop', 'Loop', '1.0', compiled)
    rows = {}
    for workload in WORKLOADS.values():
        for case in workload.cases(SIZES, CONNECTIONS):
            for name, (title, unit) in case.rows.items():
                values = rates if unit == 'requests/s' else {loop: 1e6 / rate for loop, rate in rates.items()}
                rows[name] = Row(title, unit, {loop: Figure([[value], [value]]) for loop, value in values.items()})
    return Results(command, 'CPython 3.13.0', 'a machine', loops, rows)


def test_more_requests_are_better_and_less_time_is() -> None:
    rows = example().rows
    assert rows['protocol-1k-50'].best_peer() == ('rloop', 100.0)  # the limit is no peer
    assert rows['protocol-1k-50'].ratio() == pytest.approx(2.4)
    assert rows['protocol-1k-50'].times_better(OURS, LIMIT) == pytest.approx(0.96)
    assert rows['protocol-1k-50-cpu'].best_peer() == ('rloop', 1e4)
    assert rows['protocol-1k-50-cpu'].ratio() == pytest.approx(2.4)
    assert rows['idle-1k-1000'].ratio(['asyncio']) == pytest.approx(4)


def test_results_come_back_from_json_as_they_were(tmp_path: Path) -> None:
    results = example()
    results.rows['tls-1k-50'].figures['rloop'] = Figure(missing='no TLS')
    results.save(tmp_path / 'results.json')
    assert Results.load(tmp_path / 'results.json') == results


def shown(results: Results) -> str:
    pytest.importorskip('rich')
    from rich.console import Console

    from sooner.cli.table import results_table

    console = Console(width=200, record=True, file=io.StringIO())
    console.print(results_table(results))
    return console.export_text()


def test_table_has_a_part_for_each_unit_and_says_what_is_missing_once() -> None:
    results = example()
    for name in ('tls-1k-1', 'tls-1k-50', 'tls-1k-1-cpu', 'tls-1k-50-cpu'):
        results.rows[name].figures['rloop'] = Figure(missing='no TLS')
        results.rows[name].figures[LIMIT] = Figure(missing='no TLS')
    text = shown(results)
    for heading in ('requests per second', 'processor time, ns per request', 'bytes each', 'vs best', 'vs C'):
        assert text.count(heading) == 1
    assert text.count('- on rloop, C: no TLS') == 1
    line = next(line for line in text.splitlines() if line.strip().startswith('Protocol, 1 KiB, 50 connections'))
    assert line.split()[-8:] == ['60', '80', '100', '240', '250', '2.40x', '0%', '0.96']
    line = next(line for line in text.splitlines() if line.strip().startswith('TLS, Protocol, 1 KiB, 50 connections'))
    assert line.split()[-7:] == ['60', '80', '-', '240', '-', '3.00x', '0%']


def test_plot_shows_every_workload_and_the_limit(tmp_path: Path) -> None:
    pytest.importorskip('matplotlib')
    from sooner.bench.plot import draw

    draw(example(), tmp_path / 'plot.svg')
    drawn = (tmp_path / 'plot.svg').read_text()
    for text in ('sooner 1.0', LIMIT, 'TLS, streams, 100 KiB, 500 connections', 'run /bin/true, 8 under way'):
        assert f'<!-- {text} -->' in drawn
    assert drawn.count('<!-- TLS, streams, 100 KiB, 500 connections -->') == 1
    assert 'idle' not in drawn


# Bars and tables


def judge(results: Results, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    results.save(tmp_path / 'results.json')
    command = [sys.executable, str(BENCHMARKS / 'bars.py'), str(tmp_path / 'results.json')]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_every_bar_is_for_something_that_is_measured() -> None:
    bars = tomllib.loads((BENCHMARKS / 'bars.toml').read_text())['echo']
    for pattern in (pattern for bar in bars for pattern in bar['rows']):
        assert any(fnmatchcase(name, pattern) for name in example().rows), pattern


def test_bars_are_passed_by_results_above_them(tmp_path: Path) -> None:
    verdict = judge(example(), tmp_path)
    assert verdict.returncode == 0, verdict.stdout
    assert 'FAIL' not in verdict.stdout
    for line in (
        'pass  protocol-1k-50         0.96x the speed of C, bar 0.90x',
        'pass  protocol-1k-50         2.40x the speed of rloop, bar 1.03x',
        'pass  tls_fresh-1k-50        3.00x the speed of uvloop, bar 2.00x',
        'pass  tls_streams-1k-50      0.96x the speed of C, bar 0.70x',
        'pass  streams-100k-500       3.00x the speed of uvloop, bar 1.00x',
        'pass  spawn-8                2.40x the speed of rloop, bar 1.00x',
    ):
        assert line in verdict.stdout
    assert '-cpu' not in verdict.stdout


def test_bars_fail_results_below_them_and_what_was_not_measured(tmp_path: Path) -> None:
    results = example(ours=110)
    del results.rows['connect-1k-50']
    results.rows['udp-1k-50'].figures['sooner'] = Figure(error='failed')
    verdict = judge(results, tmp_path)
    assert verdict.returncode == 1
    for line in (
        'FAIL  protocol-1k-50         0.44x the speed of C, bar 0.90x',
        'FAIL  sockets-1k-50          1.10x the speed of rloop, bar 1.60x',
        'pass  unix-1k-50             1.10x the speed of rloop, bar 1.00x',
        'FAIL  connect-*              not measured',
        'FAIL  udp-1k-50              not measured',
    ):
        assert line in verdict.stdout


@pytest.mark.parametrize('fault', [{'compiled': False}, {'command': 'sooner bench --echo --quick'}])
def test_bars_do_not_accept_a_run_that_does_not_count(tmp_path: Path, fault: dict[str, Any]) -> None:
    verdict = judge(example(**fault), tmp_path)
    assert verdict.returncode == 1
    assert 'DOES NOT COUNT' in verdict.stdout


def test_tables_are_written_between_their_comments(tmp_path: Path) -> None:
    (tmp_path / 'benchmarks').mkdir()
    (tmp_path / 'docs').mkdir()
    script = tmp_path / 'benchmarks' / 'tables.py'
    script.write_bytes((BENCHMARKS / 'tables.py').read_bytes())
    pages = [tmp_path / 'README.md', tmp_path / 'docs' / 'performance.md']
    for page in pages:
        page.write_text('before\n\n<!-- echo -->\nold\n<!-- /echo -->\n\nafter\n')
    example().save(tmp_path / 'results.json')
    subprocess.run([sys.executable, str(script), str(tmp_path / 'results.json')], check=True, timeout=PATIENCE)
    for page in pages:
        text = page.read_text()
        assert text.startswith('before\n\n<!-- echo -->\n\n`sooner bench --echo` on CPython 3.13.0, a machine')
        assert text.endswith('\n\n<!-- /echo -->\n\nafter\n')
        assert '| Protocol, 1 KiB, 50 connections | 60 | 80 | 100 | 240 | 250 | 2.40x | 0.96 |' in text
    readme, performance = (page.read_text() for page in pages)
    assert '10 KiB' not in readme
    assert '| TLS, streams, 100 KiB, 500 connections |' in performance


# The command


def test_command_shows_and_saves_what_was_asked_for(equipment: Equipment, run_command: Command, tmp_path: Path) -> None:
    available(equipment)
    file = tmp_path / 'results.json'
    asked = ['--only', 'protocol,streams-16-*', '--sizes', '16,2k', '--connections', '3', '--seconds', '0.05']
    done = run_command('bench', '--echo', *asked, '--rounds', '1', '--json', str(file))
    assert done.returncode == 0, done.stderr
    results = Results.load(file)
    cases = ['protocol-16-3', 'protocol-2k-3', 'streams-16-3']
    assert list(results.rows) == [name for case in cases for name in (case, f'{case}-cpu')]
    assert list(results.loops)[-1] == LIMIT
    for text in ('requests per second', 'Protocol, 2 KiB, 3 connections', 'asyncio', sooner.__version__):
        assert text in done.stdout


def test_command_that_measures_nothing_has_failed(run_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('CC', 'no-such-compiler')
    done = run_command('bench', '--echo', '--quick', '--only', 'protocol')
    assert done.returncode == 1
    assert "there is no C compiler 'no-such-compiler'" in done.stdout


@pytest.mark.parametrize(
    ('arguments', 'explanation'),
    [
        (['--echo', '--only', 'nothing'], "no workload is called 'nothing'. There are: protocol, buffered, "),
        (['--echo', '--only', 'protocol-7k-*'], 'at a size and number of connections: protocol-1k-1'),
        (['--echo', '--sizes', '1k,large'], "'large' is no size of a message"),
        (['--echo', '--sizes', '8'], "'8' is no size of a message"),
        (['--echo', '--connections', '0'], "'0' is no list of numbers from 1 to 10000"),
        (['--echo', '--connections', '1,,2'], "'1,,2' is no list of numbers"),
        (['--echo', '--seconds', '0'], '--seconds'),
        (['--echo', '--loop', 'uvloop'], "'uvloop' does not say where the loop comes from"),
        (['--sizes', '1k'], 'this is for servers: add --echo'),
        (['--connections', '1'], 'this is for servers: add --echo'),
        (['--seconds', '1'], 'this is for servers: add --echo'),
    ],
)
def test_wrong_options_are_explained(run_command: Command, arguments: list[str], explanation: str) -> None:
    done = run_command('bench', *arguments)
    assert done.returncode == 2
    assert explanation in ' '.join(done.stderr.replace('│', '').split())
