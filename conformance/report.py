"""Tables: for the terminal, and for the documentation."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .baseline import EXPECTED, Changes, Difference, counts_of
from .verdict import Result, Verdict

BEGIN = '<!-- conformance: begin -->'
END = '<!-- conformance: end -->'


def print_table(console: Console, results: Mapping[str, Result], subject: Mapping[str, Any]) -> None:
    """One row a module: passed of applicable, and why the rest is not counted."""
    counts = counts_of(results)
    build = {True: ', compiled', False: ', uncompiled', None: ''}[subject.get('compiled')]
    title = f'{subject["class"]} {subject.get("version") or ""}{build} on CPython {platform.python_version()}'
    table = Table(title=title, title_justify='left')
    table.add_column('module')
    for name in ('passed', 'applicable', 'failed', 'different', 'not applicable'):
        table.add_column(name, justify='right')
    total: Counter[str] = Counter()
    for module, counter in sorted(counts.items()):
        total += counter
        if counter['applicable']:
            table.add_row(module, *_cells(counter))
    table.add_section()
    table.add_row('all', *_cells(total))
    console.print(table)
    repeated = [test_id for test_id, result in results.items() if result.own is not None and result.own.attempts > 1]
    if passed_late := [test_id for test_id in repeated if results[test_id].verdict is Verdict.PASSED]:
        console.print(f'Passed only when run again: {", ".join(passed_late)}', markup=False)


def _cells(counter: Mapping[str, int]) -> list[str]:
    failed = counter.get(Verdict.FAILED, 0)
    return [
        str(counter.get(Verdict.PASSED, 0)),
        str(counter.get('applicable', 0)),
        f'[bold red]{failed}' if failed else '',
        *(str(counter.get(verdict, 0) or '') for verdict in (Verdict.DIFFERENCE, Verdict.NOT_APPLICABLE)),
    ]


def print_failures(console: Console, results: Mapping[str, Result], verbose: bool) -> None:
    """Each failed test with its error; with `verbose`, the end of its traceback."""
    for test_id, result in sorted(results.items()):
        if result.verdict is Verdict.FAILED and result.own is not None:
            why = (result.own.why.splitlines() or [''])[0]
            console.print(f'{result.own.outcome.upper()} {test_id}\n    {why}', markup=False, highlight=False)
            if verbose:
                console.print(result.own.traceback, markup=False, highlight=False)


def print_changes(console: Console, changes: Changes) -> None:
    """What differs from what is expected."""
    for heading, test_ids in (
        ('Not known to fail, and failing', changes.regressions),
        (
            'Listed as a deliberate difference, and passing (take it out of differences.toml)',
            changes.no_longer_different,
        ),
        ('Known to fail, and passing (record it)', changes.repaired),
        ('Modules of which fewer tests apply here than when recorded', changes.fewer),
    ):
        if test_ids:
            console.print(f'{heading}: {len(test_ids)}', markup=False)
            for test_id in test_ids:
                console.print(f'    {test_id}', markup=False, highlight=False)


def to_json(results: Mapping[str, Result], subject: Mapping[str, Any]) -> dict[str, Any]:
    """Everything about the run, one entry a test."""

    def outcome(value: Any) -> dict[str, Any] | None:
        return None if value is None else dict(vars(value))

    return {
        'python': platform.python_version(),
        'subject': dict(subject),
        'tests': {
            test_id: {
                'module': result.module,
                'verdict': result.verdict,
                'reason': result.reason,
                'stock': outcome(result.stock),
                'own': outcome(result.own),
            }
            for test_id, result in sorted(results.items())
        },
    }


def print_comparison(console: Console, results: Mapping[str, Result], path: Path) -> int:
    """What passes in one of this run and the run that wrote `path`, and not in the other. Returns how many passed
    there and not here.
    """
    before: dict[str, Any] = json.loads(path.read_text())['tests']
    then = {test_id for test_id, entry in before.items() if entry['verdict'] == Verdict.PASSED}
    now = {test_id for test_id, result in results.items() if result.verdict is Verdict.PASSED}
    run_here = {test_id for test_id, result in results.items() if result.applicable}
    lost, won = sorted((then & run_here) - now), sorted(now - then)
    for heading, test_ids in ((f'Passed in {path.name}, not here', lost), (f'Passed here, not in {path.name}', won)):
        console.print(f'{heading}: {len(test_ids)}', markup=False)
        for test_id in test_ids:
            console.print(f'    {test_id}', markup=False, highlight=False)
    return len(lost)


def documentation(differences: list[Difference]) -> str:
    """The Markdown between the markers: passed of applicable by module and Python, and every difference."""
    recorded = {path.stem: json.loads(path.read_text()) for path in EXPECTED.glob('*.json')}
    versions = sorted(recorded, key=lambda version: [int(part) for part in version.split('.')])
    modules = sorted({module for entry in recorded.values() for module in entry['modules']})
    lines = [
        '| module | ' + ' | '.join(recorded[version]['python'] for version in versions) + ' |',
        '|---|' + '---:|' * len(versions),
    ]
    totals = {version: Counter[str]() for version in versions}
    for module in modules:
        cells = []
        for version in versions:
            counter = recorded[version]['modules'].get(module, {})
            totals[version].update(counter)
            cells.append(_ratio(counter))
        if any(cells):
            lines.append(f'| `{module}` | ' + ' | '.join(cells) + ' |')
    lines.append('| **all** | ' + ' | '.join(f'**{_ratio(totals[version])}**' for version in versions) + ' |')
    lines += ['', 'What differs on purpose:', '']
    for difference in differences:
        tests = ', '.join(f'`{pattern}`' for pattern in difference.tests)
        since = f' Since {difference.since}.' if difference.since else ''
        lines.append(f'- {difference.reason}{since} ({tests})')
    return '\n'.join(lines)


def _ratio(counter: Mapping[str, int]) -> str:
    applicable = counter.get('applicable', 0)
    return f'{counter.get(Verdict.PASSED, 0)}/{applicable}' if applicable else ''


def write_documentation(path: Path, differences: list[Difference]) -> None:
    """Replace what stands between the markers in that file.

    Raises:
        ValueError: the file has no markers.
    """
    text = path.read_text()
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f'{path} has no {BEGIN} and {END} to write between')
    path.write_text(f'{head}{BEGIN}\n\n{documentation(differences)}\n\n{END}{tail}')
