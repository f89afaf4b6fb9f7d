"""Heat maps of a watched run: layers down, in the order of the forward pass, and steps across."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from talweg.report.figure import Figure, Panel, layout
from talweg.report.health_marks import COLOURS, Run, label
from talweg.report.pieces import escape
from talweg.report.scale import known

COLUMNS = 300
"""Measured steps that are drawn, at most."""
ROW, TALLEST, LINE = 26, 900, 14
"""Pixels of a row of few, of all rows, and of a line of text."""
NAMED = 18
"""Characters of a layer's name beside a map."""
TABLED = 6
"""Steps in the table below a map."""

Values = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Map:
    """A measure that is drawn as a heat map.

    Args:
        key: The figure's id.
        title: Its headline.
        meaning: What a cell shows.
        marks: Measures whose findings are marked on it.
        take: What was measured at a step → layer → value.
        colours: The start of the names of the CSS variables of its colours.
        is_log: Whether colours go by the logarithm.
        ends: The values of the first and the last colour; None for those that occur.
        is_share: Whether values are shown in percent.
    """

    key: str
    title: str
    meaning: str
    marks: tuple[str, ...]
    take: Callable[[Values], Mapping[str, float]]
    colours: str = "--size"
    is_log: bool = False
    ends: tuple[float, float] | None = None
    is_share: bool = False

    def shown(self, value: float) -> str:
        """A value in words."""
        return f"{100 * value:.0f}%" if self.is_share else f"{value:.3g}"

    def scaled(self, value: float, lowest: float) -> float | None:
        """Where a value lies on the colour scale; None where it is no number."""
        if not math.isfinite(value):
            return None
        return round(math.log10(max(value, lowest)), 3) if self.is_log else float(f"{value:.3g}")


def _of(measure: str) -> Callable[[Values], Mapping[str, float]]:
    return lambda values: values.get(measure, {})


def _off_centre(values: Values) -> Mapping[str, float]:
    deviations = values.get("deviation", {})
    return {
        name: abs(mean) / deviations[name]
        for name, mean in values.get("mean", {}).items()
        if deviations.get(name)
    }


MAPS = (
    Map(
        "gradient", "Gradient", "Root mean square of the gradient in a layer’s weights",
        ("gradient rms", "not finite"), _of("gradient rms"), is_log=True,
    ),
    Map(
        "backward", "Gradient in outputs", "Norm of the loss’s gradient in what a layer gives",
        ("backward norm",), _of("backward norm"), is_log=True,
    ),
    Map(
        "dead", "Dead units", "Share of a layer’s units that give 0 on every sample",
        ("dead",), _of("dead"), "--bad", ends=(0.0, 1.0), is_share=True,
    ),
    Map(
        "saturated", "Saturation", "Share of a layer’s outputs where its activation is flat",
        ("saturated",), _of("saturated"), "--bad", ends=(0.0, 1.0), is_share=True,
    ),
    Map(
        "update", "Updates", "Size of an update as a share of its weights; about 0.001 is usual",
        ("update ratio",), _of("update ratio"), "--pace", is_log=True, ends=(1e-6, 1.0),
    ),
    Map(
        "off-centre", "Off centre", "Distance of a layer’s mean output from 0, in deviations",
        ("mean",), _off_centre, "--bad", ends=(0.0, 3.0),
    ),
    Map(
        "deviation", "Deviation", "Standard deviation of a layer’s outputs",
        (), _of("deviation"), is_log=True,
    ),
)  # fmt: skip


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
    shapes, notes = _marks(each, run, rows, steps, height)
    plot = layout(
        {"title": {"text": "step"}, "range": list(_reach(steps)), "showgrid": False},
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
        run.label or each.meaning, _traces(each, taken, rows, steps, ends), plot, height + 96
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


def _reach(steps: Sequence[int]) -> tuple[float, float]:
    """From where to where the cells go, half a cell before the first and after the last."""
    if len(steps) == 1:
        return steps[0] - 0.5, steps[0] + 0.5
    return steps[0] - (steps[1] - steps[0]) / 2, steps[-1] + (steps[-1] - steps[-2]) / 2


def _marks(
    each: Map, run: Run, rows: Sequence[str], steps: Sequence[int], height: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Frames around where and when something was found; rows next to one another share one."""
    places: dict[tuple[int, int, int | None, str], list[int]] = {}
    for one in run.found_by(each.marks):
        own = [
            row
            for row, name in enumerate(rows)
            if not one.layer or name == one.layer or name.startswith(f"{one.layer}.")
        ]
        key = (run.numbers[one.name], one.began, one.passed, COLOURS[one.severity])
        places.setdefault(key, []).extend(own)
    left, right = _reach(steps)
    half = (right - left) / len(steps) / 2
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for (number, began, passed, colour), own in places.items():
        start = max(left, began - half)
        stop = right if passed is None else max(passed - half, start + half)
        for top, bottom in _stretches(sorted(set(own))):
            shapes.append(
                {
                    "type": "rect",
                    "xref": "x",
                    "yref": "y",
                    "x0": start,
                    "x1": min(stop, right),
                    "y0": top - 0.5,
                    "y1": bottom + 0.5,
                    "line": {"color": colour, "width": 2},
                }
            )
            notes.append(
                label(
                    str(number),
                    colour,
                    xref="x",
                    yref="y",
                    x=start,
                    y=top - 0.5,
                    xanchor="left",
                    yanchor="top",
                    xshift=1,
                    yshift=-1,
                )
            )
    return shapes, notes if len(notes) * LINE <= height else notes[: height // LINE]


def _stretches(places: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each unbroken stretch of numbers.

    >>> _stretches([0, 1, 2, 5])
    [(0, 2), (5, 5)]
    """
    found: list[tuple[int, int]] = []
    for place in places:
        if found and place == found[-1][1] + 1:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return found


def _beside(run: Run, name: str) -> str:
    """A row's name, with what kind of layer it is where there is room."""
    layer = run.health.setting.layer(name)
    full = f"{name} {layer.kind}" if layer and layer.kind != name else name
    short = full if len(full) <= NAMED else name
    return short if len(short) <= NAMED else f"…{short[1 - NAMED :]}"


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
