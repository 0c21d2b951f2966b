"""Writes the table of a benchmark's results into README.md: `python benchmarks/readme_table.py results.json`."""

from __future__ import annotations

import sys
from pathlib import Path

from sooner.bench.results import OURS, Results

README = Path(__file__).resolve().parents[1] / 'README.md'
BEGIN, END = '<!-- benchmark -->', '<!-- /benchmark -->'

SHOWN = (
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
"""The rows of the README; `sooner bench` shows the rest."""


def table(results: Results) -> str:
    """Return the table in Markdown, with what it was measured by and on."""
    loops = [name for name in results.loops if name != OURS] + [OURS]
    heads = [f'{name} {version}' if (version := results.loops[name].version) else name for name in loops]
    lines = ['| nanoseconds | ' + ' | '.join(heads) + ' | ahead of the best |', '|---|' + '---:|' * (len(loops) + 1)]
    for name in SHOWN:
        row = results.rows[name]
        medians = [row.figures[loop].median if loop in row.figures else None for loop in loops]
        cells = ['' if median is None else f'{median:,.0f}' for median in medians]
        ratio = row.ratio()
        lines.append(f'| {row.title} | ' + ' | '.join(cells) + f' | {f"{ratio:.2f}x" if ratio else ""} |')
    machine = f'`{results.command}` on {results.python}, {results.machine}; medians.'
    return '\n'.join([machine, '', *lines])


def main() -> None:
    """Replace what stands between the markers."""
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f'{before}{BEGIN}\n\n{table(Results.load(Path(sys.argv[1])))}\n\n{END}{after}')


if __name__ == '__main__':
    main()
