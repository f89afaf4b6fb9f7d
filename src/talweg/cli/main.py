"""The `talweg` command: its subcommands, and errors as one line."""

import sys
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from talweg import __version__
from talweg.cli import (
    compare,
    drawing,
    explaining,
    finding,
    listing,
    racing,
    reporting,
    watching,
)
from talweg.core import UserError


class _Commands(TyperGroup):
    """The subcommands. Typer by itself ends without a word on Ctrl-C."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Abort from None


app = typer.Typer(
    name="talweg",
    cls=_Commands,
    help="Train every update rule × learning rate × seed at once, and see which wins.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("compare")(compare.compare)
app.command("find-lr")(finding.find)
app.command("race")(racing.race)
app.command("report")(reporting.report)
app.command("list")(listing.show)
app.command("explain")(explaining.show)
app.command("atlas")(drawing.atlas)
app.command("watch-demo")(watching.watch_demo)


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what its encoding lacks is shown as "?"
            stream.reconfigure(errors="replace")
    try:
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except UserError as error:
        _fail(str(error))
    except (typer.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except OSError as error:  # the terminal or the file that the output goes to
        _fail(f"cannot write the output: {error.strerror or error}", 1)
    except typer.TyperException as error:  # a missing argument, an unknown option
        _fail(error.format_message())


def _fail(line: str, code: int = 2) -> None:
    shown = "".join(sign if sign.isprintable() else "�" for sign in " ".join(line.split()))
    typer.echo(f"talweg: {shown}", err=True)
    sys.exit(code)
