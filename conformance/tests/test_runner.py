"""What the runner says of tests that pass, fail, crash, hang, or do not use the loop under test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance import baseline, report, run, selection
from conformance.baseline import Difference
from conformance.launch import Outcome, discover, run_unit
from conformance.run import Conformance
from conformance.selection import Unit
from conformance.substitution import Mode
from conformance.verdict import Result, Verdict

TOY = 'conformance.tests.toy'
LOOP = f'{TOY}:AnotherLoop'


def toy_unit(case: str, *tests: str, mode: Mode = Mode.OWN_LOOP) -> Unit:
    return Unit(TOY, case, mode, tests)


def outcomes_of(case: str, *tests: str, loop: str = LOOP, limit: float = 2.0) -> dict[str, Outcome]:
    return run_unit(toy_unit(case, *tests), loop, dict.fromkeys(tests, limit)).outcomes


@pytest.fixture(scope='module')
def endings() -> dict[str, Outcome]:
    """Every test of `EndingTests` that ends in its own way, run as one unit."""
    tests = (
        'test_a_passes',
        'test_b_fails',
        'test_c_raises',
        'test_d_is_skipped',
        'test_e_crashes',
        'test_f_hangs',
        'test_g_passes_after_them',
        'test_h_fails_in_a_subtest',
    )
    return outcomes_of('EndingTests', *tests)


@pytest.mark.parametrize(
    ('test', 'outcome', 'why'),
    [
        ('test_a_passes', 'passed', ''),
        ('test_b_fails', 'failed', 'AssertionError: as it should'),
        ('test_c_raises', 'error', "KeyError: 'lost'"),
        ('test_d_is_skipped', 'skipped', 'not here'),
        ('test_e_crashes', 'crashed', 'killed by SIGSEGV'),
        ('test_f_hangs', 'hung', 'took too long'),
        ('test_g_passes_after_them', 'passed', ''),
        ('test_h_fails_in_a_subtest', 'failed', 'AssertionError: in the middle'),
    ],
)
def test_each_ending_is_told_apart(endings: dict[str, Outcome], test: str, outcome: str, why: str) -> None:
    assert (endings[test].outcome, endings[test].why) == (outcome, why)


def test_a_hung_test_shows_where_it_stood(endings: dict[str, Outcome]) -> None:
    assert 'test_f_hangs' in endings['test_f_hangs'].traceback


def test_a_broken_fixture_fails_its_tests() -> None:
    outcome = outcomes_of('BrokenFixtureTests', 'test_never_run')['test_never_run']
    assert (outcome.outcome, outcome.why) == ('error', 'RuntimeError: no fixture')


def test_a_crash_at_exit_is_reported() -> None:
    outcomes = outcomes_of('ExitTests', 'test_leaves_a_crash_for_the_exit')
    assert outcomes['test_leaves_a_crash_for_the_exit'].passed
    assert outcomes[run.EXIT].outcome == 'crashed'


def test_a_missing_class_fails_its_tests() -> None:
    outcome = outcomes_of('NoSuchTests', 'test_x')['test_x']
    assert outcome.outcome == 'error'
    assert 'NoSuchTests' in outcome.traceback


def test_a_loop_that_cannot_be_imported_is_an_error() -> None:
    with pytest.raises(RuntimeError, match='no_such_loop'):
        discover('no_such_loop:new_event_loop')


def test_loops_of_a_forked_child_are_counted() -> None:
    outcomes = outcomes_of('EndingTests', 'test_k_makes_a_loop_in_a_child')
    assert outcomes['test_k_makes_a_loop_in_a_child'].loops == 1


def verdicts(
    *tests: str,
    loop: str = LOOP,
    differences: tuple[Difference, ...] = (),
) -> dict[str, Result]:
    conformance = Conformance(loop, list(differences), stock_limit=5.0, repeats=0)
    results = conformance.run(toy_unit('EndingTests', *tests), tests)
    return {test_id.rpartition('.')[2]: result for test_id, result in results.items()}


def test_what_fails_on_stock_asyncio_does_not_apply() -> None:
    result = verdicts('test_b_fails')['test_b_fails']
    assert result.verdict is Verdict.NOT_APPLICABLE
    assert 'AssertionError: as it should' in result.reason


def test_what_makes_no_loop_does_not_apply() -> None:
    assert verdicts('test_i_makes_no_loop')['test_i_makes_no_loop'].reason == 'It makes no loop.'


def test_a_loop_made_behind_the_back_fails_the_test() -> None:
    result = verdicts('test_l_goes_behind_the_back')['test_l_goes_behind_the_back']
    assert result.verdict is Verdict.FAILED
    assert result.own is not None
    assert result.own.why == "a loop of asyncio's own was made"


def test_a_deliberate_difference_is_no_failure() -> None:
    difference = Difference(('*.test_j_*',), 'It starts no process.')
    loop = f'{TOY}:ForgetfulLoop'
    result = verdicts('test_j_starts_a_process', loop=loop, differences=(difference,))['test_j_starts_a_process']
    assert (result.verdict, result.reason) == (Verdict.DIFFERENCE, 'It starts no process.')


def result_with(verdict: Verdict) -> Result:
    return Result('test_m', verdict)


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of one passing and one failing test."""
    monkeypatch.setattr(baseline, 'EXPECTED', tmp_path)
    monkeypatch.setattr(report, 'EXPECTED', tmp_path)
    baseline.record({'test_m.A.test_1': result_with(Verdict.PASSED), 'test_m.A.test_2': result_with(Verdict.FAILED)})


@pytest.mark.usefixtures('recorded')
def test_a_test_that_stops_passing_is_unexpected() -> None:
    results = {'test_m.A.test_1': result_with(Verdict.FAILED), 'test_m.A.test_2': result_with(Verdict.FAILED)}
    changes = baseline.changes(results, [], whole=True)
    assert changes.unexpected
    assert changes.regressions == ['test_m.A.test_1']


@pytest.mark.usefixtures('recorded')
def test_what_is_known_to_fail_may_fail_or_pass() -> None:
    results = {'test_m.A.test_1': result_with(Verdict.PASSED), 'test_m.A.test_2': result_with(Verdict.PASSED)}
    changes = baseline.changes(results, [], whole=True)
    assert not changes.unexpected
    assert changes.repaired == ['test_m.A.test_2']


@pytest.mark.usefixtures('recorded')
def test_a_difference_that_begins_to_pass_is_unexpected() -> None:
    results = {'test_m.A.test_1': result_with(Verdict.PASSED)}
    changes = baseline.changes(results, [Difference(('*.test_1',), 'Once it differed.')], whole=False)
    assert changes.unexpected
    assert changes.no_longer_different == ['test_m.A.test_1']


@pytest.mark.usefixtures('recorded')
def test_fewer_applicable_tests_are_told() -> None:
    changes = baseline.changes({'test_m.A.test_1': result_with(Verdict.NOT_APPLICABLE)}, [], whole=True)
    assert not changes.unexpected
    assert changes.fewer == ['test_m']


def test_a_difference_holds_for_its_pythons_and_its_build_only() -> None:
    assert not Difference(('*',), '', since='9.0').holds_for(compiled=True)
    assert not Difference(('*',), '', until='3.0').holds_for(compiled=True)
    assert not Difference(('*',), '', compiled=True).holds_for(compiled=False)
    assert Difference(('*',), '', since='3.0', until='9.0', compiled=True).holds_for(compiled=True)


@pytest.mark.usefixtures('recorded')
def test_the_table_replaces_what_stands_between_the_markers(tmp_path: Path) -> None:
    document = tmp_path / 'compatibility.md'
    document.write_text(f'before\n{report.BEGIN}\nold\n{report.END}\nafter\n')
    report.write_documentation(document, [Difference(('*.test_2',), 'It differs.')])
    text = document.read_text()
    assert text.startswith('before\n')
    assert text.endswith('\nafter\n')
    assert 'old' not in text
    assert '| `test_m` | 1/2 |' in text
    assert 'It differs.' in text


def test_the_listed_differences_are_well_formed() -> None:
    for compiled in (True, False):
        for difference in baseline.load_differences(compiled):
            assert difference.reason.endswith('.'), difference


def test_patterns_name_modules_classes_or_tests() -> None:
    unit = Unit('test_asyncio.test_tasks', 'SleepTests', Mode.AS_WRITTEN, ('test_sleep',))
    for pattern in ('test_tasks', 'test_asyncio.test_tasks', 'test_tasks.SleepTests*', '*.test_sleep'):
        assert run.matches(unit, 'test_sleep', [pattern])
    assert not run.matches(unit, 'test_sleep', ['test_queues'])


def test_no_rule_is_without_a_reason() -> None:
    assert all(rule.reason.endswith('.') for rule in selection.NOT_APPLICABLE)


def test_outcomes_survive_json(endings: dict[str, Outcome]) -> None:
    results = {'test_m.A.test_1': Result('test_m', Verdict.PASSED, own=endings['test_a_passes'])}
    written = json.loads(json.dumps(report.to_json(results, {'class': 'L'})))
    assert Outcome(**written['tests']['test_m.A.test_1']['own']) == endings['test_a_passes']
