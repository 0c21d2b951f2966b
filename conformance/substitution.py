"""Puts a loop, and the classes that come with it, in asyncio's place inside one process, and counts their use.

A test says nothing about a loop that it never made. So every place where asyncio's tests get a loop is led to one
counting factory here, and a test whose count stays at nought is not held to be a test of that loop.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.selector_events
import asyncio.unix_events
import functools
import importlib
import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import Any

StockLoop = asyncio.unix_events._UnixSelectorEventLoop

KNOWN_LOOPS = {
    'asyncio': 'asyncio:SelectorEventLoop',
    'sooner': 'sooner:new_event_loop',
    'uvloop': 'uvloop:new_event_loop',
    'rloop': 'rloop:new_event_loop',
}


class Mode(StrEnum):
    """Which loop and which tasks a test class meets."""

    OWN_LOOP = 'own-loop'
    """Every loop that a test makes is the loop under test."""

    STOCK_TASKS = 'stock-tasks'
    """The loop under test, with a task factory that makes `asyncio.Task`."""

    OWN_TASKS = 'own-tasks'
    """asyncio's loop, with a task factory that makes the tasks under test."""

    AS_WRITTEN = 'as-written'
    """asyncio's loops; the test class itself names the classes under test."""


@dataclass(frozen=True)
class Subject:
    """A loop, and the classes of futures, tasks and handles that its package offers.

    Attributes:
        name: as given on the command line.
        factory: makes a loop.
        module: the package that the factory comes from.
        loop_class: the exact type of the loops that `factory` makes.
        offers: the names in `OWN_CLASSES` for which the package has a class of its own.
    """

    name: str
    factory: Callable[..., Any]
    module: ModuleType
    loop_class: type
    offers: frozenset[str]

    OWN_CLASSES = ('Future', 'Task', 'Handle', 'TimerHandle', 'EventLoopPolicy')

    @classmethod
    def load(cls, spec: str) -> Subject:
        """Import `spec`, one of `KNOWN_LOOPS` or `MODULE:FACTORY`."""
        module_name, _, attribute = KNOWN_LOOPS.get(spec, spec).partition(':')
        module = importlib.import_module(module_name)
        factory = getattr(module, attribute)
        loop = factory()
        loop.close()
        offers = {name for name in cls.OWN_CLASSES if _is_foreign(getattr(module, name, None))}
        if module is asyncio:
            offers = set(cls.OWN_CLASSES)
        return cls(spec, factory, module, type(loop), frozenset(offers))

    @property
    def is_stock(self) -> bool:
        return self.module is asyncio

    def own(self, name: str) -> Any:
        """The package's class of that name; asyncio's for stock asyncio."""
        if self.is_stock and name == 'EventLoopPolicy':
            return asyncio.unix_events._UnixDefaultEventLoopPolicy
        return getattr(self.module, name)

    def new_driver_loop(self, driver: str) -> Any:
        """A loop on the named driver, where the package lets one choose."""
        if self.module.__name__ == 'sooner':
            return self.factory(driver=driver)
        return self.factory()

    def describe(self) -> dict[str, Any]:
        """What was loaded, for the report."""
        found: dict[str, Any] = {
            'loop': self.name,
            'class': f'{self.loop_class.__module__}.{self.loop_class.__qualname__}',
            'version': getattr(self.module, '__version__', None),
            'compiled': None,
        }
        if hasattr(self.module, 'build_info'):
            found['compiled'] = self.module.build_info().compiled
        return found


def _is_foreign(value: Any) -> bool:
    return isinstance(value, type) and value.__module__.partition('.')[0] not in ('asyncio', '_asyncio')


class Tally:
    """Counters in shared memory, so that what a forked child uses is counted too."""

    _FORMAT = '=3Q'

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, struct.calcsize(self._FORMAT))

    def read(self) -> tuple[int, int, int]:
        """Loops of the subject, stock loops made behind its back, tasks made by a factory."""
        return struct.unpack_from(self._FORMAT, self._memory)

    def clear(self) -> None:
        self._memory[:] = bytes(len(self._memory))

    def _write(self, index: int, value: int) -> None:
        struct.pack_into('=Q', self._memory, 8 * index, value)

    def loop_made(self) -> None:
        self._write(0, self.read()[0] + 1)

    def stray_loop_made(self) -> None:
        self._write(1, self.read()[1] + 1)

    def task_made(self) -> None:
        self._write(2, self.read()[2] + 1)


class LoopName:
    """Stands where asyncio has the name of a loop class: calling it makes a loop of the subject.

    It is not a class, so that the loops are exactly of the subject's own type and no subclass of it;
    `isinstance` against it and subclassing it mean the subject's type.
    """

    def __init__(self, make: Callable[..., Any], loop_class: type) -> None:
        self._make = make
        self._loop_class = loop_class

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._make(*args, **kwargs)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._loop_class)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (self._loop_class,)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop_class, name)


def _lead_logger_to_mocks() -> None:
    """While a test mocks `asyncio.base_events.logger`, send there what anybody logs to the logger "asyncio".

    The mock replaces a name in one module of asyncio; a loop elsewhere holds the same logger under its own name.
    """

    def lead(name: str) -> None:
        original = getattr(logger, name)

        @functools.wraps(original)
        def log(*args: Any, **kwargs: Any) -> None:
            target = base_events.logger
            (original if target is logger else getattr(target, name))(*args, **kwargs)

        setattr(logger, name, log)

    base_events: Any = asyncio.base_events
    logger = base_events.logger
    for name in ('debug', 'info', 'warning', 'error', 'exception', 'critical'):
        lead(name)


def with_private_names(loop: Any) -> Any:
    """Give a fixture's loop, if it is not asyncio's, the two private names by which tests turn it and see it idle."""

    def run_once() -> None:
        loop.call_soon(loop.stop)
        loop.run_forever()

    if not hasattr(loop, '_run_once'):
        loop._run_once = run_once
    if not hasattr(loop, '_ready'):
        loop._ready = ()
    return loop


class Substitution:
    """What a worker changed in asyncio, and what the tests did with it.

    The families of test classes get one of these, to take the classes under test from it.
    """

    def __init__(self, subject: Subject, mode: Mode) -> None:
        self.subject = subject
        self.mode = mode
        self.tally = Tally()

    def new_loop(self, *args: Any, **kwargs: Any) -> Any:
        """A loop as the mode wants it, counted. Arguments (a selector) mean something to asyncio's class only."""
        if self.mode is Mode.OWN_TASKS:
            loop = StockLoop(*args, **kwargs)
            loop.set_task_factory(self._counted_task_factory)
            return loop
        self.tally.loop_made()
        loop = self.subject.factory(*args, **kwargs) if self.subject.is_stock else self.subject.factory()
        if self.mode is Mode.STOCK_TASKS:
            loop.set_task_factory(lambda loop, coro, **kwargs: asyncio.Task(coro, loop=loop, **kwargs))
        return loop

    def new_base_loop(self) -> Any:
        """In place of `asyncio.BaseEventLoop()`, whose I/O half the test would mock: a whole loop, where it is ours."""
        if self.subject.is_stock:
            self.tally.loop_made()
            return asyncio.base_events.BaseEventLoop()
        return self.new_loop()

    def new_driver_loop(self, driver: str) -> Any:
        self.tally.loop_made()
        return self.subject.new_driver_loop(driver)

    def _counted_task_factory(self, loop: Any, coro: Any, **kwargs: Any) -> Any:
        self.tally.task_made()
        return self.subject.own('Task')(coro, loop=loop, **kwargs)

    def install(self) -> None:
        """Change asyncio in this process. Call it before a test module is imported: some read names when defined."""
        if not self.subject.is_stock:
            self._watch_for_stock_loops()
        if self.mode is Mode.AS_WRITTEN:
            return
        default_policy: Any = asyncio.unix_events._UnixDefaultEventLoopPolicy
        default_policy._loop_factory = staticmethod(self.new_loop)
        package: Any = asyncio
        loop_class = StockLoop if self.mode is Mode.OWN_TASKS else self.subject.loop_class
        for name in ('SelectorEventLoop', 'EventLoop'):
            if hasattr(asyncio, name):
                setattr(package, name, LoopName(self.new_loop, loop_class))
        _lead_logger_to_mocks()
        if self.mode is not Mode.OWN_TASKS:
            package.BaseEventLoop = LoopName(self.new_base_loop, asyncio.base_events.BaseEventLoop)

    def install_in_test_utils(self, test_utils: Any) -> None:
        """Let `test_utils.TestCase.new_test_loop()` give the loop under test where no virtual clock is asked for."""
        if self.mode not in (Mode.OWN_LOOP, Mode.STOCK_TASKS):
            return
        new_loop = self.new_loop
        virtual_time_loop = test_utils.TestCase.new_test_loop
        stock_close_loop = test_utils.TestCase.close_loop

        def new_test_loop(case: Any, gen: Any = None) -> Any:
            if gen is not None:
                return virtual_time_loop(case, gen)
            loop = with_private_names(new_loop())
            case.set_event_loop(loop)
            return loop

        def close_loop(loop: Any) -> None:
            # The original reads the private name of the default executor, which is asyncio's own business.
            if hasattr(loop, '_default_executor'):
                stock_close_loop(loop)
            else:
                if not loop.is_closed():
                    loop.run_until_complete(loop.shutdown_default_executor())
                loop.close()

        test_utils.TestCase.new_test_loop = new_test_loop
        test_utils.TestCase.close_loop = staticmethod(close_loop)

    def adapt(self, module: ModuleType) -> None:
        """Replace what a test module's fixtures (never its tests) read of the private names of asyncio's loop."""
        gather_tests: Any = getattr(module, 'GatherTestsBase', None)
        if gather_tests is not None and not hasattr(self.subject.loop_class, '_ready'):
            # The original runs the loop until its private ready queue is empty.
            def run_loop(case: Any, loop: Any) -> None:
                for _ in range(10):
                    module.test_utils.run_briefly(loop)

            gather_tests._run_loop = run_loop

    def prove(self) -> None:
        """Fail loudly if asyncio's own loop or classes would be used where the subject's should be."""
        subject = self.subject
        futures: Any = asyncio.futures
        tasks: Any = asyncio.tasks
        if subject.is_stock or self.mode is Mode.AS_WRITTEN:
            for name in ('Future', 'Task') if subject.offers >= {'Future', 'Task'} else ():
                stock = (asyncio.Future, asyncio.Task, futures._PyFuture, tasks._PyTask)
                if not subject.is_stock and subject.own(name) in stock:
                    raise AssertionError(f"{subject.name}.{name} is asyncio's own class")
            return

        async def look() -> tuple[type, type, type]:
            loop = asyncio.get_running_loop()
            return type(loop), type(asyncio.current_task()), type(loop.create_future())

        loop = asyncio.new_event_loop()
        try:
            loop_class, task_class, future_class = loop.run_until_complete(look())
        finally:
            loop.close()
        own_loop = self.mode is not Mode.OWN_TASKS
        expected_loop = subject.loop_class if own_loop else StockLoop
        own_tasks = self.mode is not Mode.STOCK_TASKS and 'Task' in subject.offers
        expected_task = subject.own('Task') if own_tasks else asyncio.Task
        own_futures = own_loop and 'Future' in subject.offers
        expected_future = subject.own('Future') if own_futures else asyncio.Future
        for found, expected in (
            (loop_class, expected_loop),
            (task_class, expected_task),
            (future_class, expected_future),
        ):
            if found is not expected:
                raise AssertionError(f'{found!r} is in use where {expected!r} should be')
        self.tally.clear()

    def _watch_for_stock_loops(self) -> None:
        stock_loop: Any = StockLoop
        original = stock_loop.__init__
        tally = self.tally

        @functools.wraps(original)
        def counted(loop: Any, *args: Any, **kwargs: Any) -> None:
            if type(loop) is StockLoop:
                tally.stray_loop_made()
            original(loop, *args, **kwargs)

        stock_loop.__init__ = counted
