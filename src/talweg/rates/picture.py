"""Loss against rate, drawn."""

import numpy as np
import plotly.graph_objects as go

from talweg.core import page_around
from talweg.rates.found import FoundRate

INK, SOFT, LINE, CHOSEN, WARN = "#1d2226", "#565e65", "#2572c1", "#0b6670", "#8a4b00"


def page(found: FoundRate) -> str:
    """The picture as one self-contained HTML page."""
    drawn = figure(found).to_html(
        include_plotlyjs=True, full_html=False, config={"displayModeBar": False}
    )
    return page_around(f"talweg: a rate for {found.rule}", drawn)


def figure(found: FoundRate) -> go.Figure:
    """The picture: a dot for each seed, a line through the means, where to start, where it ends."""
    losses = np.array(found.losses)
    finite = np.where(np.isfinite(losses), losses, np.nan)
    means = losses.mean(1)
    drawn = go.Figure()
    places = np.repeat(found.rates, found.seeds)
    drawn.add_scatter(
        x=places, y=finite.ravel(), mode="markers", name="a seed",
        marker={"color": LINE, "size": 5, "opacity": 0.35},
        hovertemplate="rate %{x:.3g}, loss %{y:.4g}<extra></extra>",
    )  # fmt: skip
    drawn.add_scatter(
        x=found.rates, y=np.where(np.isfinite(means), means, np.nan), mode="lines",
        name="mean of the seeds", line={"color": LINE, "width": 2.5}, hoverinfo="skip",
    )  # fmt: skip
    low, high = found.interval
    if low < high:
        drawn.add_vrect(x0=low, x1=high, fillcolor=CHOSEN, opacity=0.12, line_width=0)
    drawn.add_vline(x=found.lr, line={"color": CHOSEN, "width": 2})
    drawn.add_annotation(
        x=np.log10(found.lr), y=1, yref="paper", xanchor="right", yanchor="top", showarrow=False,
        text=f"start: {found.lr:.2g} ", font={"color": CHOSEN},
    )  # fmt: skip
    if found.edge is not None:
        last = max(found.rates[-1], found.edge[1] * 1.5)
        drawn.add_vrect(x0=found.edge[1], x1=last, fillcolor=WARN, opacity=0.1, line_width=0)
        drawn.add_annotation(
            x=np.log10(last), y=1, yref="paper", xanchor="right", yanchor="top", showarrow=False,
            text="diverges ", font={"color": WARN},
        )  # fmt: skip
    title = f"<span style='font-size:19px'>{found.sentences[0]}</span>"
    under = f"<br><span style='color:{SOFT};font-size:13px'>{' '.join(found.sentences[1:])}</span>"
    drawn.update_layout(
        title={"text": title + under, "x": 0.06},
        font={"family": "system-ui, sans-serif", "color": INK, "size": 14},
        paper_bgcolor="#fcfbf8",
        plot_bgcolor="#ffffff",
        legend={"orientation": "h", "y": -0.16},
        margin={"t": 110, "r": 40},
        width=980,
        height=600,
    )
    drawn.update_xaxes(type="log", title="learning rate", gridcolor="#ebe9e3", exponentformat="e")
    drawn.update_yaxes(
        type="log" if np.nanmin(finite) > 0 else "linear",
        title=f"training loss, mean of the last tenth of {found.steps} steps",
        gridcolor="#ebe9e3",
    )
    return drawn
