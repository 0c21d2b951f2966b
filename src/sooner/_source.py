"""Where the hot modules come from: their compiled files, or with SOONER_PURE=1 the .py files beside those.

Uncompiled they need a module named cython, which is not installed with sooner: a stand-in of the few names that they
use takes its place while they are imported, even if there is one: they never depend on what else is installed.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

COMPILED_MODULES = (
    'sooner.core.scheduler',
    'sooner.core.handle',
    'sooner.core.future',
    'sooner.core.task',
    'sooner.core.driver',
    'sooner.core.loop',
    'sooner.drivers.epoll',
    'sooner.net.operations',
    'sooner.net.transport',
    'sooner.net.stream',
    'sooner.net.stream_operation',
    'sooner.net.reader',
    'sooner.net.writer',
    'sooner.net.adoption',
    'sooner.net.tls',
    'sooner.net.datagram',
    'sooner.net.listener',
    'sooner.net.pipe',
)
"""The modules that are compiled where there is a compiler; setup.py reads this."""

_FOLDER = Path(__file__).parent


class _SourceFinder:
    """Finds those modules in their .py files, before anybody finds the compiled ones."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in COMPILED_MODULES:
            return None
        file = _FOLDER.joinpath(*name.split('.')[1:]).with_suffix('.py')
        return importlib.util.spec_from_file_location(name, file, loader=SourceFileLoader(name, str(file)))


def _stand_in() -> ModuleType:
    """Make what uncompiled modules use of the module cython."""
    cython: Any = ModuleType('cython')

    def value_of(kind: object, value: Any = None) -> Any:
        return value

    def directive(*values: object, **named: object) -> Callable[[Any], Any]:
        return lambda function: function

    cython.compiled = False
    cython.cast = cython.declare = value_of
    cython.final = lambda cls: cls
    cython.binding = directive
    for name in ('int', 'double', 'bint', 'Py_ssize_t', 'longlong'):
        setattr(cython, name, name)
    return cython  # type: ignore[no-any-return]


def _warn_if_not_compiled() -> None:
    """Say what installers hide: that setup.py could not compile, and left a note of the reason.

    Who sets SOONER_PURE knows, and is not told.
    """
    note = _FOLDER / 'not_compiled.txt'
    if note.exists():
        warnings.warn(
            'sooner runs uncompiled, several times slower: its C extensions could not be built when it was installed '
            f'({note} says why). Install a C compiler and the headers of Python (Debian: gcc, python3-dev), then: '
            'pip install --force-reinstall --no-cache-dir sooner',
            RuntimeWarning,
            stacklevel=5,  # the line that imports sooner
        )


def _import_hot_modules() -> None:
    if os.environ.get('SOONER_PURE', '') not in ('', '0'):
        sys.meta_path.insert(0, _SourceFinder)
    else:
        _warn_if_not_compiled()
    real = sys.modules.get('cython')
    sys.modules['cython'] = _stand_in()
    try:
        for name in COMPILED_MODULES:
            importlib.import_module(name)
    finally:
        del sys.modules['cython']
        if real is not None:
            sys.modules['cython'] = real


_import_hot_modules()
