"""Misuse ends in an exception or in a sentence, never in a crash. Each case has an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest
from patience import PATIENCE

import sooner

Python = Callable[..., 'subprocess.CompletedProcess[str]']

PREAMBLE = """
import asyncio, gc, os, sys, warnings, weakref
import sooner

warnings.simplefilter('ignore')
loop = sooner.new_event_loop()
loop.set_exception_handler(lambda loop, context: None)

def turns(seconds=0.0):
    loop.call_later(seconds, loop.stop)
    loop.run_forever()

async def wait(future):
    return await future

"""

CASES = {
    # Objects whose __init__() was not called, or was called again.
    'loop without init runs': """
        loop = sooner.Loop.__new__(sooner.Loop)
        for method in (loop.run_forever, loop.statistics, loop.stop, loop.close):
            try:
                method()
            except (AttributeError, NotImplementedError, RuntimeError, TypeError):
                pass
    """,
    'loop without init schedules': """
        class Forgetful(sooner.Loop):
            def __init__(self):
                pass
        for method in ('call_soon', 'call_soon_threadsafe'):
            try:
                getattr(Forgetful(), method)(print)
            except (AttributeError, NotImplementedError, RuntimeError, TypeError):
                pass
        try:
            Forgetful().call_later(1, print)
        except (AttributeError, NotImplementedError, RuntimeError, TypeError):
            pass
        gc.collect()
    """,
    'loop made twice': """
        loop.call_later(0.01, print)
        loop.__init__()
        turns()
    """,
    'loop made twice by its own callback': """
        loop.call_soon(loop.__init__)
        loop.call_soon(loop.stop)
        loop.run_forever()
    """,
    'objects without init': """
        for cls in (sooner.Future, sooner.Task, sooner.Handle, sooner.TimerHandle):
            empty = cls.__new__(cls)
            for name in dir(cls):
                try:
                    value = getattr(empty, name)
                    if callable(value) and not name.startswith('__'):
                        value()
                except Exception:
                    pass
            del empty
            gc.collect()
    """,
    'task made twice while it waits for a stock future': """
        future = asyncio.Future(loop=loop)
        task = sooner.Task(wait(future), loop=loop)
        turns()
        task.__init__(wait(asyncio.Future(loop=loop)), loop=loop)
        future.set_result(1)
        turns()
        turns()
    """,
    'future made again while a task waits for it': """
        future = loop.create_future()
        task = loop.create_task(wait(future))
        turns()
        future.__init__(loop=loop)
        future.set_result(1)
        turns()
        task.cancel()
        turns()
    """,
    'iterator of no future': """
        cls = type(iter(loop.create_future()))
        for _ in range(3):
            try:
                next(cls.__new__(cls))
            except (AttributeError, RuntimeError):
                pass
    """,
    # The loop's inside, reached from callbacks.
    'turns within turns': """
        def inner():
            loop.stop()
            try:
                loop.run_turns()
            except RuntimeError:
                print('refused')
        loop.call_soon(inner)
        turns()
    """,
    'everything dropped in a callback': """
        def drop():
            try:
                loop.drop_everything()
            except RuntimeError:
                print('refused')
        loop.call_soon(drop)
        loop.call_soon(int)
        turns()
    """,
    'nothing made ready': """
        for wrong in (None, 1, object()):
            try:
                loop.push_ready(wrong)
            except (TypeError, AttributeError):
                pass
    """,
    'what has no run() made ready': """
        from sooner.core.scheduler import Runnable
        loop.push_ready(Runnable())
        try:
            turns()
        except NotImplementedError:
            pass
        turns()
    """,
    'handle that cancels itself while it runs': """
        def make():
            kept = [bytearray(100) for _ in range(100)]
            def callback(a, b):
                handle.cancel()
                gc.collect()
                junk = [bytearray(100) for _ in range(1000)]
                assert len(kept) == 100 and a == [1] and b == [2]
            return callback
        handle = loop.call_soon(make(), [1], [2])
        turns()
        handle = loop.call_later(0, make(), [1], [2])
        turns(0.01)
    """,
    'ready queue that grows and empties from within': """
        def many(left):
            for _ in range(3):
                if left:
                    loop.call_soon(many, left - 1)
        many(8)
        turns(0.05)
    """,
    # The end.
    'loop dropped with all it had': """
        for _ in range(100):
            dropped = sooner.new_event_loop()
            future = dropped.create_future()
            tasks = [dropped.create_task(wait(future)) for _ in range(10)]
            dropped.call_soon(dropped.stop)
            dropped.run_forever()
            dropped.call_later(10, print)
            dropped.call_soon(print)
            if _ % 2:
                dropped.close()
            del dropped, future, tasks
        gc.collect()
    """,
    'interpreter ends while loops, tasks and timers are alive': """
        future = loop.create_future()
        tasks = [loop.create_task(wait(future)) for _ in range(10)]
        turns()
        sys.kept = loop, tasks, future
        loop.call_soon(print)
        loop.call_later(10, print)
        async def generator():
            try:
                yield 1
            finally:
                await asyncio.sleep(0)
        agen = generator()
        loop.run_until_complete(anext(agen))
        asyncio.kept = agen
    """,
    'interpreter ends while the loop runs': """
        loop.call_soon(sys.exit, 0)
        loop.call_soon(print)
        loop.run_forever()
    """,
    'future that comes back in __del__': """
        back = []
        class Phoenix(sooner.Future):
            def __del__(self):
                back.append(self)
        class PhoenixTask(sooner.Task):
            def __del__(self):
                back.append(self)
        for _ in range(3):
            Phoenix(loop=loop).set_exception(ValueError())
            loop.run_until_complete(PhoenixTask(asyncio.sleep(0), loop=loop))
            gc.collect()
            for future in back:
                future.done(), repr(future)
                future.add_done_callback(print)
            del future
            turns()
            back.clear()
            gc.collect()
    """,
    'future that comes back in the exception handler': """
        back = []
        loop.set_exception_handler(lambda loop, context: back.append(context))
        for _ in range(300):
            future = loop.create_future()
            future.set_exception(ValueError())
            future.attribute = [future]
            del future
            gc.collect() if _ % 50 == 0 else None
        assert back
        for context in back:
            assert isinstance(context['future'].exception(), ValueError)
        back.clear()
        gc.collect()
    """,
    'weak reference that looks at what dies': """
        for _ in range(300):
            future = loop.create_future()
            seen = weakref.ref(future, lambda ref: ref())
            handle = loop.call_soon(int)
            other = weakref.ref(handle, lambda ref: ref())
            del future, handle
            turns()
            assert seen() is None and other() is None
    """,
    # Very many.
    'long chain of tasks': """
        future = loop.create_future()
        last = future
        for _ in range(100_000):
            last = loop.create_task(wait(last))
        turns()
        try:
            last.cancel()
        except RecursionError:
            pass
        future.cancel()
        try:
            loop.run_until_complete(last)
        except (asyncio.CancelledError, RecursionError):
            pass
    """,
    'long chain of futures dropped': """
        last = None
        for _ in range(200_000):
            future = loop.create_future()
            future.set_result(last)
            last = future
        del last, future
        gc.collect()
    """,
    'long chain of pending futures dropped': """
        last = None
        for _ in range(200_000):
            future = loop.create_future()
            future.add_done_callback(last.cancel if last is not None else print)
            last = future
        del last, future
        gc.collect()
    """,
    'tasks that wait for each other are cancelled': """
        tasks = {}
        async def wait_for(name):
            await tasks[name]
        tasks['a'] = loop.create_task(wait_for('b'))
        tasks['b'] = loop.create_task(wait_for('a'))
        turns()
        try:
            tasks['a'].cancel()
        except RecursionError:
            pass
    """,
    'recursion in callbacks': """
        def deep(n):
            return deep(n + 1)
        loop.call_soon(deep, 0)
        loop.create_future().add_done_callback(deep)
        turns()
    """,
    'recursion in eager tasks': """
        async def deep():
            await loop.create_task(deep(), eager_start=True)
        async def main():
            try:
                await deep()
            except RecursionError:
                print('refused')
        loop.run_until_complete(main())
    """,
    # Objects that lie, and code that runs where nobody expects it.
    'comparing callbacks changes the future': """
        class Odd:
            def __call__(self, future): pass
            def __eq__(self, other):
                if not future.done():
                    future.set_result(1)
                return True
            __hash__ = None
        future = loop.create_future()
        for _ in range(5):
            future.add_done_callback(Odd())
        try:
            future.remove_done_callback(Odd())
        except Exception:
            pass
        turns()
    """,
    'result that does things when it dies': """
        class Odd:
            def __del__(self):
                loop.call_soon(int)
                future = loop.create_future()
                future.set_result(None)
                gc.collect()
        async def main():
            for _ in range(200):
                future = loop.create_future()
                future.set_result(Odd())
                await future
                loop.call_soon(lambda odd: None, Odd())
                future = loop.create_future()
                future.add_done_callback(lambda future, odd=Odd(): None)
                future.set_result(None)
                await asyncio.sleep(0)
        loop.run_until_complete(main())
    """,
    'custom awaitables that yield anything': """
        class Yields:
            def __init__(self, *values): self.values = values
            def __await__(self):
                for value in self.values:
                    try:
                        yield value
                    except RuntimeError:
                        pass
                return 'ended'
        class Liar:
            _asyncio_future_blocking = True
            _loop = loop
            def get_loop(self): return loop
            def add_done_callback(self, *args, **kwargs): args[0](self)
            def result(self): return 1
        async def main():
            return await Yields(1, None, 'x', loop.create_future(), Liar(), type, ...)
        try:
            loop.run_until_complete(asyncio.wait_for(main(), 1))
        except Exception:
            pass
    """,
    'context entered twice': """
        import contextvars
        context = contextvars.copy_context()
        def inside():
            loop.call_soon(int, context=context)
            turns()
            future = loop.create_future()
            future.add_done_callback(int, context=context)
            future.set_result(1)
            task = loop.create_task(asyncio.sleep(0), context=context)
            turns()
        context.run(inside)
    """,
    'driver given file numbers that cannot be': """
        for number in (-1, -100000, 2 ** 31, 2 ** 80, 10 ** 6):
            for method in (loop._driver.set_reader, loop._driver.set_writer):
                try:
                    method(number, sooner.Handle(int, (), loop))
                except (ValueError, OSError, OverflowError):
                    pass
        turns()
    """,
    'fork in a callback': """
        def fork():
            child = os.fork()
            if child == 0:
                loop.close()
                gc.collect()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        loop.call_soon(fork)
        loop.call_soon(int)
        turns()
        assert loop.is_closed() is False
    """,
}


if sys.version_info >= (3, 15):  # a future is initialized once
    del CASES['task made twice while it waits for a stock future'], CASES['future made again while a task waits for it']


@pytest.mark.parametrize('case', CASES)
def test_misuse_does_not_crash(python: Python, case: str) -> None:
    source = PREAMBLE + textwrap.dedent(CASES[case])
    ended = python(source, options=('-X', 'faulthandler'))
    assert ended.returncode == 0, ended.stderr[-3000:]


@pytest.mark.parametrize('state', ['without init', 'subclass without init', 'made'])
def test_any_method_with_any_argument_does_not_crash(python: Python, state: str, stress_scale: int) -> None:
    """Call what the classes have, at random, on objects in odd states."""
    if not sooner.build_info().compiled:
        pytest.skip('uncompiled, what is C otherwise can be called too, and there is nothing to crash')
    patience = PATIENCE * stress_scale
    ended = python(ANYTHING, state, str(stress_scale), options=('-X', 'faulthandler'), timeout=patience)
    assert ended.returncode == 0, ended.stdout[-500:] + ended.stderr[-3000:]


ANYTHING = """
import asyncio, contextvars, gc, os, random, sys, warnings
import sooner
from sooner.core import driver, scheduler

warnings.simplefilter('ignore')
sys.unraisablehook = lambda report: None
state, scale = sys.argv[1], int(sys.argv[2])
chance = random.Random(1)

def new_loop():
    loop = sooner.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    return loop

loop = new_loop()

async def nothing():
    await asyncio.sleep(0)

MAKERS = {
    sooner.Future: lambda: sooner.Future(loop=loop),
    sooner.Task: lambda: sooner.Task(nothing(), loop=loop),
    sooner.Handle: lambda: sooner.Handle(int, (), loop),
    sooner.TimerHandle: lambda: sooner.TimerHandle(0.1, int, (), loop),
    sooner.Loop: new_loop,
    type(iter(loop.create_future())): lambda: iter(loop.create_future()),
    scheduler.Runnable: scheduler.Runnable,
    driver.Driver: driver.Driver,
    type(loop._driver): type(loop._driver),
}
NOT_CALLED = {
    '__class__', '__del__', '__dir__', '__init_subclass__', '__new__', '__subclasshook__', 'default_exception_handler',
    'run_forever', 'run_turns', 'run_until_complete', 'turn', 'wait',
}

def make(cls):
    if state == 'without init':
        return cls.__new__(cls)
    if state == 'subclass without init':
        subclass = type('Subclass', (cls,), {})
        return subclass.__new__(subclass)
    return MAKERS[cls]()

def anything():
    kind = chance.randrange(4)
    if kind == 0:
        cls = chance.choice(list(MAKERS))
        return cls.__new__(cls)
    if kind == 1:
        return MAKERS[chance.choice(list(MAKERS))]()
    return chance.choice([
        None, 0, -1, 1.5, float('nan'), float('inf'), 10**30, '', b'x', (), [], {}, print, loop, object(), ValueError,
        ValueError('x'), StopIteration, StopIteration(1), asyncio.CancelledError(), nothing, int, type, ...,
        asyncio.Future(loop=loop), contextvars.copy_context(),
    ])

gc.freeze()
for cls in MAKERS:
    loop = new_loop()  # another one for each, so that what it holds does not pile up
    names = [name for name in dir(cls) if name not in NOT_CALLED]
    for attempt in range(60 * scale):
        if attempt % 20 == 0:
            gc.collect()  # loops that nobody closed keep their files until then
        instance = make(cls)
        for _ in range(4):
            name = chance.choice(names)
            print(cls.__name__, name, file=sys.stdout)
            try:
                value = getattr(instance, name)
                if callable(value):
                    value(*[anything() for _ in range(chance.randrange(4) if attempt % 3 else 0)])
                elif chance.random() < 0.3:
                    setattr(instance, name, anything())
            except Exception:
                pass
            except asyncio.CancelledError:
                pass
        try:
            repr(instance), hash(instance), instance == anything()
        except Exception:
            pass
try:
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
except Exception:
    pass
gc.collect()
"""
