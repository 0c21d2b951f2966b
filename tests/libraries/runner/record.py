"""What came out, kept in the repository for each Python: numbers, and the names of the tests that make a difference."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .comparison import STOCK, Comparison
from .execution import Run
from .suites import HERE

RECORDS = HERE / 'record'
SUBJECT = 'sooner'
"""The loop of which it is kept what it makes a difference to; of others there are numbers alone."""


def path() -> Path:
    """The file for the running Python."""
    return RECORDS / f'{sys.version_info.major}.{sys.version_info.minor}.json'


def summary(comparison: Comparison, before: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a suite: with what was kept before of other loops, if that was the same suite."""
    made_of = {'version': comparison.suite.version, 'python': platform.python_version()}
    entry = dict(before) if made_of.items() <= before.items() else made_of
    if comparison.stock is not None:
        entry[STOCK] = _numbers(comparison.stock)
    entry[comparison.loop] = _numbers(comparison.own)
    if comparison.loop == SUBJECT:
        entry['lost'] = {test: f'{end.outcome}: {end.why}' for test, end in sorted(comparison.lost.items())}
        entry['different'] = sorted(comparison.different)
        entry['second attempts'] = comparison.second_attempts
    return entry


def _numbers(run: Run) -> dict[str, int]:
    return {'passed': run.passed, 'applicable': run.applicable}


def update(comparisons: Iterable[Comparison]) -> Path:
    """Put these in the place of what the record says about their suites."""
    file = path()
    record = json.loads(file.read_text()) if file.exists() else {}
    for one in comparisons:
        if one.why_not is None:
            record[one.suite.name] = summary(one, record.get(one.suite.name, {}))
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(dict(sorted(record.items())), indent=1) + '\n')
    return file


def load_all() -> dict[str, dict[str, Any]]:
    """All records, by the version of Python, oldest first."""
    files = sorted(RECORDS.glob('*.json'), key=lambda file: [int(part) for part in file.stem.split('.')])
    return {file.stem: json.loads(file.read_text()) for file in files}
