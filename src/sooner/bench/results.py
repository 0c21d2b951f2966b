"""What a benchmark found out, how it is compared, and its JSON form."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: The loop that is compared with the others.
OURS = 'sooner'


@dataclass(frozen=True)
class LoopInfo:
    """A loop that took part: how it was made, and what the workers saw of it (None until one has run)."""

    factory: str
    class_name: str | None = None
    version: str | None = None
    compiled: bool | None = None


@dataclass
class Figure:
    """One operation on one loop: a list of samples for each round, and what went wrong, if anything did."""

    rounds: list[list[float]] = field(default_factory=list)
    error: str | None = None

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

    def best_peer(self, peers: list[str] | None = None) -> tuple[str, float] | None:
        """Return name and median of the loop that needs least, of `peers` or of all but ours; None without any."""
        medians = [
            (median, name)
            for name, figure in self.figures.items()
            if (name in peers if peers is not None else name != OURS) and (median := figure.median) is not None
        ]
        if not medians:
            return None
        median, name = min(medians)
        return name, median

    def ratio(self, peers: list[str] | None = None) -> float | None:
        """Return the best peer's median divided by ours: above 1 ours is ahead. None where either is missing."""
        best = self.best_peer(peers)
        ours = self.figures[OURS].median if OURS in self.figures else None
        return best[1] / ours if best is not None and ours else None


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
                {loop: Figure(figure['rounds'], figure['error']) for loop, figure in row['figures'].items()},
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
