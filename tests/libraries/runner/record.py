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


def path() -> Path:
    """The file for the running Python."""
    return RECORDS / f'{sys.version_info.major}.{sys.version_info.minor}.json'


def summary(comparison: Comparison) -> dict[str, Any]:
    """What is kept of a suite that was run on both loops."""
    assert comparison.stock is not None
    return {
        'version': comparison.suite.version,
        'python': platform.python_version(),
        STOCK: _numbers(comparison.stock),
        comparison.loop: _numbers(comparison.own),
        'lost': {test: f'{end.outcome}: {end.why}' for test, end in sorted(comparison.lost.items())},
        'different': sorted(comparison.different),
        'second attempts': comparison.second_attempts,
    }


def _numbers(run: Run) -> dict[str, int]:
    return {'passed': run.passed, 'applicable': run.applicable}


def update(comparisons: Iterable[Comparison]) -> Path:
    """Put these in the place of what the record says about their suites."""
    file = path()
    record = json.loads(file.read_text()) if file.exists() else {}
    record |= {one.suite.name: summary(one) for one in comparisons if one.why_not is None and one.stock is not None}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(dict(sorted(record.items())), indent=1) + '\n')
    return file


def load_all() -> dict[str, dict[str, Any]]:
    """All records, by the version of Python, oldest first."""
    files = sorted(RECORDS.glob('*.json'), key=lambda file: [int(part) for part in file.stem.split('.')])
    return {file.stem: json.loads(file.read_text()) for file in files}
