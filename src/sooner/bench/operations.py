"""The operations that are measured: what programs do with a loop all day, each written out as a program would.

A function takes a loop and how many times to do its operation. A coroutine function runs as the loop's one program, a
plain function runs the loop itself where it needs it. What comes before and after the repetitions is a constant that
many repetitions make small. Nothing here may import sooner (see the package).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

Loop = asyncio.AbstractEventLoop

#: How many callbacks, futures or tasks the operations 'of 100' and the batches handle at once.
BATCH = 100

#: How many timers are set before any is due: it takes every loop longer than their delays, so no loop idles.
TIMERS = 10_000

MILLION = 1_000_000


def nothing() -> None:
    pass


def nothing_with(first: object, second: object) -> None:
    pass


def nothing_done(future: asyncio.Future[None]) -> None:
    pass


async def finish_at_once() -> None:
    pass


async def wait_for(future: asyncio.Future[None]) -> None:
    await future


def run_batches(loop: Loop, batch: Callable[[], None], count: int) -> None:
    """Call `batch` once for every BATCH of `count`, each time when what it scheduled before has run."""
    left = count // BATCH

    def next_batch() -> None:
        nonlocal left
        if not left:
            loop.stop()
            return
        left -= 1
        batch()
        loop.call_soon(next_batch)

    loop.call_soon(next_batch)
    loop.run_forever()


# Callbacks


def call_soon_chain(loop: Loop, count: int) -> None:
    left = count

    def step() -> None:
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(step)
        else:
            loop.stop()

    loop.call_soon(step)
    loop.run_forever()


def call_soon_batch(loop: Loop, count: int) -> None:
    def batch() -> None:
        for _ in range(BATCH):
            loop.call_soon(nothing)

    run_batches(loop, batch, count)


def call_soon_args(loop: Loop, count: int) -> None:
    def batch() -> None:
        for _ in range(BATCH):
            loop.call_soon(nothing_with, 1, 2)

    run_batches(loop, batch, count)


def call_soon_threadsafe(loop: Loop, count: int) -> None:
    def call_from_outside() -> None:
        for _ in range(count):
            loop.call_soon_threadsafe(nothing)
        loop.call_soon_threadsafe(loop.stop)

    caller = threading.Thread(target=call_from_outside)
    loop.call_soon(caller.start)
    loop.run_forever()
    caller.join()


# Futures


def future_callback(loop: Loop, count: int) -> None:
    def batch() -> None:
        for _ in range(BATCH):
            future = loop.create_future()
            future.add_done_callback(nothing_done)
            future.set_result(None)

    run_batches(loop, batch, count)


def future_result(loop: Loop, count: int) -> None:
    for _ in range(count):
        future = loop.create_future()
        future.set_result(None)
        future.result()


async def await_done(loop: Loop, count: int) -> None:
    future = loop.create_future()
    future.set_result(None)
    for _ in range(count):
        await future


async def await_future(loop: Loop, count: int) -> None:
    for _ in range(count):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future


async def await_exception(loop: Loop, count: int) -> None:
    for _ in range(count):
        future = loop.create_future()
        loop.call_soon(future.set_exception, ValueError())
        try:
            await future
        except ValueError:
            pass


# Tasks


async def sleep_zero(loop: Loop, count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def create_await_task(loop: Loop, count: int) -> None:
    for _ in range(count):
        await loop.create_task(finish_at_once())


async def gather(loop: Loop, count: int) -> None:
    for _ in range(count // BATCH):
        await asyncio.gather(*[finish_at_once() for _ in range(BATCH)])


async def task_group(loop: Loop, count: int) -> None:
    for _ in range(count // BATCH):
        async with asyncio.TaskGroup() as group:
            for _ in range(BATCH):
                group.create_task(finish_at_once())


async def cancel_tasks(loop: Loop, count: int) -> None:
    for _ in range(count // BATCH):
        tasks = [loop.create_task(wait_for(loop.create_future())) for _ in range(BATCH)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def queue_ping_pong(loop: Loop, count: int) -> None:
    there: asyncio.Queue[int] = asyncio.Queue()
    back: asyncio.Queue[int] = asyncio.Queue()

    async def answer() -> None:
        for _ in range(count):
            await back.put(await there.get())

    answering = loop.create_task(answer())
    for ball in range(count):
        await there.put(ball)
        await back.get()
    await answering


async def run_in_executor(loop: Loop, count: int) -> None:
    for _ in range(count):
        await loop.run_in_executor(None, nothing)


# Timers


def scattered(number: int) -> int:
    """The `number`-th of the integers below 9973 in no order, so that a heap has something to sort."""
    return number * 7919 % 9973


async def call_later_cancel(loop: Loop, count: int) -> None:
    for _ in range(count // BATCH):
        for _ in range(BATCH):
            loop.call_later(10, nothing).cancel()
        await asyncio.sleep(0)


def call_later_fire(loop: Loop, count: int) -> None:
    for _ in range(count // TIMERS):
        _fire(loop, TIMERS, spread=0.0005)


def million_timers_fire(loop: Loop, count: int) -> None:
    _fire(loop, count, spread=0.1)


def _fire(loop: Loop, count: int, spread: float) -> None:
    """Set `count` timers that are due within `spread` seconds, in no order, and run until all have fired."""
    left = count

    def fire() -> None:
        nonlocal left
        left -= 1
        if not left:
            loop.stop()

    for number in range(count):
        loop.call_later(0.001 + spread * scattered(number) / 9973, fire)
    loop.run_forever()


async def million_timers_cancel(loop: Loop, count: int) -> None:
    timers = [loop.call_later(3600 + scattered(number), nothing) for number in range(count)]
    for timer in timers:
        timer.cancel()
    await asyncio.sleep(0)


# Memory: these return what must stay alive while the process is weighed.


async def pending_future(loop: Loop, count: int) -> list[asyncio.Future[None]]:
    return [loop.create_future() for _ in range(count)]


async def pending_task(loop: Loop, count: int) -> list[asyncio.Future[None]]:
    futures: list[asyncio.Future[None]] = []
    for _ in range(count):
        future = loop.create_future()
        futures.append(future)
        loop.create_task(wait_for(future))  # held by its future's callback
        del future
    await asyncio.sleep(0)  # every task is waiting now
    return futures


@dataclass(frozen=True)
class Operation:
    """What is measured, under the name of its function."""

    run: Callable[[Loop, int], Awaitable[Any] | None]
    title: str
    #: 'ns' for the time that one takes, 'bytes' for the memory that one holds.
    unit: str = 'ns'
    #: How many at once, where the number is the point; None where as many are done as can be timed.
    count: int | None = None
    #: What that number must be a multiple of.
    multiple: int = BATCH
    #: Whether threads take turns in it. When they do is the system's whim, so it takes more samples to know.
    threads: bool = False

    @property
    def name(self) -> str:
        return self.run.__name__

    @property
    def rows(self) -> dict[str, tuple[str, str]]:
        return {self.name: (self.title, self.unit)}


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation(call_soon_chain, 'call_soon, chained'),
        Operation(call_soon_batch, 'call_soon, batch'),
        Operation(call_soon_args, 'call_soon with 2 arguments'),
        Operation(future_callback, 'create_future + add_done_callback + set_result'),
        Operation(future_result, 'create_future, set_result, result'),
        Operation(await_done, 'await a done future'),
        Operation(await_future, 'await a future woken by call_soon(set_result)'),
        Operation(await_exception, 'same, with an exception'),
        Operation(sleep_zero, 'asyncio.sleep(0)'),
        Operation(create_await_task, 'create_task + await it'),
        Operation(gather, 'gather of 100, per task'),
        Operation(task_group, 'TaskGroup of 100, per task'),
        Operation(cancel_tasks, 'cancel 100 tasks, per task'),
        Operation(queue_ping_pong, 'Queue ping-pong'),
        Operation(call_later_cancel, 'call_later + cancel'),
        Operation(call_later_fire, 'call_later, firing', multiple=TIMERS),
        Operation(million_timers_fire, 'a million timers, firing', count=MILLION),
        Operation(million_timers_cancel, 'a million timers, cancelled', count=MILLION),
        Operation(call_soon_threadsafe, 'call_soon_threadsafe from a thread', threads=True),
        Operation(run_in_executor, 'run_in_executor round trip', threads=True),
        Operation(pending_future, 'memory of a pending future', unit='bytes', count=200_000),
        Operation(pending_task, 'memory of a task waiting for a future, both', unit='bytes', count=100_000),
    )
}
