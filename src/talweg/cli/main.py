"""The `talweg` command: its subcommands, and errors as one line."""

import sys
from typing import Annotated

import typer

from talweg import __version__
from talweg.cli import compare, listing, reporting
from talweg.core import UserError

app = typer.Typer(
    name="talweg",
    help="Train every update rule × learning rate × seed at once, and see which wins.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("compare")(compare.compare)
app.command("report")(reporting.report)
app.command("list")(listing.show)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"talweg {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Train every update rule × learning rate × seed at once, and see which wins."""


def main() -> None:
    """Runs the command line; bad input is told in one line, with exit code 2."""
    try:
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except UserError as error:
        _fail(str(error))
    except (typer.Abort, KeyboardInterrupt):
        _fail("interrupted before anything was measured", 130)
    except typer.TyperException as error:  # a missing argument, an unknown option
        _fail(error.format_message())


def _fail(line: str, code: int = 2) -> None:
    typer.echo(f"talweg: {' '.join(line.split())}", err=True)
    sys.exit(code)
