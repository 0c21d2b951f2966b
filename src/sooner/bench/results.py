"""What a benchmark found out, how it is compared, and its JSON form."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: The loop that is compared with the others.
OURS = 'sooner'

#: What no loop can be better than: programs in C that make the system calls and do nothing else.
LIMIT = 'C'

#: What a row can be measured in, and how a table's heading says it.
UNITS = {
    'ns': 'ns per operation',
    'requests/s': 'requests per second',
    'cpu ns': 'processor time, ns per request',
    'bytes': 'bytes each',
}


@dataclass(frozen=True)
class LoopInfo:
    """A loop that took part: how it was made, and what the workers saw of it (None until one has run)."""

    factory: str
    class_name: str | None = None
    version: str | None = None
    compiled: bool | None = None


@dataclass
class Figure:
    """One operation on one loop: a list of samples for each round, and why there are none, if there are none."""

    rounds: list[list[float]] = field(default_factory=list)
    #: What went wrong.
    error: str | None = None
    #: What the loop or the machine lacks.
    missing: str | None = None

    @property
    def median(self) -> float | None:
        """The median of the rounds' medians, in the operation's unit; None without a sample."""
        return statistics.median(map(statistics.median, self.rounds)) if self.rounds else None

    @property
    def spread(self) -> float | None:
        """How far apart the rounds' medians lie, as a share of the median; None with fewer than two rounds."""
        median = self.median
        if not median or len(self.rounds) < 2:
            return None
        medians = [statistics.median(samples) for samples in self.rounds]
        return (max(medians) - min(medians)) / median


@dataclass
class Row:
    """One operation on every loop."""

    title: str
    unit: str
    figures: dict[str, Figure] = field(default_factory=dict)

    @property
    def more_is_better(self) -> bool:
        return self.unit == 'requests/s'

    def best(self, names: Iterable[str]) -> tuple[str, float] | None:
        """Return name and median of the loop that does best among these; None where none of them was measured."""
        medians = [
            (median, name)
            for name in names
            if name in self.figures and (median := self.figures[name].median) is not None
        ]
        if not medians:
            return None
        median, name = max(medians) if self.more_is_better else min(medians)
        return name, median

    def best_peer(self, peers: Iterable[str] | None = None) -> tuple[str, float] | None:
        """Return name and median of the best of `peers`, or of all loops but ours; None without any."""
        return self.best(peers if peers is not None else [name for name in self.figures if name not in (OURS, LIMIT)])

    def ratio(self, peers: Iterable[str] | None = None) -> float | None:
        """Return how many times better ours is than the best peer: above 1 it is ahead; None where one is missing."""
        best = self.best_peer(peers)
        return self.times_better(OURS, best[0]) if best is not None else None

    def times_better(self, name: str, other: str) -> float | None:
        """Return how many times better one loop is than another; None where one is missing."""
        one, another = self.best([name]), self.best([other])
        if one is None or another is None:
            return None
        more, less = (one[1], another[1]) if self.more_is_better else (another[1], one[1])
        return more / less if less else None


@dataclass
class Results:
    command: str
    python: str
    machine: str
    loops: dict[str, LoopInfo]
    rows: dict[str, Row]

    def save(self, path: Path) -> None:
        document = dataclasses.asdict(self)
        for name, row in self.rows.items():
            for loop, figure in row.figures.items():
                document['rows'][name]['figures'][loop]['median'] = figure.median  # for readers that are not us
        path.write_text(json.dumps(document, indent=2) + '\n')

    @classmethod
    def load(cls, path: Path) -> Results:
        document: dict[str, Any] = json.loads(path.read_text())
        rows = {
            name: Row(
                row['title'],
                row['unit'],
                {
                    loop: Figure(figure['rounds'], figure['error'], figure.get('missing'))
                    for loop, figure in row['figures'].items()
                },
            )
            for name, row in document['rows'].items()
        }
        loops = {name: LoopInfo(**loop) for name, loop in document['loops'].items()}
        return cls(document['command'], document['python'], document['machine'], loops, rows)


def describe_python() -> str:
    return f'{platform.python_implementation()} {platform.python_version()}'


def describe_machine() -> str:
    """Name the processor, the number of them that this process may use, and the system."""
    model = platform.machine()
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith('model name'):
            model = line.partition(':')[2].strip()
            break
    return f'{model}, {usable_processors()} processors, {platform.system()} {platform.release()}'


def usable_processors() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == 'linux' else os.cpu_count() or 1
