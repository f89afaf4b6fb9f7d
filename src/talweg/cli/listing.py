"""`talweg list`: what can be named."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from talweg.activations import ACTIVATIONS
from talweg.core import choose, counted
from talweg.data import BUNDLED
from talweg.diagnose import DIAGNOSES
from talweg.landscapes import LANDSCAPES
from talweg.losses import LOSSES
from talweg.metrics import METRICS
from talweg.models import MODELS
from talweg.rules import RULES, default_lrs
from talweg.schedules import SCHEDULES
from talweg.study import words

PLAIN: dict[str, Iterable[str]] = {"data": BUNDLED, "metrics": METRICS}


def show(
    what: Annotated[
        str,
        typer.Argument(
            help="rules, data, models, activations, landscapes, losses, metrics, schedules or "
            "findings."
        ),
    ] = "rules",
) -> None:
    """List what can be named."""
    tables = {
        "rules": _rules,
        "models": _models,
        "activations": _activations,
        "landscapes": _landscapes,
        "losses": _losses,
        "schedules": _schedules,
        "findings": _findings,
    }
    if what in tables:
        Console().print(tables[what]())
    elif what in PLAIN:
        for name in PLAIN[what]:
            typer.echo(name)
    else:
        raise choose("list", what, [*tables, *PLAIN])


def _table(*headers: str) -> Table:
    """Names in the first column stay in one line; nothing is cut where a terminal is narrow."""
    names, *others = headers
    columns = [Column(names, no_wrap=True), *(Column(each, overflow="fold") for each in others)]
    return Table(*columns, box=None, pad_edge=False, header_style="dim")


def _rules() -> Table:
    table = _table("rule", "usual rates", "options")
    for entry in RULES.values():
        rates = default_lrs(entry.rule)
        options = entry.rule.hypers | entry.rule.options
        settings = {name: value for name, value in options.items() if name != "lr"}
        table.add_row(
            entry.name,
            f"{words.rate(rates[0])} – {words.rate(rates[-1])}",
            _settings(settings).lower(),
        )
    return table


def _models() -> Table:
    table = _table("model", "what it is", "samples", "hidden", "activation")
    for name, known in MODELS.items():
        hidden = ",".join(map(str, known.hidden or ()))
        table.add_row(name, known.summary, known.samples, hidden, known.activation or "")
    return table


def _activations() -> Table:
    table = _table("activation", "f(x)", "range", "max |f′|", "gain", "gradient gain")
    for name, known in ACTIVATIONS.items():
        found = known.properties
        numbers = (found.max_slope, found.gain, found.gradient_gain)
        reach = f"{found.low:.3g} … {found.high:.3g}"
        table.add_row(name, known.formula, reach, *(f"{number:.3g}" for number in numbers))
    return table


def _landscapes() -> Table:
    table = _table("landscape", "f(x, y)", "start", "minimum")
    for name, known in LANDSCAPES.items():
        places = (known.start, *known.minima)
        start, *minima = ("(" + ", ".join(f"{one:.3g}" for one in place) + ")" for place in places)
        table.add_row(name, known.formula, start, f"{words.listed(minima)}: {known.least:.4g}")
    return table


def _losses() -> Table:
    table = _table("loss", "for", "options")
    for name, known in LOSSES.items():
        table.add_row(name, known.kind, _settings(_fields(known.per_sample)))
    return table


def _schedules() -> Table:
    table = _table("schedule", "Σ lr = ∞", "Σ lr² < ∞", "options")
    for name, schedule in SCHEDULES.items():
        met = schedule.conditions
        marks = ("yes" if holds else "no" for holds in (met.reaches, met.settles))
        table.add_row(name, *marks, _settings(_fields(schedule)))
    return table


def _findings() -> Table:
    table = _table("finding", "thresholds", "told after", "what is seen")
    for name, diagnosis in DIAGNOSES.items():
        seen = (type(diagnosis).__doc__ or "").partition("\n")[0]
        told = counted(diagnosis.persists, "sign")
        table.add_row(name, _settings(_fields(diagnosis)), told, seen)
    return table


def _fields(entry: Any) -> dict[str, Any]:
    """The settings of a dataclass that can be typed."""
    if not is_dataclass(entry):
        return {}
    values = {spec.name: getattr(entry, spec.name) for spec in fields(entry)}
    return {name: value for name, value in values.items() if not callable(value)}


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
