"""`sooner run`: python's own way of running a script, a module or a command, on sooner's loop.

The program runs in this process, as `__main__`, so that the debugger, profiler or coverage tool that started us still
sees it. What python does between its command line and the first line of a program is done here again; what it does
after the last one (exit status, uncaught exceptions, death by SIGINT) is left to python. One trace remains:
`traceback.print_stack()` in the program shows our frames above its own.
"""

from __future__ import annotations

import builtins
import functools
import importlib.machinery
import linecache
import os
import pkgutil
import runpy
import sys
import textwrap
import types
from collections.abc import Callable
from typing import Any

import sooner

USAGE = """\
usage: sooner run SCRIPT [ARGUMENT]...
       sooner run -m MODULE [ARGUMENT]...
       sooner run -c COMMAND [ARGUMENT]...
       sooner run - [ARGUMENT]...             (the program is read from standard input)

Runs a Python program as python does, with sooner's event loop in the place of asyncio's:
asyncio.run(), asyncio.Runner(), asyncio.new_event_loop() and asyncio.get_event_loop() all give it.
Everything after the program's name goes to the program. Options for the interpreter come first:
python -X dev -m sooner run SCRIPT
"""


def run(arguments: list[str]) -> int:
    """Run the program that `arguments` name; return 0, or 2 if it cannot be started. What it raises goes through."""
    if arguments and arguments[0][:2] in ('-m', '-c') and len(arguments[0]) > 2:  # -mMODULE, which python takes too
        arguments = [arguments[0][:2], arguments[0][2:], *arguments[1:]]
    program: Callable[[], int]
    match arguments:
        case ['-h' | '--help', *_]:
            print(USAGE, end='')
            return 0
        case ['-m', module, *rest]:
            program, argv = functools.partial(_run_module, module), ['-m', *rest]
        case ['-c', command, *rest]:
            program, argv = functools.partial(_run_command, command), ['-c', *rest]
        case ['-', *_]:
            program, argv = _run_standard_input, arguments
        case [option, *_] if option.startswith('-'):
            return _usage_error(f'{option} needs an argument' if option in ('-m', '-c') else f'unknown option {option}')
        case [script, *_]:
            program, argv = functools.partial(_run_script, script), arguments
        case _:
            return _usage_error('which program?')
    sooner.install()
    sys.argv = argv
    try:
        return program()
    except SystemExit:
        raise
    except BaseException as error:
        _leave_our_frames_out(error)
        raise


def _usage_error(problem: str) -> int:
    print(f'sooner run: {problem}\n{USAGE}', end='', file=sys.stderr)
    return 2


def _run_script(path: str) -> int:
    if pkgutil.get_importer(path) is not None:  # a directory or a zip file with a __main__.py in it
        _new_main_module()
        if sys.flags.safe_path:
            sys.path.insert(0, '')  # here alone python adds an entry all the same
        sys.path[0] = os.path.abspath(path)
        runpy._run_module_as_main('__main__', alter_argv=False)  # type: ignore[attr-defined]
        return 0
    filename = path if os.path.isabs(path) else os.path.join(os.getcwd(), path)  # python does not normalise it either
    loader: importlib.machinery.SourceFileLoader | importlib.machinery.SourcelessFileLoader
    try:
        if path.endswith('.pyc'):
            loader = importlib.machinery.SourcelessFileLoader('__main__', filename)
            code = loader.get_code('__main__')
            assert code is not None
        else:
            loader = importlib.machinery.SourceFileLoader('__main__', filename)
            code = compile(loader.get_data(filename), filename, 'exec', dont_inherit=True)
    except OSError as error:
        print(
            f"{sys.executable}: can't open file {filename!r}: [Errno {error.errno}] {error.strerror}", file=sys.stderr
        )
        return 2
    _replace_first_path(os.path.dirname(os.path.realpath(path)))
    exec(code, _new_main_module(__file__=filename, __loader__=loader))
    return 0


def _run_module(name: str) -> int:
    _replace_first_path(os.getcwd())
    _new_main_module()
    runpy._run_module_as_main(name)  # type: ignore[attr-defined]  # what `python -m` itself calls
    return 0


def _run_command(command: str) -> int:
    _replace_first_path('')
    if sys.version_info >= (3, 14):
        command = textwrap.dedent(command)
    code = compile(command, '<string>', 'exec', dont_inherit=True)
    # From 3.13 on tracebacks show the lines of a command. This is how python itself registers them.
    if sys.version_info >= (3, 13):
        key: Any = code if sys.version_info >= (3, 14) else '<string>'
        linecache._register_code(key, command, '<string>')  # type: ignore[attr-defined]
    exec(code, _new_main_module())
    return 0


def _run_standard_input() -> int:
    _replace_first_path('')
    code = compile(sys.stdin.buffer.read(), '<stdin>', 'exec', dont_inherit=True)
    exec(code, _new_main_module(__file__='<stdin>'))
    return 0


def _replace_first_path(entry: str) -> None:
    """Put `entry` where python put the directory that it found us in."""
    if not sys.flags.safe_path:
        sys.path[0] = entry


def _new_main_module(__file__: str | None = None, **attributes: Any) -> dict[str, Any]:
    """Make a `__main__` as python makes it, in the place of ours, and return its namespace."""
    module = types.ModuleType('__main__')
    namespace = vars(module)
    namespace.update(__builtins__=builtins, __loader__=importlib.machinery.BuiltinImporter)
    if sys.version_info < (3, 14):
        namespace['__annotations__'] = {}
    if __file__ is not None:
        namespace['__file__'] = __file__
        if sys.version_info < (3, 15):
            namespace['__cached__'] = None
    namespace.update(attributes)
    sys.modules['__main__'] = module
    return namespace


def _leave_our_frames_out(error: BaseException) -> None:
    """Have python report `error` with a traceback that starts where it starts under python.

    Python hands an uncaught exception to `sys.excepthook`, after our frames have been added to its traceback. So the
    hook of the moment, which may be the program's own, is called through one that cuts them off. Everything else that
    python does with an uncaught exception (the exit status, dying of SIGINT) stays as it is.
    """
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    hook = sys.excepthook

    def report(kind: type[BaseException], value: BaseException, _: types.TracebackType | None) -> None:
        sys.excepthook = hook
        sys.last_traceback = traceback  # for pdb.pm()
        hook(kind, value.with_traceback(traceback), traceback)

    sys.excepthook = report
