"""Benchmark results as a table on the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sooner.bench.results import OURS, Results, Row

#: What a ratio must differ from 1 by to be called a win or a loss: runs of one loop differ as much.
_EVEN = 0.03


def results_table(results: Results) -> RenderableType:
    """Every operation on every loop: the medians, and how ours compares with the best peer."""
    table = Table(box=None, padding=(0, 0, 0, 2), header_style='bold')
    table.add_column('ns per operation', overflow='fold')
    for name, loop in results.loops.items():
        table.add_column(f'{name}\n(uncompiled)' if loop.compiled is False else name, justify='right')
    if OURS in results.loops:
        table.add_column('vs best\npeer', justify='right')
        table.add_column('±', justify='right', style='dim')
    unit = 'ns'
    for row in results.rows.values():
        if row.unit != unit:
            unit = row.unit
            table.add_row(Text(f'{unit} each', style='bold'))
        cells = [_figure_cell(row, name) for name in results.loops]
        table.add_row(row.title, *cells, *([_ratio_cell(row), _spread_cell(row)] if OURS in results.loops else []))
    return Group(table, *_notes(results))


def _figure_cell(row: Row, loop: str) -> Text:
    figure = row.figures[loop]
    median = figure.median
    if figure.error is not None:
        return Text('failed', style='red')
    if median is None:
        return Text('·', style='dim')
    smallest = min(value for other in row.figures.values() if (value := other.median) is not None)
    return Text(significant(median), style='bold' if median == smallest else '')


def _ratio_cell(row: Row) -> Text:
    ratio = row.ratio()
    if ratio is None:
        return Text('')
    style = 'green' if ratio > 1 + _EVEN else 'red' if ratio < 1 - _EVEN else 'yellow'
    return Text(f'{ratio:.2f}x', style=style)


def _spread_cell(row: Row) -> Text:
    """Half the distance between the lowest and the highest round, of ours or of the best peer, whichever is further."""
    best = row.best_peer()
    spreads = [row.figures[name].spread for name in (OURS, best[0] if best else OURS)]
    widest = max((spread for spread in spreads if spread is not None), default=None)
    return Text('' if widest is None else f'{widest / 2:.0%}')


def _notes(results: Results) -> list[Text]:
    versions = [f'{name} {loop.version}' for name, loop in results.loops.items() if loop.version]
    notes = [Text(', '.join([results.python, *versions, results.machine]), style='dim')]
    ours = results.loops.get(OURS)
    if ours is not None and ours.compiled is False:
        notes.append(
            Text(
                'sooner ran uncompiled, as Python source: these are not the figures of the wheel. See `sooner info`.',
                style='bold red',
            )
        )
    for row in results.rows.values():
        notes += [
            Text(f'{row.title} failed on {name}: {figure.error}', style='red')
            for name, figure in row.figures.items()
            if figure.error
        ]
    return notes


def significant(value: float) -> str:
    """Three significant digits, and thousands set apart: what a benchmark on a busy machine can tell."""
    if value < 100:
        return f'{value:.3g}'
    step = 10 ** (len(str(int(value))) - 3)
    return f'{round(value / step) * step:,}'
