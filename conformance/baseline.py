"""What is expected: the differences that are meant, and what an earlier run recorded.

`differences.toml` is written by hand and holds for every Python that it does not exclude. `expected/3.13.json` and its
like are written by `--record` and hold the counts behind the table in the documentation, and the tests known to fail.
"""

from __future__ import annotations

import fnmatch
import json
import platform
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .verdict import Result, Verdict

HERE = Path(__file__).resolve().parent
DIFFERENCES = HERE / 'differences.toml'
EXPECTED = HERE / 'expected'


@dataclass(frozen=True)
class Difference:
    """Tests that fail on purpose.

    Attributes:
        tests: shell patterns over test identifiers.
        reason: one sentence.
        since, until: the first and the last Python ("3.12") that it holds for; empty means no bound.
        compiled: True or False if it holds for that build only.
    """

    tests: tuple[str, ...]
    reason: str
    since: str = ''
    until: str = ''
    compiled: bool | None = None

    def holds_for(self, compiled: bool | None) -> bool:
        here = sys.version_info[:2]
        return (
            (not self.since or here >= _version(self.since))
            and (not self.until or here <= _version(self.until))
            and (self.compiled is None or self.compiled == compiled)
        )

    def covers(self, test_id: str) -> bool:
        return any(fnmatch.fnmatchcase(test_id, pattern) for pattern in self.tests)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split('.'))


def all_differences() -> list[Difference]:
    """The differences of every Python and build."""
    entries = tomllib.loads(DIFFERENCES.read_text()).get('difference', [])
    return [Difference(**{**entry, 'tests': tuple(entry['tests'])}) for entry in entries]


def load_differences(compiled: bool | None) -> list[Difference]:
    """The differences that hold for this Python and that build."""
    return [difference for difference in all_differences() if difference.holds_for(compiled)]


def reason_of(test_id: str, differences: list[Difference]) -> str | None:
    """The reason why that test fails on purpose, or None."""
    return next((difference.reason for difference in differences if difference.covers(test_id)), None)


def counts_of(results: Mapping[str, Result]) -> dict[str, Counter[str]]:
    """How many tests of each module have each verdict, and how many are applicable."""
    counts: dict[str, Counter[str]] = {}
    for result in results.values():
        counter = counts.setdefault(result.module, Counter())
        counter[result.verdict] += 1
        counter['applicable'] += result.applicable
    return counts


def expected_file() -> Path:
    return EXPECTED / f'{sys.version_info.major}.{sys.version_info.minor}.json'


def load_expected() -> dict[str, Any]:
    """What `record` wrote for this Python; empty counts if it never did."""
    path = expected_file()
    if not path.exists():
        return {'modules': {}, 'failing': []}
    recorded: dict[str, Any] = json.loads(path.read_text())
    return recorded


def record(results: Mapping[str, Result]) -> Path:
    """Write what this run found as what is expected from now on."""
    failing = sorted(test_id for test_id, result in results.items() if result.verdict is Verdict.FAILED)
    recorded = {
        'python': platform.python_version(),
        'modules': {module: dict(sorted(counter.items())) for module, counter in sorted(counts_of(results).items())},
        'failing': failing,
    }
    EXPECTED.mkdir(exist_ok=True)
    path = expected_file()
    path.write_text(json.dumps(recorded, indent=1) + '\n')
    return path


@dataclass(frozen=True)
class Changes:
    """How a run differs from what is expected.

    Attributes:
        regressions: tests that fail, are not known to fail, and are no deliberate difference.
        no_longer_different: tests that pass although they are listed as a deliberate difference.
        repaired: tests that were known to fail and pass.
        fewer: modules that passed more tests when recorded, though none of theirs fails: fewer apply on this machine.
    """

    regressions: list[str]
    no_longer_different: list[str]
    repaired: list[str]
    fewer: list[str]

    @property
    def unexpected(self) -> bool:
        return bool(self.regressions or self.no_longer_different)


def changes(results: Mapping[str, Result], differences: list[Difference], whole: bool) -> Changes:
    """Compare with what is expected; `whole` says that every selected test was run, so that counts can be compared."""
    expected = load_expected()
    known = set(expected['failing'])
    failed = {test_id for test_id, result in results.items() if result.verdict is Verdict.FAILED}
    passed = {test_id for test_id, result in results.items() if result.verdict is Verdict.PASSED}
    counts = counts_of(results)
    fewer = [
        module
        for module, counter in expected['modules'].items()
        if whole
        and counter.get(Verdict.PASSED, 0) > counts.get(module, Counter())[Verdict.PASSED]
        and not any(results[test_id].module == module for test_id in failed)
    ]
    return Changes(
        regressions=sorted(failed - known),
        no_longer_different=sorted(test_id for test_id in passed if reason_of(test_id, differences) is not None),
        repaired=sorted(known & passed),
        fewer=fewer,
    )
