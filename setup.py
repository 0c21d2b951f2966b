"""Compiles the hot modules; where that can't be done, sooner is installed uncompiled, and says so.

What the environment can ask for:

SOONER_PURE=1               compile nothing
SOONER_REQUIRE_COMPILED=1   fail rather than install uncompiled
SOONER_CFLAGS               more options for the C compiler; with -Werror, Cython's warnings are errors as well
SOONER_SANITIZE             what -fsanitize= is given, such as address,undefined
SOONER_ANNOTATE=1           beside each C file, a page that shows which lines call the interpreter
"""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCE = Path('src')
CAPI = SOURCE / 'sooner' / '_capi'

DIRECTIVES = {
    'language_level': 3,
    'annotation_typing': True,
    'auto_pickle': False,
    'binding': False,
    'boundscheck': False,
    'embedsignature': True,
    'embedsignature.format': 'clinic',
    'initializedcheck': False,
    'wraparound': False,
}


def wanted(variable: str) -> bool:
    return os.environ.get(variable, '') not in ('', '0')


def hot_modules() -> list[str]:
    """Read COMPILED_MODULES without importing the package."""
    tree = ast.parse((SOURCE / 'sooner' / '_source.py').read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == 'COMPILED_MODULES':
            return list(ast.literal_eval(node.value))
    raise SystemExit('setup.py: COMPILED_MODULES is not in _source.py')


def compiler_options() -> list[str]:
    sanitize = os.environ.get('SOONER_SANITIZE')
    options = ['-O1', '-g', f'-fsanitize={sanitize}', '-fno-omit-frame-pointer'] if sanitize else ['-O2', '-g0']
    return [*options, '-Wall', '-Wno-unused-function', *os.environ.get('SOONER_CFLAGS', '').split()]


def extensions() -> list[Extension]:
    if wanted('SOONER_PURE'):
        return []
    sanitize = os.environ.get('SOONER_SANITIZE')
    return [
        Extension(
            name,
            [str(SOURCE.joinpath(*name.split('.')).with_suffix('.py'))],
            include_dirs=[str(CAPI)],
            depends=[str(header) for header in sorted(CAPI.glob('*.h'))],
            extra_compile_args=compiler_options(),
            extra_link_args=[f'-fsanitize={sanitize}'] if sanitize else [],
        )
        for name in hot_modules()
        if sys.platform == 'linux' or not name.endswith('.epoll')
    ]


class BuildHotModules(build_ext):
    """Translates the hot modules to C and compiles that.

    Where this fails it leaves a note in the package instead: installers hide what a build prints, so it is
    sooner itself that has to tell its user, when it is imported (see _source.py).
    """

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def run(self) -> None:
        files = [Path(self.get_ext_fullpath(extension.name)) for extension in self.extensions]
        note = Path(self.get_ext_fullpath('sooner.any')).with_name('not_compiled.txt')
        note.unlink(missing_ok=True)
        try:
            self.translate()
            super().run()
        except Exception as exc:
            if wanted('SOONER_REQUIRE_COMPILED'):
                raise
            for file in files:  # half a compiled core is worse than none
                file.unlink(missing_ok=True)
            self.extensions = []
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(f'{exc}\n')
            print(f'\nsooner: WARNING: it will run uncompiled, complete but slow: {exc}\n', file=sys.stderr)

    def translate(self) -> None:
        """Write the C into the build's temporary folder, so that several Pythons can build at once."""
        import Cython
        from Cython.Build import cythonize
        from Cython.Compiler import Options

        self.force = self.force or self.settings_changed(Cython.__version__)
        Options.warning_errors = '-Werror' in compiler_options()
        translated = cythonize(
            self.extensions,
            build_dir=self.build_temp,
            compiler_directives=DIRECTIVES,
            annotate=wanted('SOONER_ANNOTATE'),
            force=self.force,
        )
        for extension, in_c in zip(self.extensions, translated, strict=True):
            extension.sources = in_c.sources
            extension.depends = in_c.depends

    def settings_changed(self, cython: str) -> bool:
        """Tell whether what is built already was built otherwise, which no file's date would show."""
        record = Path(self.build_temp) / 'settings.txt'
        settings = ' '.join([cython, *compiler_options(), *map(str, DIRECTIVES.items())])
        if record.exists() and record.read_text() == settings:
            return False
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(settings)
        return True


setup(ext_modules=extensions(), cmdclass={'build_ext': BuildHotModules})
