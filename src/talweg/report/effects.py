"""The figure of what decides: each factor's levels, and pairs of factors that work together."""

from collections.abc import Mapping
from itertools import count
from typing import Any

from talweg.report.drawing import Drawing
from talweg.report.figure import Figure, Panel, layout
from talweg.report.pieces import escape
from talweg.study import words
from talweg.study.effects import Effect, effects, varied

DECIDING = "deciding"
"""The figure's key; the page shows it before the ranking."""


def effects_figure(draw: Drawing) -> Figure | None:
    """Main effects as intervals, interactions as heat maps; None if a single factor varies."""
    study = draw.study
    found = effects(study.history, study.ranking)
    if not found:
        return None
    factors, numbers = varied(study.history), count()
    mains = [effect for effect in found if len(effect.factors) == 1]
    pairs = [effect for effect in found if len(effect.factors) == 2]
    shown = [effect for effect in pairs if effect.is_sure] or pairs[:1]
    panels = [_levels(draw, effect, next(numbers)) for effect in mains]
    panels += [_heat(draw, effect, factors, next(numbers)) for effect in shown]
    rows = [
        [
            effect.factors[0],
            level.label,
            words.score(level.mean, draw.task),
            words.score(level.low, draw.task),
            words.score(level.high, draw.task),
            f"{len(level.failed)} of {level.count}",
        ]
        for effect in mains
        for level in effect.levels
    ]
    return Figure(
        key=DECIDING,
        title="What decides",
        panels=panels,
        how_to_read=(
            "On top, each level's mean score over all combinations of the rest, every one at its "
            "own best rate, with the 95% interval over seeds; the share is that of the variance "
            "between combinations. Below, mean scores of pairs of levels: rows that are not "
            "darker and lighter together mean that the two choices depend on one another."
        ),
        alternative="; ".join(
            f"{' with '.join(effect.factors)} explains {100 * effect.share:.0f}%"
            for effect in found
        ),
        numbers=(["Factor", "Level", "Mean", "Low", "High", "Failed"], rows),
        contenders=(),
        texts=2,
        legend=False,
    )


def _share(effect: Effect) -> str:
    sure = "" if effect.is_sure else ", not sure"
    return f"{100 * effect.share:.0f}% of the variance{sure}"


def _levels(draw: Drawing, effect: Effect, number: int) -> Panel:
    levels = effect.levels[::-1]
    names = [escape(level.label, quote=False) for level in levels]
    trace = {
        "type": "scatter",
        "uid": f"effect-{number}",
        "x": [draw.factor * level.mean for level in levels],
        "y": names,
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [draw.factor * (level.high - level.mean) for level in levels],
            "arrayminus": [draw.factor * (level.mean - level.low) for level in levels],
            "color": "--ink-faint",
            "thickness": 3,
            "width": 0,
        },
        "mode": "markers",
        "marker": {"color": "--ink", "size": 9},
        "hovertemplate": f"%{{y}}: %{{x:{draw.digits}}}{draw.suffix}<extra></extra>",
        "showlegend": False,
    }
    plot = layout(
        {"ticksuffix": draw.suffix, "nticks": 6},
        {"type": "category", "showgrid": True, "fixedrange": True},
        hovermode="closest",
    )
    title = f"{effect.factors[0].capitalize()}: {_share(effect)}"
    return Panel(title, [trace], plot, 60 + 30 * max(2, len(levels)))


def _heat(
    draw: Drawing, effect: Effect, factors: Mapping[str, Mapping[str, str]], number: int
) -> Panel:
    assert effect.cells is not None
    values = draw.factor * effect.cells
    down, across = (
        [escape(label, quote=False) for label in factors[name].values()] for name in effect.factors
    )
    if len(across) > len(down):  # labels are read more easily beside rows
        down, across, values = across, down, values.T
    better = draw.task["higher_is_better"]
    trace: dict[str, Any] = {
        "type": "heatmap",
        "uid": f"effect-{number}",
        "x": across,
        "y": down,
        "z": values.tolist(),
        "text": [[words.score(v / draw.factor, draw.task, unit=False) for v in r] for r in values],
        "texttemplate": "%{text}",
        "colorscale": [[0, "--heat-low"], [1, "--heat-high"]],
        "reversescale": not better,
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "hovertemplate": f"%{{y}}, %{{x}}: %{{text}}{draw.suffix}<extra></extra>",
    }
    plot = layout(
        {"type": "category", "fixedrange": True, "side": "top"},
        {"type": "category", "autorange": "reversed", "fixedrange": True, "showgrid": False},
        hovermode="closest",
    )
    title = f"{effect.factors[0].capitalize()} with {effect.factors[1]}: {_share(effect)}"
    return Panel(title, [trace], plot, 60 + 34 * max(2, len(down)))
