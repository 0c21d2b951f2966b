"""Benchmark results as a table on the terminal."""

from __future__ import annotations

from collections.abc import Collection

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sooner.bench.results import LIMIT, OURS, UNITS, Results, Row

#: What a ratio must differ from 1 by to be called a win or a loss: runs of one loop differ as much.
_EVEN = 0.03


def results_table(results: Results, rows: Collection[str] | None = None) -> RenderableType:
    """These rows, or all, on every loop: the medians, and how ours compares with the best peer and with the limit."""
    shown = [row for name, row in results.rows.items() if rows is None or name in rows]
    units = list(dict.fromkeys(row.unit for row in shown))
    compared = OURS in results.loops
    limited = compared and LIMIT in results.loops
    table = Table(box=None, padding=(0, 0, 0, 2), header_style='bold')
    table.add_column(UNITS[units[0]] if units else '', overflow='fold')
    for name, loop in results.loops.items():
        table.add_column(f'{name}\n(uncompiled)' if loop.compiled is False else name, justify='right')
    if compared:
        table.add_column('vs best\npeer', justify='right')
        table.add_column('±', justify='right', style='dim')
    if limited:
        table.add_column(f'vs {LIMIT}', justify='right')
    for unit in units:
        if unit != units[0]:
            table.add_row(Text(UNITS[unit], style='bold'))
        for row in shown:
            if row.unit == unit:
                cells = [_figure_cell(row, name) for name in results.loops]
                cells += [_ratio_cell(row), _spread_cell(row)] if compared else []
                cells += [_limit_cell(row)] if limited else []
                table.add_row(row.title, *cells)
    return Group(table, *_notes(results))


def _figure_cell(row: Row, loop: str) -> Text:
    figure = row.figures[loop]
    median = figure.median
    if figure.error is not None:
        return Text('failed', style='red')
    if figure.missing is not None:
        return Text('-', style='dim')
    if median is None:
        return Text('·', style='dim')
    best = row.best(name for name in row.figures if name != LIMIT)
    style = 'dim' if loop == LIMIT else 'bold' if best is not None and median == best[1] else ''
    return Text(significant(median), style=style)


def _limit_cell(row: Row) -> Text:
    share = row.times_better(OURS, LIMIT)
    return Text('' if share is None else f'{share:.2f}')


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
    errors: dict[str, None] = {}  # used as a set that knows the order
    lacking: dict[str, dict[str, None]] = {}
    for row in results.rows.values():
        for name, figure in row.figures.items():
            if figure.error is not None:
                errors[f'{row.title} failed on {name}: {figure.error}'] = None
            if figure.missing is not None:
                lacking.setdefault(figure.missing, {})[name] = None
    notes += [Text(f'- on {", ".join(loops)}: {reason}', style='dim') for reason, loops in lacking.items()]
    notes += [Text(error, style='red') for error in errors]
    return notes


def significant(value: float) -> str:
    """Three significant digits, and thousands set apart: what a benchmark on a busy machine can tell."""
    if value < 100:
        return f'{value:.3g}'
    step = 10 ** (len(str(int(value))) - 3)
    return f'{round(value / step) * step:,}'
