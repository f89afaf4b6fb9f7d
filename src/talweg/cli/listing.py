"""`talweg list`: what can be named."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from talweg.activations import ACTIVATIONS
from talweg.core import choose
from talweg.data import BUNDLED
from talweg.losses import LOSSES
from talweg.metrics import METRICS
from talweg.rules import RULES, NamedRule, default_lrs
from talweg.schedules import SCHEDULES
from talweg.study import words

PLAIN: dict[str, Iterable[str]] = {
    "data": BUNDLED,
    "activations": ACTIVATIONS,
    "losses": LOSSES,
    "metrics": METRICS,
    "schedules": SCHEDULES,
}


def show(
    what: Annotated[
        str, typer.Argument(help="rules, data, activations, losses, metrics or schedules.")
    ] = "rules",
) -> None:
    """List what can be named."""
    if what == "rules":
        Console().print(_rules(RULES.values()))
    elif what in PLAIN:
        for name in PLAIN[what]:
            typer.echo(name)
    else:
        raise choose("list", what, ["rules", *PLAIN])


def _rules(rules: Iterable[NamedRule]) -> Table:
    table = Table("rule", "usual rates", "options", box=None, pad_edge=False, header_style="dim")
    for entry in rules:
        rates = default_lrs(entry.rule)
        options = entry.rule.hypers | entry.rule.options
        settings = [f"{name}={value}".lower() for name, value in options.items() if name != "lr"]
        table.add_row(
            entry.name, f"{words.rate(rates[0])} – {words.rate(rates[-1])}", ", ".join(settings)
        )
    return table
