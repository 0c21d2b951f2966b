"""Executors: functions that block, run in threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _no_thread_left(loop: Any) -> Any:
    yield
    if not loop.is_closed():
        loop.run_until_complete(loop.shutdown_default_executor())


def test_function_runs_in_another_thread(each: Any, loop: Any, run: Any) -> None:
    async def main() -> Any:
        return await loop.run_in_executor(None, lambda *args: (threading.get_ident(), args), 1, 2)

    ident, args = run(main())
    assert ident != threading.get_ident()
    assert args == (1, 2)


def test_future_of_an_executor_is_of_the_loops_own_kind(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        future = loop.run_in_executor(None, int)
        assert isinstance(future, asyncio.Future)
        assert type(future) is type(loop.create_future())
        assert await future == 0

    run(main())


def test_exception_of_a_function_is_raised(each: Any, loop: Any, run: Any) -> None:
    def fail() -> None:
        raise ValueError('in a thread')

    async def main() -> None:
        with pytest.raises(ValueError, match='in a thread'):
            await loop.run_in_executor(None, fail)

    run(main())


def test_given_executor_is_used(each: Any, loop: Any, run: Any) -> None:
    with ThreadPoolExecutor(1, thread_name_prefix='mine') as executor:

        async def main() -> None:
            name = await loop.run_in_executor(executor, lambda: threading.current_thread().name)
            assert name.startswith('mine')

        run(main())


def test_set_default_executor_is_used(each: Any, loop: Any, run: Any) -> None:
    loop.set_default_executor(ThreadPoolExecutor(1, thread_name_prefix='default'))

    async def main() -> None:
        name = await loop.run_in_executor(None, lambda: threading.current_thread().name)
        assert name.startswith('default')

    run(main())
    with pytest.raises(TypeError, match='executor must be ThreadPoolExecutor instance'):
        loop.set_default_executor(object())


@pytest.mark.parametrize('thing', [None, 1, 'text'])
def test_what_cannot_be_called_is_refused(ours: Any, loop: Any, thing: object) -> None:
    with pytest.raises(TypeError, match='run_in_executor'):
        loop.run_in_executor(None, thing)


def test_coroutine_function_is_refused_in_debug_mode(each: Any, loop: Any) -> None:
    async def work() -> None:
        pass

    loop.set_debug(True)
    loop.slow_callback_duration = 1000
    with pytest.raises(TypeError, match='coroutine'):
        loop.run_in_executor(None, work)
    coroutine = work()
    with pytest.raises(TypeError):
        loop.run_in_executor(None, coroutine)
    coroutine.close()


def test_to_thread_takes_the_context_along(each: Any, loop: Any, run: Any) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable', default=0)

    async def main() -> None:
        variable.set(5)
        assert await asyncio.to_thread(variable.get) == 5

    run(main())


def test_many_calls_all_come_back(each: Any, loop: Any, run: Any) -> None:
    async def main() -> list[int]:
        return await asyncio.gather(*(loop.run_in_executor(None, abs, -number) for number in range(100)))

    assert run(main()) == list(range(100))


def test_cancelling_the_future_cancels_a_call_that_has_not_begun(each: Any, loop: Any, run: Any) -> None:
    door, entered = threading.Event(), threading.Event()
    ran: list[int] = []
    with ThreadPoolExecutor(1) as executor:

        def block() -> None:
            entered.set()
            door.wait()

        async def main() -> None:
            first = loop.run_in_executor(executor, block)
            entered.wait()
            second = loop.run_in_executor(executor, ran.append, 1)
            second.cancel()
            await asyncio.sleep(0)  # the cancellation goes on to the executor in a callback
            door.set()
            await first
            assert second.cancelled()

        run(main())
    assert ran == []


def test_cancelling_the_future_of_a_running_call_does_not_wait(each: Any, loop: Any, run: Any) -> None:
    door = threading.Event()

    async def main() -> None:
        future = loop.run_in_executor(None, door.wait)
        await asyncio.sleep(0)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        door.set()

    try:
        run(main())
    finally:
        door.set()


def test_shutdown_waits_for_what_runs(each: Any, loop: Any, run: Any) -> None:
    door = threading.Event()
    log: list[str] = []

    def block() -> None:
        door.wait()
        log.append('ended')

    async def main() -> None:
        future = loop.run_in_executor(None, block)
        loop.call_soon(door.set)
        await loop.shutdown_default_executor()
        assert log == ['ended']
        await future
        with pytest.raises(RuntimeError, match='Executor shutdown has been called'):
            loop.run_in_executor(None, print)

    run(main())


def test_shutdown_without_an_executor_is_harmless(each: Any, loop: Any, run: Any) -> None:
    run(loop.shutdown_default_executor())
    run(loop.shutdown_default_executor())


def test_shutdown_with_a_timeout_warns_and_goes_on(ours: Any, loop: Any, run: Any) -> None:
    door = threading.Event()

    async def main() -> None:
        future = loop.run_in_executor(None, door.wait)
        try:
            with pytest.warns(RuntimeWarning, match='The executor did not finishing joining its threads within'):
                await loop.shutdown_default_executor(timeout=0.01)
        finally:
            door.set()
        await future

    run(main())


def test_shutdown_with_a_timeout_that_is_long_enough_does_not_warn(ours: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        await loop.run_in_executor(None, print)
        await loop.shutdown_default_executor(timeout=1000)

    run(main())


def test_call_that_ends_after_the_loop_was_closed_is_harmless(each: Any, loop: Any, run: Any) -> None:
    door = threading.Event()
    executor = ThreadPoolExecutor(1)

    async def main() -> None:
        loop.run_in_executor(None, door.wait)

    loop.set_default_executor(executor)
    run(main())
    loop.close()
    door.set()
    executor.shutdown(wait=True)


def test_run_coroutine_threadsafe_gives_result_exception_and_cancellation(each: Any, loop: Any, run: Any) -> None:
    async def give(value: Any) -> Any:
        await asyncio.sleep(0)
        if isinstance(value, Exception):
            raise value
        return value

    def work() -> str:
        assert asyncio.run_coroutine_threadsafe(give(1), loop).result() == 1
        with pytest.raises(ValueError, match='no'):
            asyncio.run_coroutine_threadsafe(give(ValueError('no')), loop).result()
        waiting = asyncio.run_coroutine_threadsafe(asyncio.sleep(1000), loop)
        assert waiting.cancel()
        return 'done'

    async def main() -> str:
        outcome: str = await loop.run_in_executor(None, work)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return outcome

    assert run(main()) == 'done'
