"""Other threads hand work to a loop and complete its futures: nothing is lost, nothing happens twice."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from patience import PATIENCE

import sooner

THREADS = 8

SWITCH_INTERVAL = 1e-6

pytestmark = pytest.mark.usefixtures('threads_switch_often')


class Threads:
    """Run a function in eight threads at the same time, each with its number; what one raises is raised at the end."""

    def __init__(self, function: Callable[[int], object]) -> None:
        self._function = function
        self._errors: list[BaseException] = []
        self._start = threading.Barrier(THREADS)
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        self._start.wait()
        try:
            self._function(number)
        except BaseException as exc:
            self._errors.append(exc)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        for error in self._errors:
            raise error


@pytest.fixture
def count(stress_scale: int) -> int:
    """How often each thread does what it does."""
    return 1500 * stress_scale


def test_each_threadsafe_call_runs_once_and_in_order(ours: Any, loop: Any, count: int) -> None:
    seen: list[list[int]] = [[] for _ in range(THREADS)]
    left = [THREADS * count]

    def called(thread: int, i: int) -> None:
        seen[thread].append(i)
        left[0] -= 1
        if left[0] == 0:
            loop.stop()

    def work(thread: int) -> None:
        for i in range(count):
            loop.call_soon_threadsafe(called, thread, i)

    threads = Threads(work)
    loop.run_forever()
    threads.join()
    assert seen == [list(range(count))] * THREADS


def test_loop_that_waits_wakes_up_for_each_call(ours: Any, loop: Any, count: int) -> None:
    """Every call finds the loop idle, or about to be."""
    rounds = count // 5
    seen: Counter[int] = Counter()

    def work(thread: int) -> None:
        done = threading.Semaphore(0)
        for _ in range(rounds):
            loop.call_soon_threadsafe(done.release)
            assert done.acquire(timeout=PATIENCE)
            seen[thread] += 1

    def stop_after() -> None:
        threads.join()
        loop.call_soon_threadsafe(loop.stop)

    threads = Threads(work)
    stopper = threading.Thread(target=stop_after)
    stopper.start()
    loop.run_forever()
    stopper.join()
    assert seen == dict.fromkeys(range(THREADS), rounds)


def test_futures_completed_by_threads_wake_their_waiters_once(ours: Any, loop: Any, run: Any, count: int) -> None:
    woken: Counter[tuple[int, int]] = Counter()
    called: Counter[tuple[int, int]] = Counter()

    async def wait(future: Any) -> None:
        woken[await future] += 1

    async def main() -> None:
        futures = [[loop.create_future() for _ in range(count)] for _ in range(THREADS)]
        tasks = [loop.create_task(wait(future)) for row in futures for future in row]
        for row in futures:
            for future in row:
                future.add_done_callback(lambda future: called.update([future.result()]))

        def work(thread: int) -> None:
            for i, future in enumerate(futures[thread]):
                future.set_result((thread, i))

        threads = Threads(work)
        await asyncio.gather(*tasks)
        threads.join()

    run(main())
    everything = {(thread, i): 1 for thread in range(THREADS) for i in range(count)}
    assert woken == everything
    assert called == everything


def test_one_of_the_threads_that_complete_a_future_wins(ours: Any, loop: Any, run: Any, count: int) -> None:
    """Eight threads race for each future with results, exceptions and cancellations: one is told that it succeeded."""
    rounds = count // 3
    wins: list[list[Any]] = [[] for _ in range(rounds)]
    called: Counter[int] = Counter()
    outcomes: dict[int, Any] = {}

    async def wait(i: int, future: Any) -> None:
        try:
            outcomes[i] = 'result', await future
        except ValueError as exc:
            outcomes[i] = 'exception', exc.args[0]
        except asyncio.CancelledError as exc:
            outcomes[i] = 'cancelled', exc.args[0]

    async def main() -> None:
        futures = [loop.create_future() for _ in range(rounds)]
        tasks = [loop.create_task(wait(i, future)) for i, future in enumerate(futures)]
        for i, future in enumerate(futures):
            future.add_done_callback(lambda future, i=i: called.update([i]))
        await asyncio.sleep(0)
        # The threads go from future to future together, or few futures would be raced for.
        together = threading.Barrier(THREADS)

        def work(thread: int) -> None:
            for i, future in enumerate(futures):
                if i % 16 == 0:
                    together.wait()
                try:
                    if thread % 3 == 0:
                        future.set_result(thread)
                        wins[i].append(('result', thread))
                    elif thread % 3 == 1:
                        future.set_exception(ValueError(thread))
                        wins[i].append(('exception', thread))
                    elif future.cancel(thread):
                        wins[i].append(('cancelled', thread))
                except asyncio.InvalidStateError:
                    pass

        threads = Threads(work)
        await asyncio.gather(*tasks)
        threads.join()

    run(main())
    assert [len(winners) for winners in wins] == [1] * rounds
    assert [outcomes[i] for i in range(rounds)] == [winners[0] for winners in wins]
    assert called == dict.fromkeys(range(rounds), 1)


def test_callbacks_added_while_a_thread_completes_run_once(ours: Any, loop: Any, run: Any, count: int) -> None:
    """The loop's thread adds callbacks and waiters at the moment at which another one completes the future."""
    called: Counter[int] = Counter()

    async def wait(i: int, future: Any) -> None:
        await future
        called[i] += 1

    async def main() -> None:
        futures = [loop.create_future() for _ in range(count)]
        turn = threading.Semaphore(0)

        def work(thread: int) -> None:
            for future in futures[thread::THREADS]:
                turn.acquire()
                future.set_result(None)

        threads = Threads(work)
        tasks = []
        for i, future in enumerate(futures):
            turn.release()
            future.add_done_callback(lambda future, i=i: called.update([i]))
            tasks.append(loop.create_task(wait(i, future)))
            future.add_done_callback(lambda future, i=i: called.update([i]))
            if i % 10 == 0:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        threads.join()
        await asyncio.sleep(0)

    run(main())
    assert called == dict.fromkeys(range(count), 3)


def test_stop_from_another_thread_ends_each_run(ours: Any, loop: Any, count: int) -> None:
    for _ in range(count // 10):
        stopper = threading.Thread(target=loop.stop)
        loop.call_soon(stopper.start)
        loop.run_forever()
        stopper.join()


def test_loops_in_their_own_threads_do_not_disturb_each_other(ours: Any, make_loop: Any, count: int) -> None:
    """Free lists, contexts and the current task are shared by all loops of a process, or are each loop's own."""
    loops = [make_loop(ours.make_loop) for _ in range(THREADS)]
    results: list[Any] = [None] * THREADS

    async def child(number: int) -> int:
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        assert task.get_loop() is loops[number]
        return number

    async def main(number: int) -> int:
        total = 0
        for _ in range(count // 10):
            future = loops[number].create_future()
            loops[number].call_soon(future.set_result, number)
            total += await future
            total += sum(await asyncio.gather(child(number), child(number)))
        return total

    def work(number: int) -> None:
        results[number] = loops[number].run_until_complete(main(number))

    Threads(work).join()
    assert results == [3 * number * (count // 10) for number in range(THREADS)]


def test_executor_results_all_arrive(ours: Any, loop: Any, run: Any, count: int) -> None:
    async def main() -> list[int]:
        results = await asyncio.gather(*(loop.run_in_executor(None, int, i) for i in range(count)))
        await loop.shutdown_default_executor()
        return results

    assert run(main()) == list(range(count))


def test_threads_talk_to_each_others_loops(ours: Any, make_loop: Any, count: int) -> None:
    """run_coroutine_threadsafe() around a ring of loops, each run by a thread."""
    loops = [make_loop(ours.make_loop) for _ in range(THREADS)]

    async def answer(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def ask(number: int) -> int:
        neighbour = loops[(number + 1) % THREADS]
        total = 0
        for i in range(count // 10):
            total += await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer(i), neighbour))
        return total

    finished = threading.Barrier(THREADS)
    results: list[Any] = [None] * THREADS

    def work(number: int) -> None:
        async def main() -> None:
            results[number] = await ask(number)
            # The neighbour may still ask.
            await loops[number].run_in_executor(None, finished.wait)
            await loops[number].shutdown_default_executor()

        loops[number].run_until_complete(main())

    Threads(work).join()
    assert results == [sum(range(count // 10))] * THREADS


def test_future_of_a_loop_that_another_thread_runs_can_be_made_anywhere(ours: Any, loop: Any, count: int) -> None:
    """Making futures in many threads uses their free list in all of them."""

    def work(thread: int) -> None:
        for i in range(count):
            future = sooner.Future(loop=loop)
            future.set_result((thread, i))
            assert future.result() == (thread, i)

    Threads(work).join()
