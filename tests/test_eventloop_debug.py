"""Debug mode: it finds slow callbacks, wrong threads, and where things were made."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from typing import Any

import pytest

import sooner


@pytest.fixture
def debugging(loop: Any) -> Any:
    """The loop in debug mode, in which everything is slow: durations are compared with zero."""
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    return loop


def test_debug_mode_is_switched(each: Any, loop: Any) -> None:
    assert loop.get_debug() is False
    loop.set_debug(True)
    assert loop.get_debug() is True
    loop.set_debug(False)
    assert loop.get_debug() is False


def test_environment_and_development_mode_switch_it_on(python: Any) -> None:
    program = 'import sooner\nloop = sooner.new_event_loop()\nprint(loop.get_debug())\nloop.close()\n'
    assert python(program).stdout == 'False\n'
    assert python(program, env={'PYTHONASYNCIODEBUG': '1'}).stdout == 'True\n'
    assert python(program, options=('-X', 'dev')).stdout == 'True\n'


def test_slow_callback_is_logged_by_name(
    each: Any, debugging: Any, turn: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def guilty() -> None:
        pass

    debugging.call_soon(guilty)
    turn()
    [message] = [message for message in caplog.messages if 'guilty' in message]
    assert message.startswith('Executing <Handle ')
    assert 'guilty() ' in message
    assert 'created at' in message
    assert 'seconds' in message
    assert caplog.records[0].name == 'asyncio'
    assert caplog.records[0].levelno == logging.WARNING


def test_slow_step_is_logged_with_its_task(
    each: Any, debugging: Any, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def guilty() -> None:
        await asyncio.sleep(0)

    run(debugging.create_task(guilty(), name='the culprit'))
    messages = [message for message in caplog.messages if 'guilty' in message]
    assert len(messages) >= 2
    assert all(message.startswith('Executing <Task ') and "name='the culprit'" in message for message in messages[:2])


def test_fast_callbacks_are_not_logged(each: Any, loop: Any, turn: Any, caplog: pytest.LogCaptureFixture) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 1000
    loop.call_soon(print)
    turn()
    assert [message for message in caplog.messages if message.startswith('Executing')] == []


@pytest.mark.parametrize('method', ['call_soon', 'call_later', 'call_at'])
def test_call_from_a_wrong_thread_is_refused(each: Any, loop: Any, run: Any, method: str) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 1000
    arguments = () if method == 'call_soon' else (0,)

    async def main() -> None:
        def call() -> None:
            with pytest.raises(RuntimeError, match='Non-thread-safe operation invoked on an event loop'):
                getattr(loop, method)(*arguments, print)
            loop.call_soon_threadsafe(done.set)

        done = asyncio.Event()
        thread = threading.Thread(target=call)
        thread.start()
        await done.wait()
        thread.join()

    run(main())


def test_call_while_the_loop_does_not_run_is_allowed_from_any_thread(each: Any, loop: Any, turn: Any) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 1000
    ran: list[int] = []
    thread = threading.Thread(target=lambda: loop.call_soon(ran.append, 1))
    thread.start()
    thread.join()
    turn()
    assert ran == [1]


@pytest.mark.parametrize('method', ['call_soon', 'call_soon_threadsafe', 'call_later', 'call_at'])
def test_coroutine_function_as_a_callback_is_refused(each: Any, loop: Any, method: str) -> None:
    async def work() -> None:
        pass

    loop.set_debug(True)
    arguments = (0,) if method in ('call_later', 'call_at') else ()
    with pytest.raises(TypeError, match='coroutines cannot be used with'):
        getattr(loop, method)(*arguments, work)


def test_everything_remembers_where_it_was_made(ours: Any, loop: Any, run: Any) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 1000

    async def main() -> None:
        made = [
            loop.call_soon(print),
            loop.call_later(1000, print),
            loop.create_future(),
            loop.create_task(asyncio.sleep(0)),
            ours.Future(loop=loop),
        ]
        for one in made:
            assert one._source_traceback[-1].filename == __file__
            assert one._source_traceback[-1].name == 'main'
            assert 'created at' in repr(one)
        made[1].cancel()
        await made[3]

    run(main())
    loop.set_debug(False)
    assert loop.create_future()._source_traceback is None


def test_coroutine_that_is_never_awaited_tells_where_it_was_made(each: Any, loop: Any, run: Any) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 1000

    async def never() -> None:
        pass

    async def main() -> None:
        with pytest.warns(RuntimeWarning, match=r'never awaited\nCoroutine created at'):
            never()

    run(main())
    assert sys.get_coroutine_origin_tracking_depth() == 0


def test_switching_while_running_takes_effect(each: Any, loop: Any, run: Any) -> None:
    async def main() -> None:
        assert sys.get_coroutine_origin_tracking_depth() == 0
        loop.set_debug(True)
        loop.slow_callback_duration = 1000
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sys.get_coroutine_origin_tracking_depth() > 0
        loop.set_debug(False)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sys.get_coroutine_origin_tracking_depth() == 0

    run(main())


def test_order_of_events_is_that_of_the_usual_mode(each: Any, make_loop: Any) -> None:
    def record(debug: bool) -> list[Any]:
        loop = make_loop(each.make_loop)
        loop.set_debug(debug)
        loop.slow_callback_duration = 1000
        log: list[Any] = []

        async def wait(name: str, future: Any) -> None:
            for step in range(2):
                log.append((name, step, await future))
                await asyncio.sleep(0)

        async def main() -> None:
            future = loop.create_future()
            future.add_done_callback(lambda _: log.append('callback'))
            tasks = [loop.create_task(wait(name, future)) for name in 'abc']
            loop.call_soon(log.append, 'soon')
            loop.call_soon(future.set_result, 'value')
            tasks[2].cancel()
            await asyncio.wait(tasks)
            log.append([task.cancelled() for task in tasks])

        loop.run_until_complete(main())
        return log

    assert record(True) == record(False)


def test_sooner_run_takes_debug() -> None:
    async def main() -> bool:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 1000
        return loop.get_debug()

    assert sooner.run(main(), debug=True) is True
    assert sooner.run(main(), debug=False) is False
