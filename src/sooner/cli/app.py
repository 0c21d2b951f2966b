"""What `sooner --help` lists: the four commands and their options, for typer."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

import sooner
from sooner.cli.info import info as print_info
from sooner.cli.run import run as run_program

app = typer.Typer(
    help='Asyncio programs on a faster event loop.',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a plain traceback can be searched for and pasted
    context_settings={'help_option_names': ['-h', '--help']},
)

#: These two read their own arguments, with or without typer.
_UNTOUCHED = {'ignore_unknown_options': True, 'allow_interspersed_args': False, 'help_option_names': []}


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f'sooner {sooner.__version__}')
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option('--version', callback=_print_version, is_eager=True, help='Print the version.')
    ] = False,
) -> None:
    pass


@app.command(context_settings=_UNTOUCHED)
def run(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar='SCRIPT|-m MODULE|-c COMMAND|- [ARGUMENT]...')
    ] = None,
) -> None:
    """Run a Python program as python does, on sooner's loop."""
    raise SystemExit(run_program(arguments or []))


@app.command(context_settings=_UNTOUCHED)
def info(arguments: Annotated[list[str] | None, typer.Argument(metavar='[--json]')] = None) -> None:
    """Show the version, whether it is compiled, the driver, and the file of each module."""
    raise SystemExit(print_info(arguments or []))


@app.command()
def bench(
    only: Annotated[
        list[str] | None, typer.Option(metavar='NAME,...', help='Measure these alone; * and ? stand for anything.')
    ] = None,
    loop: Annotated[
        list[str] | None,
        typer.Option(metavar='[NAME=]MODULE:FACTORY', help='Measure this loop too, beside those that are installed.'),
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help='How many turns each loop gets at each operation.')] = None,
    quick: Annotated[
        bool, typer.Option(help='Shorter samples, fewer rounds, no millions: to look, not to quote.')
    ] = False,
    json: Annotated[
        Path | None, typer.Option(metavar='FILE', dir_okay=False, help='Write every sample to FILE.')
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar='FILE', dir_okay=False, help='Draw the figures into FILE (.svg or .png).')
    ] = None,
) -> None:
    """Measure every event loop that is installed, in turns, and compare them."""
    from sooner.cli.bench import bench as run_benchmark

    command = 'sooner ' + shlex.join(sys.argv[1:])
    raise SystemExit(run_benchmark(only or [], loop or [], rounds, quick, json, plot, command))


@app.command()
def demo() -> None:
    """Run the three programs of the tutorial, then let the loops of this machine race, in half a minute."""
    from sooner.cli.demo import demo as show

    raise SystemExit(show())
