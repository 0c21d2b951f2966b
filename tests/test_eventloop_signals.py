"""Signals: handlers that run in the loop, and what is left behind of them."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _as_before(loop: Any) -> Iterator[None]:
    """After each test, all is as it was before: also if the test fails."""
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)
    handlers = [signal.getsignal(number) for number in numbers]
    yield
    loop.close()
    for number, handler in zip(numbers, handlers, strict=True):
        signal.signal(number, handler)
    signal.set_wakeup_fd(-1)


def wakeup_fd() -> int:
    """Tell the file descriptor that signals are written to."""
    fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(fd)
    return fd


def test_handler_runs_in_the_loop_with_its_arguments(each: Any, loop: Any) -> None:
    log: list[Any] = []

    def handle(*args: Any) -> None:
        log.append((args, asyncio.get_running_loop() is loop))
        loop.stop()

    loop.add_signal_handler(signal.SIGUSR1, handle, 1, 'x')
    loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
    loop.run_forever()
    assert log == [((1, 'x'), True)]


def test_handler_runs_for_each_signal_and_each_time(each: Any, loop: Any, run: Any) -> None:
    async def main() -> list[str]:
        names: asyncio.Queue[str] = asyncio.Queue()
        loop.add_signal_handler(signal.SIGUSR1, names.put_nowait, 'one')
        loop.add_signal_handler(signal.SIGUSR2, names.put_nowait, 'two')
        got = []
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1):
            signal.raise_signal(number)
            got.append(await names.get())
        return got

    assert run(main()) == ['one', 'two', 'one']


def test_handler_runs_in_one_context_each_time(each: Any, loop: Any, turn: Any) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar('variable', default=0)
    seen: list[int] = []

    def count() -> None:
        seen.append(variable.get())
        variable.set(variable.get() + 1)

    loop.add_signal_handler(signal.SIGUSR1, count)
    for _ in range(3):
        signal.raise_signal(signal.SIGUSR1)
        turn(2)
    assert seen == [0, 1, 2]
    assert variable.get() == 0


def test_signal_before_the_run_is_not_lost(each: Any, loop: Any) -> None:
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    signal.raise_signal(signal.SIGUSR1)
    loop.run_forever()


def test_signal_ends_a_wait_for_nothing(each: Any, loop: Any) -> None:
    waiting = threading.Event()

    def send() -> None:
        waiting.wait()
        os.kill(os.getpid(), signal.SIGUSR1)

    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    loop.call_soon(waiting.set)
    thread = threading.Thread(target=send)
    thread.start()
    loop.run_forever()
    thread.join()


def test_adding_again_replaces_the_handler(each: Any, loop: Any) -> None:
    log: list[int] = []
    loop.add_signal_handler(signal.SIGUSR1, log.append, 1)
    loop.add_signal_handler(signal.SIGUSR1, lambda: (log.append(2), loop.stop()))
    signal.raise_signal(signal.SIGUSR1)
    loop.run_forever()
    assert log == [2]


def test_removing_restores_the_default(each: Any, loop: Any) -> None:
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.add_signal_handler(signal.SIGINT, print)
    assert loop.remove_signal_handler(signal.SIGUSR1) is True
    assert loop.remove_signal_handler(signal.SIGUSR1) is False
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    assert loop.remove_signal_handler(signal.SIGINT) is True
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handler_may_remove_itself(each: Any, loop: Any, turn: Any) -> None:
    log: list[Any] = []

    def once() -> None:
        log.append(loop.remove_signal_handler(signal.SIGUSR1))
        loop.stop()

    loop.add_signal_handler(signal.SIGUSR1, once)
    signal.raise_signal(signal.SIGUSR1)
    loop.run_forever()
    assert log == [True]


def test_handler_removed_before_it_ran_does_not_run(each: Any, loop: Any, turn: Any) -> None:
    log: list[int] = []
    loop.add_signal_handler(signal.SIGUSR1, log.append, 1)
    signal.raise_signal(signal.SIGUSR1)
    loop.remove_signal_handler(signal.SIGUSR1)
    turn(2)
    assert log == []


def test_handler_that_raises_is_reported(each: Any, loop: Any, turn: Any, reports: list[dict[str, Any]]) -> None:
    def fail() -> None:
        loop.stop()
        raise ValueError('in a signal handler')

    loop.add_signal_handler(signal.SIGUSR1, fail)
    signal.raise_signal(signal.SIGUSR1)
    loop.run_forever()
    assert [str(report['exception']) for report in reports] == ['in a signal handler']


@pytest.mark.parametrize('number', [0, -1, 1000])
def test_what_is_no_signal_is_refused(each: Any, loop: Any, number: int) -> None:
    with pytest.raises(ValueError, match='invalid signal number'):
        loop.add_signal_handler(number, print)
    with pytest.raises(ValueError, match='invalid signal number'):
        loop.remove_signal_handler(number)


def test_what_is_no_number_is_refused(each: Any, loop: Any) -> None:
    with pytest.raises(TypeError, match='sig must be an int'):
        loop.add_signal_handler('SIGINT', print)


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGSTOP])
def test_signal_that_cannot_be_caught_is_refused(each: Any, loop: Any, number: int) -> None:
    with pytest.raises(RuntimeError, match=f'sig {int(number)} cannot be caught|Invalid argument'):
        loop.add_signal_handler(number, print)
    assert wakeup_fd() == -1
    assert loop.remove_signal_handler(number) is False


@pytest.mark.parametrize('thing', [None, 1])
def test_handler_that_cannot_be_called_is_refused(ours: Any, loop: Any, thing: object) -> None:
    with pytest.raises(TypeError, match='add_signal_handler'):
        loop.add_signal_handler(signal.SIGUSR1, thing)


def test_coroutines_as_handlers_are_refused(each: Any, loop: Any) -> None:
    async def work() -> None:
        pass

    with pytest.raises(TypeError, match='coroutines cannot be used with add_signal_handler'):
        loop.add_signal_handler(signal.SIGUSR1, work)
    coroutine = work()
    with pytest.raises(TypeError, match='coroutines cannot be used with add_signal_handler'):
        loop.add_signal_handler(signal.SIGUSR1, coroutine)
    coroutine.close()


def test_handler_added_in_another_thread_is_refused(each: Any, loop: Any) -> None:
    errors: list[Any] = []

    def add() -> None:
        try:
            loop.add_signal_handler(signal.SIGUSR1, print)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=add)
    thread.start()
    thread.join()
    assert len(errors) == 1
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_run_leaves_no_wakeup_fd_behind(each: Any, loop: Any, turn: Any) -> None:
    turn()
    assert wakeup_fd() == -1


@pytest.mark.parametrize('added', ['before the run', 'in the run'])
@pytest.mark.parametrize('removed', ['in the run', 'after the run', 'by closing'])
def test_handler_leaves_no_wakeup_fd_behind(ours: Any, loop: Any, turn: Any, added: str, removed: str) -> None:
    def add() -> None:
        loop.add_signal_handler(signal.SIGUSR1, print)

    def remove() -> None:
        loop.remove_signal_handler(signal.SIGUSR1)

    if added == 'before the run':
        add()
    else:
        loop.call_soon(add)
    if removed == 'in the run':
        loop.call_soon(remove)
    turn()
    if removed == 'in the run':
        assert wakeup_fd() == -1
    else:
        assert wakeup_fd() != -1
        if removed == 'after the run':
            remove()
        else:
            loop.close()
    assert wakeup_fd() == -1
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_wakeup_fd_of_somebody_else_is_kept(ours: Any, loop: Any, turn: Any) -> None:
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    try:
        signal.set_wakeup_fd(writer.fileno())
        seen: list[int] = []
        loop.call_soon(lambda: seen.append(wakeup_fd()))
        turn()
        assert seen == [writer.fileno()]
        assert wakeup_fd() == writer.fileno()
        loop.close()
        assert wakeup_fd() == writer.fileno()
    finally:
        signal.set_wakeup_fd(-1)
        reader.close()
        writer.close()


def test_two_loops_take_turns_with_signals(ours: Any, loop: Any, make_loop: Any) -> None:
    other = make_loop(ours.make_loop)
    log: list[str] = []
    loop.add_signal_handler(signal.SIGUSR1, lambda: (log.append('first'), loop.stop()))
    other.call_soon(other.stop)
    other.run_forever()
    signal.raise_signal(signal.SIGUSR1)
    loop.run_forever()
    assert log == ['first']


def test_closing_takes_the_handlers_away(each: Any, loop: Any) -> None:
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    assert wakeup_fd() == -1


def test_other_handlers_of_python_run_in_between(each: Any, loop: Any) -> None:
    log: list[str] = []
    signal.signal(signal.SIGUSR2, lambda number, frame: log.append('python'))
    loop.call_soon(signal.raise_signal, signal.SIGUSR2)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert log == ['python']


def test_exception_of_a_python_signal_handler_ends_a_waiting_loop_and_loses_nothing(ours: Any, loop: Any) -> None:
    class Alarm(BaseException):
        pass

    def ring(number: int, frame: Any) -> None:
        raise Alarm

    def send() -> None:
        waiting.wait()
        os.kill(os.getpid(), signal.SIGUSR1)

    signal.signal(signal.SIGUSR1, ring)
    waiting = threading.Event()
    ran: list[int] = []
    loop.call_soon(waiting.set)
    thread = threading.Thread(target=send)
    thread.start()
    reported: list[Any] = []
    loop.set_exception_handler(lambda loop, context: (reported.append(context['exception']), loop.stop()))
    try:
        loop.run_forever()  # the signal may come while the callback still runs: then it is reported
    except Alarm as error:
        reported.append(error)
    thread.join()
    assert [type(error) for error in reported] == [Alarm]
    loop.call_soon(ran.append, 1)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == [1]


CTRL_C = """
import asyncio, os, signal, sys, threading, sooner

async def main():
    waiting = threading.Event()
    def interrupt():
        waiting.wait()
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    asyncio.get_running_loop().call_soon(waiting.set)
    try:
        {body}
    except asyncio.CancelledError:
        print('cancelled', flush=True)
        raise
    finally:
        print('cleaned up', flush=True)

try:
    {run}
except KeyboardInterrupt:
    print('interrupted', flush=True)
"""

IN_A_RUNNER = """with asyncio.Runner(loop_factory=sooner.Loop) as runner:
        runner.run(main())"""


@pytest.mark.parametrize('run', ['sooner.run(main())', IN_A_RUNNER], ids=['run', 'runner'])
@pytest.mark.parametrize(
    'body',
    [
        'await asyncio.sleep(1000)',
        'await asyncio.get_running_loop().create_future()',
        'while True: await asyncio.sleep(0)',
    ],
)
def test_ctrl_c_cancels_the_main_task_and_comes_out(python: Any, run: str, body: str) -> None:
    done = python(CTRL_C.format(run=run, body=body))
    assert (done.stdout, done.stderr) == ('cancelled\ncleaned up\ninterrupted\n', '')
    assert done.returncode == 0


def test_ctrl_c_that_nobody_catches_ends_the_program_as_python_does(python: Any) -> None:
    done = python(
        CTRL_C.replace('except KeyboardInterrupt', 'except ZeroDivisionError').format(
            run='sooner.run(main())', body='await asyncio.sleep(1000)'
        )
    )
    assert done.stdout == 'cancelled\ncleaned up\n'
    assert done.stderr.splitlines()[-1] == 'KeyboardInterrupt'
    assert done.returncode == -signal.SIGINT


def test_ctrl_c_in_run_forever_loses_nothing(python: Any) -> None:
    done = python("""
import os, signal, threading, sooner

loop = sooner.new_event_loop()
waiting = threading.Event()

def interrupt():
    waiting.wait()
    os.kill(os.getpid(), signal.SIGINT)

thread = threading.Thread(target=interrupt)
thread.start()
loop.call_soon(waiting.set)
try:
    loop.run_forever()
except KeyboardInterrupt:
    print('interrupted')
thread.join()
loop.call_soon(print, 'goes on')
loop.call_soon(loop.stop)
loop.run_forever()
print(signal.set_wakeup_fd(-1))
loop.close()
""")
    assert (done.stdout, done.stderr) == ('interrupted\ngoes on\n-1\n', '')
