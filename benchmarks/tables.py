"""Writes the tables of a benchmark's results into README.md and docs/performance.md.

Run it with `python benchmarks/tables.py results.json`, with the results of `sooner bench` or of `sooner bench --echo`.

A table stands between two comments, <!-- benchmark --> and <!-- /benchmark --> for operations, or the same with echo
for servers.
"""

from __future__ import annotations

import fnmatch
import sys
from pathlib import Path

from sooner.bench.results import LIMIT, OURS, UNITS, Results, Row

PROJECT = Path(__file__).resolve().parents[1]

OPERATIONS_SHOWN = (
    'call_soon_chain',
    'future_callback',
    'await_future',
    'create_await_task',
    'sleep_zero',
    'gather',
    'task_group',
    'cancel_tasks',
    'queue_ping_pong',
    'call_later_cancel',
    'call_soon_threadsafe',
    'run_in_executor',
)

SERVERS_SHOWN = (
    '*-1k-50',
    'uvicorn-*',
    'aiohttp-*',
    'asyncpg-*',
    'redis-*',
    'spawn-8',
    'output-*',
    '*_fresh-100k-50',
)

#: For each kind of results: its comment, and the rows of each page; * and ? stand for anything.
PAGES = {
    'benchmark': {'README.md': OPERATIONS_SHOWN},
    'echo': {'README.md': SERVERS_SHOWN, 'docs/performance.md': ('*',)},
}


def table(results: Results, patterns: tuple[str, ...]) -> str:
    """Return the table in Markdown, a part for each unit, with what it was measured by and on."""
    rows = [
        row for name, row in results.rows.items() if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]
    parts = [
        '\n'.join(part(results, unit, [row for row in rows if row.unit == unit]))
        for unit in dict.fromkeys(row.unit for row in rows)
    ]
    machine = f'`{results.command}` on {results.python}, {results.machine}; medians.'
    return '\n\n'.join([machine, *parts])


def part(results: Results, unit: str, rows: list[Row]) -> list[str]:
    """Return the lines for the rows of one unit."""
    limited = LIMIT in results.loops
    loops = [name for name in results.loops if name not in (OURS, LIMIT)] + [OURS] + [LIMIT] * limited
    heads = [f'{name} {version}' if (version := results.loops[name].version) else name for name in loops]
    heads += ['ahead of the best'] + [f'of {LIMIT}'] * limited
    lines = [f'| {UNITS[unit]} | ' + ' | '.join(heads) + ' |', '|---|' + '---:|' * len(heads)]
    for row in rows:
        medians = [row.figures[loop].median if loop in row.figures else None for loop in loops]
        cells = ['' if median is None else f'{median:,.0f}' for median in medians]
        ratio, share = row.ratio(), row.times_better(OURS, LIMIT)
        cells.append(f'{ratio:.2f}x' if ratio else '')
        if limited:
            cells.append(f'{share:.2f}' if share else '')
        lines.append(f'| {row.title} | ' + ' | '.join(cells) + ' |')
    return lines


def replace(text: str, comment: str, new: str) -> str:
    """Put a text between the two comments."""
    begin, end = f'<!-- {comment} -->', f'<!-- /{comment} -->'
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f'{begin} and {end} are missing')
    return f'{before}{begin}\n\n{new}\n\n{end}{after}'


def main() -> None:
    results = Results.load(Path(sys.argv[1]))
    comment = 'echo' if LIMIT in results.loops else 'benchmark'
    for name, patterns in PAGES[comment].items():
        page = PROJECT / name
        page.write_text(replace(page.read_text(), comment, table(results, patterns)))


if __name__ == '__main__':
    main()
