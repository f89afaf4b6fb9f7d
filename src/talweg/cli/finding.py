"""`talweg find-lr`: a learning rate to start from."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from talweg.cli.options import batch, numbers, subject_of
from talweg.rates import FoundRate, find_lr
from talweg.study import words


def find(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="DATA|MODEL",
            help="A data set, a file, or a model (a name, or file.py:name), which needs --data.",
        ),
    ] = "digits",
    data: Annotated[str | None, typer.Option(help="The data, where DATA|MODEL is a model.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A name (talweg list models), or file.py:name.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    rule: Annotated[str, typer.Option(help='Such as adam or "momentum(form=average)".')] = "adam",
    lrs: Annotated[
        str | None, typer.Option(help="Rates to try, such as 0.001,0.01,0.1; default: a grid.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs at each rate.")] = 8,
    steps: Annotated[int, typer.Option(help="Updates of each run.")] = 100,
    batch_size: Annotated[str, typer.Option(help="Samples per batch, or full.")] = "64",
    loss: Annotated[str | None, typer.Option(help="Loss; default: the usual one.")] = None,
    strategy: Annotated[str, typer.Option(help="auto, stacked or serial.")] = "auto",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …")] = None,
    out: Annotated[str | None, typer.Option(help="Draw it: an HTML file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Find a learning rate to start from: all rates and seeds at once, for a few steps."""
    chosen_model, chosen_data = subject_of("find-lr", subject, model, data)
    found = find_lr(
        chosen_model,
        chosen_data,
        rule,
        lrs=None if lrs is None else numbers("lrs", lrs),
        seeds=seeds,
        steps=steps,
        batch_size=batch(batch_size),
        loss=loss,
        device=device,
        progress=not quiet,
        target=target,
        strategy=strategy,
    )
    if as_json:
        typer.echo(json.dumps(_plain(found), indent=1, allow_nan=False))
    else:
        console = Console(highlight=False)
        console.print(_table(found))
        for sentence in found.sentences:
            console.print(sentence, soft_wrap=True)
    if out is not None:
        path = found.picture(out)
        if not as_json:
            typer.echo(str(path))


def _plain(found: FoundRate) -> dict[str, object]:
    """What JSON can hold: a loss of a run that diverged is null."""
    losses = [[None if loss == float("inf") else loss for loss in row] for row in found.losses]
    return {**asdict(found), "losses": losses, "sentences": found.sentences}


WIDTH = 36
"""Signs of the largest bar."""


def _table(found: FoundRate) -> Table:
    """A line for each rate: its mean loss as a bar, or how many seeds diverged."""
    table = Table("rate", "mean loss", "", box=None, pad_edge=False, header_style="dim")
    means = [sum(row) / len(row) for row in found.losses]
    most = max(mean for mean in means if mean < float("inf"))
    for lr, mean, row in zip(found.rates, means, found.losses, strict=True):
        lost = sum(loss == float("inf") for loss in row)
        bar = "━" * max(round(WIDTH * mean / most), 1) if not lost else ""
        note = f"{lost} of {len(row)} diverged" if lost else bar
        style = "bold" if lr == found.lr else "dim" if lost else ""
        mark = "  ← start" if lr == found.lr else ""
        shown = "–" if lost else words.number(mean, 3)
        table.add_row(f"{lr:.3g}", shown, note + mark, style=style)
    return table
