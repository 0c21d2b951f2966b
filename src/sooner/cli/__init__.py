"""The `sooner` command.

`run` and `info` need nothing but the standard library. `run` because the process belongs to the script: a library
imported for our sake would be there before the script's own, and its hooks with it. `info` because whoever reports a
broken installation must be able to run it. `bench` and `demo`, and the help that lists all four, are typer and rich:
`pip install "sooner[cli]"`.
"""

from __future__ import annotations

import sys

_EXTRA_MISSING = 'sooner: this command needs typer and rich; install them with: pip install "sooner[cli]"'


def main() -> int:
    """Run the command that `sys.argv` names and return its exit status."""
    match sys.argv[1:]:
        case ['run', *arguments]:
            from sooner.cli.run import run

            return run(arguments)
        case ['info', *arguments]:
            from sooner.cli.info import info

            return info(arguments)
    try:
        import rich  # noqa: F401
        import typer  # noqa: F401
    except ModuleNotFoundError:
        print(_EXTRA_MISSING, file=sys.stderr)
        return 2
    from sooner.cli.app import app

    app(prog_name='sooner')
    return 0
