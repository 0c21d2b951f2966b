"""Running programs: sooner.run(), Runner, and asyncio's own ways to take a loop."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import sys
import threading
import weakref
from typing import Any

import pytest

import sooner


async def loop_class() -> type:
    await asyncio.sleep(0)
    return type(asyncio.get_running_loop())


def test_run_returns_the_result_and_runs_in_our_loop() -> None:
    assert sooner.run(loop_class()) is sooner.Loop


def test_run_raises_the_exception() -> None:
    async def fail() -> None:
        raise ValueError('no')

    with pytest.raises(ValueError, match='no'):
        sooner.run(fail())


@pytest.mark.parametrize('run', [asyncio.run, sooner.run])
@pytest.mark.parametrize('kind', [SystemExit, KeyboardInterrupt])
def test_run_lets_an_exit_through_after_cleaning_up(run: Any, kind: Any) -> None:
    log: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            log.append('cleaned up')

    async def main() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        assert not task.done()
        raise kind(3)

    with pytest.raises(kind, match='3'):
        run(main())
    assert log == ['cleaned up']


@pytest.mark.parametrize('run', [asyncio.run, sooner.run])
@pytest.mark.parametrize('thing', [None, 1, loop_class])
def test_run_refuses_what_is_no_coroutine(run: Any, thing: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        run(thing)


def test_run_inside_a_loop_is_refused() -> None:
    async def main() -> None:
        coroutine = loop_class()
        with pytest.raises(RuntimeError, match=r'sooner\.run\(\) cannot be called from a running event loop'):
            sooner.run(coroutine)
        coroutine.close()

    sooner.run(main())
    asyncio.run(main())


def test_run_cancels_what_is_still_running_and_closes_everything() -> None:
    log: list[Any] = []
    loops: list[Any] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            log.append('cancelled')
            raise

    async def numbers() -> Any:
        try:
            yield 1
        finally:
            log.append('generator')

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loops.append(loop)
        for _ in range(3):
            loop.create_task(wait())  # noqa: RUF006  # nobody else holds it
        loops.append(numbers())
        await anext(loops[1])
        await loop.run_in_executor(None, lambda: log.append(threading.current_thread()))

    sooner.run(main())
    thread = log.pop(0)
    assert log == ['cancelled'] * 3 + ['generator']
    assert not thread.is_alive()
    assert loops[0].is_closed()


def test_run_reports_what_fails_while_it_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    async def fail_late() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            raise ValueError('while being cancelled')

    async def main() -> None:
        task = asyncio.create_task(fail_late())
        await asyncio.sleep(0)
        assert not task.done()

    sooner.run(main())
    [record] = caplog.records
    assert 'unhandled exception during asyncio.run() shutdown' in record.getMessage()


def test_run_takes_a_context() -> None:
    if 'context' not in inspect.signature(asyncio.Runner.run).parameters:
        pytest.skip('asyncio.Runner.run() takes no context')
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable', default=0)

    async def main() -> None:
        variable.set(5)

    context = contextvars.copy_context()
    sooner.run(main(), context=context)
    assert context[variable] == 5
    assert variable.get() == 0


def test_run_takes_a_loop_factory() -> None:
    made: list[Any] = []

    def factory() -> Any:
        made.append(sooner.new_event_loop('selector'))
        return made[-1]

    async def main() -> Any:
        return asyncio.get_running_loop()

    assert sooner.run(main(), loop_factory=factory) is made[0]
    assert made[0].is_closed()


def test_runner_runs_many_times_in_one_loop() -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable', default=0)

    async def count() -> int:
        variable.set(variable.get() + 1)
        return variable.get()

    with sooner.Runner() as runner:
        assert type(runner.get_loop()) is sooner.Loop
        assert [runner.run(count()) for _ in range(3)] == [1, 2, 3]
        loop = runner.get_loop()
    assert loop.is_closed()
    with pytest.raises(RuntimeError, match='Runner is closed'):
        runner.get_loop()
    assert isinstance(runner, asyncio.Runner)


def test_runner_of_asyncio_takes_our_factory() -> None:
    with asyncio.Runner(loop_factory=sooner.new_event_loop) as runner:
        assert runner.run(loop_class()) is sooner.Loop


@pytest.mark.skipif(sys.version_info < (3, 12), reason='asyncio.run() takes a loop_factory since Python 3.12')
def test_run_of_asyncio_takes_our_factory() -> None:
    assert asyncio.run(loop_class(), loop_factory=sooner.new_event_loop) is sooner.Loop
    assert asyncio.run(loop_class(), loop_factory=sooner.Loop) is sooner.Loop


def test_factory_is_found_by_name_as_servers_do() -> None:
    module, _, name = 'sooner:new_event_loop'.partition(':')
    loop = getattr(sys.modules[module], name)()
    assert isinstance(loop, asyncio.AbstractEventLoop)
    loop.close()


def test_run_leaves_nothing_behind() -> None:
    alive: list[weakref.ref[Any]] = []

    async def main() -> None:
        tasks = [asyncio.create_task(asyncio.sleep(0)) for _ in range(10)]
        alive.extend(map(weakref.ref, [asyncio.get_running_loop(), asyncio.current_task(), *tasks]))  # type: ignore[list-item]
        await asyncio.gather(*tasks)

    sooner.run(main())
    gc.collect()
    assert [reference() for reference in alive] == [None] * 12


def test_run_in_several_threads_at_once() -> None:
    outcomes: list[Any] = []
    threads = [threading.Thread(target=lambda: outcomes.append(sooner.run(loop_class()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [sooner.Loop] * 4


def test_program_that_ends_with_its_loop_open_ends_quietly(python: Any) -> None:
    done = python("""
import asyncio, sooner
loop = sooner.new_event_loop()
asyncio.set_event_loop(loop)
async def wait():
    await asyncio.sleep(1000)
task = loop.create_task(wait())
task._log_destroy_pending = False
loop.call_later(1000, print)
loop.add_signal_handler(10, print)
loop.stop()
loop.run_forever()
print('end')
""")
    assert (done.stdout, done.stderr, done.returncode) == ('end\n', '', 0)


def test_program_that_exits_in_the_middle_exits_with_its_code(python: Any) -> None:
    done = python("""
import asyncio, sys, sooner
async def main():
    asyncio.create_task(asyncio.sleep(1000))
    await asyncio.sleep(0)
    sys.exit(7)
sooner.run(main())
""")
    assert (done.stdout, done.stderr, done.returncode) == ('', '', 7)
