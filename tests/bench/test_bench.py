"""The benchmark measures what it says, alike for every loop, and loses nothing. No test judges a time."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE

import sooner
from sooner.bench import worker
from sooner.bench.operations import OPERATIONS, Loop, Operation
from sooner.bench.results import Figure, LoopInfo, Results, Row
from sooner.bench.rounds import Plan, installed_loops, measure

BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'
SHORT = Plan(rounds=1, seconds=0.0, samples=1)

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=['asyncio', 'sooner'])
def loop(request: pytest.FixtureRequest) -> Iterator[Loop]:
    made: Loop = {'asyncio': asyncio.new_event_loop, 'sooner': sooner.new_event_loop}[request.param]()
    yield made
    made.run_until_complete(made.shutdown_default_executor())
    made.close()


# Operations


@pytest.mark.parametrize('name', OPERATIONS)
def test_operation_comes_to_its_end(loop: Loop, name: str) -> None:
    operation = OPERATIONS[name]
    awaitable = operation.run(loop, operation.multiple)
    if inspect.iscoroutine(awaitable):
        held = loop.run_until_complete(awaitable)
        for future in held or []:
            future.set_result(None)
        loop.run_until_complete(asyncio.sleep(0))


@pytest.mark.parametrize('name', [name for name in OPERATIONS if OPERATIONS[name].unit == 'bytes'])
def test_what_is_weighed_is_pending_and_as_much_as_was_said(loop: Loop, name: str) -> None:
    held = worker.build(loop, OPERATIONS[name], 7)
    assert len(held) == 7
    assert not any(future.done() for future in held)
    for future in held:
        future.set_result(None)
    loop.run_until_complete(asyncio.sleep(0))


def test_waiting_tasks_are_weighed_with_their_futures(loop: Loop) -> None:
    async def count_while_waiting() -> int:
        held = await operation.run(loop, 5)  # type: ignore[misc]
        tasks = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
        for future in held:
            future.set_result(None)
        await asyncio.wait(tasks)
        return len(tasks)

    operation = OPERATIONS['pending_task']
    assert loop.run_until_complete(count_while_waiting()) == 5


# The worker


class Clock:
    """A worker's run_once() that takes a microsecond for each repetition, and remembers how many it was asked for."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def __call__(self, loop: Loop, operation: Operation, count: int) -> int:
        self.counts.append(count)
        return count * 1000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(worker, 'run_once', clock)
    return clock


@pytest.mark.parametrize('multiple', [100, 10_000])
def test_sample_repeats_until_it_lasts_as_long_as_asked(clock: Clock, multiple: int) -> None:
    operation = Operation(OPERATIONS['gather'].run, 'title', multiple=multiple)
    found = worker.time_samples(asyncio.AbstractEventLoop(), operation, seconds=0.1, samples=3)
    assert found['samples'] == [1000.0] * 3
    assert found['count'] >= 100_000
    assert found['count'] % multiple == 0
    assert clock.counts[-3:] == [found['count']] * 3
    assert len(clock.counts) > 3  # it was warmed up


def test_million_is_measured_once_and_is_a_million(clock: Clock) -> None:
    found = worker.time_samples(asyncio.AbstractEventLoop(), OPERATIONS['million_timers_fire'], seconds=0.1, samples=3)
    assert clock.counts == [1_000_000]
    assert found['samples'] == [1000.0]


@pytest.mark.skipif(sys.platform != 'linux', reason='memory is read from /proc')
def test_memory_is_that_of_one_object() -> None:
    figure = measure({'asyncio': 'asyncio:new_event_loop'}, [OPERATIONS['pending_future']], SHORT, command='test').rows[
        'pending_future'
    ]
    median = figure.figures['asyncio'].median
    future = asyncio.new_event_loop()
    size = sys.getsizeof(future.create_future())
    future.close()
    assert median is not None
    assert size <= median < 3 * size


# Turns


def test_loops_take_turns_at_each_operation() -> None:
    turns = []
    measure(
        {'a': 'asyncio:new_event_loop', 'b': 'asyncio:new_event_loop'},
        [OPERATIONS['future_result'], OPERATIONS['await_done']],
        Plan(rounds=2, seconds=0.0, samples=1),
        command='test',
        progress=lambda operation, loop, results: turns.append((operation.name, loop)),
    )
    assert turns == [(name, loop) for name in ('future_result', 'await_done') for _ in range(2) for loop in 'ab']


def test_each_turn_gives_its_samples_and_says_who_ran() -> None:
    results = measure(
        {'asyncio': 'asyncio:new_event_loop', 'sooner': 'sooner:new_event_loop'},
        [OPERATIONS['future_result']],
        Plan(rounds=2, seconds=0.0, samples=3),
        command='the command',
    )
    assert [len(samples) for samples in results.rows['future_result'].figures['sooner'].rounds] == [3, 3]
    ours = results.loops['sooner']
    assert (ours.version, ours.compiled) == (sooner.__version__, sooner.build_info().compiled)
    assert results.loops['asyncio'].compiled is None
    assert results.command == 'the command'


def test_uncompiled_sooner_is_reported_by_the_process_that_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SOONER_PURE', '1')
    results = measure({'sooner': 'sooner:new_event_loop'}, [OPERATIONS['future_result']], SHORT, command='test')
    assert results.loops['sooner'].compiled is False


def test_other_loops_are_measured_without_sooner(tmp_path: Path) -> None:
    (tmp_path / 'strict_loop.py').write_text(
        'import asyncio, sys\n'
        'def new_event_loop():\n'
        '    assert not [name for name in sys.modules if name.partition(".")[0] in ("sooner", "typer", "rich")]\n'
        '    return asyncio.new_event_loop()\n'
    )
    results = measure({'strict': 'strict_loop:new_event_loop'}, [OPERATIONS['future_result']], SHORT, command='test')
    assert results.rows['future_result'].figures['strict'].error is None


@pytest.mark.parametrize(
    ('factory', 'operation', 'error'),
    [
        ('without_futures', 'future_result', 'NotImplementedError: no futures here'),
        ('without_threads', 'call_soon_threadsafe', 'NotImplementedError: no threads here'),
        ('that_crashes', 'future_result', 'the worker ended with status 7'),
        ('that_is_not_there', 'future_result', "AttributeError: module 'failing' has no attribute 'that_is_not_there'"),
    ],
)
def test_failing_loop_costs_its_figure_alone(factory: str, operation: str, error: str) -> None:
    loops = {'failing': f'failing:{factory}', 'asyncio': 'asyncio:new_event_loop'}
    figures = (
        measure(loops, [OPERATIONS[operation]], Plan(rounds=2, seconds=0.0, samples=1), command='test')
        .rows[operation]
        .figures
    )
    assert (figures['failing'].error, figures['failing'].median) == (error, None)
    assert figures['asyncio'].error is None
    assert len(figures['asyncio'].rounds) == 2


def test_loops_that_are_not_installed_are_left_out() -> None:
    loops = installed_loops()
    assert loops['asyncio'] == 'asyncio:new_event_loop'
    for name in ('uvloop', 'rloop'):
        assert (name in loops) == (importlib.util.find_spec(name) is not None)


# Results


def example(
    *, ours: float = 100.0, compiled: bool | None = True, python: str = 'CPython 3.13.0', command: str = 'sooner bench'
) -> Results:
    """Results with every operation: asyncio needs 1000, uvloop 500, rloop 400, sooner `ours`."""
    needs = {'asyncio': 1000.0, 'uvloop': 500.0, 'rloop': 400.0, 'sooner': ours}
    loops = {
        name: LoopInfo(f'{name}:new_event_loop', 'Loop', '1.0', compiled if name == 'sooner' else None)
        for name in needs
    }
    rows = {
        name: Row(
            operation.title, operation.unit, {loop: Figure([[need, need], [need]]) for loop, need in needs.items()}
        )
        for name, operation in OPERATIONS.items()
    }
    return Results(command, python, 'a machine', loops, rows)


def test_median_is_that_of_the_rounds_medians() -> None:
    figure = Figure([[1.0, 2.0, 90.0], [4.0], [3.0, 3.0, 3.0]])
    assert figure.median == 3.0
    assert figure.spread == pytest.approx((4 - 2) / 3)
    assert Figure().median is None
    assert Figure([[5.0, 6.0]]).spread is None  # one round knows nothing of the others


def test_ratio_is_against_the_best_peer() -> None:
    row = example().rows['gather']
    assert row.best_peer() == ('rloop', 400.0)
    assert row.ratio() == 4.0
    assert row.ratio(['asyncio', 'uvloop']) == 5.0


def test_ratio_needs_both_sides() -> None:
    row = example().rows['gather']
    assert row.ratio(['missing']) is None
    row.figures['sooner'] = Figure(error='failed')
    assert row.ratio() is None
    del row.figures['sooner']
    assert row.ratio() is None


def test_results_come_back_from_json_as_they_were(tmp_path: Path) -> None:
    results = example()
    results.rows['gather'].figures['uvloop'].error = 'failed'
    results.save(tmp_path / 'results.json')
    assert Results.load(tmp_path / 'results.json') == results
    assert json.loads((tmp_path / 'results.json').read_text())['rows']['gather']['figures']['rloop']['median'] == 400.0


def test_plot_shows_every_timed_operation_and_every_loop(tmp_path: Path) -> None:
    pytest.importorskip('matplotlib')
    from sooner.bench.plot import draw

    results = example(compiled=False)
    draw(results, tmp_path / 'plot.png')
    assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')
    draw(results, tmp_path / 'plot.svg')
    drawn = (tmp_path / 'plot.svg').read_text()
    for text in ('uvloop 1.0', 'sooner 1.0 (uncompiled)', 'gather of 100, per task'):
        assert f'<!-- {text} -->' in drawn
    assert 'memory of' not in drawn


# Bars


def judge(results: Results, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    results.save(tmp_path / 'results.json')
    command = [sys.executable, str(BENCHMARKS / 'bars.py'), str(tmp_path / 'results.json')]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_every_operation_has_a_bar() -> None:
    bars = tomllib.loads((BENCHMARKS / 'bars.toml').read_text())
    assert {*bars['at_least'], *bars['smaller_than']} == set(OPERATIONS)


def test_bars_are_passed_by_results_above_them(tmp_path: Path) -> None:
    verdict = judge(example(ours=100), tmp_path)
    assert verdict.returncode == 0, verdict.stdout
    assert 'FAIL' not in verdict.stdout
    assert 'pass  gather                 4.00x the speed of rloop, bar 1.80x' in verdict.stdout


def test_bars_fail_results_below_them(tmp_path: Path) -> None:
    verdict = judge(example(ours=300), tmp_path)
    assert verdict.returncode == 1
    assert 'FAIL  gather                 1.33x the speed of rloop, bar 1.80x' in verdict.stdout
    assert 'pass  call_later_fire        1.33x the speed of rloop, bar 1.00x' in verdict.stdout


def test_bars_fail_memory_that_is_not_below_the_standard_librarys(tmp_path: Path) -> None:
    verdict = judge(example(ours=1000), tmp_path)
    assert 'FAIL  pending_future         1000 bytes, asyncio 1000' in verdict.stdout


def test_bars_fail_what_was_not_measured(tmp_path: Path) -> None:
    results = example()
    del results.rows['gather']
    results.rows['task_group'].figures['sooner'] = Figure(error='failed')
    verdict = judge(results, tmp_path)
    assert verdict.returncode == 1
    assert verdict.stdout.count('not measured') == 2


@pytest.mark.parametrize(
    'fault', [{'compiled': False}, {'python': 'CPython 3.12.1'}, {'command': 'sooner bench --quick'}]
)
def test_bars_do_not_accept_a_run_that_does_not_count(tmp_path: Path, fault: dict[str, Any]) -> None:
    verdict = judge(example(**fault), tmp_path)
    assert verdict.returncode == 1
    assert 'DOES NOT COUNT' in verdict.stdout


# The command


def test_command_shows_and_saves_what_was_asked_for(run_command: Command, tmp_path: Path) -> None:
    file = tmp_path / 'results.json'
    arguments = ['bench', '--quick', '--rounds', '1', '--only', 'future_re*,await_done', '--json', str(file)]
    done = run_command(*arguments)
    assert done.returncode == 0, done.stderr
    results = Results.load(file)
    assert list(results.rows) == ['future_result', 'await_done']
    assert results.command == f'sooner {shlex.join(arguments)}'
    for text in ('create_future, set_result, result', 'await a done future', 'asyncio', sooner.__version__):
        assert text in done.stdout


def test_command_says_that_sooner_ran_uncompiled(run_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SOONER_PURE', '1')
    done = run_command('bench', '--quick', '--rounds', '1', '--only', 'future_result')
    assert 'sooner ran uncompiled' in done.stdout
    assert '(uncompiled)' in done.stdout


def test_command_measures_a_loop_it_is_told_of(run_command: Command) -> None:
    arguments = ['bench', '--quick', '--rounds', '1', '--only', 'future_result', '--loop']
    done = run_command(*arguments, 'other=asyncio:SelectorEventLoop')
    assert done.returncode == 0
    assert 'other' in done.stdout
    failed = run_command(*arguments, 'failing:without_futures')
    assert failed.returncode == 1
    assert 'failed on failing: NotImplementedError: no futures here' in failed.stdout


@pytest.mark.parametrize(
    ('arguments', 'explanation'),
    [
        (['--only', 'nothing'], "no operation is called 'nothing'. There are: call_soon_chain, "),
        (['--loop', 'uvloop'], "'uvloop' does not say where the loop comes from"),
        (['--rounds', '0'], '--rounds'),
    ],
)
def test_wrong_options_are_explained(run_command: Command, arguments: list[str], explanation: str) -> None:
    done = run_command('bench', *arguments)
    assert done.returncode == 2
    assert explanation in done.stderr


def test_demo_shows_the_programs_and_the_race(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('typer')
    pytest.importorskip('rich')
    from sooner.cli import demo

    monkeypatch.setattr(demo, '_RACED', ('future_result', 'await_done'))
    monkeypatch.setattr(demo, 'QUICK', SHORT)
    assert demo.demo() == 0
    shown = capsys.readouterr().out
    for line in (
        'sooner run asyncio_future_callback.py',
        "returned result: 'the result'",
        '2: future done: the result',
        'await a done future',
    ):
        assert line in shown
