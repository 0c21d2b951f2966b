"""Drivers by themselves: the one interface, kept by each of them."""

from __future__ import annotations

import os
import selectors
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import sooner
from sooner.drivers import DRIVERS, Driver, new_driver
from sooner.drivers.selector import SelectorDriver


@pytest.fixture
def driver(ours: Any) -> Iterator[Any]:
    """A driver that serves no loop."""
    driver = new_driver(ours.name)
    yield driver
    driver.close()


@pytest.fixture
def scheduler(ours: Any, loop: Any) -> Any:
    """What drivers push to: a loop, which has a driver of its own."""
    return loop


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe's two ends."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def handle(loop: Any, log: list[Any], name: str) -> Any:
    return sooner.Handle(log.append, (name,), loop)


def test_driver_has_a_name(driver: Any, ours: Any) -> None:
    assert driver.name == ours.name
    assert isinstance(driver, Driver)


def test_wait_of_no_time_returns_at_once(driver: Any, scheduler: Any) -> None:
    driver.wait(scheduler, 0)
    driver.wait(scheduler, 1e-9)
    assert scheduler.statistics().ready == 0


def test_wake_ends_the_next_wait_and_no_other(driver: Any, scheduler: Any) -> None:
    driver.wake()
    driver.wake()
    driver.wait(scheduler, -1)
    driver.wait(scheduler, 0)
    assert scheduler.statistics().ready == 0


def test_wake_from_another_thread_ends_the_wait(driver: Any, scheduler: Any) -> None:
    thread = threading.Thread(target=driver.wake)
    thread.start()
    driver.wait(scheduler, -1)
    thread.join()


def test_wakes_without_number_do_not_block(driver: Any, scheduler: Any) -> None:
    for _ in range(20_000):
        driver.wake()
    driver.wait(scheduler, -1)


def test_ready_file_is_pushed(driver: Any, scheduler: Any, turn: Any, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    log: list[str] = []
    assert driver.set_reader(reader, handle(scheduler, log, 'read')) is None
    assert driver.set_writer(writer, handle(scheduler, log, 'write')) is None
    driver.wait(scheduler, -1)
    os.write(writer, b'x')
    driver.wait(scheduler, -1)
    turn()
    assert sorted(log) == ['read', 'write', 'write']
    driver.set_reader(reader, None)
    driver.set_writer(writer, None)
    driver.wait(scheduler, 0)
    assert scheduler.statistics().ready == 0


def test_one_before_is_returned(driver: Any, scheduler: Any, pipe: tuple[int, int]) -> None:
    first, second = handle(scheduler, [], 'first'), handle(scheduler, [], 'second')
    assert driver.set_reader(pipe[0], first) is None
    assert driver.set_writer(pipe[0], first) is None
    assert driver.set_reader(pipe[0], second) is first
    assert driver.set_reader(pipe[0], None) is second
    assert driver.set_reader(pipe[0], None) is None
    assert driver.set_writer(pipe[0], None) is first


def test_file_that_cannot_be_watched_changes_nothing(driver: Any, scheduler: Any, tmp_path: Any) -> None:
    with open(tmp_path / 'file', 'w') as file:
        for method in (driver.set_reader, driver.set_writer):
            with pytest.raises(PermissionError):
                method(file.fileno(), handle(scheduler, [], 'x'))
            assert method(file.fileno(), None) is None
    driver.wait(scheduler, 0)


def test_closing_twice_is_harmless(driver: Any) -> None:
    driver.close()
    driver.close()
    driver.wake()


@pytest.mark.skipif(sys.platform != 'linux', reason='counts in /proc')
def test_closing_releases_every_file(driver: Any, ours: Any) -> None:
    def count() -> int:
        return len(os.listdir('/proc/self/fd'))

    before = count()
    other = new_driver(ours.name)
    assert count() > before
    other.close()
    assert count() == before


def test_interrupted_wait_is_no_error(ours: Any, python: Any) -> None:
    done = python(
        """
import os, signal, threading, sooner
signal.signal(signal.SIGUSR1, lambda *_: None)
loop = sooner.new_event_loop()
waiting = threading.Event()

def interrupt():
    waiting.wait()
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGUSR1)
    loop.call_soon_threadsafe(loop.stop)

thread = threading.Thread(target=interrupt)
thread.start()
loop.call_soon(waiting.set)
loop.run_forever()
thread.join()
loop.close()
print('end')
""",
        env={'SOONER_DRIVER': ours.name},
    )
    assert (done.stdout, done.stderr) == ('end\n', '')


@pytest.mark.skipif('epoll' not in DRIVERS or sys.platform != 'linux', reason='epoll is of Linux')
def test_epoll_driver_closes_its_own_files_and_no_others() -> None:
    cls = type(new_driver('epoll'))
    before = os.listdir('/proc/self/fd')
    driver = cls()
    assert len(os.listdir('/proc/self/fd')) > len(before)
    driver.__init__()
    del driver  # that nobody closed
    assert os.listdir('/proc/self/fd') == before
    cls.__new__(cls).close()  # would be file 0, if nobody had thought of it
    assert os.listdir('/proc/self/fd') == before


def test_unknown_driver_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="no driver is named 'kqueue'.*" + ', '.join(DRIVERS)):
        sooner.new_event_loop('kqueue')


def test_loop_takes_a_driver_or_its_name(ours: Any, make_loop: Any) -> None:
    for given in (ours.name, new_driver(ours.name)):
        loop = make_loop(lambda given=given: sooner.new_event_loop(given))
        assert f'driver={ours.name}' in repr(loop)
    loop = make_loop(lambda: sooner.new_event_loop(driver=ours.name))
    assert f'driver={ours.name}' in repr(loop)


def test_environment_chooses_the_driver(monkeypatch: pytest.MonkeyPatch, make_loop: Any, ours: Any) -> None:
    monkeypatch.setenv('SOONER_DRIVER', ours.name)
    assert f'driver={ours.name}' in repr(make_loop(sooner.new_event_loop))
    monkeypatch.setenv('SOONER_DRIVER', 'nonsense')
    with pytest.raises(ValueError, match="no driver is named 'nonsense'"):
        sooner.new_event_loop()


@pytest.mark.parametrize('name', ['SelectSelector', 'PollSelector', 'EpollSelector', 'KqueueSelector'])
def test_selector_driver_takes_any_selector(make_loop: Any, name: str, pipe: tuple[int, int]) -> None:
    if not hasattr(selectors, name):
        pytest.skip(f'selectors.{name} is not there on this system')
    loop = make_loop(lambda: sooner.Loop(SelectorDriver(getattr(selectors, name)())))
    log: list[bytes] = []
    loop.add_reader(pipe[0], lambda: (log.append(os.read(pipe[0], 1)), loop.stop()))
    loop.call_soon(os.write, pipe[1], b'x')
    loop.run_forever()
    assert log == [b'x']


def test_own_driver_is_asked_for_events_and_woken(make_loop: Any) -> None:
    log: list[Any] = []

    class Recording(SelectorDriver):
        name = 'recording'

        def wait(self, scheduler: Any, timeout: float) -> None:
            log.append(timeout)
            super().wait(scheduler, timeout)

        def wake(self) -> None:
            log.append('wake')
            super().wake()

    loop = make_loop(lambda: sooner.Loop(Recording()))
    thread = threading.Thread(target=lambda: (waiting.wait(), loop.call_soon_threadsafe(loop.stop)))
    waiting = threading.Event()
    loop.call_soon(waiting.set)
    thread.start()
    loop.run_forever()
    thread.join()
    assert loop.statistics().polls == len([entry for entry in log if entry != 'wake'])
    assert 'driver=recording' in repr(loop)


def test_wait_is_as_long_as_the_first_timer_allows(make_loop: Any) -> None:
    timeouts: list[float] = []

    class Recording(SelectorDriver):
        def wait(self, scheduler: Any, timeout: float) -> None:
            timeouts.append(timeout)
            scheduler.call_soon(scheduler.stop)
            super().wait(scheduler, 0)

    loop = make_loop(lambda: sooner.Loop(Recording()))
    loop.time = lambda: 100.0
    loop.run_forever()
    loop.call_at(150, print)
    loop.call_at(120, print).cancel()
    loop.run_forever()
    loop.call_at(101, print)
    loop.run_forever()
    loop.call_at(99, print)
    loop.run_forever()
    assert timeouts[0] < 0
    assert timeouts[1:3] == [50, 1]
    assert all(timeout == 0 for timeout in timeouts[3:])


def test_driver_that_raises_ends_the_run_and_leaves_the_loop_usable(make_loop: Any) -> None:
    class Broken(SelectorDriver):
        fails = True

        def wait(self, scheduler: Any, timeout: float) -> None:
            if self.fails:
                raise OSError('no events today')
            super().wait(scheduler, timeout)

    driver = Broken()
    loop = make_loop(lambda: sooner.Loop(driver))
    log: list[int] = []
    loop.call_soon(log.append, 1)
    with pytest.raises(OSError, match='no events today'):
        loop.run_forever()
    assert not loop.is_running()
    driver.fails = False
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert log == [1]
