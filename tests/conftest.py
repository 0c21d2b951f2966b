"""Loops of every kind for the tests, and the rule that nothing goes wrong unseen.

Every loop that a fixture makes hands what nobody handled to `reports`. A test that does not ask for `reports` fails if
something is in it.
"""

from __future__ import annotations

import faulthandler
import gc
import inspect
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from implementations import OURS, STOCK
from patience import HANG, PATIENCE

import sooner


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for `ours` with each driver, and what asks for `each` on asyncio too: that is the oracle."""
    ours = list(OURS.values())
    for fixture, implementations in (('ours', ours), ('each', [STOCK, *ours])):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, implementations, ids=[each.name for each in implementations], scope='session')


def pytest_report_header() -> str:
    info = sooner.build_info()
    return f'sooner: {"compiled" if info.compiled else "uncompiled"}, {info.python}, driver {info.driver}'


@pytest.fixture(scope='session', autouse=True)
def _expected_build() -> None:
    """Fail if the files under test are not the ones that SOONER_EXPECT (compiled or pure) or SOONER_PURE ask for."""
    expected = os.environ.get('SOONER_EXPECT')
    if expected is None and os.environ.get('SOONER_PURE', '') not in ('', '0'):
        expected = 'pure'
    if expected is None:
        return
    assert expected in ('compiled', 'pure'), f'SOONER_EXPECT is {expected!r}'
    wrong = {
        name: file
        for name, file in sooner.build_info().modules.items()
        if (Path(file).suffix == '.py') != (expected == 'pure')
    }
    assert not wrong, f'these modules are not {expected}: {wrong}'


@pytest.fixture(scope='session', autouse=True)
def _interruptible() -> Iterator[None]:
    """Have SIGINT do here, and in the programs that tests start, what it does in a terminal.

    A shell without job control has what it runs in the background ignore it, and so all that this starts.
    """
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.fixture(scope='module', autouse=True)
def _quick_collections() -> Iterator[None]:
    """Let gc.collect() look at what these tests make only, not at all that was imported, and left by others, before."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope='session')
def _terminal(request: pytest.FixtureRequest) -> Iterator[int]:
    """The standard error that pytest does not capture."""
    with request.config.pluginmanager.getplugin('capturemanager').global_and_fixture_disabled():  # type: ignore[union-attr]
        terminal = os.dup(2)
    yield terminal
    os.close(terminal)


@pytest.fixture(autouse=True)
def _no_hang(_terminal: int) -> Iterator[None]:
    faulthandler.dump_traceback_later(HANG, exit=True, file=_terminal)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def reports(request: pytest.FixtureRequest) -> Iterator[list[dict[str, Any]]]:
    """The contexts that reached the exception handler of this test's loops."""
    contexts: list[dict[str, Any]] = []
    yield contexts
    if 'reports' not in inspect.signature(request.function).parameters:
        gc.collect()
        assert not contexts, 'an exception reached the exception handler that the test did not ask for'


class LoopMaker:
    """Makes loops, and closes them when the test is over."""

    def __init__(self, reports: list[dict[str, Any]]) -> None:
        self._reports = reports
        self._loops: list[Any] = []

    def __call__(self, make: Callable[[], Any]) -> Any:
        loop = make()
        loop.set_exception_handler(lambda loop, context: self._reports.append(context))
        self._loops.append(loop)
        return loop

    def close(self) -> None:
        for loop in self._loops:
            loop.close()


@pytest.fixture
def make_loop(reports: list[dict[str, Any]]) -> Iterator[LoopMaker]:
    """Makes more loops for a test."""
    maker = LoopMaker(reports)
    yield maker
    maker.close()


@pytest.fixture
def loop(request: pytest.FixtureRequest, make_loop: LoopMaker) -> Any:
    """A loop of the implementation that the test asks for by `ours` or `each`; else sooner's with the usual driver."""
    for name in ('ours', 'each'):
        if name in request.fixturenames:
            return make_loop(request.getfixturevalue(name).make_loop)
    return make_loop(sooner.new_event_loop)


@pytest.fixture
def not_in_debug_mode(loop: Any) -> None:
    """For tests of what debug mode would change, which may be on from the start: PYTHONASYNCIODEBUG, python -X dev."""
    loop.set_debug(False)


@pytest.fixture
def run(loop: Any) -> Callable[[Any], Any]:
    """Run an awaitable in the loop."""
    result: Callable[[Any], Any] = loop.run_until_complete
    return result


@pytest.fixture
def turn(loop: Any) -> Callable[..., None]:
    """Run some turns of the loop, each with what is ready when it begins."""

    def turn(count: int = 1) -> None:
        for _ in range(count):
            loop.stop()
            loop.run_forever()

    return turn


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program in a new interpreter, with the same sooner; it may end in any way."""
    package = str(Path(sooner.__file__).parent.parent)

    def python(source: str, *args: str, options: tuple[str, ...] = (), **kwargs: Any) -> Any:
        script = tmp_path / 'program.py'
        script.write_text(source)
        environment = {**os.environ, **kwargs.pop('env', {})}
        environment['PYTHONPATH'] = os.pathsep.join(filter(None, [package, environment.get('PYTHONPATH')]))
        return subprocess.run(
            [sys.executable, *options, str(script), *args],
            env=environment,
            capture_output=True,
            text=True,
            **{'timeout': PATIENCE, **kwargs},
        )

    return python
