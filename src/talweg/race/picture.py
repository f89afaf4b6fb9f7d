"""A race, drawn: paths over contours, that run."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from torch import Tensor

from talweg.core import page_around
from talweg.race.batches import batch_minima
from talweg.race.colours import COLOURS, FAINT, INK, PAPER, SOFT
from talweg.race.contours import contours
from talweg.race.result import Race, Racer

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
    still = [_contours(race), *_batches(race), *_exact(race), _marks(race)]
    drawn = go.Figure([*still, *_paths(race, shown[-1])])
    places = list(range(len(still), len(still) + len(race.racers)))
    drawn.frames = [
        go.Frame(data=_paths(race, moment), traces=places, name=str(moment)) for moment in shown
    ]
    (left, low), (right, high) = race.landscape.window
    drawn.update_layout(
        title={
            "text": f"<span style='font-size:19px'>{race.sentences[0]}</span><br>"
            f"<span style='color:{SOFT};font-size:13px'>{race.described}</span>",
            "x": 0.04,
        },
        font={"family": "system-ui, sans-serif", "color": INK, "size": 14},
        paper_bgcolor=PAPER,
        plot_bgcolor="#ffffff",
        width=1080,
        height=760,
        margin={"t": 90, "b": 120, "l": 60, "r": 30},
        legend={"title": {"text": "click to hide"}, "itemsizing": "constant"},
        updatemenus=[_buttons()],
        sliders=[_slider(shown)],
    )
    names = race.coordinates
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
    gap = np.full((1, 2), np.nan)
    lines = [part for line in contours(race.landscape, LEVELS) for part in (line, gap)]
    along = np.concatenate([gap, *lines]).round(4)
    return go.Scatter(
        x=along[:, 0], y=along[:, 1], mode="lines", hoverinfo="skip", showlegend=False,
        line={"width": 0.8, "color": FAINT},
    )  # fmt: skip


def _marks(race: Race) -> go.Scatter:
    """Minima, saddles and the start."""
    kinds = {"star": race.landscape.minima, "x": race.landscape.saddles,
             "circle-open": (race.landscape.start,)}  # fmt: skip
    places = [(symbol, *place) for symbol, group in kinds.items() for place in group]
    symbols, x, y = zip(*places, strict=True)
    names = {"star": "minimum", "x": "saddle", "circle-open": "start"}
    return go.Scatter(
        x=x, y=y, mode="markers", name="minimum ★", showlegend=False,
        marker={"symbol": symbols, "size": 13, "color": INK, "line": {"width": 2, "color": INK}},
        text=[names[symbol] for symbol in symbols], hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip


def _batches(race: Race) -> list[go.Scatter]:
    """The minima of batches, which pull a stochastic path to and fro."""
    if race.batch_size is None:
        return []
    along = batch_minima(race.landscape, race.batch_size).round(4)
    return [go.Scatter(
        x=along[:, 0], y=along[:, 1], mode="markers", hoverinfo="skip",
        name=f"minima of batches of {race.batch_size}",
        marker={"size": 4, "color": SOFT, "opacity": 0.35},
    )]  # fmt: skip


def _exact(race: Race) -> list[go.Scatter]:
    """Where exact gradients would have led, dotted; they go with their rule in the legend."""
    return [
        go.Scatter(
            x=walked[:, 0], y=walked[:, 1], mode="lines", hoverinfo="skip", showlegend=False,
            legendgroup=racer.name,
            line={"color": COLOURS[place % len(COLOURS)], "width": 1.5, "dash": "dot"},
        )
        for place, racer in enumerate(race.racers)
        if racer.exact_path is not None and len(walked := _finite(racer.exact_path))
    ]  # fmt: skip


def _finite(path: Tensor) -> NDArray[np.float64]:
    return path[path.isfinite().all(-1)].numpy()


def _paths(race: Race, until: int) -> list[go.Scatter]:
    """A line for each rule up to a step, with a dot at its end."""
    return [
        _path(racer, COLOURS[place % len(COLOURS)], until)
        for place, racer in enumerate(race.racers)
    ]


def _path(racer: Racer, colour: str, until: int) -> go.Scatter:
    walked = _finite(racer.path[: until + 1])
    sizes = [0] * (len(walked) - 1) + [11]
    return go.Scatter(
        x=walked[:, 0], y=walked[:, 1], mode="lines+markers", name=racer.summary,
        legendgroup=racer.name,
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
        "steps": steps, "active": len(steps) - 1, "x": 0.5, "len": 0.5, "y": -0.07,
        "currentvalue": {
            "prefix": "step ", "xanchor": "left", "font": {"color": SOFT, "size": 14},
        }, "ticklen": 0, "minorticklen": 0,
        "font": {"color": "#8a9197", "size": 10},
    }  # fmt: skip
