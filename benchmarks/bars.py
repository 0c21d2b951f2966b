"""Says of each bar in bars.toml whether a run of `sooner bench --json FILE`, or with --echo, is over it.

Run it with `python benchmarks/bars.py FILE`.

The exit status is 0 if every bar was measured and passed, and the run was one that counts.
"""

from __future__ import annotations

import fnmatch
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sooner.bench.results import LIMIT, OURS, Results

BARS = Path(__file__).with_name('bars.toml')


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    results = Results.load(Path(sys.argv[1]))
    bars = tomllib.loads(BARS.read_text())
    peers = bars['peers']
    print(f'{results.command}, {results.python}, {results.machine}')
    if LIMIT in results.loops:  # only the servers have one
        verdicts = [verdict for bar in bars['echo'] for verdict in judge_matching(results, bar, peers)]
    else:
        verdicts = [judge_speed(results, name, bar, peers) for name, bar in bars['at_least'].items()]
        verdicts += [judge_memory(results, name, peer) for name, peer in bars['smaller_than'].items()]
    objections = why_it_does_not_count(results, peers)
    for objection in objections:
        print(f'DOES NOT COUNT  {objection}')
    print(f'{verdicts.count(True)} of {len(verdicts)} bars passed')
    return 0 if all(verdicts) and not objections else 1


def judge_matching(results: Results, bar: dict[str, Any], peers: list[str]) -> Iterator[bool]:
    """Judge every row that a bar is for. A pattern that matches nothing was not measured."""
    rates = [name for name, row in results.rows.items() if row.unit == 'requests/s']
    for pattern in bar['rows']:
        for name in fnmatch.filter(rates, pattern) or [pattern]:
            yield judge_speed(results, name, bar['times'], bar.get('than', peers))


def judge_speed(results: Results, name: str, bar: float, peers: list[str]) -> bool:
    row = results.rows.get(name)
    ratio = row.ratio(peers) if row is not None else None
    if row is None or ratio is None:
        return verdict(False, name, 'not measured')
    best = row.best_peer(peers)
    assert best is not None
    return verdict(ratio >= bar, name, f'{ratio:.2f}x the speed of {best[0]}, bar {bar:.2f}x')


def judge_memory(results: Results, name: str, peer: str) -> bool:
    row = results.rows.get(name)
    ours, theirs = (
        row.figures[loop].median if row is not None and loop in row.figures else None for loop in (OURS, peer)
    )
    if ours is None or theirs is None:
        return verdict(False, name, 'not measured')
    return verdict(ours < theirs, name, f'{ours:.0f} bytes, {peer} {theirs:.0f}')


def verdict(passed: bool, name: str, finding: str) -> bool:
    print(f'{"pass" if passed else "FAIL"}  {name:22} {finding}')
    return passed


def why_it_does_not_count(results: Results, peers: list[str]) -> list[str]:
    objections = [f'{peer} was not measured' for peer in peers if peer not in results.loops]
    if not results.python.startswith('CPython 3.13'):
        objections.append(f'the bars are for CPython 3.13, this is {results.python}')
    ours = results.loops.get(OURS)
    if ours is None or not ours.compiled:
        objections.append('sooner was not compiled')
    if '--quick' in results.command:
        objections.append('--quick is for looking, not for judging')
    return objections


if __name__ == '__main__':
    raise SystemExit(main())
