"""Loss against rate, drawn."""

import math
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from talweg.core import page_around
from talweg.rates.found import FoundRate

INK, SOFT, LINE, CHOSEN, WARN = "#1d2226", "#565e65", "#2572c1", "#0b6670", "#8a4b00"
HEAD = """\
<header style="font-family: system-ui, sans-serif; color: {ink}; margin: 28px 24px 0">
<h1 style="font-size: 20px; font-weight: 500; margin: 0 0 6px">{first}</h1>
<p style="font-size: 14px; line-height: 1.5; color: {soft}; margin: 0">{others}</p>
</header>
"""


def page(found: FoundRate) -> str:
    """The picture as one self-contained HTML page."""
    first, *others = map(escape, found.sentences)
    head = HEAD.format(ink=INK, soft=SOFT, first=first, others=" ".join(others))
    drawn = figure(found).to_html(
        include_plotlyjs=True,
        full_html=False,
        config={"displayModeBar": False, "responsive": True},
        default_height="600px",
    )
    return page_around(f"talweg: a rate for {found.rule}", head + drawn)


def figure(found: FoundRate) -> go.Figure:
    """The picture: a dot for each seed, a line through the means, where to start, where it ends."""
    losses = np.array(found.losses)
    finite = np.where(np.isfinite(losses), losses, np.nan)
    least, most = float(np.nanmin(finite)), float(np.nanmax(finite))
    means = losses.mean(1)
    drawn = go.Figure()
    places = np.repeat(found.rates, found.seeds)
    drawn.add_scatter(
        x=places, y=finite.ravel(), mode="markers", name="a seed",
        marker={"color": LINE, "size": 5, "opacity": 0.35},
        hovertemplate="rate %{x:.3g}, loss %{y:.4g}<extra></extra>",
    )  # fmt: skip
    lost = [(lr, sum(row)) for lr, row in zip(found.rates, ~np.isfinite(losses), strict=True)]
    diverged = [(lr, count) for lr, count in lost if count]
    if diverged:
        drawn.add_scatter(
            x=[lr for lr, _ in diverged], y=[most] * len(diverged), mode="markers",
            name="seeds diverged", customdata=[int(count) for _, count in diverged],
            marker={"size": 8, "symbol": "x-thin", "line": {"width": 1.5, "color": WARN}},
            hovertemplate=f"rate %{{x:.3g}}: %{{customdata}} of {found.seeds} diverged"
            "<extra></extra>",
        )  # fmt: skip
    drawn.add_scatter(
        x=found.rates, y=np.where(np.isfinite(means), means, np.nan), mode="lines",
        name="mean of the seeds", line={"color": LINE, "width": 2.5}, hoverinfo="skip",
    )  # fmt: skip
    low, high = found.interval
    if low < high:
        drawn.add_vrect(x0=low, x1=high, fillcolor=CHOSEN, opacity=0.12, line_width=0)
    drawn.add_vline(x=found.lr, line={"color": CHOSEN, "width": 2})
    _say(drawn, f"start: {found.lr:.2g} ", found.lr, 1, CHOSEN)
    first, last = found.rates[0] / 1.3, found.rates[-1] * 1.3
    if found.edge is not None:
        drawn.add_vrect(x0=found.edge[1], x1=last, fillcolor=WARN, opacity=0.1, line_width=0)
        _say(drawn, "seeds diverge ", last, 0, WARN)
    drawn.update_layout(
        font={"family": "system-ui, sans-serif", "color": INK, "size": 14},
        paper_bgcolor="#fcfbf8",
        plot_bgcolor="#ffffff",
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        margin={"t": 60, "r": 24, "b": 60, "l": 70},
    )
    drawn.update_xaxes(
        type="log", title="learning rate", range=[math.log10(first), math.log10(last)],
        **_ticks(first, last), gridcolor="#ebe9e3",
    )  # fmt: skip
    drawn.update_yaxes(
        title=f"training loss at the end of {found.steps} steps", gridcolor="#ebe9e3"
    )
    if least > 0:
        drawn.update_yaxes(type="log", **_ticks(least, most))
    return drawn


def _say(drawn: go.Figure, text: str, rate: float, height: float, colour: str) -> None:
    """Writes a text that ends at a rate, at a share of the picture's height."""
    drawn.add_annotation(
        text=text, font={"color": colour}, showarrow=False, x=math.log10(rate), xanchor="right",
        y=height, yref="paper", yanchor="top" if height else "bottom",
    )  # fmt: skip


def _ticks(low: float, high: float) -> dict[str, Any]:
    """Where a logarithmic axis has marks: at powers of ten, and between them if those are few.

    >>> _ticks(0.03, 1.2)["tickvals"]
    [0.05, 0.1, 0.2, 0.5, 1.0]
    """
    decades = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    digits = range(1, 10) if high < 10 * low else (1, 2, 5) if high < 1e3 * low else (1,)
    marks = [float(f"{digit}e{decade}") for decade in decades for digit in digits]
    inside = [mark for mark in marks if low <= mark <= high]
    return {"tickvals": inside, "ticktext": [f"{mark:g}" for mark in inside]}
