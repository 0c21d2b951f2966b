"""Counts the machine instructions of one operation, on each loop, with callgrind.

Run it with `python benchmarks/instructions.py`.

Times vary with the machine and its neighbours, instruction counts hardly do: they show what a change to the core did
when a clock cannot. They say nothing of caches, of system calls, or of waiting. Each operation runs N and 2N times;
the difference, divided by N, is one.

Needs valgrind. The result goes into instructions.json and instructions.md beside this file. It takes about half a
minute a loop.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import sooner.bench
from sooner.bench.operations import OPERATIONS
from sooner.bench.results import describe_python
from sooner.bench.rounds import installed_loops

HERE = Path(__file__).parent
N = 1000

#: Where threads take turns the count is not the same twice.
COUNTED = [
    operation
    for operation in OPERATIONS.values()
    if operation.unit == 'ns' and not operation.count and not operation.threads
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--loop', action='append', default=[], metavar='NAME=MODULE:FACTORY', help='count this loop too'
    )
    parser.add_argument(
        '--output', type=Path, default=HERE / 'instructions', metavar='STEM', help='write STEM.json and STEM.md'
    )
    arguments = parser.parse_args()
    loops = installed_loops() | dict(loop.split('=', 1) for loop in arguments.loop)
    counts = {}
    for name, factory in loops.items():
        print(f'{name} ...', flush=True)
        counts[name] = count_instructions(factory)
    document = {
        'python': describe_python(),
        'loops': {name: version_of(name) for name in loops},
        'instructions': {
            operation.name: {name: counts[name][operation.name] for name in loops} for operation in COUNTED
        },
    }
    table = as_markdown(document)
    arguments.output.with_suffix('.json').write_text(json.dumps(document, indent=2) + '\n')
    arguments.output.with_suffix('.md').write_text(table)
    print(table, end='')


def count_instructions(factory: str) -> dict[str, int | None]:
    """Run every operation under callgrind in one process; None where the loop cannot do it."""
    sizes = {operation.name: max(N, operation.multiple) for operation in COUNTED}
    runs = [(name, times * size) for name, size in sizes.items() for times in (1, 2)]
    with tempfile.TemporaryDirectory() as directory:
        profile = Path(directory, 'callgrind')
        # The worker calls getppid() before and after each run, and nobody else does: a profile is written, and begun
        # anew, at each call.
        valgrind = [
            'valgrind',
            '--quiet',
            '--tool=callgrind',
            '--dump-before=getppid',
            f'--callgrind-out-file={profile}',
        ]
        worker = [
            sys.executable,
            str(HERE / 'instructions_worker.py'),
            str(Path(sooner.bench.__file__).parents[1]),
            factory,
            json.dumps(runs),
        ]
        environment = os.environ | {'PYTHONHASHSEED': '0'}
        output = subprocess.run(
            [*valgrind, *worker], env=environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        done: list[bool] = json.loads(output)
        # Profile 1 is the start; then comes a run, then what is between two runs, and so on.
        totals = [read_total(profile.with_name(f'callgrind.{2 * position + 2}')) for position in range(len(runs))]
    counts: dict[str, int | None] = {}
    for position, (name, size) in enumerate(sizes.items()):
        once, twice = totals[2 * position : 2 * position + 2]
        counts[name] = round((twice - once) / size) if all(done[2 * position : 2 * position + 2]) else None
    return counts


def read_total(profile: Path) -> int:
    found = re.search(r'^totals: (\d+)', profile.read_text(), re.MULTILINE)
    assert found is not None, f'{profile} has no line "totals:"'
    return int(found[1])


def version_of(loop: str) -> str:
    if loop == 'sooner':
        build = sooner.build_info()
        return build.version if build.compiled else f'{build.version}, uncompiled'
    try:
        return importlib.metadata.version(loop)
    except importlib.metadata.PackageNotFoundError:
        return ''


def as_markdown(document: dict[str, Any]) -> str:
    loops = document['loops']
    lines = [
        '# Instructions per operation',
        '',
        f'Counted by callgrind on {document["python"]} with `python benchmarks/instructions.py`.',
        '',
        '| operation | ' + ' | '.join(f'{name} {version}'.strip() for name, version in loops.items()) + ' |',
        '|---|' + '---:|' * len(loops),
    ]
    for name, counts in document['instructions'].items():
        cells = ['' if count is None else f'{count:,}' for count in counts.values()]
        lines.append(f'| {OPERATIONS[name].title} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    main()
