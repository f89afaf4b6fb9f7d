"""`talweg find-lr`: a learning rate to start from."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from talweg.cli.options import AUGMENT, MEMORY, PRECISION, batch, numbers, subject_of
from talweg.core import check_place
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
    memory: Annotated[
        str | None,
        typer.Option(help=MEMORY),
    ] = None,
    augment: Annotated[str | None, typer.Option(help=AUGMENT)] = None,
    precision: Annotated[str | None, typer.Option(help=PRECISION)] = None,
    out: Annotated[str | None, typer.Option(help="Draw it: an HTML file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> int:
    """Find a learning rate to start from: all rates and seeds at once, for a few steps."""
    if out is not None:
        check_place(out)
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
        memory=memory,
        augment=augment,
        precision=precision,
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
    return 130 if found.interrupted else 0


def _plain(found: FoundRate) -> dict[str, object]:
    """What JSON can hold: a loss of a run that diverged is null."""
    losses = [[None if loss == math.inf else loss for loss in row] for row in found.losses]
    return {**asdict(found), "losses": losses, "sentences": found.sentences}


WIDTH = 36
"""Signs of the largest bar."""


def _table(found: FoundRate) -> Table:
    """A line for each rate: its mean loss, as a bar too, or how many seeds diverged."""
    headers = ("rate", "mean loss", "from the least to the largest, in the logarithm")
    table = Table(*headers, box=None, pad_edge=False, header_style="dim")
    means = [sum(row) / len(row) for row in found.losses]
    bars = _bars(means)
    lost = [sum(loss == math.inf for loss in row) for row in found.losses]
    shown = len(lost)
    while shown > 1 and lost[shown - 2] == found.seeds:
        shown -= 1  # rates at which every seed diverged, up to the last, are one line
    for place in range(shown):
        lr, last = found.rates[place], found.rates[-1]
        marks = [
            *(["start"] if lr == found.lr else []),
            *(["least loss"] if lr == found.best else []),
        ]
        mark = f"  ← {' and '.join(marks)}" if marks else ""
        note = f"{lost[place]} of {found.seeds} diverged" if lost[place] else "━" * bars[place]
        table.add_row(
            f"{lr:.3g}" if place < shown - 1 or lr == last else f"{lr:.3g} to {last:.3g}",
            "–" if lost[place] else words.number(means[place], 3),
            note + mark,
            style="bold" if lr == found.lr else "dim" if lost[place] else "",
        )
    return table


def _bars(means: Sequence[float]) -> list[int]:
    """The length of each bar: from 1 at the least loss to `WIDTH` at the largest.

    >>> _bars([1.0, 0.1, 0.01, float("inf")]), _bars([2.0, 2.0])
    ([36, 19, 1, 0], [1, 1])
    """
    finite = [mean for mean in means if mean < math.inf]
    shape = math.log if min(finite) > 0 else float
    least, most = shape(min(finite)), shape(max(finite))
    return [
        0
        if mean == math.inf
        else 1 + round((WIDTH - 1) * (shape(mean) - least) / (most - least or 1))
        for mean in means
    ]
