"""Draws benchmark results as an SVG or PNG, with matplotlib."""

from __future__ import annotations

import textwrap
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from sooner.bench.results import LIMIT, OURS, Results

#: Okabe and Ito's palette, which the colour-blind can tell apart, with a red for ours.
_COLOURS = {'asyncio': '#888888', 'uvloop': '#56b4e9', 'rloop': '#e69f00', 'sooner': '#d0402b', 'C': '#000000'}
_OTHER_COLOURS = ('#009e73', '#cc79a7', '#0072b2')
_BASELINE = 'asyncio'


def draw(results: Results, path: Path) -> None:
    """Draw one line for each timed operation, with a dot for each loop where its speed is, as a multiple of asyncio's.

    The axis is logarithmic, so that twice as fast and half as fast are equally far from 1; that is why there are dots
    and no bars.
    """
    rows = [
        row
        for row in results.rows.values()
        if row.unit in ('ns', 'requests/s') and _BASELINE in row.figures and row.figures[_BASELINE].median
    ]
    matplotlib.rcParams['svg.hashsalt'] = 'sooner'  # the same results give the same file
    figure = Figure(figsize=(9, 1.6 + 0.32 * len(rows)), layout='constrained')
    axes = figure.add_subplot()
    others = iter(_OTHER_COLOURS)
    for name, loop in results.loops.items():
        points = [
            (speed, position)
            for position, row in enumerate(rows)
            if (speed := row.times_better(name, _BASELINE)) is not None
        ]
        axes.scatter(
            [speed for speed, _ in points],
            [position for _, position in points],
            s=64 if name == OURS else 36,
            color=_COLOURS.get(name) or next(others, '#000000'),
            marker='|' if name == LIMIT else 'o',
            label=f'{name} {loop.version or ""}'.strip() + (' (uncompiled)' if loop.compiled is False else ''),
            zorder=3 if name == OURS else 2,
        )
    axes.set_xscale('log', base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f'{value:g}x')
    axes.set_yticks(range(len(rows)), [row.title for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis='both', color='#e4e4e4', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xlabel("times asyncio's speed", fontsize=9)
    origin = '\n'.join(textwrap.wrap(f'{results.command}: medians, {results.python}, {results.machine}', 150))
    figure.supxlabel(origin, x=0.01, ha='left', fontsize=7, color='#666666')
    figure.legend(loc='outside upper center', ncols=len(results.loops), frameon=False)
    figure.savefig(path, dpi=160, metadata={'Date': None} if path.suffix == '.svg' else None)
