"""One card for each schedule."""

from dataclasses import fields

import torch

from talweg.atlas.curves import Frame
from talweg.report.pieces import escape
from talweg.schedules import SCHEDULES, Curve, Span

SPAN = Span(1000, 100)
FRAME = Frame(0.0, 1.0, -0.12, 1.14)


def section() -> str:
    """All schedules, over a run of ten epochs."""
    cards = "".join(card(name, schedule) for name, schedule in SCHEDULES.items())
    return f'<div class="cards">{cards}</div>'


def card(name: str, schedule: Curve) -> str:
    """A schedule's curve, settings and conditions."""
    steps = torch.arange(SPAN.steps, dtype=torch.float64)
    shares = schedule.share(steps, SPAN)
    drawn = FRAME.picture(
        FRAME.axes((0.5,), (0.5, 1.0))
        + FRAME.path(steps / SPAN.steps, shares, "value", joined=True),
        escape(f"{name} over a run"),
    )
    formula = (schedule.__doc__ or "").splitlines()[0].replace("``", "").rstrip(".")
    settings = ", ".join(
        f"{spec.name}={_shown(getattr(schedule, spec.name))}" for spec in fields(schedule)
    )
    met = schedule.conditions
    marks = "".join(
        f'<li class="{"met" if holds else "unmet"}">{word} {"✓" if holds else "✗"}</li>'
        for word, holds in (("Σ lr = ∞", met.reaches), ("Σ lr² < ∞", met.settles))
    )
    return (
        f'<article class="card" id="schedule-{name}"><h3>{name}</h3>'
        f'<p class="formula">{escape(formula)}</p>{drawn}<ul class="facts">{marks}</ul>'
        f"<small>{escape(met.why)}</small><small><code>{escape(settings)}</code></small></article>"
    )


def _shown(value: object) -> str:
    return type(value).__name__ + "()" if isinstance(value, Curve) else str(value)
