"""`talweg race`: rules on a landscape."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from talweg.cli.options import numbers
from talweg.core import check_place
from talweg.race import Race
from talweg.race import race as run_race
from talweg.race.terminal import drawn
from talweg.study import words


def race(
    landscape: Annotated[str, typer.Argument(help="See talweg list landscapes.")] = "rosenbrock",
    rules: Annotated[
        str | None,
        typer.Option(help='Rules, such as "sgd,adam,momentum(form=average)"; default: all seven.'),
    ] = None,
    steps: Annotated[int, typer.Option(help="Updates of each lane.")] = 500,
    noise: Annotated[float, typer.Option(help="Standard deviation of gradient noise.")] = 0.0,
    batch_size: Annotated[
        int | None, typer.Option(help="Samples that a step sees, on line-fit.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Runs at each rate; default: 1, with noise 5.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="Where all begin, such as -1.2,1.")] = None,
    out: Annotated[
        str | None,
        typer.Option(help="Draw it: an html file, to be played, or png or svg (matplotlib)."),
    ] = None,
    picture: Annotated[
        bool | None,
        typer.Option(
            "--picture/--no-picture", help="A small picture here; default: on a terminal."
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Race rules from the same start on a landscape, each at its own best rate."""
    if out is not None:
        check_place(out)
    found = run_race(
        landscape,
        rules,
        steps,
        noise=noise,
        batch_size=batch_size,
        seeds=seeds,
        start=None if start is None else numbers("start", start),
        progress=not quiet,
    )
    console = Console(highlight=False)
    console.print(_table(found))
    if (console.is_terminal if picture is None else picture) and len(found.landscape.start) == 2:
        console.print()
        console.print(drawn(found, columns=min(console.width, 100) - 2))
        console.print()
    for sentence in found.sentences:
        console.print(sentence, soft_wrap=True)
    if out is not None:
        typer.echo(str(found.picture(out)))


def _table(found: Race) -> Table:
    has_saddle = bool(found.landscape.saddles)
    rate = found.shared_rate
    saddle = ["off the saddle", *([f"at {words.rate(rate)}"] if rate else [])]
    headers = ["rule", "rate", "steps", *(saddle if has_saddle else []), "height left"]
    table = Table(*headers, box=None, pad_edge=False, header_style="dim")
    for racer in found.racers:
        left = [_shown(racer.left_saddle)] if has_saddle else []
        left += [_shown(racer.left_at.get(rate))] if rate else []
        table.add_row(
            racer.label, words.rate(racer.lr), _shown(racer.steps), *left, f"{racer.gap:.2g}"
        )
    return table


def _shown(steps: float | None) -> str:
    return "–" if steps is None else f"{steps:.0f}"
