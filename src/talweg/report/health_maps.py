"""Heat maps of a watched run: layers down, in the order of the forward pass, and steps across."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from talweg.diagnose.briefly import brief
from talweg.report.figure import Figure, Panel, layout
from talweg.report.health_marks import Run, frames, reach
from talweg.report.health_measures import MAPS, Map
from talweg.report.pieces import escape
from talweg.report.scale import known

COLUMNS = 300
"""Measured steps that are drawn, at most."""
ROW, TALLEST, LINE = 26, 900, 14
"""Pixels of a row of few, of all rows, and of a line of text."""
FEW = 8
"""Steps that are all named below a map."""
NAMED = 18
"""Characters of a layer's name beside a map."""
TABLED = 6
"""Steps in the table below a map."""


def maps(runs: Sequence[Run]) -> list[Figure]:
    """The maps of what was measured; those of one measure share their colours.

    Args:
        runs: They lie side by side.
    """
    return [drawn for each in MAPS if (drawn := _figure(each, runs)) is not None]


def _figure(each: Map, runs: Sequence[Run]) -> Figure | None:
    taken = [{step: each.take(values) for step, values in run.moments.items()} for run in runs]
    taken = [{step: values for step, values in one.items() if values} for one in taken]
    if not any(taken):
        return None
    every = [value for one in taken for values in one.values() for value in values.values()]
    ends = each.ends or _ends(known(every))
    panels = [_panel(each, run, one, ends) for run, one in zip(runs, taken, strict=True) if one]
    return Figure(
        key=each.key,
        title=each.title,
        panels=panels,
        how_to_read=f"{each.meaning}." if len(runs) > 1 else "",
        alternative=_alternative(runs, each),
        numbers=_numbers(each, runs, taken),
        contenders=[],
        texts=2 if len(runs) > 1 else 1,
        legend=False,
    )


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Powers of ten around the positive ones."""
    above = [value for value in values if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(above))), math.ceil(math.log10(max(above)))
    return 10.0 ** max(low, high - 12, -300), 10.0 ** min(max(high, low + 1), 300)


def rows_of(run: Run, taken: Mapping[int, Mapping[str, float]]) -> list[str]:
    """Layers, and weights by the layer that they belong to, in the order of the forward pass."""
    order = {layer.name: place for place, layer in enumerate(run.health.setting.layers)}
    names = dict.fromkeys(name for values in taken.values() for name in values)

    def place(name: str) -> int:
        while name not in order and "." in name:
            name = name.rpartition(".")[0]
        return order.get(name, len(order))

    return sorted(names, key=place)


def _panel(
    each: Map, run: Run, taken: Mapping[int, Mapping[str, float]], ends: tuple[float, float]
) -> Panel:
    rows = rows_of(run, taken)
    steps = list(taken)
    steps = (
        [steps[place * (len(steps) - 1) // (COLUMNS - 1)] for place in range(COLUMNS)]
        if (len(steps) > COLUMNS)
        else steps
    )
    shown = [escape(name, quote=False) for name in rows]
    height = min(TALLEST, max(2 * ROW, ROW * len(rows)))
    stride = math.ceil(LINE * len(rows) / height)
    shapes, notes = frames(run, each.marks, rows, steps, height // LINE)
    plot = layout(
        {
            "range": list(reach(steps)),
            "showgrid": False,
            **({"tickvals": steps} if len(steps) <= FEW else {}),
        },
        {
            "type": "category",
            "range": [len(rows) - 0.5, -0.5],
            "tickvals": shown[::stride],
            "ticktext": [escape(_beside(run, name), quote=False) for name in rows[::stride]],
            "showgrid": False,
            "fixedrange": True,
        },
        hovermode="closest",
        shapes=shapes,
        annotations=notes,
    )
    return Panel(
        run.label or each.meaning, _traces(each, taken, rows, steps, ends), plot, height + 78
    )


def _traces(
    each: Map,
    taken: Mapping[int, Mapping[str, float]],
    rows: Sequence[str],
    steps: Sequence[int],
    ends: tuple[float, float],
) -> list[dict[str, Any]]:
    shown = [escape(name, quote=False) for name in rows]
    cells = [[taken[step].get(name) for step in steps] for name in rows]
    low, high = ends
    lowest, highest = (math.log10(low), math.log10(high)) if each.is_log else ends
    apart = 1 if len(rows) <= 40 and len(steps) <= 60 else 0
    heat: dict[str, Any] = {
        "type": "heatmap",
        "x": list(steps),
        "y": shown,
        "z": [[None if v is None else each.scaled(v, low) for v in row] for row in cells],
        "zmin": lowest,
        "zmax": highest,
        "colorscale": [[place / 4, f"{each.colours}-{place}"] for place in range(5)],
        "colorbar": _bar(each, lowest, highest),
        "xgap": apart,
        "ygap": apart,
        "hoverongaps": False,
        "hovertemplate": "step %{x}, %{y}: %{z:.0%}<extra></extra>",
    }
    if not each.is_share:
        heat["customdata"] = [
            [None if v is None or not math.isfinite(v) else float(f"{v:.3g}") for v in row]
            for row in cells
        ]
        heat["hovertemplate"] = "step %{x}, %{y}: %{customdata:.3~g}<extra></extra>"
    lost = [
        (step, name)
        for name, row in zip(shown, cells, strict=True)
        for step, value in zip(steps, row, strict=True)
        if value is not None and not math.isfinite(value)
    ]
    crosses = {
        "type": "scatter",
        "x": [step for step, _ in lost],
        "y": [name for _, name in lost],
        "mode": "markers",
        "marker": {"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": "--problem"}},
        "hovertemplate": "step %{x}, %{y}: not finite<extra></extra>",
    }
    return [heat, *([crosses] if lost else [])]


def _bar(each: Map, low: float, high: float) -> dict[str, Any]:
    if each.is_log:
        stride = max(1, math.ceil((high - low) / 4))
        at = [low + place for place in range(0, round(high - low) + 1, stride)]
        texts = [f"{10.0**value:g}" for value in at]
    else:
        at = [low, (low + high) / 2, high]
        texts = [each.shown(value) for value in at]
    return {
        "orientation": "h",
        "x": 1,
        "xanchor": "right",
        "y": 1,
        "yanchor": "bottom",
        "ypad": 6,
        "lenmode": "pixels",
        "len": 230,
        "thickness": 8,
        "outlinewidth": 0,
        "tickvals": at,
        "ticktext": texts,
        "tickfont": {"size": 11, "color": "--ink-soft"},
    }


def _beside(run: Run, name: str) -> str:
    """A row's name, with what kind of layer it is where there is room."""
    layer = run.health.setting.layer(name)
    full = f"{name} {layer.kind}" if layer and layer.kind != name else name
    return full if len(full) <= NAMED else brief(name, NAMED)


def _alternative(runs: Sequence[Run], each: Map) -> str:
    said = [str(one) for run in runs for one in run.found_by(each.marks)[:3]]
    return "; ".join(said) or "nothing found"


def _numbers(
    each: Map, runs: Sequence[Run], taken: Sequence[Mapping[int, Mapping[str, float]]]
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """The values of each layer at a few steps."""
    every = sorted({step for one in taken for step in one})
    count = min(TABLED, len(every))
    steps = [every[place * (len(every) - 1) // max(count - 1, 1)] for place in range(count)]
    beside = ["Run"] if len(runs) > 1 else []
    return (
        [*beside, "Layer", *(f"Step {step:,}" for step in steps)],
        [
            [
                *([run.label] if beside else []),
                name,
                *(_told(each, one, step, name) for step in steps),
            ]
            for run, one in zip(runs, taken, strict=True)
            for name in rows_of(run, one)
        ],
    )


def _told(each: Map, taken: Mapping[int, Mapping[str, float]], step: int, name: str) -> str:
    value = taken.get(step, {}).get(name)
    if value is None:
        return ""
    return each.shown(value) if math.isfinite(value) else "not finite"
