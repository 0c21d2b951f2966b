"""Test classes for the loop, futures, tasks and handles under test, made as CPython makes them for its own.

CPython writes its tests of futures and tasks as base classes and derives one class for the C implementation, one for
the Python one and one for each mixture of the two. A `Family` here derives one more from the same bases, with the
classes under test. On stock asyncio the same family gets asyncio's C classes: that run is the measure.
"""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest import mock

from .substitution import Mode, Substitution, with_private_names

Namespace = dict[str, Any]
Attributes = Callable[[ModuleType, Substitution], Namespace]

ON_EITHER_LOOP = (Mode.OWN_LOOP, Mode.AS_WRITTEN)
ON_OWN_LOOP = (Mode.OWN_LOOP,)


@dataclass(frozen=True)
class Family:
    """One test class to derive.

    Attributes:
        module: the test module, below `test.`.
        name: of the new class.
        bases: names in the module (or `TestCase`, the one of `test_asyncio.utils`); without one of them, no class.
        attributes: gives what the new class defines.
        needs: the classes that the loop's package must have.
        modes: in which the class is run.
        decorator: a class decorator of the module to apply, if any.
    """

    module: str
    name: str
    bases: tuple[str, ...]
    attributes: Attributes
    needs: frozenset[str] = frozenset()
    modes: tuple[Mode, ...] = ON_EITHER_LOOP
    decorator: str | None = None

    def derive(self, module: ModuleType, substitution: Substitution) -> Any:
        """The class, placed in the module; None where this Python's module lacks a base."""
        bases = []
        for name in self.bases:
            base = module.test_utils.TestCase if name == 'TestCase' else getattr(module, name, None)
            if base is None:
                return None
            bases.append(base)
        namespace = {'__module__': module.__name__, **self.attributes(module, substitution)}
        derived: Any = type(self.name, tuple(bases), namespace)
        if self.decorator is not None:
            derived = getattr(module, self.decorator)(derived)
        setattr(module, self.name, derived)
        return derived


def _own(**names: str) -> Attributes:
    """Class attributes, each one of the classes under test: `_own(Task="Task")`."""

    def attributes(module: ModuleType, substitution: Substitution) -> Namespace:
        return {attribute: substitution.subject.own(name) for attribute, name in names.items()}

    return attributes


def _own_with(stock: Callable[[], Namespace], **names: str) -> Attributes:
    """As `_own`, with some of asyncio's own classes beside them."""
    own = _own(**names)
    return lambda module, substitution: {**own(module, substitution), **stock()}


# ------------------------------------------------------------------ futures


def _subclassed_future(module: ModuleType, substitution: Substitution) -> Namespace:
    return {'cls': type('OwnSubFuture', (substitution.subject.own('Future'),), {})}


def _future_maker(module: ModuleType, substitution: Substitution) -> Namespace:
    future = substitution.subject.own('Future')
    return {'_new_future': lambda case: future(loop=case.loop)}


def _subclassed_future_maker(module: ModuleType, substitution: Substitution) -> Namespace:
    future = type('OwnSubFuture', (substitution.subject.own('Future'),), {})
    return {'_new_future': lambda case: future(loop=case.loop)}


def _future_class_getter(module: ModuleType, substitution: Substitution) -> Namespace:
    future = substitution.subject.own('Future')
    return {'_get_future_cls': lambda case: future}


FUTURE = frozenset({'Future'})
TASK = frozenset({'Task'})
TASK_AND_FUTURE = TASK | FUTURE

_FUTURES = 'test_asyncio.test_futures'
FUTURE_FAMILIES = (
    Family(_FUTURES, 'OwnFutureTests', ('CFutureTests',), _own(cls='Future'), FUTURE),
    Family(_FUTURES, 'OwnSubFutureTests', ('CSubFutureTests',), _subclassed_future, FUTURE),
    Family(_FUTURES, 'OwnFutureDoneCallbackTests', ('CFutureDoneCallbackTests',), _future_maker, FUTURE),
    Family(
        _FUTURES, 'OwnSubFutureDoneCallbackTests', ('CSubFutureDoneCallbackTests',), _subclassed_future_maker, FUTURE
    ),
    Family(_FUTURES, 'OwnFutureInheritanceTests', ('CFutureInheritanceTests',), _future_class_getter, FUTURE),
    Family('test_asyncio.test_futures2', 'OwnFutureTests', ('CFutureTests',), _own(cls='Task'), TASK),
)

# -------------------------------------------------------------------- tasks


def _c_future() -> Namespace:
    return {'Future': asyncio.Future}


def _current_loop(module: ModuleType, substitution: Substitution) -> Namespace:
    task = substitution.subject.own('Task')
    return {'new_task': lambda case, coro: task(coro, loop=case.loop)}


def _beside_a_loop(module: ModuleType, substitution: Substitution) -> Namespace:
    """Asyncio's register of tasks, tested while a loop under test and a task of it are alive."""

    def set_up(case: Any) -> None:
        super(module.OwnIntrospectionTests, case).setUp()
        loop = substitution.new_loop()
        task = loop.create_task(asyncio.sleep(0))
        case.addCleanup(loop.close)
        case.addCleanup(loop.run_until_complete, task)

    return {'setUp': set_up}


_TASKS = 'test_asyncio.test_tasks'
TASK_FAMILIES = (
    Family(_TASKS, "OwnTask_OwnFuture_Tests", ("CTask_CFuture_Tests",), _own(Task="Task", Future="Future"),
           TASK_AND_FUTURE),
    Family(_TASKS, "OwnTask_OwnFuture_SubclassTests", ("CTask_PyFuture_Tests",), _own(Task="Task", Future="Future"),
           TASK_AND_FUTURE, decorator="add_subclass_tests"),
    Family(_TASKS, "OwnTask_CFuture_Tests", ("CTask_PyFuture_Tests",), _own_with(_c_future, Task="Task"), TASK),
    Family(_TASKS, "OwnTask_PyFuture_Tests", ("CTask_PyFuture_Tests",), _own(Task="Task"), TASK),
    Family(_TASKS, "OwnTask_PyFuture_SubclassTests", ("CTask_PyFuture_Tests",), _own(Task="Task"), TASK,
           decorator="add_subclass_tests"),
    Family(_TASKS, "CTask_OwnFuture_Tests", ("CTask_PyFuture_Tests",), _own(Future="Future"), FUTURE),
    Family(_TASKS, "PyTask_OwnFuture_Tests", ("PyTask_CFuture_Tests",), _own(Future="Future"), FUTURE),
    Family(_TASKS, "PyTask_OwnFuture_SubclassTests", ("PyTask_CFuture_Tests",), _own(Future="Future"), FUTURE,
           decorator="add_subclass_tests"),
    Family(_TASKS, "OwnCurrentLoopTests", ("CCurrentLoopTests",), _current_loop, TASK),
    Family(_TASKS, "OwnIntrospectionTests", ("CIntrospectionTests",), _beside_a_loop, TASK, ON_OWN_LOOP),
)  # fmt: skip

_EAGER = 'test_asyncio.test_eager_task_factory'
EAGER_FAMILIES = (
    Family(_EAGER, 'OwnEagerTaskFactoryLoopTests', ('CEagerTaskFactoryLoopTests',), _own(Task='Task'), TASK),
    Family(_EAGER, 'NonEagerOwnTaskTests', ('NonEagerCTaskTests',), _own(Task='Task'), TASK),
    Family(_EAGER, 'EagerOwnTaskTests', ('EagerCTaskTests',), _own(Task='Task'), TASK),
)


def _task_factory(eager: bool) -> Attributes:
    def attributes(module: ModuleType, substitution: Substitution) -> Namespace:
        task = substitution.subject.own('Task')

        def factory(case: Any, loop: Any, coro: Any, **kwargs: Any) -> Any:
            if eager:
                kwargs.setdefault('eager_start', True)
            return task(coro, loop=loop, **kwargs)

        return {'factory': factory}

    return attributes


_THREADING = 'test_asyncio.test_free_threading'
THREADING_FAMILIES = (
    Family(_THREADING, 'TestOwnFreeThreading', ('TestCFreeThreading',), _task_factory(eager=False), TASK),
    Family(_THREADING, 'TestEagerOwnFreeThreading', ('TestEagerCFreeThreading',), _task_factory(eager=True), TASK),
)

# --------------------------------------------------------------------- loop


def _whole_loop(module: ModuleType, substitution: Substitution) -> Namespace:
    """The tests of `BaseEventLoop`, which mock its selector, on a whole loop."""

    def set_up(case: Any) -> None:
        if substitution.subject.is_stock:
            substitution.tally.loop_made()
            super(module.OwnLoopTests, case).setUp()
        else:
            module.test_utils.TestCase.setUp(case)
            case.loop = with_private_names(substitution.new_loop())
            case.set_event_loop(case.loop)

    return {'setUp': set_up}


def _driver_loop(driver: str) -> Attributes:
    def attributes(module: ModuleType, substitution: Substitution) -> Namespace:
        return {'create_event_loop': lambda case: substitution.new_driver_loop(driver)}

    return attributes


def _replacing_policy(module: ModuleType, substitution: Substitution) -> Namespace:
    # Up to 3.13 the tests take the default policy's class from `asyncio`, from 3.14 on from their own `utils`.
    place = asyncio if 'DefaultEventLoopPolicy' in vars(asyncio) else module.test_utils

    def run(case: Any, result: Any = None) -> Any:
        with mock.patch.object(place, 'DefaultEventLoopPolicy', substitution.subject.own('EventLoopPolicy')):
            return unittest.TestCase.run(case, result)

    return {'run': run}


def _replacing_handles(module: ModuleType, substitution: Substitution) -> Namespace:
    def run(case: Any, result: Any = None) -> Any:
        subject = substitution.subject
        with mock.patch.multiple(asyncio, Handle=subject.own('Handle'), TimerHandle=subject.own('TimerHandle')):
            return unittest.TestCase.run(case, result)

    return {'run': run}


_EVENTS = 'test_asyncio.test_events'
_EVENT_LOOP_BASES = ('EventLoopTestsMixin', 'SubprocessTestsMixin', 'TestCase')
HANDLES = frozenset({'Handle', 'TimerHandle'})
LOOP_FAMILIES = (
    Family("test_asyncio.test_base_events", "OwnLoopTests", ("BaseEventLoopTests",), _whole_loop, modes=ON_OWN_LOOP),
    Family(_EVENTS, "EpollDriverTests", _EVENT_LOOP_BASES, _driver_loop("epoll"), modes=ON_OWN_LOOP),
    Family(_EVENTS, "SelectorDriverTests", _EVENT_LOOP_BASES, _driver_loop("selector"), modes=ON_OWN_LOOP),
    Family(_EVENTS, "OwnHandleTests", ("HandleTests",), _replacing_handles, HANDLES, (Mode.AS_WRITTEN,)),
    Family(_EVENTS, "OwnTimerTests", ("TimerTests",), _replacing_handles, HANDLES, (Mode.AS_WRITTEN,)),
    Family(_EVENTS, "OwnPolicyTests", ("PolicyTests",), _replacing_policy, frozenset({"EventLoopPolicy"}),
           (Mode.AS_WRITTEN,)),
)  # fmt: skip

FAMILIES = FUTURE_FAMILIES + TASK_FAMILIES + EAGER_FAMILIES + THREADING_FAMILIES + LOOP_FAMILIES


def families_of(module: str) -> list[Family]:
    """The families to derive in that test module."""
    return [family for family in FAMILIES if family.module == module]
