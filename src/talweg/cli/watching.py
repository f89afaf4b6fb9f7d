"""`talweg watch-demo`: a disease of training, and its cure beside it."""

import math
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from talweg.core import check_place, write_page
from talweg.diagnose import DEMOS, Demo, Outcome, by_name, verdict
from talweg.diagnose.demos import trained
from talweg.report.health import demo_page


def watch_demo(
    name: Annotated[str, typer.Argument(help=f"{', '.join(DEMOS)}.")],
    out: Annotated[
        str | None, typer.Option(help="Write a page of both runs: an HTML file.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Show each run while it trains.")] = False,
) -> None:
    """Train a small network that has a disease and, beside it, one that is cured of it."""
    demo = DEMOS[name]
    if out is not None:
        check_place(out)
    console = Console(highlight=False)
    console.print(Text(f"{demo.name}: {demo.summary}"), soft_wrap=True)
    outcomes: list[Outcome] = []
    for recipe in demo.recipes:
        if live:
            shown = " ".join(demo.changed(recipe)) or recipe.code[-1]
            typer.echo(f"{demo.label(recipe)}: {shown}", err=True)
        outcomes.append(trained(recipe, live))
    console.print()
    console.print(_beside(demo, outcomes))
    if out is not None:
        typer.echo(str(write_page(out, demo_page(demo, outcomes))))


def _beside(demo: Demo, outcomes: list[Outcome]) -> Table:
    """A column for each run, a row for what is said of it."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    table.add_column("", style="dim", no_wrap=True)
    for one in outcomes:
        table.add_column(demo.label(one.recipe), ratio=1, overflow="fold")
    rows: dict[str, Callable[[Outcome], Text]] = {
        "what differs": lambda one: Text("\n".join(demo.changed(one.recipe)), "cyan"),
        "verdict": _verdict,
        "found": _found,
        "loss": _loss,
        "test accuracy": lambda one: Text(f"{100 * one.accuracy:.1f}%"),
        "overhead": lambda one: Text(f"{100 * one.health.overhead:.1f}%"),
    }
    for heading, tell in rows.items():
        cells = [tell(one) for one in outcomes]
        if any(cells):
            table.add_row(heading, *cells)
    return table


def _verdict(one: Outcome) -> Text:
    return Text(verdict(one.health), "red" if one.health.findings else "green")


def _loss(one: Outcome) -> Text:
    losses = one.health.losses
    lost = next((step for step, loss in enumerate(losses) if not math.isfinite(loss)), None)
    end = f"{losses[-1]:.3g}" if lost is None else f"{losses[lost - 1]:.3g}, lost at step {lost}"
    return Text(f"{losses[0]:.3g} to {end}")


def _found(one: Outcome) -> Text:
    lines: list[str] = []
    for name, places in by_name(one.health.findings).items():
        layers = len({place.layer for place in places})
        where = f" in {layers} layers" if layers > 1 else ""
        when = "at" if places[0].is_of_a_moment else "from"
        lines.append(f"{places[0].severity}: {name}{where} {when} step {places[0].began}")
    return Text("\n".join(lines) or "nothing")
