"""Timers: callbacks for a time of the loop's clock."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import sooner


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(loop: Any) -> Iterator[Clock]:
    """The loop's clock, in the test's hands."""
    loop.time = clock = Clock()
    yield clock
    del loop.time


def test_timer_is_a_timer_handle_for_asyncio_too(ours: Any, loop: Any) -> None:
    for timer in (loop.call_later(9, print), loop.call_at(9, print)):
        assert type(timer) is sooner.TimerHandle
        assert isinstance(timer, asyncio.TimerHandle)
        assert isinstance(timer, asyncio.Handle)


def test_when_is_the_time_that_was_asked_for(each: Any, loop: Any, clock: Clock) -> None:
    assert loop.call_at(1234.5, print).when() == 1234.5
    assert loop.call_later(5, print).when() == 1005
    assert loop.call_later(0.25, print).when() == 1000.25
    assert loop.call_later(True, print).when() == 1001


def test_timers_fire_in_order_of_their_time(each: Any, loop: Any, clock: Clock, turn: Any) -> None:
    fired: list[float] = []
    times = [1000 + offset for offset in range(1, 500)]
    shuffled = times[:]
    random.Random(1).shuffle(shuffled)
    for when in shuffled:
        loop.call_at(when, fired.append, when)
    clock.now = 2000
    turn()
    assert fired == times


def test_timers_of_one_time_fire_in_order_of_creation(ours: Any, loop: Any, clock: Clock, turn: Any) -> None:
    fired: list[tuple[float, int]] = []
    for number in range(300):
        when = 1000 + number % 3
        loop.call_at(when, fired.append, (when, number))
    clock.now = 2000
    turn()
    assert fired == sorted(fired)
    assert len(fired) == 300


def test_timer_does_not_fire_before_its_time(each: Any, loop: Any, clock: Clock, turn: Any) -> None:
    fired: list[float] = []
    loop.call_at(1001, fired.append, 1001)
    loop.call_at(1002, fired.append, 1002)
    turn()
    assert fired == []
    clock.now = 1001
    turn()
    assert fired == [1001]
    clock.now = 1002.5
    turn()
    assert fired == [1001, 1002]


def test_timers_of_the_past_fire_in_the_next_turn(each: Any, loop: Any, clock: Clock, turn: Any) -> None:
    fired: list[str] = []
    loop.call_at(-5, fired.append, 'long ago')
    loop.call_later(-1, fired.append, 'negative')
    loop.call_later(-math.inf, fired.append, 'at the beginning of time')
    loop.call_later(0, fired.append, 'now')
    turn()
    assert fired == ['at the beginning of time', 'long ago', 'negative', 'now']


def test_what_was_ready_runs_before_timers_that_came_due(each: Any, loop: Any, clock: Clock, turn: Any) -> None:
    ran: list[str] = []
    loop.call_later(0, ran.append, 'timer')
    loop.call_soon(ran.append, 'soon')
    turn()
    assert ran == ['soon', 'timer']


def test_timer_made_by_a_timer_waits_for_the_next_turn(each: Any, loop: Any, clock: Clock, turn: Any) -> None:
    ran: list[str] = []
    loop.call_later(0, lambda: loop.call_later(0, ran.append, 'second'))
    turn()
    assert ran == []
    turn()
    assert ran == ['second']


@pytest.mark.parametrize('delay', [math.inf, 1e300, 10**300, sys.float_info.max, 1e10])
def test_huge_delays_are_accepted_and_never_fire(each: Any, loop: Any, run: Any, delay: float) -> None:
    timer = loop.call_later(delay, print, 'fired')
    run(asyncio.sleep(0.001))
    assert timer.when() >= loop.time()
    timer.cancel()


@pytest.mark.parametrize('method', ['call_later', 'call_at'])
def test_nan_is_refused(ours: Any, loop: Any, method: str) -> None:
    with pytest.raises(ValueError, match='NaN'):
        getattr(loop, method)(math.nan, print)
    assert loop.statistics().timers == 0


@pytest.mark.parametrize('method', ['call_later', 'call_at'])
@pytest.mark.parametrize('value', [None, '1', b'1', [], 1j, object()])
def test_what_is_no_time_is_refused(ours: Any, loop: Any, method: str, value: object) -> None:
    with pytest.raises(TypeError):
        getattr(loop, method)(value, print)
    assert loop.statistics().timers == 0


def test_number_too_large_for_a_float_is_refused(each: Any, loop: Any) -> None:
    with pytest.raises(OverflowError):
        loop.call_later(10**400, print)


@pytest.mark.parametrize('method', ['call_later', 'call_at'])
def test_callback_that_cannot_be_called_is_refused(ours: Any, loop: Any, method: str) -> None:
    with pytest.raises(TypeError, match=method):
        getattr(loop, method)(0, 'not a function')
    assert loop.statistics().timers == 0


def test_cancelled_timer_does_not_fire(each: Any, loop: Any, clock: Clock, turn: Any) -> None:
    fired: list[int] = []
    timers = [loop.call_at(1000 + number, fired.append, number) for number in range(20)]
    for timer in timers[::2]:
        timer.cancel()
    clock.now = 2000
    turn()
    assert fired == list(range(1, 20, 2))


def test_timer_cancelled_when_it_is_ready_does_not_fire(each: Any, loop: Any, clock: Clock, turn: Any) -> None:
    fired: list[int] = []
    timers: list[Any] = []
    timers.append(loop.call_later(0, lambda: timers[1].cancel()))
    timers.append(loop.call_later(0, fired.append, 1))
    turn()
    assert fired == []


def test_cancelling_a_timer_that_has_fired_is_harmless(each: Any, loop: Any, clock: Clock, turn: Any) -> None:
    fired: list[int] = []
    timer = loop.call_later(0, fired.append, 1)
    other = loop.call_later(1, fired.append, 2)
    turn()
    timer.cancel()
    timer.cancel()
    clock.now = 1001
    turn()
    assert fired == [1, 2]
    other.cancel()
    assert timer.cancelled()


def test_cancelled_timer_is_forgotten_at_once(ours: Any, loop: Any) -> None:
    class Argument:
        pass

    argument = Argument()
    alive = weakref.ref(argument)
    timer = loop.call_later(3600, id, argument)
    gone = weakref.ref(timer)
    assert loop.statistics().timers == 1
    timer.cancel()
    del argument, timer
    assert loop.statistics().timers == 0
    assert alive() is None
    assert gone() is None


@pytest.mark.parametrize('cancelling', [0.2, 0.45, 0.5])
def test_any_order_of_adding_cancelling_and_firing_keeps_the_order(
    ours: Any, loop: Any, clock: Clock, turn: Any, cancelling: float
) -> None:
    chance = random.Random(7)
    fired: list[tuple[float, int]] = []
    expected: dict[int, float] = {}
    timers: dict[int, Any] = {}
    number = 0
    for _ in range(3000):
        if timers and chance.random() < cancelling:
            victim = chance.choice(list(timers))
            timers.pop(victim).cancel()
            del expected[victim]
        else:
            when = 1000 + chance.randrange(100)
            timers[number] = loop.call_at(when, fired.append, (when, number))
            expected[number] = when
            number += 1
        assert loop.statistics().timers == len(timers)
    for now in (1020, 1021, 1099):
        clock.now = now
        turn()
        assert fired == sorted((when, number) for number, when in expected.items() if when <= now)
    assert loop.statistics().timers == 0


@pytest.mark.parametrize('left', [0, 1, 7, 100, 900])
def test_timers_that_are_left_when_many_are_cancelled_fire_in_order(
    ours: Any, loop: Any, clock: Clock, turn: Any, left: int
) -> None:
    fired: list[tuple[float, int]] = []
    timers = {}
    for number in range(1000):
        when = 1000 + number * 7919 % 300
        timers[number] = loop.call_at(when, fired.append, (when, number))
    cancelled = random.Random(3).sample(range(1000), 1000 - left)
    for number in cancelled:
        timers.pop(number).cancel()
    assert loop.statistics().timers == left
    clock.now = 2000
    turn()
    assert fired == sorted((timer.when(), number) for number, timer in timers.items())


def test_cancelled_timers_that_are_kept_are_never_more_than_the_others(ours: Any, loop: Any) -> None:
    chance = random.Random(5)
    known: list[weakref.ref[Any]] = []
    timers: list[Any] = []
    for number in range(2000):
        timers.append(loop.call_later(3600 + chance.random(), print))
        known.append(weakref.ref(timers[-1]))
        if number % 4:
            timers.pop(chance.randrange(len(timers))).cancel()
    kept = sum(reference() is not None for reference in known)
    assert loop.statistics().timers == len(timers) == 500
    assert 500 <= kept <= 1000


@pytest.mark.parametrize(
    ('begin', 'count'), [(1100, 150), (1000, 50), (1900, 90)], ids=['swept', 'at the front', 'at the end']
)
def test_timer_that_goes_away_may_use_the_timers(
    ours: Any, loop: Any, clock: Clock, turn: Any, begin: int, count: int
) -> None:
    """The callbacks of its weak references run in the midst of what lets go of it."""
    fired: list[float] = []
    live = [loop.call_at(when, fired.append, when) for when in range(1500, 1600)]
    gone: list[int] = []
    done = False

    def use(reference: Any) -> None:
        gone.append(1)
        if not done:
            live.pop(len(gone) * 7919 % len(live)).cancel()
            for when in (1400 + len(gone), 1550, 1700 - len(gone)):
                live.append(loop.call_at(when, fired.append, when))

    timers = [loop.call_at(begin + number % 10, print) for number in range(count)]
    references = [weakref.ref(timer, use) for timer in timers]
    while timers:
        timers.pop().cancel()
    clock.now = 1050
    turn()
    assert gone
    assert loop.statistics().timers == len(live)
    done = True
    clock.now = 2000
    turn()
    assert fired == sorted(timer.when() for timer in live)
    assert loop.statistics().timers == 0
    assert [reference() for reference in references] == [None] * count


def test_timer_that_goes_away_with_its_loop_finds_that_closed(ours: Any, loop: Any) -> None:
    errors: list[Any] = []

    def use(reference: Any) -> None:
        timers.pop().cancel()
        try:
            loop.call_later(1, print)
        except RuntimeError as error:
            errors.append(str(error))

    timers = [loop.call_later(number, print) for number in range(20)]
    references = [weakref.ref(loop.call_later(number, print), use) for number in range(20)]
    loop.close()
    assert errors == ['Event loop is closed'] * len(references)
    assert loop.statistics().timers == 0


def test_loop_that_is_dropped_takes_its_timers_with_it(ours: Any) -> None:
    class Owner:
        """What holds a timer that calls it, as protocols do."""

        def __init__(self, loop: Any) -> None:
            self.loop = loop
            self.timer = loop.call_later(3600, self.expire)
            self.cancelled = loop.call_later(1800, self.expire)
            self.cancelled.cancel()

        def expire(self) -> None:
            pass

    loop = ours.make_loop()
    owners = [weakref.ref(Owner(loop)) for _ in range(3)]
    gone = weakref.ref(loop)
    gc.collect()
    assert all(owner() is not None for owner in owners)
    del loop
    with pytest.warns(ResourceWarning, match='unclosed event loop'):
        gc.collect()
    assert gone() is None
    assert all(owner() is None for owner in owners)


def test_timer_that_is_scheduled_cannot_be_initialized_again(ours: Any, loop: Any, turn: Any) -> None:
    fired: list[int] = []
    timer = loop.call_later(0, fired.append, 1)
    assert timer._scheduled is True
    with pytest.raises(RuntimeError, match='a timer that is scheduled cannot be initialized again'):
        timer.__init__(0, print, (), loop)
    turn()
    assert fired == [1]
    assert timer._scheduled is False


def test_a_million_timers_are_held_and_let_go(loop: Any) -> None:
    count = 1_000_000 if sooner.build_info().compiled else 100_000
    call_at = loop.call_at
    timers = [call_at(1e9 + (number * 7919) % count, int) for number in range(count)]
    assert loop.statistics().timers == count
    for timer in timers[::2]:
        timer.cancel()
    assert loop.statistics().timers == count // 2
    for timer in reversed(timers):
        timer.cancel()
    assert loop.statistics().timers == 0


def test_sleep_wakes_in_order(each: Any, loop: Any, run: Any) -> None:
    woken: list[float] = []

    async def sleeper(delay: float) -> None:
        await asyncio.sleep(delay)
        woken.append(delay)

    async def main() -> None:
        now = loop.time()
        loop.time = lambda: now  # all begin at one time, however slow this machine is
        sleeping = asyncio.gather(*map(sleeper, (0.003, 0.001, 0.002)))
        await asyncio.sleep(0)
        del loop.time
        await sleeping

    run(main())
    assert woken == [0.001, 0.002, 0.003]


def test_closing_the_loop_forgets_timers_and_cancelling_them_later_is_harmless(ours: Any) -> None:
    loop = ours.make_loop()
    timers = [loop.call_later(number, print) for number in range(10)]
    loop.close()
    assert loop.statistics().timers == 0
    for timer in timers:
        timer.cancel()
    with pytest.raises(RuntimeError, match='Event loop is closed'):
        loop.call_later(1, print)
    with pytest.raises(RuntimeError, match='Event loop is closed'):
        loop.call_at(1, print)


def test_timers_compare_by_time(each: Any, loop: Any) -> None:
    early, late = loop.call_at(1e9, print), loop.call_at(2e9, print)
    twin = each.TimerHandle(1e9, print, (), loop, early._context if each.is_stock else None)
    assert early < late
    assert early <= late
    assert late > early
    assert late >= early
    assert early <= twin
    assert early >= twin
    assert early == twin
    assert early != late
    assert not early == late  # noqa: SIM201
    assert hash(early) == hash(1e9)
    assert (early == 1) is False
    with pytest.raises(TypeError):
        early < 1  # noqa: B015
    for timer in (early, late):
        timer.cancel()


def test_repr_tells_the_time(each: Any, loop: Any) -> None:
    timer = loop.call_at(4711.5, math.floor)
    assert repr(timer).startswith('<TimerHandle when=4711.5 floor(')
    timer.cancel()
    assert repr(timer).startswith('<TimerHandle cancelled when=4711.5')


def test_loop_keeps_waiting_for_a_clock_that_stands_still(ours: Any, loop: Any, clock: Clock, turn: Any) -> None:
    fired: list[int] = []
    loop.call_at(1000.001, fired.append, 1)
    for _ in range(5):
        turn()
    assert fired == []
    clock.now = 1001
    turn()
    assert fired == [1]


def test_clock_that_goes_backwards_delays_timers(each: Any, loop: Any, clock: Clock, turn: Any) -> None:
    fired: list[int] = []
    loop.call_later(1, fired.append, 1)
    clock.now = 500
    turn()
    assert fired == []
    loop.call_later(1, fired.append, 2)
    clock.now = 1001
    turn()
    assert fired == [2, 1]


def test_time_is_the_monotonic_clock(ours: Any, loop: Any) -> None:
    import time

    before = time.monotonic()
    now = loop.time()
    assert before <= now <= time.monotonic()
    assert isinstance(now, float)
