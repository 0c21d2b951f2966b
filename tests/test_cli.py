"""`sooner run` is compared with `python`, process by process; the other commands are looked at from outside as well."""

from __future__ import annotations

import compileall
import json
import os
import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
from patience import PATIENCE

import sooner

# Processes find sooner where the tests have found it.
PYTHONPATH = os.pathsep.join(filter(None, [str(Path(sooner.__file__).parents[1]), os.environ.get('PYTHONPATH')]))
ENVIRONMENT = os.environ | {
    'PYTHONPATH': PYTHONPATH,
    'COLUMNS': '200',
    'PYTHONDONTWRITEBYTECODE': '1',
}
PYTHON = (sys.executable,)
SOONER = (sys.executable, '-m', 'sooner')
SOONER_RUN = (*SOONER, 'run')


def execute(
    command: tuple[str, ...],
    *arguments: str,
    cwd: Path | None = None,
    stdin: str = '',
    environment: dict[str, str] = ENVIRONMENT,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        input=stdin,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def same_as_python(*arguments: str, cwd: Path, stdin: str = '') -> subprocess.CompletedProcess[str]:
    """Run a program as `python` and as `sooner run`, see that nothing differs, and return what happened."""
    expected = execute(PYTHON, *arguments, cwd=cwd, stdin=stdin)
    found = execute(SOONER_RUN, *arguments, cwd=cwd, stdin=stdin)
    assert (found.stdout, found.stderr, found.returncode) == (expected.stdout, expected.stderr, expected.returncode)
    return found


def write(directory: Path, name: str, source: str) -> str:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(source))
    return name


SURROUNDINGS = """\
import sys
import __main__
print(__name__, sys.argv, sys.path)
plain = (str, dict, type(None))
print({name: value if isinstance(value, plain) else type(value) for name, value in sorted(vars().items())})
print(__main__ is sys.modules['__main__'], vars(__main__) is globals(), sys.excepthook is sys.__excepthook__)
"""


# What the program finds


@pytest.mark.parametrize(
    'script', ['program.py', './program.py', 'sub/../program.py', 'sub/inner.py', '{cwd}/program.py', 'link.py']
)
def test_script_finds_itself_as_under_python(tmp_path: Path, script: str) -> None:
    write(tmp_path, 'program.py', SURROUNDINGS)
    write(tmp_path, 'sub/inner.py', SURROUNDINGS)
    (tmp_path / 'link.py').symlink_to('sub/inner.py')
    found = same_as_python(script.format(cwd=tmp_path), 'one', 'two', cwd=tmp_path)
    assert found.stdout.startswith('__main__ [')


@pytest.mark.parametrize('arguments', [['-m', 'x'], ['--help'], ['-c', 'x', '--', '--version'], ['-h'], ['run']])
def test_options_after_the_script_are_the_scripts(tmp_path: Path, arguments: list[str]) -> None:
    program = write(tmp_path, 'program.py', 'import sys; print(sys.argv)')
    assert same_as_python(program, *arguments, cwd=tmp_path).stdout == f'{["program.py", *arguments]}\n'


@pytest.mark.parametrize('module', ['module', 'package', 'package.inner'])
def test_module_finds_itself_as_under_python(tmp_path: Path, module: str) -> None:
    write(tmp_path, 'module.py', SURROUNDINGS)
    write(tmp_path, 'package/__init__.py', 'print("imported", __name__)')
    write(tmp_path, 'package/__main__.py', SURROUNDINGS + 'from . import inner')
    write(tmp_path, 'package/inner.py', SURROUNDINGS)
    # The module's loader and its spec tell their addresses: types will do.
    assert same_as_python('-m', module, '-x', 'y', cwd=tmp_path).returncode == 0
    assert same_as_python(f'-m{module}', '-x', 'y', cwd=tmp_path).returncode == 0


def test_command_finds_itself_as_under_python(tmp_path: Path) -> None:
    assert same_as_python('-c', SURROUNDINGS, '-x', 'y', cwd=tmp_path).stdout.startswith(
        "__main__ ['-c', '-x', 'y'] ['',"
    )


def test_program_from_standard_input_finds_itself_as_under_python(tmp_path: Path) -> None:
    assert same_as_python('-', '-x', 'y', cwd=tmp_path, stdin=SURROUNDINGS).stdout.startswith(
        "__main__ ['-', '-x', 'y'] ['',"
    )


def test_directory_and_zip_file_run_as_under_python(tmp_path: Path) -> None:
    write(tmp_path, 'directory/__main__.py', SURROUNDINGS)
    with zipfile.ZipFile(tmp_path / 'archive.zip', 'w') as archive:
        archive.writestr('__main__.py', SURROUNDINGS)
    for path in ('directory', 'archive.zip'):
        assert same_as_python(path, 'x', cwd=tmp_path).stdout.startswith(f"__main__ ['{path}', 'x'] [")


def test_compiled_script_runs_as_under_python(tmp_path: Path) -> None:
    write(tmp_path, 'program.py', 'import sys; print(__name__, __file__, type(__loader__).__name__, sys.argv)')
    compileall.compile_file(tmp_path / 'program.py', legacy=True, quiet=1)
    assert 'SourcelessFileLoader' in same_as_python('program.pyc', 'x', cwd=tmp_path).stdout


def test_safe_path_adds_no_directory(tmp_path: Path) -> None:
    program = write(tmp_path, 'program.py', 'import sys; print(sys.path)')
    expected = execute((*PYTHON, '-P'), program, cwd=tmp_path)
    assert execute((sys.executable, '-P', '-m', 'sooner', 'run'), program, cwd=tmp_path).stdout == expected.stdout


def test_installed_command_runs_a_script_as_python_does(tmp_path: Path) -> None:
    command = write(tmp_path, 'bin/sooner', 'import sys; from sooner.cli import main; sys.exit(main())')
    program = write(tmp_path, 'program.py', SURROUNDINGS)
    expected = execute(PYTHON, program, 'x', cwd=tmp_path).stdout
    assert execute((*PYTHON, command, 'run'), program, 'x', cwd=tmp_path).stdout == expected


def test_script_imports_its_neighbours_and_reads_its_input(tmp_path: Path) -> None:
    write(tmp_path, 'sub/neighbour.py', 'GREETING = "hello"')
    program = write(tmp_path, 'sub/program.py', 'import neighbour; print(neighbour.GREETING, input())')
    assert same_as_python(program, cwd=tmp_path, stdin='you\n').stdout == 'hello you\n'


def test_classes_of_the_program_can_be_pickled_and_sent_to_processes(tmp_path: Path) -> None:
    program = write(
        tmp_path,
        'program.py',
        """\
        import multiprocessing, pickle

        class Word(str):
            pass

        def loud(word):
            return word.upper(), type(word).__module__

        if __name__ == '__main__':
            print(type(pickle.loads(pickle.dumps(Word('x')))) is Word)
            with multiprocessing.get_context('spawn').Pool(1) as pool:
                print(pool.map(loud, [Word('one')]))
        """,
    )
    assert same_as_python(program, cwd=tmp_path).stdout == "True\n[('ONE', '__mp_main__')]\n"


def test_program_shares_the_process_with_no_library_of_the_command_line(tmp_path: Path) -> None:
    found = execute(
        SOONER_RUN, '-c', 'import sys; print([name for name in ("typer", "click", "rich") if name in sys.modules])'
    )
    assert found.stdout == '[]\n'


# How the program ends

ENDINGS = {
    'normal': 'print("done")',
    'exit_without_status': 'import sys; sys.exit()',
    'exit_with_status': 'import sys; sys.exit(3)',
    'exit_with_message': 'import sys; sys.exit("a sentence")',
    'exit_with_false': 'import sys; sys.exit(False)',
    'exit_deep_inside': 'import asyncio\nasync def main():\n    raise SystemExit(5)\nasyncio.run(main())',
    'exit_at_once': 'import os; os._exit(6)',
    'killed_by_signal': 'import os, signal; os.kill(os.getpid(), signal.SIGTERM)',
    'uncaught': 'def inner():\n    return 1 / 0\n\ndef outer():\n    inner()\n\nouter()',
    'uncaught_in_handler': 'try:\n    1 / 0\nexcept ZeroDivisionError:\n    {}["key"]',
    'uncaught_from_cause': 'try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise OSError("outer") from error',
    'uncaught_group': 'raise ExceptionGroup("several", [ValueError(1), TypeError(2)])',
    'uncaught_with_note': 'error = ValueError("x")\nerror.add_note("a note")\nraise error',
    'uncaught_in_module': 'import json\njson.loads("{")',
    'uncaught_with_own_traceback': 'try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    kept = error\nraise kept',
    'uncaught_interrupt': 'raise KeyboardInterrupt',
    'uncaught_generator_exit': 'raise GeneratorExit',
    'syntax_error': 'print("never")\nx = = 1',
    'indentation_error': 'if True:\nx = 1',
    'syntax_warning': 'x = "\\d"\nprint(x)',
    'unprintable': 'print("\\ud800")',
    'own_excepthook': 'import sys, traceback\n'
    'def hook(*args):\n    print("hook", args[0], traceback.extract_tb(args[2]))\n'
    '    print(sys.last_traceback is args[2])\n'
    'sys.excepthook = hook\n1 / 0',
    'excepthook_exits': 'import sys\ndef hook(*args):\n    sys.exit(7)\nsys.excepthook = hook\n1 / 0',
    'atexit_sees_globals': 'import atexit\natexit.register(lambda: print(later, __name__))\nlater = 1',
    'atexit_after_uncaught': 'import atexit\natexit.register(lambda: print("at exit"))\n1 / 0',
    'thread_outlives_main': 'import threading\nevent = threading.Event()\n'
    'threading.Thread(target=lambda: (event.wait(), print("thread", value))).start()\nvalue = 1\nevent.set()',
    'uncaught_in_thread': 'import threading\n'
    'thread = threading.Thread(target=lambda: 1 / 0, name="t")\nthread.start(); thread.join()',
    'finalizer_at_the_end': 'class A:\n    def __del__(self):\n        print("gone")\na = A()',
    'warning_points_at_the_program': 'import warnings\nwarnings.warn("careful", stacklevel=1)',
    'standard_output_closed': 'import sys\nsys.stdout.close()',
}


@pytest.mark.parametrize('ending', ENDINGS)
def test_script_ends_as_under_python(tmp_path: Path, ending: str) -> None:
    same_as_python(write(tmp_path, 'program.py', ENDINGS[ending]), cwd=tmp_path)


@pytest.mark.parametrize('ending', ENDINGS)
def test_module_ends_as_under_python(tmp_path: Path, ending: str) -> None:
    write(tmp_path, 'program.py', ENDINGS[ending])
    same_as_python('-m', 'program', cwd=tmp_path)


@pytest.mark.parametrize('ending', ENDINGS)
def test_command_ends_as_under_python(tmp_path: Path, ending: str) -> None:
    same_as_python('-c', ENDINGS[ending], cwd=tmp_path)


@pytest.mark.parametrize('ending', ENDINGS)
def test_program_from_standard_input_ends_as_under_python(tmp_path: Path, ending: str) -> None:
    same_as_python('-', cwd=tmp_path, stdin=ENDINGS[ending])


def test_endings_are_what_they_say(tmp_path: Path) -> None:
    def status(ending: str) -> int:
        return execute(SOONER_RUN, '-c', ENDINGS[ending], cwd=tmp_path).returncode

    assert status('normal') == 0
    assert status('exit_with_status') == 3
    assert status('exit_with_message') == 1
    assert status('exit_deep_inside') == 5
    assert status('uncaught') == 1
    assert status('uncaught_interrupt') == -signal.SIGINT
    assert status('killed_by_signal') == -signal.SIGTERM


@pytest.mark.parametrize(
    'arguments', [['missing.py'], ['-m', 'missing'], ['-m', 'bare'], ['-m', 'bare.missing'], ['empty']]
)
def test_missing_program_is_reported_as_by_python(tmp_path: Path, arguments: list[str]) -> None:
    write(tmp_path, 'bare/__init__.py', '')
    (tmp_path / 'empty').mkdir()
    assert same_as_python(*arguments, cwd=tmp_path).returncode != 0


@pytest.mark.parametrize('arguments', [[], ['-m'], ['-c'], ['-x', 'program.py'], ['--debug']])
def test_wrong_usage_is_explained(arguments: list[str]) -> None:
    found = execute(SOONER_RUN, *arguments)
    assert found.returncode == 2
    assert found.stderr.startswith('sooner run: ')
    assert 'usage: sooner run SCRIPT' in found.stderr


# Ctrl-C


def interrupt(command: tuple[str, ...], *arguments: str, cwd: Path) -> tuple[str, str, int]:
    """Start a program, send it SIGINT when it has said "ready" and sleeps; return what it printed and its end."""
    process = subprocess.Popen(
        [*command, *arguments], cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == 'ready\n'
        while not is_asleep(process.pid):
            pass
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    return stdout, stderr, process.returncode


def is_asleep(pid: int) -> bool:
    """Whether the process waits in a system call, by the state in /proc/PID/stat; only Linux can tell."""
    stat = Path(f'/proc/{pid}/stat')
    return not stat.exists() or stat.read_text().rpartition(')')[2].split()[0] == 'S'


SLEEPING = """\
import time
try:
    print('ready', flush=True)
    time.sleep(1000)
finally:
    print('cleaned up')
"""

SLEEPING_IN_ASYNCIO = """\
import asyncio

async def main():
    try:
        asyncio.get_running_loop().call_soon(print, 'ready')
        asyncio.get_running_loop().call_soon(__import__('sys').stdout.flush)
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        print('cancelled')
        raise
    finally:
        print('cleaned up')

asyncio.run(main())
"""


@pytest.mark.parametrize('how', ['script', 'module', 'command'])
def test_interrupted_program_dies_of_the_signal_as_under_python(tmp_path: Path, how: str) -> None:
    write(tmp_path, 'program.py', SLEEPING)
    arguments = {'script': ['program.py'], 'module': ['-m', 'program'], 'command': ['-c', SLEEPING]}[how]
    expected = interrupt(PYTHON, *arguments, cwd=tmp_path)
    assert interrupt(SOONER_RUN, *arguments, cwd=tmp_path) == expected
    assert expected[2] == -signal.SIGINT


def test_interrupted_asyncio_program_is_cancelled_and_dies_of_the_signal(tmp_path: Path) -> None:
    program = write(tmp_path, 'program.py', SLEEPING_IN_ASYNCIO)
    expected_stdout, expected_stderr, expected_status = interrupt(PYTHON, program, cwd=tmp_path)
    stdout, stderr, status = interrupt(SOONER_RUN, program, cwd=tmp_path)
    assert (stdout, status) == (expected_stdout, expected_status) == ('cancelled\ncleaned up\n', -signal.SIGINT)
    # The frames inside the two loops differ; the program's own, and what is said in the end, do not.
    assert stderr.splitlines()[-1] == expected_stderr.splitlines()[-1] == 'KeyboardInterrupt'
    assert 'cli/run.py' not in stderr


def test_program_that_handles_the_interrupt_goes_on(tmp_path: Path) -> None:
    source = """\
    import time
    try:
        print('ready', flush=True)
        time.sleep(1000)
    except KeyboardInterrupt:
        print('not yet')
    """
    program = write(tmp_path, 'program.py', source)
    assert (
        interrupt(SOONER_RUN, program, cwd=tmp_path) == interrupt(PYTHON, program, cwd=tmp_path) == ('not yet\n', '', 0)
    )


# The loop that the program gets


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(
    'expression',
    [
        'asyncio.run(running())',
        'asyncio.Runner().run(running())',
        'asyncio.new_event_loop()',
        'asyncio.new_event_loop().run_until_complete(running())',
        pytest.param(
            'asyncio.get_event_loop()',
            marks=pytest.mark.skipif(sys.version_info >= (3, 14), reason='makes no loop from Python 3.14 on'),
        ),
        '(asyncio.set_event_loop(asyncio.new_event_loop()), asyncio.get_event_loop())[1]',
    ],
)
def test_every_way_to_a_loop_leads_to_sooner(expression: str) -> None:
    program = f"""\
import asyncio, sooner

async def running():
    return asyncio.get_running_loop()

print(isinstance({expression}, sooner.Loop))
"""
    assert execute(SOONER_RUN, '-c', program).stdout == 'True\n'
    assert execute(PYTHON, '-c', program).stdout == 'False\n'


# The other commands


def test_info_says_what_build_info_says() -> None:
    found = json.loads(execute(SOONER, 'info', '--json').stdout)
    build = sooner.build_info()
    assert (found['version'], found['compiled'], found['driver'], found['modules']) == (
        build.version,
        build.compiled,
        build.driver,
        dict(build.modules),
    )


def test_info_for_people_names_every_module_and_its_file() -> None:
    found = execute(SOONER, 'info')
    assert found.returncode == 0
    for module, file in sooner.build_info().modules.items():
        assert any(line.split() == [module, file] for line in found.stdout.splitlines())


def test_info_shows_the_uncompiled_modules_when_asked_for() -> None:
    found = execute(SOONER, 'info', environment=ENVIRONMENT | {'SOONER_PURE': '1'})
    assert 'not compiled' in found.stdout
    assert '.so' not in found.stdout


@pytest.mark.parametrize('missing', ['typer', 'rich'])
@pytest.mark.parametrize('command', [['bench'], ['demo'], ['--help'], []])
def test_missing_extra_is_named_in_one_sentence(missing: str, command: list[str]) -> None:
    found = execute(PYTHON, '-c', _without(missing), *command)
    assert (found.returncode, found.stdout) == (2, '')
    assert found.stderr == 'sooner: this command needs typer and rich; install them with: pip install "sooner[cli]"\n'


def test_run_and_info_need_no_extra() -> None:
    for missing in ('typer', 'rich'):
        assert execute(PYTHON, '-c', _without(missing), 'run', '-c', 'print("ran")').stdout == 'ran\n'
        assert execute(PYTHON, '-c', _without(missing), 'info').stdout.startswith('sooner ')


def _without(package: str) -> str:
    """A program that is the command where `package` is not installed."""
    return f'import sys; sys.modules[{package!r}] = None; from sooner.cli import main; sys.exit(main())'


def test_help_lists_the_commands() -> None:
    pytest.importorskip('typer')
    pytest.importorskip('rich')
    found = execute(SOONER, '--help')
    assert found.returncode == 0
    for command in ('run', 'info', 'bench', 'demo'):
        assert f' {command} ' in found.stdout
    assert execute(SOONER, '--version').stdout == f'sooner {sooner.__version__}\n'


def test_each_command_explains_itself() -> None:
    for command in ('run', 'info'):
        assert execute(SOONER, command, '--help').stdout.startswith(f'usage: sooner {command}')
    pytest.importorskip('typer')
    pytest.importorskip('rich')
    for command in ('bench', 'demo'):
        assert f'Usage: sooner {command}' in execute(SOONER, command, '--help').stdout
