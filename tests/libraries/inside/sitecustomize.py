"""Puts the loop under test into every Python process of a run; this folder is the first on its path.

Variables:
    LIBRARIES_LOOP: MODULE:CALLABLE that makes the loops; empty for asyncio's own.
    LIBRARIES_LOOPS_MADE: a folder, in which each process has a file with the class of every loop that it made.
    LIBRARIES_SELECTOR_LOOP: 1 if asyncio.SelectorEventLoop() is to give the loop under test as well; a subclass of it,
        or a call that passes a selector, still gives asyncio's.

The loops are put in where the default policy gets its own from. So asyncio.run(), asyncio.Runner(), new_event_loop()
and policies that a test derives from the default one give them, and a test that sets another policy, or none, does not
bring asyncio's loop back for all tests after it, as it would after sooner.install().
"""

import os
import sys

system_open, system_write, system_close = os.open, os.write, os.close  # before a test replaces them


def install(asyncio):
    spec = os.environ.get('LIBRARIES_LOOP')
    record_loops(asyncio)
    if not spec:
        return

    def factory():
        module, _, name = spec.partition(':')
        __import__(module)
        loop = getattr(sys.modules[module], name)()
        if not isinstance(loop, asyncio.BaseEventLoop):  # those are recorded by themselves
            record(loop)
        return loop

    asyncio.unix_events._UnixDefaultEventLoopPolicy._loop_factory = staticmethod(factory)
    if os.environ.get('LIBRARIES_SELECTOR_LOOP') == '1':
        replace_selector_loop(asyncio, factory)


def record(loop):
    folder = os.environ.get('LIBRARIES_LOOPS_MADE')
    if folder is None:
        return
    cls = type(loop)
    try:
        file = system_open(f'{folder}/{os.getpid()}', os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        system_write(file, f'{cls.__module__}.{cls.__qualname__}\n'.encode())
        system_close(file)
    except OSError:  # no descriptor left, perhaps, or another user
        pass


def record_loops(asyncio):
    base_init = asyncio.BaseEventLoop.__init__

    def __init__(self, *args, **kwargs):
        base_init(self, *args, **kwargs)
        record(self)

    asyncio.BaseEventLoop.__init__ = __init__


def replace_selector_loop(asyncio, factory):
    stock = asyncio.SelectorEventLoop

    class Meta(type):
        def __call__(cls, *args, **kwargs):
            if cls is SelectorEventLoop:
                return stock(*args, **kwargs) if args or kwargs else factory()
            return super().__call__(*args, **kwargs)

        def __instancecheck__(cls, instance):
            return isinstance(instance, stock) if cls is SelectorEventLoop else super().__instancecheck__(instance)

    class SelectorEventLoop(stock, metaclass=Meta):
        pass

    SelectorEventLoop.__name__ = stock.__name__  # which is in the names of tests
    SelectorEventLoop.__qualname__ = stock.__qualname__
    for module in (asyncio, asyncio.unix_events):
        for name in ('SelectorEventLoop', 'EventLoop'):  # the second since 3.13
            if hasattr(module, name):
                setattr(module, name, SelectorEventLoop)


class AfterImport:
    """Has install() called as soon as asyncio has been imported, and imports nothing before."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != 'asyncio':
            return None
        sys.meta_path.remove(cls)
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path)
        exec_module = spec.loader.exec_module

        def exec_and_install(module):
            exec_module(module)
            install(module)

        spec.loader.exec_module = exec_and_install
        return spec


if 'asyncio' in sys.modules:
    install(sys.modules['asyncio'])
else:
    sys.meta_path.insert(0, AfterImport)
