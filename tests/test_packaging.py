"""What is installed is this source tree, whole; and it can be installed from an sdist, with a compiler or without."""

from __future__ import annotations

import glob
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import sooner
from sooner._source import COMPILED_MODULES

PROJECT = Path(__file__).parents[1]
TREE = PROJECT / 'src' / 'sooner'
PACKAGE = Path(sooner.__file__).parent
PURE = os.environ.get('SOONER_PURE', '') not in ('', '0')

REBUILD = 'what runs is not what this source tree says; build it again: make install'
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith('SOONER_')}

builds_packages = pytest.mark.skipif(
    PURE or not all(map(importlib.util.find_spec, ('Cython', 'setuptools', 'pip'))),
    reason='the same compiled and uncompiled, and needs pip, setuptools and Cython',
)


def is_generated(path: Path) -> bool:
    """Tell the C that Cython writes from the programs of the benchmark."""
    return path.suffix == '.c' and path.parent.name != 'echo'


def sources(folder: Path) -> dict[str, bytes]:
    kinds = ('.py', '.pxd', '.h', '.c', '.typed')
    files = glob.iglob('**/*.*', root_dir=folder, recursive=True)  # goes where links lead, other than rglob()
    return {
        file: (folder / file).read_bytes() for file in files if file.endswith(kinds) and not is_generated(Path(file))
    }


def python(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run an interpreter that has none of the variables of this project but those that are given."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def succeed(*arguments: object, cwd: Path | None = None, **environment: str) -> str:
    done = python(*arguments, cwd=cwd, **environment)
    assert done.returncode == 0, done.stdout
    return done.stdout


# --- what is installed here ---


@pytest.mark.skipif(PACKAGE == TREE, reason='runs in the source tree')
def test_installed_package_is_this_source_tree() -> None:
    assert sources(PACKAGE) == sources(TREE), REBUILD


def test_compiled_modules_are_those_of_this_source_tree() -> None:
    compiled = {path: path.name.split('.')[0] for path in PACKAGE.rglob('*.so')}
    modules = {'.'.join(('sooner', *path.parent.relative_to(PACKAGE).parts, name)) for path, name in compiled.items()}
    assert modules <= set(COMPILED_MODULES), REBUILD
    changed = max(path.stat().st_mtime for path in PACKAGE.joinpath('_capi').iterdir())
    stale = [
        path
        for path, name in compiled.items()
        if PACKAGE == TREE and path.stat().st_mtime < max(changed, path.with_name(f'{name}.py').stat().st_mtime)
    ]
    assert not stale, REBUILD


@pytest.mark.skipif(PACKAGE == TREE, reason='runs in the source tree')
def test_distribution_holds_what_debuggers_type_checkers_and_other_extensions_read() -> None:
    distribution = importlib.metadata.distribution('sooner')
    assert distribution.version == sooner.__version__
    files = {str(file) for file in distribution.files or ()}
    assert {'sooner/py.typed', 'sooner/core/task.py', 'sooner/core/task.pxd', 'sooner/_capi/capi.h'} <= files
    assert {'sooner/bench/echo/echo_load.c', 'sooner/bench/echo/echo_server.c'} <= files
    assert any(file.endswith('licenses/LICENSE') for file in files)
    assert [script.value for script in distribution.entry_points] == ['sooner.cli:main']


# --- importing it ---


@pytest.mark.parametrize('options', [('-W', 'error'), ('-W', 'error', '-X', 'dev'), ('-W', 'error', '-O')])
@pytest.mark.parametrize('pure', ['0', '1'])
def test_import_warns_of_nothing(options: tuple[str, ...], pure: str) -> None:
    assert succeed(*options, '-c', 'import sooner', PYTHONPATH=str(PACKAGE.parent), SOONER_PURE=pure) == ''


def test_import_loads_neither_cython_nor_the_command_line() -> None:
    program = """
import sys, types
sys.modules['cython'] = broken = types.ModuleType('cython')  # is not to be used, and not to be lost
import sooner
assert sys.modules['cython'] is broken
print([name for name in ('Cython', 'typer', 'click', 'rich', 'sooner.cli', 'sooner.bench') if name in sys.modules])
"""
    for pure in '01':
        assert succeed('-c', program, PYTHONPATH=str(PACKAGE.parent), SOONER_PURE=pure) == '[]\n'


def test_uncompiled_it_runs_where_there_is_no_epoll_and_no_eventfd() -> None:
    program = """
import os, select, sys
for module, prefix in ((select, 'epoll'), (select, 'EPOLL'), (os, 'eventfd'), (os, 'EFD_'), (os, 'pidfd')):
    for name in [name for name in vars(module) if name.startswith(prefix)]:
        delattr(module, name)
sys.platform = 'darwin'

import asyncio, sooner

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0.001))
        return await asyncio.to_thread(lambda: sooner.build_info().driver)

print(sooner.run(main()))
"""
    assert succeed('-c', program, PYTHONPATH=str(PACKAGE.parent), SOONER_PURE='1') == 'selector\n'


# --- building it ---


@pytest.fixture(scope='module')
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist, unpacked, that was made in a copy of this tree which git knows nothing of."""
    folder = tmp_path_factory.mktemp('sdist')
    left_out = shutil.ignore_patterns('.*', '__pycache__', 'build', 'dist', 'site', 'sooner-*')
    shutil.copytree(PROJECT, folder / 'copy', symlinks=True, ignore=left_out)
    (folder / 'copy' / 'src' / 'sooner' / 'core' / 'task.so').touch()
    succeed('setup.py', '--quiet', 'sdist', '--dist-dir', folder, cwd=folder / 'copy')
    with tarfile.open(folder / f'sooner-{sooner.__version__}.tar.gz') as archive:
        archive.extractall(folder, **({'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}))
    return folder / f'sooner-{sooner.__version__}'


def install(sdist: Path, target: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    offline = ('--no-build-isolation', '--no-deps', '--no-index', '--disable-pip-version-check')
    return python('-m', 'pip', 'install', *offline, '--target', target, sdist, **environment)


@builds_packages
def test_sdist_holds_all_sources_and_nothing_that_was_built(sdist: Path) -> None:
    assert sources(sdist / 'src' / 'sooner') == sources(TREE)
    assert {'LICENSE', 'README.md', 'pyproject.toml', 'setup.py'} <= {path.name for path in sdist.iterdir()}
    assert sources(sdist / 'tests') == sources(PROJECT / 'tests')
    assert not [path for path in sdist.rglob('*.*') if path.suffix in ('.so', '.pyc') or is_generated(path)]


@builds_packages
def test_without_a_compiler_it_is_installed_uncompiled_and_says_so(sdist: Path, tmp_path: Path) -> None:
    installed = install(sdist, tmp_path, CC='/bin/false')
    assert installed.returncode == 0, installed.stdout
    assert not list(tmp_path.rglob('*.so'))
    assert '/bin/false' in (tmp_path / 'sooner' / 'not_compiled.txt').read_text()

    (tmp_path / 'program.py').write_text('import sooner\nprint(sooner.build_info().compiled)\n')
    said = succeed('program.py', cwd=tmp_path)
    assert f'{tmp_path}/program.py:1: RuntimeWarning: sooner runs uncompiled' in said
    assert said.endswith('\nFalse\n')
    assert succeed('program.py', cwd=tmp_path, SOONER_PURE='1') == 'False\n'


@builds_packages
def test_compiled_can_be_required(sdist: Path, tmp_path: Path) -> None:
    refused = install(sdist, tmp_path, CC='/bin/false', SOONER_REQUIRE_COMPILED='1')
    assert refused.returncode != 0
    assert '/bin/false' in refused.stdout
    assert not list(tmp_path.iterdir())


@builds_packages
def test_uncompiled_can_be_chosen(sdist: Path, tmp_path: Path) -> None:
    installed = install(sdist, tmp_path, CC='/bin/false', SOONER_PURE='1')
    assert installed.returncode == 0, installed.stdout
    assert 'Tag: py3-none-any' in next(tmp_path.glob('*.dist-info/WHEEL')).read_text()
    assert succeed('-W', 'error', '-c', 'import sooner; print(sooner.build_info().compiled)', cwd=tmp_path) == 'False\n'
