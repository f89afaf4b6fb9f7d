"""`talweg report`: the report of a run folder, again."""

from typing import Annotated

import typer
from rich.console import Console

from talweg.cli.compare import show
from talweg.study import load


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder.")],
    out: Annotated[
        str | None, typer.Option(help="Where to write; default: report.html in the run folder.")
    ] = None,
) -> None:
    """Write the report of a run folder, whatever state it was left in, and show its ranking."""
    study = load(run)
    path = study.report(out)
    show(study, Console())
    if out is not None:
        typer.echo(str(path))
