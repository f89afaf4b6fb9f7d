"""The figure of scores against learning rates."""

import math
from collections.abc import Sequence
from typing import Any

from talweg.report.drawing import Drawing
from talweg.report.figure import Figure, Panel, axis, layout
from talweg.study import views, words

PRUNED = (
    " Small rings: where rates stood when pruning stopped them, not where they would have ended."
)


def rates_figure(draw: Drawing) -> Figure:
    """Score against learning rate, and below it the rates at which lanes diverged."""
    found = views.sensitivity(draw.study)
    points = {name: found[name] for name in draw.labels if name in found}
    chosen = {row.name: row.lr for row in draw.study.ranking}
    lost = [name for name, all_ in points.items() if any(point.diverged for point in all_)]
    data: list[dict[str, Any]] = []
    for name, every in points.items():
        good = [point for point in every if point.n and not point.stopped]
        mark = draw.marks[name]
        x = [point.lr for point in good]
        low, high = ([draw.factor * y for y in ends] for ends in _ends(good))
        data.append(draw.band(name, x, low, high))
        data.append(
            draw.trace(
                name,
                "line",
                x=x,
                y=[draw.factor * point.mean for point in good],
                mode="lines+markers",
                line=draw.line(name),
                marker={
                    "color": mark.colour,
                    "symbol": [mark.symbol + ("-open" if p.diverged else "") for p in good],
                    "size": [13 if point.lr == chosen.get(name) else 6 for point in good],
                    "line": {"color": mark.colour, "width": 1.5},
                    "opacity": 1,
                },
                customdata=[[draw.factor * p.low, draw.factor * p.high, p.n] for p in good],
                hovertemplate=(
                    f"%{{fullData.name}} at %{{x:.2~g}}<br>%{{y:{draw.digits}}}{draw.suffix} "
                    f"(%{{customdata[0]:{draw.digits}}} to %{{customdata[1]:{draw.digits}}}, "
                    "%{customdata[2]} seeds)<extra></extra>"
                ),
            )
        )
    data += [_stopped(draw, name, every) for name, every in points.items() if _ended(every)]
    data += [_crosses(draw, name, points[name], len(lost) - i) for i, name in enumerate(lost)]
    strip = min(14 * len(lost), 160) + 12 if lost else 0
    height = 400 + strip
    share = strip / height
    lower: dict[str, Any] = {}
    if lost:
        lower["yaxis2"] = axis(
            {
                "domain": [0, share],
                "range": [0.3, len(lost) + 0.7],
                "showticklabels": False,
                "showgrid": False,
                "showline": False,
                "fixedrange": True,
            }
        )
    plot = layout(
        {
            "type": "log",
            "title": {"text": "learning rate"},
            "dtick": 1,
            "exponentformat": "e",
            "anchor": "y2" if lost else "y",
        },
        {"domain": [share + 0.02, 1] if lost else [0, 1], "ticksuffix": draw.suffix},
        hovermode="closest",
        **lower,
        **draw.score_levels(),
    )
    if lost:
        plot["annotations"].append(_strip_label(share))
    values = [point for every in points.values() for point in every if point.n]
    ends = [end for point in values for end in (point.low, point.high)]
    tops = [_best(draw, every) for every in points.values()]
    return Figure(
        key="rates",
        title="Score against learning rate",
        panels=[Panel(f"Last validation {draw.metric}", data, plot, height)],
        how_to_read=(
            f"Each line is a {draw.noun.lower()} over the rates it was tuned on; the band spans "
            "its tuning seeds and the large symbol is the rate that was chosen. A wide, flat top "
            "means one that is easy to set. Below: × where all seeds diverged, ∕ where some did."
            + (PRUNED if any(map(_ended, points.values())) else "")
        ),
        alternative="; ".join(
            f"{draw.labels[name]} is best at {words.rate(lr)}" for name, lr in chosen.items()
        ),
        numbers=(
            [draw.noun, "Rate", "Mean", "Lowest", "Highest", "Diverged", "Stopped at step"],
            [
                [
                    draw.labels[name],
                    words.rate(point.lr),
                    *(words.score(y, draw.task) for y in (point.mean, point.low, point.high)),
                    f"{100 * point.diverged:.0f}%",
                    "–" if point.stopped is None else f"{point.stopped:,}",
                ]
                for name, every in points.items()
                for point in every
            ],
        ),
        contenders=list(points),
        views=draw.score_views([draw.task["baseline"], *ends], tops, patience=200),
    )


def _ends(points: Sequence[views.RatePoint]) -> tuple[list[float], list[float]]:
    return [point.low for point in points], [point.high for point in points]


def _best(draw: Drawing, points: Sequence[views.RatePoint]) -> tuple[float, float, float]:
    sign = 1 if draw.task["higher_is_better"] else -1
    whole = [point for point in points if not point.stopped] or points
    top = max(whole, key=lambda point: sign * point.mean if point.n else -math.inf)
    return top.low, top.mean, top.high


def _ended(points: Sequence[views.RatePoint]) -> list[views.RatePoint]:
    """Those that pruning stopped."""
    return [point for point in points if point.n and point.stopped]


def _stopped(draw: Drawing, name: str, points: Sequence[views.RatePoint]) -> dict[str, Any]:
    """Where rates stood when pruning stopped them: hollow, and on no line."""
    ended = _ended(points)
    return draw.trace(
        name,
        "stopped",
        x=[point.lr for point in ended],
        y=[draw.factor * point.mean for point in ended],
        mode="markers",
        marker={
            "symbol": "circle-open",
            "size": 6,
            "color": draw.marks[name].colour,
            "line": {"color": draw.marks[name].colour, "width": 1},
            "opacity": 1,
        },
        customdata=[point.stopped for point in ended],
        hovertemplate=(
            f"%{{fullData.name}} at %{{x:.2~g}}<br>stopped after %{{customdata}} steps, with "
            f"%{{y:{draw.digits}}}{draw.suffix}<extra></extra>"
        ),
    )


def _crosses(
    draw: Drawing, name: str, points: Sequence[views.RatePoint], height: float
) -> dict[str, Any]:
    gone = [point for point in points if point.diverged]
    return draw.trace(
        name,
        "crosses",
        x=[point.lr for point in gone],
        y=[height] * len(gone),
        yaxis="y2",
        mode="markers",
        marker={
            "symbol": ["x-thin" if point.diverged == 1 else "line-ne" for point in gone],
            "size": 7,
            "color": draw.marks[name].colour,
            "line": {"width": 2, "color": draw.marks[name].colour},
        },
        customdata=[round(100 * point.diverged) for point in gone],
        hovertemplate=(
            "%{fullData.name} at %{x:.2~g}<br>%{customdata}% of seeds diverged<extra></extra>"
        ),
    )


def _strip_label(top: float) -> dict[str, Any]:
    return {
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "yref": "paper",
        "y": top,
        "yanchor": "top",
        "text": "diverged",
        "showarrow": False,
        "font": {"size": 11, "color": "--ink-soft"},
    }
