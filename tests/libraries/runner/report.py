"""Telling what came out: to the terminal, and in the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from . import record
from .comparison import STOCK, Comparison
from .execution import LOOPS, Run
from .suites import HERE, Suite

DOCUMENT = HERE.parent.parent / 'docs' / 'compatibility.md'
BEGIN = '<!-- libraries: begin -->'
END = '<!-- libraries: end -->'


def print_line(console: Console, comparison: Comparison) -> None:
    """A line as soon as a suite is done."""
    suite = comparison.suite
    if comparison.why_not is not None:
        told = f'not run: {comparison.why_not}'
    else:
        parts = [f'{_ratio(comparison.own)} on {comparison.loop} in {comparison.own.seconds:.0f} s']
        if comparison.stock is not None:
            parts.insert(0, f'{_ratio(comparison.stock)} on {STOCK} in {comparison.stock.seconds:.0f} s')
        parts += [f'lost {len(comparison.lost)}'] if comparison.lost else []
        told = ', '.join(parts)
    console.print(f'{suite.name} {suite.version}: {told}', markup=False, highlight=False)


def _ratio(run: Run) -> str:
    return f'{run.passed}/{run.applicable}'


def print_details(console: Console, comparisons: Iterable[Comparison]) -> None:
    """What is wrong, and what one should know."""

    def tell(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    for one in comparisons:
        name = one.suite.name
        for run in one.runs:
            if one.why_not is None and not run.valid:
                made = ', '.join(f'{cls} {count}' for cls, count in run.loops.most_common())
                tell(f'{name}: says nothing, as most loops were not {run.wanted}, but {made or "none were made"}')
            for note in run.notes:
                tell(f'{name}: {note}')
        if one.lost:
            tell(f'{name}: {"does not pass" if one.loop == STOCK else f"passes on {STOCK}, not on {one.loop}"}:')
        for test, outcome in sorted(one.lost.items()):
            tell(f'    {outcome.outcome:8} {test}  {outcome.why[:160]}')
        for test in one.no_longer_different:
            tell(f'{name}: listed as different, and passes: {test}')
        for test in one.second_attempts:
            tell(f'{name}: passed when run again: {test}')


def print_table(console: Console, comparisons: Iterable[Comparison], loop: str) -> None:
    """One row a suite."""
    table = Table()
    table.add_column('suite')
    loops = list(dict.fromkeys((STOCK, loop)))
    for heading in ('version', *loops, 'lost', 'different', 'seconds'):
        table.add_column(heading, justify='right')
    for one in comparisons:
        if one.why_not is not None:
            table.add_row(one.suite.name, one.suite.version, 'not run')
            continue
        table.add_row(
            one.suite.name,
            one.suite.version,
            *(_ratio(run) if run else '' for run in (one.stock, one.own)[-len(loops) :]),
            str(len(one.lost) or ''),
            str(len(one.different) or ''),
            f'{sum(run.seconds for run in one.runs):.0f}',
        )
    console.print(table)


def closing_line(comparisons: Iterable[Comparison]) -> str:
    """The numbers of all tests on the loop under test, as runners of tests end."""
    total: Counter[str] = Counter()
    for one in comparisons:
        total['passed'] += one.own.passed
        total['failed'] += len(one.lost) + len(one.no_longer_different)
        total['skipped'] += len(one.own.tests) - one.own.applicable
    return ', '.join(f'{total[word]} {word}' for word in ('passed', 'failed', 'skipped'))


def documentation(suites: list[Suite]) -> str:
    """The Markdown between the markers, from the records and the suites."""
    lines: list[str] = []
    for version, recorded in record.load_all().items():
        entries = [(suite, recorded[suite.name]) for suite in suites if suite.name in recorded]
        loops = [loop for loop in LOOPS if any(loop in entry for _, entry in entries)]
        pythons = ', '.join(sorted({entry['python'] for _, entry in entries}))
        lines += [f'On CPython {pythons}:', '', f'| library | version | what is run | {" | ".join(loops)} |']
        lines += ['|---|---|---|' + '---:|' * len(loops)]
        total: dict[str, Counter[str]] = {loop: Counter() for loop in loops}
        for suite, entry in entries:
            for loop in loops:
                total[loop].update(entry.get(loop, {}))
            cells = [suite.title, entry['version'], suite.about, *(_share(entry.get(loop, {})) for loop in loops)]
            lines.append(f'| {" | ".join(cells)} |')
        lines += [f'| **all** | | | {" | ".join(f"**{_share(total[loop])}**" for loop in loops)} |', '']
        for heading, key in (
            (f'Passes on asyncio and not on sooner, on {version}', 'lost'),
            (f'Passed only when run a second time, on {version}', 'second attempts'),
        ):
            lines += _list(
                heading, [f'{suite.title}: {_tests(entry[key])}' for suite, entry in entries if entry.get(key)]
            )
    different = [f'{suite.title}: {_tests(one.tests)}: {one.reason}' for suite in suites for one in suite.different]
    lines += _list('Meant to be different', different)
    without = [f'{suite.title}: {_tests(one.tests)}: {one.reason}' for suite in suites for one in suite.without]
    lines += _list('Left out on both loops', without)
    return '\n'.join(lines).strip()


def _share(counter: Mapping[str, int]) -> str:
    return f'{counter["passed"]}/{counter["applicable"]}' if counter else ''


def _tests(tests: Iterable[str]) -> str:
    """These names as Markdown, without the folder that is a library's own and means another one here."""
    return ', '.join(f'`{test.removeprefix("tests/")}`' for test in tests)


def _list(heading: str, entries: list[str]) -> list[str]:
    return [f'{heading}:', '', *(f'- {entry}' for entry in entries), ''] if entries else [f'{heading}: nothing.', '']


def write_documentation(suites: list[Suite], path: Path = DOCUMENT) -> None:
    """Replace what stands between the markers.

    Raises:
        ValueError: the page has no markers.
    """
    text = path.read_text()
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f'{path} has no {BEGIN} and {END} to write between')
    path.write_text(f'{head}{BEGIN}\n\n{documentation(suites)}\n\n{END}{tail}')
