"""Every Python example of the documentation is a whole program that runs, and prints what stands below it.

An example is a fenced block of `python`; a fenced block of `text` right after it is what it prints. It runs in a folder
that has the certificates of the tests. Where it is about a library that is not installed here, it is left out.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from patience import PATIENCE

import sooner

PROJECT = Path(__file__).parent.parent
PAGES = [PROJECT / name for name in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md')]
PAGES += sorted((PROJECT / 'docs').rglob('*.md'))
CERTIFICATES = PROJECT / 'tests' / 'net' / 'certificates'
LIBRARIES = {'aiohttp', 'anyio', 'fastapi', 'httpx', 'uvicorn'}
"""What examples may import beside what tests need, and are left out without."""


@dataclass(frozen=True)
class Example:
    """A program in a page, and what it prints if the page says so."""

    page: Path
    line: int
    code: str
    output: str | None

    def __str__(self) -> str:
        return f'{self.page.name}:{self.line}'


def tokens_of(page: Path) -> list[Token]:
    return MarkdownIt().parse(page.read_text(encoding='utf-8'))


def examples() -> Iterator[Example]:
    for page in PAGES:
        tokens = tokens_of(page)
        for token, after in zip_longest(tokens, tokens[1:]):
            if token.type == 'fence' and token.info == 'python':
                shown = after is not None and after.type == 'fence' and after.info == 'text'
                assert token.map is not None
                yield Example(page, token.map[0] + 1, token.content, after.content if shown else None)


def missing_libraries(code: str) -> set[str]:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module)
    return {name for name in imported & LIBRARIES if importlib.util.find_spec(name) is None}


def output_of(*arguments: str, cwd: Path | None = None, stdin: str = '', **variables: str) -> str:
    paths = filter(None, [str(Path(sooner.__file__).parents[1]), os.environ.get('PYTHONPATH')])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | {'PYTHONPATH': os.pathsep.join(paths)} | variables,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize('example', list(examples()), ids=str)
def test_example_runs_and_prints_what_the_page_says(example: Example, tmp_path: Path) -> None:
    missing = missing_libraries(example.code)
    if missing:
        pytest.skip(f'needs {", ".join(sorted(missing))}')
    for certificate in CERTIFICATES.glob('*.pem'):
        shutil.copy(certificate, tmp_path)
    program = tmp_path / 'example.py'
    program.write_text('\n' * example.line + example.code)  # so that a traceback tells the line of the page
    # Warnings are errors: an example must not teach what is deprecated.
    output = output_of('-W', 'error', str(program), cwd=tmp_path)
    if example.output is not None:
        assert output == example.output


def test_session_with_the_debugger_goes_as_shown(tmp_path: Path) -> None:
    fences = [token for token in tokens_of(PROJECT / 'docs' / 'contributing.md') if token.type == 'fence']
    program = next(token.content for token in fences if token.info == 'python')
    session = next(token.content for token in fences if token.info == 'console').splitlines()[1:]
    (tmp_path / 'step.py').write_text(program)
    commands = [line.removeprefix('(Pdb) ') for line in session if line.startswith('(Pdb) ')]
    said = output_of('-m', 'pdb', 'step.py', cwd=tmp_path, stdin='\n'.join([*commands, 'quit']), SOONER_PURE='1')
    for line in session:
        if not line.startswith('(Pdb) '):
            match = re.search(re.escape(line).replace(r'\.\.\.', '.*'), said)
            assert match is not None, f'{line}\n\nis not said, or not there:\n\n{said}'
            said = said[match.end() :]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_between_files_lead_somewhere(page: Path) -> None:
    for token in tokens_of(page):
        for child in token.children or ():
            target = str(child.attrs.get('href') or child.attrs.get('src') or '').partition('#')[0]
            if target and '://' not in target:
                assert (page.parent / target).exists(), f'{page.name} links to {target}'


def test_make_has_the_targets_that_the_pages_name() -> None:
    targets = set(re.findall(r'^([a-z-]+):', (PROJECT / 'Makefile').read_text(), re.MULTILINE))
    for page in PAGES:
        for token in tokens_of(page):
            if token.type == 'fence' and token.info == 'sh':
                named = set(re.findall(r'\bmake ([a-z][a-z-]*)', token.content))
                assert named <= targets, f'{page.name} names {named - targets}'


def test_tests_that_the_pages_name_exist() -> None:
    for page in PAGES:
        for file, name in re.findall(r'`(tests/\S+\.py)::(\w+)`', page.read_text(encoding='utf-8')):
            assert f'def {name}(' in (PROJECT / file).read_text(), f'{page.name} names {file}::{name}'
