"""The figures of learning curves: losses, and the score on the validation part."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from talweg.report.drawing import Drawing
from talweg.report.figure import Figure, Panel, layout
from talweg.report.scale import known, whole
from talweg.study import views, words

Curves = Mapping[str, views.Curve]

END = " A line ends where its last seed diverged."


def loss_figure(draw: Drawing) -> Figure:
    """Training loss beside validation loss, on one scale."""
    both = {
        "Training loss": _curves(draw, "train", "loss"),
        "Validation loss": _curves(draw, "validation", "loss"),
    }
    values = known(
        [float(end) for found in both.values() for c in found.values() for end in (*c.low, *c.high)]
    )
    y = {"exponentformat": "e"}
    panels = [
        Panel(title, _traces(draw, found, 1, ".3g", ""), _layout(draw, y), 330)
        for title, found in both.items()
    ]
    return Figure(
        key="losses",
        title=f"Loss by {draw.time}",
        panels=panels,
        how_to_read=(
            "Each line is the mean over seeds at the chosen rate, its band the lowest and the "
            "highest seed. Training loss is the mean over the steps since the last reading; a "
            "validation loss that rises while it falls means overfitting."
            + END
            + _phases(both.values())
        ),
        alternative=_last_words(draw, both["Validation loss"], _loss),
        numbers=_numbers(draw, both, _loss),
        contenders=_trained(draw, both.values()),
        views=_loss_views(values),
    )


def score_figure(draw: Drawing) -> Figure:
    """The metric on the validation part."""
    found = _curves(draw, "validation", draw.task["metric"])
    values = [float(end) for c in found.values() for end in (*c.low, *c.high)]
    title = f"Validation {draw.metric}"

    def shown(value: float) -> str:
        return words.score(value, draw.task)

    traces = _traces(draw, found, draw.factor, draw.digits, draw.suffix)
    plot = _layout(draw, {"ticksuffix": draw.suffix}, **draw.score_levels())
    return Figure(
        key="scores",
        title=f"{title} by {draw.time}",
        panels=[Panel(title, traces, plot)],
        how_to_read=(
            "Lines and bands as above. Where bands overlap, seeds alone could have swapped the "
            "order." + END + _phases([found])
        ),
        alternative=_last_words(draw, found, shown),
        numbers=_numbers(draw, {title: found}, shown),
        contenders=_trained(draw, [found]),
        views=draw.score_views(
            [draw.task["baseline"], *values],
            [(float(c.low[-1]), float(c.mean[-1]), float(c.high[-1])) for c in found.values()],
            patience=25,
        ),
    )


def _curves(draw: Drawing, split: str, metric: str) -> Curves:
    """The curves, the best contender's first."""
    found = views.curves(draw.study, split, metric)
    return {name: found[name] for name in draw.labels if name in found}


def _trained(draw: Drawing, groups: Iterable[Curves]) -> list[str]:
    """Those with a curve; none if no curve gets past the start, as there is nothing to see."""
    every = {name: c for found in groups for name, c in found.items()}
    moved = any(curve.epochs[-1] > 0 for curve in every.values())
    return [name for name in draw.labels if name in every] if moved else []


def _traces(
    draw: Drawing, found: Curves, factor: float, digits: str, suffix: str
) -> list[dict[str, Any]]:
    """Bands first, so that no band lies on a line; a symbol closes every line."""
    bands = [
        draw.band(name, draw.times(c), (factor * c.low).tolist(), (factor * c.high).tolist())
        for name, c in found.items()
    ]
    lines = [
        draw.trace(
            name,
            "line",
            x=draw.times(c),
            y=(factor * c.mean).tolist(),
            mode="lines+markers",
            line=draw.line(name),
            marker={
                "color": draw.marks[name].colour,
                "symbol": draw.marks[name].symbol,
                "size": [0] * (len(c.epochs) - 1) + [9],
                "line": {"color": "--paper", "width": 1},
                "opacity": 1,
            },
            cliponaxis=False,
            hovertemplate=f"%{{y:{digits}}}{suffix}",
        )
        for name, c in found.items()
    ]
    return bands + lines


def _layout(draw: Drawing, y: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    crowded = len(draw.labels) > 10
    x: dict[str, Any] = {
        "title": {"text": draw.time},
        "rangemode": "tozero",
        "spikecolor": "--ink-faint",
        "spikethickness": 1,
        "spikedash": "solid",
    }
    if not crowded:
        x["unifiedhovertitle"] = {"text": f"{draw.time} %{{x}}"}
    return layout(x, y, hovermode="closest" if crowded else "x unified", **more)


def _loss_views(values: list[float]) -> dict[str, dict[str, Any]]:
    ends = whole(values)
    if ends is None:
        return {}
    linear = {"yaxis.type": "linear", "yaxis.range": list(ends)}
    if min(values) <= 0:
        return {"Linear": linear}
    logs = whole([math.log10(value) for value in values]) or (0.0, 1.0)
    dtick = 1 if logs[1] - logs[0] > 1.5 else "D2"
    log = {"yaxis.type": "log", "yaxis.range": list(logs), "yaxis.dtick": dtick}
    if max(values) > 5 * min(values):
        return {"Log": log, "Linear": linear}
    return {"Linear": linear, "Log": log}


def _loss(value: float) -> str:
    return f"{value:.4g}"


def _phases(groups: Iterable[Curves]) -> str:
    phases = {curve.phase for found in groups for curve in found.values()}
    if "tune" not in phases:
        return ""
    return " Those without finished final runs are shown by their tuning seeds."


def _last_words(draw: Drawing, found: Curves, shown: Callable[[float], str]) -> str:
    ends = [f"{draw.labels[name]} {shown(float(c.mean[-1]))}" for name, c in found.items()]
    return f"At the end: {', '.join(ends)}"


def _numbers(
    draw: Drawing, groups: Mapping[str, Curves], shown: Callable[[float], str]
) -> tuple[list[str], list[list[str]]]:
    """One row per quantity and reading, one column per contender."""
    drawn = [name for name in draw.labels if any(name in found for found in groups.values())]
    rows: list[list[str]] = []
    for title, found in groups.items():
        means = {
            name: dict(zip(draw.times(curve), curve.mean.tolist(), strict=True))
            for name, curve in found.items()
        }
        for time in sorted({time for series in means.values() for time in series}):
            cells = [means.get(name, {}).get(time) for name in drawn]
            texts = ["–" if cell is None else shown(cell) for cell in cells]
            rows.append([title, f"{time:g}", *texts])
    return ["Mean over seeds", draw.time.capitalize(), *(draw.labels[name] for name in drawn)], rows
