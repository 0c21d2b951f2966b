"""`sooner info`: what is installed here and what runs, for a person to read or a bug report to carry."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import platform
import sys

import sooner

#: What a person who reports a problem has beside sooner that bears on it.
_NEIGHBOURS = ('uvloop', 'rloop', 'typer', 'rich', 'matplotlib')


def info(arguments: list[str]) -> int:
    """Print what `sooner.build_info()` knows, the machine, and the neighbouring packages."""
    parser = argparse.ArgumentParser(
        prog='sooner info', description='Show the version, the build, the driver and the modules in use.'
    )
    parser.add_argument('--json', action='store_true', help='print it as JSON')
    as_json = parser.parse_args(arguments).json
    build = sooner.build_info()
    described = dataclasses.asdict(build) | {
        'executable': sys.executable,
        'platform': platform.platform(),
        'packages': {name: version for name in _NEIGHBOURS if (version := _installed_version(name))},
    }
    if as_json:
        print(json.dumps(described, indent=2))
        return 0
    compiled = 'compiled' + (f' by Cython {build.cython}' if build.cython else '')
    speed = compiled if build.compiled else 'not compiled: every module runs as Python source, several times slower'
    print(f'sooner     {build.version} ({speed})')
    print(f'driver     {build.driver}')
    print(f'python     {build.python} ({sys.executable})')
    print(f'platform   {described["platform"]}')
    neighbours = ', '.join(f'{name} {version}' for name, version in described['packages'].items())
    print(f'packages   {neighbours or "none of " + ", ".join(_NEIGHBOURS)}')
    print('modules')
    width = max(map(len, build.modules), default=0)
    for module, file in build.modules.items():
        print(f'  {module:{width}}  {file}')
    return 0


def _installed_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
