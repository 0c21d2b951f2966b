"""What the statements of a program do, on any loop and with any classes of futures and tasks, and what is seen of it.

Time is a number that jumps to the next timer when a loop has nothing to do, so programs run at once and see the same
times on every loop. No two timers are due at the same time: sooner's fire in the order of their making then, and
asyncio's in any.
"""

from __future__ import annotations

import asyncio
import gc
import re
import selectors
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any

import sooner
from sooner.core.driver import Driver

from .program import Program, Statement

ERRORS: dict[str, type[BaseException]] = {
    'ValueError': ValueError,
    'CancelledError': asyncio.CancelledError,
    'SystemExit': SystemExit,
    'StopIteration': StopIteration,
    'TimeoutError': TimeoutError,
}

ROUNDS = 100
"""How often a program may stop its loop, or get stuck, before it is given up."""

GOLDEN_RATIO = 0.6180339887498949
"""Its multiples, without their whole part, are never the same, nor are sums of few of them."""

variable: ContextVar[int] = ContextVar('variable', default=0)


class Clock:
    """The time of a world. Asked to wait for ever, it stops the loop: nothing will ever happen."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.stuck = False
        self.loop: Any = None

    def time(self) -> float:
        return self.now

    def wait(self, timeout: float | None) -> None:
        if timeout is None:
            self.stuck = True
            self.loop.stop()
        elif timeout > 0:
            self.now += timeout


class ClockSelector(selectors.BaseSelector):
    """For asyncio's loop: a selector that only lets time pass."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def register(self, fileobj: Any, events: int, data: Any = None) -> Any:
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> Any:
        return self.get_key(fileobj)

    def get_key(self, fileobj: Any) -> Any:
        raise KeyError(fileobj)

    def get_map(self) -> Any:
        return {}

    def select(self, timeout: float | None = None) -> list[Any]:
        self._clock.wait(timeout)
        return []


class ClockDriver(Driver):
    """The same for sooner's loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def wait(self, scheduler: Any, timeout: float) -> None:
        self._clock.wait(None if timeout < 0 else timeout)

    def wake(self) -> None:
        pass

    def close(self) -> None:
        pass

    def set_reader(self, fd: int, reader: Any) -> None:
        pass


class ObservedLoop(sooner.Loop):
    """A loop that sees each callback, because it has a call_soon() of its own."""

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        return super().call_soon(callback, *args, context=context)


@dataclass(frozen=True)
class Kind:
    """Which loop, and which classes. What a program asks for as `other` is made by the classes of the other kind."""

    name: str
    ours: bool
    loop: type[Any] = sooner.Loop
    Future: Any = None
    Task: Any = None

    def make_loop(self, clock: Clock) -> Any:
        loop = self.loop(ClockDriver(clock)) if self.ours else asyncio.SelectorEventLoop(ClockSelector(clock))
        loop.time = clock.time
        clock.loop = loop
        return loop


STOCK = Kind('asyncio', ours=False)
KINDS = [
    Kind('sooner', ours=True),
    Kind('sooner that sees each callback', ours=True, loop=ObservedLoop),
    Kind("sooner with some of asyncio's", ours=True, Future=asyncio.Future, Task=asyncio.Task),
    Kind("asyncio with some of sooner's", ours=False, Future=sooner.Future, Task=sooner.Task),
]


class OrderedSet(dict[Any, None]):
    """A TaskGroup iterates over a set of its tasks: in the order of their addresses, if nobody prevents it."""

    def add(self, item: Any) -> None:
        self[item] = None

    def discard(self, item: Any) -> None:
        self.pop(item, None)


class TaskGroup(asyncio.TaskGroup):
    def __init__(self) -> None:
        super().__init__()
        self._tasks = OrderedSet()  # type: ignore[assignment]


def plain(words: object) -> str:
    """Take out of a message what may differ: addresses, and how objects are shown."""
    return re.sub(r'<.*>', '<...>', str(words), flags=re.DOTALL)


def describe(exc: BaseException | None) -> Any:
    if exc is None:
        return None
    if isinstance(exc, asyncio.InvalidStateError):
        return type(exc).__name__  # asyncio's words are not the same in C and in Python
    inner = tuple(describe(each) for each in exc.exceptions) if isinstance(exc, BaseExceptionGroup) else ()
    return type(exc).__name__, plain(exc), *inner


class Yields:
    """Awaited, it yields something that is no future to wait for."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Iterator[Any]:
        yield self._value


@dataclass
class Seen:
    """All that is compared; unless waiting in a circle recursed, which every loop ends in another place."""

    trace: list[Any] = field(default_factory=list)
    states: list[Any] = field(default_factory=list)
    last_words: list[Any] = field(default_factory=list)

    def close(self) -> None:
        """Take no notice of what happens from now on."""
        self.trace = list(self.trace)

    @property
    def recursed(self) -> bool:
        return 'RecursionError' in repr(self.trace) or 'RecursionError' in repr(self.last_words)


class World:
    """A loop, the objects that the program made, and what was seen."""

    def __init__(self, kind: Kind, program: Program) -> None:
        self.kind = kind
        self.clock = Clock()
        self.loop = kind.make_loop(self.clock)
        self.loop.set_debug(program.debug)
        self.loop.set_exception_handler(self.handle_exception)
        if program.eager:
            self.loop.set_task_factory(asyncio.eager_task_factory)
        self.eager = program.eager
        self.seen = Seen()
        self.trace = self.seen.trace
        self.objects: list[Any] = []
        self.callbacks: list[Callable[[Any], None]] = []
        self.handles: list[Any] = []
        self.tasks: list[Any] = []
        self.names = 0
        self.timers_made = 0
        self.ending = False
        self.context = copy_context()
        self.queue: asyncio.Queue[int] = asyncio.Queue(1)
        self.lock = asyncio.Lock()
        self.event = asyncio.Event()

    # What is seen.

    def note(self, *what: Any) -> None:
        try:
            task = asyncio.current_task(self.loop)
        except RuntimeError:
            task = None
        name = None if task is None else task.get_name()
        if name is not None and (self.eager or name.startswith('Task-')):
            name = 'a task'  # before 3.14 a task gets its name after its eager start
        self.trace.append((*what, name, variable.get(), round(self.clock.now, 6)))

    def handle_exception(self, loop: Any, context: dict[str, Any]) -> None:
        what = (tuple(sorted(context)), plain(context['message']), describe(context.get('exception')))
        if 'never retrieved' in context['message'] or 'destroyed' in context['message']:
            self.seen.last_words.append(what)  # when an object dies is nobody's promise
        elif sys.version_info >= (3, 12):
            self.note('reported', what)
            variable.set(99)  # whoever else sees this shares the context
        else:  # asyncio calls this in whatever context there is
            self.trace.append(('reported', what))

    def state(self, future: Any) -> Any:
        return future._state, future.cancelled(), future.done()

    def outcome(self, future: Any) -> Any:
        if not future.done():
            return 'pending'
        try:
            return 'result', self.shown(future.result())
        except BaseException as exc:
            return describe(exc)

    def shown(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return tuple(self.shown(each) for each in value)
        if isinstance(value, set):
            return tuple(sorted(self.number(each) for each in value))
        if isinstance(value, BaseException):
            return describe(value)
        if asyncio.isfuture(value):
            return self.number(value)
        return value

    def number(self, future: Any) -> int:
        return next((i for i, each in enumerate(self.objects) if each is future), -1)

    # Objects.

    def pick(self, number: int) -> Any:
        if not self.objects:
            self.do_make_future(False)
        return self.objects[number % len(self.objects)]

    def pick_other(self, number: int) -> Any:
        """Pick, but not the task that runs: asyncio's futures never forget that an await of theirs was refused."""
        picked = self.pick(number)
        if picked is asyncio.current_task():
            self.do_make_future(False)
            return self.objects[-1]
        return picked

    def delay(self, seconds: int) -> float:
        """Make it a time at which nothing else happens."""
        self.timers_made += 1
        shift = self.timers_made * GOLDEN_RATIO % 1 / 1024
        return seconds + shift if seconds > 0 else -shift

    def task(self, body: list[Statement], other: bool = False, own_context: bool = False) -> Any:
        name = self.name()
        context = self.context if own_context else None
        coro = self.run_body(body, name)
        try:
            if other and self.kind.Task is not None:
                options = {'eager_start': True} if self.eager else {}
                task = self.kind.Task(coro, loop=self.loop, name=name, context=context, **options)
            else:
                task = self.loop.create_task(coro, name=name, context=context)
        except BaseException:
            coro.close()
            raise
        self.tasks.append(task)
        return task

    def name(self) -> str:
        self.names += 1
        return f'T{self.names}'

    def callback(self, body: list[Statement]) -> Callable[..., None]:
        number = len(self.callbacks)

        def callback(future: Any = None) -> None:
            self.note('callback', number, None if future is None else (self.number(future), self.state(future)))
            for statement in body:
                if statement[0] == 'raise':
                    raise ERRORS[statement[1]](f'callback {number}')
                self.act(statement)

        self.callbacks.append(callback)
        return callback

    # Actions.

    def act(self, statement: Statement) -> None:
        name, *arguments = statement
        try:
            result = getattr(self, f'do_{name}')(*arguments)
        except Exception as exc:
            self.note(name, describe(exc))
        except asyncio.CancelledError as exc:
            self.note(name, describe(exc))
        else:
            self.note(name, self.shown(result))

    def do_make_future(self, other: bool) -> None:
        if other and self.kind.Future is not None:
            self.objects.append(self.kind.Future(loop=self.loop))
        else:
            self.objects.append(self.loop.create_future())

    def do_set_result(self, number: int) -> None:
        self.pick(number).set_result(number)

    def do_set_exception(self, number: int, error: str) -> None:
        self.pick(number).set_exception(ERRORS[error](f'set {number}'))

    def do_cancel(self, number: int, message: str | None) -> Any:
        return self.pick(number).cancel(message)

    def do_uncancel(self, number: int) -> Any:
        task = self.pick(number)
        return (task.cancelling(), task.uncancel(), task.cancelling()) if isinstance(task, asyncio.Task) else None

    def do_add_callback(self, number: int, body: list[Statement], own_context: bool) -> None:
        options = {'context': self.context} if own_context else {}  # asyncio's C does not take None for nothing
        self.pick(number).add_done_callback(self.callback(body), **options)

    def do_remove_callback(self, number: int, callback: int) -> Any:
        if self.callbacks:
            return self.pick(number).remove_done_callback(self.callbacks[callback % len(self.callbacks)])
        return None

    def do_read(self, number: int) -> Any:
        future = self.pick(number)
        return self.state(future), self.outcome(future)

    def do_spawn(self, body: list[Statement], other: bool, own_context: bool) -> Any:
        if self.eager:  # asyncio forgets which task runs, if its context is entered already
            own_context = False
        task = self.task(body, other, own_context)
        self.objects.append(task)
        return self.state(task)

    def do_call_soon(self, body: list[Statement], own_context: bool) -> None:
        context = self.context if own_context else None
        self.handles.append(self.loop.call_soon(self.callback(body), context=context))

    def do_call_later(self, seconds: int, body: list[Statement], own_context: bool) -> None:
        context = self.context if own_context else None
        self.handles.append(self.loop.call_later(self.delay(seconds), self.callback(body), context=context))

    def do_call_at(self, seconds: int, body: list[Statement]) -> Any:
        handle = self.loop.call_at(self.loop.time() + self.delay(seconds), self.callback(body))
        self.handles.append(handle)
        return round(handle.when(), 6)

    def do_cancel_handle(self, number: int) -> Any:
        if not self.handles:
            return None
        handle = self.handles[number % len(self.handles)]
        handle.cancel()
        return handle.cancelled()

    def do_set_variable(self, value: int) -> None:
        variable.set(value)

    def do_set_event(self) -> None:
        self.event.set()

    def do_put_nowait(self) -> None:
        self.queue.put_nowait(0)

    def do_stop(self) -> None:
        if not self.ending:
            self.loop.stop()

    def do_count_tasks(self) -> int:
        return len(asyncio.all_tasks(self.loop))

    # Statements of coroutines, which may wait.

    async def run_body(self, body: list[Statement], name: str = '') -> str:
        self.note('begins', name)
        for statement in body:
            if hasattr(self, f'do_{statement[0]}'):
                self.act(statement)
            else:
                await self.try_statement(statement)
        self.note('ends', name)
        return name

    async def try_statement(self, statement: Statement) -> None:
        name, catch, *arguments = statement
        self.note(name)
        try:
            result = await getattr(self, name)(*arguments)
        except asyncio.CancelledError as exc:
            self.note(name, describe(exc))
            if catch != 'cancellation':
                raise
        except Exception as exc:
            self.note(name, describe(exc))
            if catch == 'nothing':
                raise
        else:
            self.note(name, self.shown(result))

    async def sleep(self, seconds: int) -> Any:
        return await asyncio.sleep(self.delay(seconds), seconds)

    async def wait_for_object(self, number: int) -> Any:
        return await self.pick_other(number)

    async def shield(self, number: int) -> Any:
        return await asyncio.shield(self.pick(number))

    async def gather(self, numbers: list[int], return_exceptions: bool) -> Any:
        return await asyncio.gather(*map(self.pick, numbers), return_exceptions=return_exceptions)

    async def wait(self, numbers: list[int], seconds: int | None, return_when: str) -> Any:
        timeout = None if seconds is None else self.delay(seconds)
        return await asyncio.wait(
            list(map(self.pick, numbers)), timeout=timeout, return_when=getattr(asyncio, return_when)
        )

    async def wait_for(self, number: int, seconds: int | None) -> Any:
        return await asyncio.wait_for(self.pick_other(number), None if seconds is None else self.delay(seconds))

    async def wait_for_body(self, body: list[Statement], seconds: int) -> Any:
        return await asyncio.wait_for(self.run_body(body), self.delay(seconds))

    async def gather_bodies(self, bodies: list[list[Statement]], return_exceptions: bool) -> Any:
        return await asyncio.gather(*(self.task(body) for body in bodies), return_exceptions=return_exceptions)

    async def task_group(self, bodies: list[list[Statement]]) -> None:
        async with TaskGroup() as group:
            for body in bodies:
                name = self.name()
                coro = self.run_body(body, name)
                try:
                    self.tasks.append(group.create_task(coro, name=name))
                except RuntimeError:
                    coro.close()
                    raise

    async def timeout(self, seconds: int, body: list[Statement]) -> Any:
        async with asyncio.timeout(self.delay(seconds)) as scope:
            await self.run_body(body)
        return scope.expired()

    async def block(self, body: list[Statement]) -> Any:
        return await self.run_body(body)

    async def with_finally(self, body: list[Statement], last: list[Statement]) -> Any:
        try:
            return await self.run_body(body)
        finally:
            await self.run_body(last)

    async def with_lock(self, body: list[Statement]) -> Any:
        async with self.lock:
            return await self.run_body(body)

    async def wait_event(self) -> Any:
        return await self.event.wait()

    async def put(self) -> Any:
        return await self.queue.put(1)

    async def get(self) -> Any:
        return await self.queue.get()

    async def raise_error(self, error: str) -> None:
        raise ERRORS[error](f'raised at {len(self.trace)}')

    async def bad_yield(self, what: str) -> Any:
        if what == 'number':
            return await Yields(42)  # type: ignore[misc]
        if what == 'future':
            return await Yields(self.pick_other(0))  # type: ignore[misc]
        if what == 'generator':
            return await Yields(iter_nothing())  # type: ignore[misc]
        return await FOREIGN.create_future()

    # Running it.

    def run(self, body: list[Statement]) -> None:
        main = self.task(body)
        self.objects.append(main)
        try:
            for _ in range(ROUNDS):
                self.run_once(main)
                if self.clock.stuck:
                    if self.ending and all(task.done() for task in self.tasks):
                        break
                    self.end()
        finally:
            self.seen.states = [(self.state(each), self.outcome(each)) for each in self.objects]
            self.seen.close()
            self.loop.close()

    def run_once(self, main: Any) -> None:
        """Run until the program stops the loop, or nothing more can happen."""
        self.clock.stuck = False
        self.note('runs')
        try:
            if main.done():
                self.loop.run_forever()
            else:
                self.loop.run_until_complete(main)
        except Exception as exc:
            self.note('stopped', describe(exc))
        except (asyncio.CancelledError, SystemExit) as exc:
            self.note('ended', describe(exc))
        else:
            self.note('done')

    def end(self) -> None:
        """Nothing will happen by itself: see what cancelling does to all."""
        self.note('stuck')
        self.ending = True
        for each in [*self.tasks, *self.objects]:
            if not each.done():
                try:
                    self.note('cancel', each.cancel())
                except RecursionError as exc:
                    self.note('cancel', describe(exc))


def iter_nothing() -> Iterator[None]:
    yield


FOREIGN = asyncio.new_event_loop()
FOREIGN.close()


def run(kind: Kind, program: Program) -> Seen:
    """Run a program and return what was seen."""
    world = World(kind, program)
    seen = world.seen
    hook, sys.unraisablehook = sys.unraisablehook, lambda report: None  # what coroutines say that were given up
    gc.disable()
    try:
        copy_context().run(world.run, program.body)
        del world
        gc.collect()
    finally:
        gc.enable()
        sys.unraisablehook = hook
    seen.last_words.sort(key=repr)
    return seen
