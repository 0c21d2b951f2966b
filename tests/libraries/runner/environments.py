"""Where a suite runs: a virtual environment with pinned packages, made once, and the library's source archive."""

from __future__ import annotations

import glob
import hashlib
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from .suites import HERE, Suite

BUILD = HERE.parent.parent / 'build' / 'libraries'
"""All that the runner makes is in here."""


class Failure(Exception):
    """A command that was needed to make something ready has failed."""


def succeed(*command: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command; return its output.

    Raises:
        Failure: its exit status was not 0.
    """
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace'
    )
    if done.returncode:
        lines = done.stdout.strip().splitlines()
        told = [line for line in lines if line.startswith('ERROR')] or lines[-3:]
        raise Failure(f'{" ".join(words)[:200]}: {" ".join(told)[:500]}')
    return done.stdout


def _pip(python: Path | None, *arguments: object) -> None:
    """Run this interpreter's pip, for another one."""
    other = ['--python', python] if python is not None else []
    succeed(sys.executable, '-m', 'pip', *other, '--disable-pip-version-check', '--no-input', *arguments)


def _replace(folder: Path, content: str) -> bool:
    """Whether the folder has to be made anew, because it is not complete or was made of something else."""
    stamp = folder / 'made-of.txt'
    if stamp.exists() and stamp.read_text() == content:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return True


def make_environment(suite: Suite) -> Path:
    """Make the suite's environment, unless it is there; return its folder of programs.

    Raises:
        Failure: something cannot be installed.
    """
    version = platform.python_version()
    folder = BUILD / 'environments' / f'{suite.name}-{version}'
    content = '\n'.join((version, sys.executable, *suite.packages))
    programs = folder / 'bin'
    if _replace(folder, content):
        succeed(sys.executable, '-m', 'venv', '--without-pip', folder)
        _pip(programs / 'python', 'install', '--quiet', '--no-compile', *suite.packages)
        (folder / 'made-of.txt').write_text(content)
    return programs


def unpack_source(suite: Suite, where: Path) -> Path:
    """Get the archive with the suite's tests, once, and unpack it; return the folder that its tests run in.

    Raises:
        Failure: it cannot be had.
    """
    if suite.source is None:
        return HERE
    store = BUILD / 'sources' / hashlib.sha256(suite.source.encode()).hexdigest()[:16]
    if _replace(store, suite.source):
        name = re.split(r'[=<>!~\[]', suite.source)[0]
        _pip(None, 'download', '--quiet', '--no-deps', '--no-binary', name, '--dest', store / 'archive', suite.source)
        (store / 'made-of.txt').write_text(suite.source)
    (archive,) = (store / 'archive').iterdir()
    if archive.suffix == '.zip':
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(where)
    else:
        with tarfile.open(archive) as opened:
            opened.extractall(where, filter='data')
    (top,) = where.iterdir()
    for pattern in suite.remove:
        for name in glob.glob(pattern, root_dir=top):
            shutil.rmtree(top / name)
    return top


def link_package(module: str, where: Path) -> None:
    """Make this interpreter's package importable from the folder `where`, and nothing else that it has.

    So the loop under test is, in every environment, the one that is installed beside this runner.

    Raises:
        Failure: there is no such package here.
    """
    package = module.partition('.')[0]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise Failure(f'{package} is not installed for {sys.executable}')
    file = Path(spec.origin)
    target = file.parent if spec.submodule_search_locations else file
    (where / target.name).symlink_to(target)
