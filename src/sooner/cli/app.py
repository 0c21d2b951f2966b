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
    echo: Annotated[
        bool, typer.Option('--echo', help='Measure servers under load, and clients, instead of operations.')
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(metavar='NAME,...', help='Measure these alone; * and ? stand for anything.')
    ] = None,
    loop: Annotated[
        list[str] | None,
        typer.Option(metavar='[NAME=]MODULE:FACTORY', help='Measure this loop too, beside those that are installed.'),
    ] = None,
    sizes: Annotated[
        str | None, typer.Option(metavar='SIZE,...', help='With --echo: the messages, such as 1k,10k,100k.')
    ] = None,
    connections: Annotated[
        str | None, typer.Option(metavar='COUNT,...', help='With --echo: the connections, such as 1,50,500.')
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.05, max=60, help='With --echo: how long a sample lasts.')
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
    command = 'sooner ' + shlex.join(sys.argv[1:])
    if echo:
        from sooner.cli.echo import echo as run_echo

        raise SystemExit(
            run_echo(only or [], loop or [], sizes, connections, seconds, rounds, quick, json, plot, command)
        )
    for option, value in (('--sizes', sizes), ('--connections', connections), ('--seconds', seconds)):
        if value is not None:
            raise typer.BadParameter('this is for servers: add --echo', param_hint=option)
    from sooner.cli.bench import bench as run_benchmark

    raise SystemExit(run_benchmark(only or [], loop or [], rounds, quick, json, plot, command))


@app.command()
def demo() -> None:
    """Run the three programs of the tutorial, then let the loops of this machine race, in half a minute."""
    from sooner.cli.demo import demo as show

    raise SystemExit(show())
