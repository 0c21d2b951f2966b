"""What there is to run: a file in `suites/` for each library."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
SUITES = HERE / 'suites'


@dataclass(frozen=True)
class Exemption:
    """Tests that are not held to the rule, and why.

    Attributes:
        tests: pytest's node ids, or what they begin with.
        reason: a sentence for the documentation.
    """

    tests: tuple[str, ...]
    reason: str

    def holds(self, test: str) -> bool:
        """Whether it speaks of this test."""
        return any(_begins(test, start) for start in self.tests)


def _begins(test: str, start: str) -> bool:
    return test.startswith(start) and (len(test) == len(start) or start[-1] in '/:[' or test[len(start)] in '/:[')


@dataclass(frozen=True)
class Suite:
    """A library's tests, and what they need.

    Attributes:
        name: the file's, without its ending.
        title: the library, as the table calls it.
        about: what of it is run, for the table.
        packages: requirements of pip, each pinned.
        source: the requirement whose source archive holds the tests; None for tests of our own, in this folder.
        pytest: arguments of pytest: options, and the tests. `{NAME}` stands for a variable of a service.
        services: what has to run beside it; see `services`.
        environment: variables for the tests, likewise.
        without: what fails or flakes on asyncio's loop too, and is left out.
        different: what passes on asyncio and is meant not to on sooner.
        selector_loop: whether asyncio.SelectorEventLoop() gives the loop under test too; for libraries that name it.
        remove: shell patterns of files in the source archive that are in the way.
        several: whether its tests are about several libraries.
        quick: whether it is one of those that are worth running on each change.
        timeout: seconds for all of it.
        test_timeout: seconds for a test.
    """

    name: str
    title: str
    about: str
    packages: tuple[str, ...]
    pytest: tuple[str, ...]
    source: str | None = None
    services: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    without: tuple[Exemption, ...] = ()
    different: tuple[Exemption, ...] = ()
    selector_loop: bool = False
    remove: tuple[str, ...] = ()
    several: bool = False
    quick: bool = False
    timeout: float = 900.0
    test_timeout: float = 60.0

    @property
    def version(self) -> str:
        """The library's version: that of the first package. Nothing if there are several libraries."""
        return '' if self.several else self.packages[0].rpartition('=')[2]

    def difference(self, test: str) -> str | None:
        """Why this test is meant not to pass on sooner, or None."""
        return next((each.reason for each in self.different if each.holds(test)), None)


def parse(name: str, text: str) -> Suite:
    """Read a suite.

    Raises:
        ValueError: it is not TOML, or names something that a suite does not have, or leaves out what it must have.
    """
    content: dict[str, Any] = tomllib.loads(text)
    for key in ('without', 'different'):
        content[key] = tuple(Exemption(tuple(each['tests']), each['reason']) for each in content.get(key, ()))
    if 'environment' in content:
        content['environment'] = tuple((key, str(value)) for key, value in content['environment'].items())
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    try:
        suite = Suite(name=name, **values)
    except TypeError as error:
        raise ValueError(f'{name}: {error}') from None
    if unpinned := [package for package in suite.packages if '==' not in package]:
        raise ValueError(f'{name}: not pinned: {", ".join(unpinned)}')
    return suite


def load(names: Iterable[str] = ()) -> list[Suite]:
    """The suites of these names, or all, in alphabetical order.

    Raises:
        ValueError: there is no such suite, or its file is not one.
    """
    files = {path.stem: path for path in sorted(SUITES.glob('*.toml'), key=lambda path: path.stem)}
    wanted = list(names) or list(files)
    if unknown := [name for name in wanted if name not in files]:
        raise ValueError(f'no such suite: {", ".join(unknown)} (there are {", ".join(files)})')
    return [parse(name, files[name].read_text()) for name in wanted]
