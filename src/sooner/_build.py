"""What this installation of sooner is."""

from __future__ import annotations

import importlib
import platform
from dataclasses import dataclass

from ._source import COMPILED_MODULES
from ._version import __version__
from .core.scheduler import CYTHON
from .drivers import new_driver


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """What is running."""

    version: str
    compiled: bool
    """Whether every hot module is compiled."""
    modules: dict[str, str]
    """Where each hot module was loaded from."""
    cython: str | None
    """The Cython that compiled them, or None."""
    python: str
    driver: str
    """The driver that a new loop gets."""


def build_info() -> BuildInfo:
    """Tell which files, compiled or not, and which driver are in use."""
    modules = {}
    for name in COMPILED_MODULES:
        module = importlib.import_module(name)
        modules[name] = module.__file__ or ''
    driver = new_driver()
    driver.close()
    return BuildInfo(
        version=__version__,
        compiled=not any(file.endswith('.py') for file in modules.values()),
        modules=modules,
        cython=CYTHON and CYTHON.replace('_', '.'),
        python=f'{platform.python_implementation()} {platform.python_version()}',
        driver=driver.name,
    )
