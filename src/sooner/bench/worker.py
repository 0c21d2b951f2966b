"""Measures one operation on one loop, in a process that does nothing else, and prints a line of JSON.

`rounds` starts it. Every loop is treated alike: the same warm-up, a number of repetitions that makes a sample last as
long, the garbage collector on as in any program, run before each sample and told to leave what was imported alone.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import json
import os
import sys
import threading
from asyncio import AbstractEventLoop
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from .operations import OPERATIONS, Operation


def main() -> None:
    loop_factory, operation_name, seconds, samples = sys.argv[1:]
    operation = OPERATIONS[operation_name]
    threading.excepthook = give_up  # or a loop that waits for a thread would wait on
    module_name, _, factory_name = loop_factory.partition(':')
    module = importlib.import_module(module_name)
    loop: AbstractEventLoop = getattr(module, factory_name)()
    gc.collect()
    gc.freeze()
    measured = {'bytes': weigh, 'ns': time_samples}[operation.unit](loop, operation, float(seconds), int(samples))
    print(json.dumps(describe(module, loop) | measured), flush=True)
    os._exit(0)  # a heap of a million timers would only be taken down with care


def give_up(thread_failure: threading.ExceptHookArgs) -> None:
    print(f'{thread_failure.exc_type.__name__}: {thread_failure.exc_value}', file=sys.stderr, flush=True)
    os._exit(1)


def time_samples(loop: AbstractEventLoop, operation: Operation, seconds: float, samples: int) -> dict[str, Any]:
    """Time `samples` runs that last `seconds` or more each.

    The runs that find out how many repetitions that takes warm everything up.
    """
    if operation.count is not None:
        count, samples = operation.count, 1
    else:
        samples *= 3 if operation.threads else 1
        count = operation.multiple
        while (elapsed := run_once(loop, operation, count)) < seconds * 1e9:
            wanted = count * min(10, 1.2 * seconds * 1e9 / elapsed)
            count = (int(wanted) // operation.multiple + 1) * operation.multiple
    return {'count': count, 'samples': [run_once(loop, operation, count) / count for _ in range(samples)]}


def run_once(loop: AbstractEventLoop, operation: Operation, count: int) -> int:
    """Return the nanoseconds that `count` repetitions take."""
    gc.collect()
    start = perf_counter_ns()
    awaitable = operation.run(loop, count)
    if inspect.iscoroutine(awaitable):
        loop.run_until_complete(awaitable)
    return perf_counter_ns() - start


def weigh(loop: AbstractEventLoop, operation: Operation, seconds: float, samples: int) -> dict[str, Any]:
    """Return by how many bytes the process grows for each of what the operation makes.

    The resident set is what counts, because loops in Rust and C have memory that `tracemalloc` never sees.
    """
    assert operation.count is not None
    for future in build(
        loop, operation, 1000
    ):  # modules, free lists and the queues' first growth come with the first ones
        future.set_result(None)
    build(loop, operation, 0)
    before = resident_bytes()
    held = build(loop, operation, operation.count)
    grown = resident_bytes() - before
    assert len(held) == operation.count
    return {'count': operation.count, 'samples': [grown / operation.count]}


def build(loop: AbstractEventLoop, operation: Operation, count: int) -> list[Any]:
    made = operation.run(loop, count)
    assert inspect.iscoroutine(made)
    held: list[Any] = loop.run_until_complete(made)
    return held


def resident_bytes(process: int | str = 'self') -> int:
    # /proc/PID/statm is quicker, but since Linux 6.2 it may be off by hundreds of pages (proc(5), "inaccurate").
    rollup = Path(f'/proc/{process}/smaps_rollup')
    for line in rollup.read_text().splitlines():
        if line.startswith('Rss:'):
            return int(line.split()[1]) * 1024
    raise OSError(f'{rollup} has no line "Rss:", which memory is measured by')


def describe(module: Any, loop: AbstractEventLoop) -> dict[str, Any]:
    """Say which loop it was, in its own words: class, version, whether compiled (None where it does not say)."""
    build_info = getattr(module, 'build_info', None)
    return {
        'class': f'{type(loop).__module__}.{type(loop).__qualname__}',
        'version': getattr(module, '__version__', None),
        'compiled': build_info().compiled if build_info is not None else None,
    }
