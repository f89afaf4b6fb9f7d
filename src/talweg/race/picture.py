"""A race, drawn: paths over contours, that run."""

import numpy as np
import plotly.graph_objects as go
import torch
from contourpy import contour_generator

from talweg.core import page_around
from talweg.race.result import Race, Racer

COLOURS = (
    "#2572c1", "#df7210", "#2b6860", "#d20592", "#47107f", "#8d5d01", "#2999d7", "#8b2500",
    "#769766", "#8f59fc", "#564739", "#354764",
)  # fmt: skip
"""Those of the report: far apart for normal, protan, deutan and tritan eyes."""
FRAMES = 120
LEVELS = 22
"""Contours."""
SPEEDS = {"slow": 120, "normal": 50, "fast": 15}
"""Milliseconds of a frame."""


def page(race: Race) -> str:
    """The animation as one self-contained HTML page."""
    drawn = figure(race).to_html(
        include_plotlyjs=True, auto_play=False, full_html=False, config={"displayModeBar": False}
    )
    return page_around(f"talweg: race on {race.landscape.name}", drawn)


def figure(race: Race) -> go.Figure:
    """Contours, the minimum, and a path for each rule, with buttons, a slider and a legend."""
    shown = moments(race)
    drawn = go.Figure([_contours(race), _minima(race), *_paths(race, shown[-1])])
    places = list(range(2, 2 + len(race.racers)))
    drawn.frames = [
        go.Frame(data=_paths(race, moment), traces=places, name=str(moment)) for moment in shown
    ]
    (left, low), (right, high) = race.landscape.window
    drawn.update_layout(
        title={
            "text": f"<span style='font-size:19px'>{race.sentences[0]}</span><br>"
            f"<span style='color:#565e65;font-size:13px'>{race.landscape.formula}, "
            f"{'exact' if race.exact else 'stochastic'} gradients, each rule at the best of "
            f"{race.rates} rates</span>",
            "x": 0.04,
        },
        font={"family": "system-ui, sans-serif", "color": "#1d2226", "size": 14},
        paper_bgcolor="#fcfbf8",
        plot_bgcolor="#ffffff",
        width=1080,
        height=760,
        margin={"t": 90, "b": 120, "l": 60, "r": 30},
        legend={"title": {"text": "click to hide"}, "itemsizing": "constant"},
        updatemenus=[_buttons()],
        sliders=[_slider(shown)],
    )
    names = ("a", "b") if race.landscape.name == "line-fit" else ("x", "y")
    plain = {"zeroline": False, "showgrid": False}
    drawn.update_xaxes(range=[left, right], title=names[0], **plain)
    drawn.update_yaxes(range=[low, high], title=names[1], **plain)
    return drawn


def moments(race: Race) -> list[int]:
    """Steps that are shown: every one at first, fewer and fewer later."""
    spread = np.geomspace(1, race.steps, FRAMES).round().astype(int)
    return sorted({0, *spread.tolist()})


def _contours(race: Race) -> go.Scatter:
    """Lines of one height as one trace: Plotly's own contours vanish in an animation."""
    (left, low), (right, high) = race.landscape.window
    x = torch.linspace(left, right, 241, dtype=torch.float64)
    y = torch.linspace(low, high, 241, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    heights = race.landscape(points) - race.landscape.least
    floor = float(heights.max()) * 1e-5
    levels = torch.log10(heights + floor)
    drawn = contour_generator(x.numpy(), y.numpy(), levels.numpy())
    gap = np.full((1, 2), np.nan)
    lines = [gap]
    for level in np.linspace(float(levels.min()), float(levels.max()), LEVELS + 2)[1:-1]:
        for line in drawn.lines(level):
            lines += [np.asarray(line), gap]
    along = np.concatenate(lines).round(4)
    return go.Scatter(
        x=along[:, 0], y=along[:, 1], mode="lines", hoverinfo="skip", showlegend=False,
        line={"width": 0.8, "color": "#c3c7c6"},
    )  # fmt: skip


def _minima(race: Race) -> go.Scatter:
    places = np.array(race.landscape.minima)
    return go.Scatter(
        x=places[:, 0], y=places[:, 1], mode="markers", name="minimum", hoverinfo="skip",
        marker={"symbol": "star", "size": 13, "color": "#1d2226"},
    )  # fmt: skip


def _paths(race: Race, until: int) -> list[go.Scatter]:
    """A line for each rule up to a step, with a dot at its end."""
    return [
        _path(racer, COLOURS[place % len(COLOURS)], until)
        for place, racer in enumerate(race.racers)
    ]


def _path(racer: Racer, colour: str, until: int) -> go.Scatter:
    walked = racer.path[: until + 1]
    walked = walked[walked.isfinite().all(-1)].numpy()
    sizes = [0] * (len(walked) - 1) + [11]
    steps = "not there" if racer.steps is None else f"{racer.steps:.0f} steps"
    return go.Scatter(
        x=walked[:, 0], y=walked[:, 1], mode="lines+markers", name=f"{racer.label}, {steps}",
        line={"color": colour, "width": 2}, marker={"size": sizes, "color": colour, "opacity": 1},
        hovertemplate=f"{racer.label}<br>(%{{x:.4g}}, %{{y:.4g}})<extra></extra>",
    )  # fmt: skip


def _going(duration: int) -> dict[str, object]:
    return {
        "frame": {"duration": duration, "redraw": False},
        "transition": {"duration": 0},
        "fromcurrent": True,
        "mode": "immediate",
    }


def _buttons() -> dict[str, object]:
    """Play at three speeds, and pause."""
    plays = [
        {"label": f"▶ {word}", "method": "animate", "args": [None, _going(duration)]}
        for word, duration in SPEEDS.items()
    ]
    pause = {"label": "❚❚ pause", "method": "animate", "args": [[None], _going(0)]}
    return {
        "type": "buttons", "direction": "right", "buttons": [*plays, pause], "showactive": False,
        "x": 0.0, "xanchor": "left", "y": -0.09, "yanchor": "top", "pad": {"t": 0},
    }  # fmt: skip


def _slider(shown: list[int]) -> dict[str, object]:
    steps = [
        {"label": str(moment), "method": "animate", "args": [[str(moment)], _going(0)]}
        for moment in shown
    ]
    return {
        "steps": steps, "active": len(steps) - 1, "x": 0.36, "len": 0.64, "y": -0.07,
        "currentvalue": {
            "prefix": "step ", "xanchor": "left", "font": {"color": "#565e65", "size": 14},
        }, "ticklen": 0, "minorticklen": 0,
        "font": {"color": "#8a9197", "size": 10},
    }  # fmt: skip
