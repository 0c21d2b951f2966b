"""What this installation is, and how SOONER_PURE and SOONER_DRIVER change it."""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sooner
from sooner._source import COMPILED_MODULES


def test_build_info_tells_where_each_hot_module_comes_from() -> None:
    info = sooner.build_info()
    assert set(info.modules) == set(COMPILED_MODULES)
    assert all(Path(file).is_file() for file in info.modules.values())
    assert info.compiled == (not any(file.endswith('.py') for file in info.modules.values()))
    assert (info.cython is None) == (not info.compiled)
    assert info.version == sooner.__version__
    assert info.python == f'CPython {platform.python_version()}'


def test_build_info_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        sooner.build_info().compiled = True  # type: ignore[misc]


@pytest.mark.parametrize('name', sooner.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(sooner, name) is not None


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match='nonsense'):
        _ = sooner.nonsense


ASYNCIO = {
    'Future': asyncio.Future,
    'Task': asyncio.Task,
    'Handle': asyncio.Handle,
    'TimerHandle': asyncio.TimerHandle,
    'Loop': asyncio.AbstractEventLoop,
}

SHOW = """
import sys
cython = sys.modules.get('cython')
import sooner
info = sooner.build_info()
print(info.compiled, info.driver, sys.modules.get('cython') is cython)
"""


def test_pure_environment_variable_loads_the_source(python: Any) -> None:
    assert python(SHOW, env={'SOONER_PURE': '1', 'SOONER_DRIVER': ''}).stdout.split()[0] == 'False'


@pytest.mark.parametrize('value', ['', '0'])
def test_pure_environment_variable_may_be_off(python: Any, value: str) -> None:
    compiled = python(SHOW, env={'SOONER_PURE': value}).stdout.split()[0]
    available = any(Path(sooner.__file__).parent.glob(f'core/future.{sys.implementation.cache_tag}*.so'))
    assert compiled == str(available) or not available


@pytest.mark.parametrize('pure', ['0', '1'])
def test_cython_itself_is_neither_needed_nor_replaced(python: Any, pure: str) -> None:
    assert python(SHOW, env={'SOONER_PURE': pure}).stdout.split()[2] == 'True'
    program = 'import sys, types\nmine = sys.modules["cython"] = types.ModuleType("cython")\n' + SHOW
    assert python(program, env={'SOONER_PURE': pure}).stdout.split()[2] == 'True'


@pytest.mark.parametrize('driver', ['epoll', 'selector'])
def test_driver_is_chosen_by_the_environment(python: Any, driver: str) -> None:
    if driver == 'epoll' and sys.platform != 'linux':
        pytest.skip('epoll is of Linux')
    assert python(SHOW, env={'SOONER_DRIVER': driver}).stdout.split()[1] == driver


def test_compiled_and_uncompiled_have_the_same_public_names(python: Any) -> None:
    program = """
import sooner
for cls in (sooner.Future, sooner.Task, sooner.Handle, sooner.TimerHandle, sooner.Loop):
    names = sorted(name for name in dir(cls) if not name.startswith('_'))
    print(cls.__name__, *names)
"""
    outputs = [python(program, env={'SOONER_PURE': pure}).stdout for pure in '01']
    public = [
        {
            line.split()[0]: {name for name in line.split()[1:] if hasattr(ASYNCIO[line.split()[0]], name)}
            for line in output.splitlines()
        }
        for output in outputs
    ]
    assert public[0] == public[1]
    for name, cls in ASYNCIO.items():
        missing = {one for one in dir(cls) if not one.startswith('_')} - public[1][name]
        assert not missing, f'{name} lacks {missing}'


def test_package_says_that_it_is_typed() -> None:
    assert (Path(sooner.__file__).parent / 'py.typed').is_file()


def test_import_is_quiet_under_development_mode() -> None:
    package = str(Path(sooner.__file__).parent.parent)
    program = """
import asyncio, sooner

async def main():
    asyncio.get_running_loop().slow_callback_duration = 1000  # it would be told that a busy machine held it up
    await asyncio.sleep(0)

sooner.run(main())
"""
    done = subprocess.run(
        [sys.executable, '-X', 'dev', '-W', 'error', '-c', program],
        env={**os.environ, 'PYTHONPATH': package},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr, done.returncode) == ('', '', 0)
