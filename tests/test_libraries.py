"""What `make libraries` says of tests that pass, fail, crash, hang, or use another loop; and its page."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / 'tests' / 'libraries'))

from runner import environments, execution, report, suites  # noqa: E402
from runner.comparison import Comparison, compare, judge  # noqa: E402
from runner.execution import Executor, Outcome, Run  # noqa: E402
from runner.suites import Exemption, Suite  # noqa: E402

ENDINGS = """
import asyncio, os, signal, sys, time
import pytest

@pytest.fixture
def broken():
    raise KeyError('lost')

def on_sooner():
    loop = asyncio.new_event_loop()
    loop.close()
    return type(loop).__module__.startswith('sooner')

def test_passes():
    assert asyncio.run(asyncio.sleep(0, 1))

def test_fails():
    assert 1 == 2, 'as it should'

def test_has_an_error(broken):
    pass

def test_is_skipped():
    pytest.skip('not here')

def test_crashes():
    os.kill(os.getpid(), signal.SIGKILL)

def test_hangs():
    time.sleep(60)

def test_passes_after_them():
    pass

def test_passes_on_asyncio_alone():
    assert not on_sooner()

def test_passes_the_second_time():
    asyncio.run(asyncio.sleep(0))
    file = os.path.join(os.path.dirname(__file__), 'seen')
    if not os.path.exists(file):
        open(file, 'w').close()
        raise ValueError('not yet')

def test_selector_loop():
    loop = asyncio.SelectorEventLoop()
    loop.close()
    assert type(loop).__module__.startswith('sooner') == on_sooner()
    assert isinstance(loop, asyncio.AbstractEventLoop)
"""


def names(tests: dict[str, Outcome]) -> dict[str, str]:
    return {test.partition('::test_')[2]: outcome.outcome for test, outcome in tests.items()}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a suite of these tests, which runs in this interpreter's own environment."""
    (tmp_path / 'test_endings.py').write_text(ENDINGS)
    monkeypatch.setattr(execution, 'make_environment', lambda suite: Path(sys.executable).parent)
    monkeypatch.setattr(execution, 'unpack_source', lambda suite, where: tmp_path)
    monkeypatch.setattr(execution, 'BUILD', tmp_path / 'build')

    def make(*tests: str, **options: Any) -> Suite:
        chosen = tuple(f'test_endings.py::test_{test}' for test in tests) or ('test_endings.py',)
        return Suite('toy', 'toy', '', ('toy==1',), ('--rootdir=.', '-c', os.devnull, *chosen), **options)

    return make


def test_each_ending_is_told_apart_and_costs_no_other_test(toy: Any) -> None:
    compared = compare(toy(selector_loop=True, test_timeout=5.0), 'sooner', both=False)
    assert names(compared.own.tests) == {
        'passes': 'passed',
        'fails': 'failed',
        'has_an_error': 'error',
        'is_skipped': 'skipped',
        'crashes': 'crashed',
        'hangs': 'hung',
        'passes_after_them': 'passed',
        'passes_on_asyncio_alone': 'failed',
        'passes_the_second_time': 'passed',
        'selector_loop': 'passed',
    }
    assert compared.own.tests['test_endings.py::test_fails'].why == 'AssertionError: as it should'
    assert (compared.own.passed, compared.own.applicable) == (4, 9)
    assert compared.own.valid
    assert set(compared.own.loops) == {'sooner.eventloop.Loop'}
    assert names(compared.lost) == {'passes_on_asyncio_alone': 'failed'}
    assert compared.second_attempts == ['test_endings.py::test_passes_the_second_time (sooner)']


def test_whole_run_has_a_time_limit(toy: Any) -> None:
    limit, run = 0.25, Run()
    while not run.tests and limit < PATIENCE:  # the test may not have begun when the time is over
        limit *= 2
        run = Executor(toy('hangs', timeout=limit)).run('asyncio')
        assert run.notes == [f'ended after {limit:g} s']
    assert names(run.tests)['hangs'] == 'hung'


def run_of(**outcomes: str) -> Run:
    tests = {name: Outcome(outcome) for name, outcome in outcomes.items()}
    return Run(tests, loops=Counter({'sooner.Loop': 1}), wanted='sooner.Loop')


@pytest.fixture
def suite() -> Suite:
    """A suite whose test `meant` is meant to be different."""
    return Suite('toy', 'toy', '', ('toy==1',), (), different=(Exemption(('meant',), ''),))


def test_what_passes_on_asyncio_alone_is_lost_unless_it_is_meant_so(suite: Suite) -> None:
    stock = run_of(both='passed', neither='failed', one='passed', meant='passed', gone='passed', won='failed')
    own = run_of(both='passed', neither='failed', one='hung', meant='failed', won='passed')
    compared = judge(suite, 'sooner', stock, own, stock)
    assert {test: outcome.outcome for test, outcome in compared.lost.items()} == {'one': 'hung', 'gone': 'not run'}
    assert list(compared.different) == ['meant']
    assert not compared.good
    assert judge(suite, 'sooner', None, run_of(meant='failed'), run_of(meant='passed')).good


def test_difference_that_is_none_is_told(suite: Suite) -> None:
    compared = judge(suite, 'sooner', None, run_of(meant='passed'), Run())
    assert compared.no_longer_different == ['meant']
    assert not compared.good


def test_run_on_other_loops_than_asked_for_says_nothing(suite: Suite) -> None:
    own = run_of(both='passed')
    own.loops['asyncio.Loop'] += 1
    assert not own.valid
    assert not judge(suite, 'sooner', None, own, Run()).good


def test_suite_that_could_not_be_run_is_not_good(suite: Suite) -> None:
    assert not Comparison(suite, 'sooner', own=run_of(both='passed'), why_not='no network').good


def test_missing_loop_is_told() -> None:
    with pytest.raises(environments.Failure, match='no_such_loop is not installed'):
        environments.link_package('no_such_loop', Path())


@pytest.mark.parametrize(
    ('text', 'complaint'),
    [
        ('packages = ["toy"]', 'missing'),
        ('title = ""\nabout = ""\npytest = []\npackages = ["toy"]', 'not pinned: toy'),
        ('title = ""\nabout = ""\npytest = []\npackages = []\nnonsense = 1', 'nonsense'),
    ],
)
def test_suite_that_is_none_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        suites.parse('toy', text)


def test_exemption_speaks_of_whole_names() -> None:
    exemption = Exemption(('tests/test_a.py::test_b', 'tests/sub/'), '')
    for test in ('tests/test_a.py::test_b', 'tests/test_a.py::test_b[1]', 'tests/sub/test_c.py::test_d'):
        assert exemption.holds(test)
    assert not exemption.holds('tests/test_a.py::test_bb')


def test_every_suite_can_be_read() -> None:
    assert len(suites.load()) >= 15


def test_page_shows_what_is_recorded() -> None:
    page = report.DOCUMENT.read_text()
    shown = page.partition(report.BEGIN)[2].partition(report.END)[0].strip()
    assert shown == report.documentation(suites.load()), 'make libraries ARGS=--write-docs'
