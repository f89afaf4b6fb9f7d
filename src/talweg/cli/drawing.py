"""`talweg atlas`: activations and schedules, to be looked at."""

from typing import Annotated

import typer

from talweg.atlas import write


def atlas(out: Annotated[str, typer.Option(help="The file to write.")] = "atlas.html") -> None:
    """Draw every activation, its derivative and its properties, and every schedule, on one page."""
    typer.echo(str(write(out)))
