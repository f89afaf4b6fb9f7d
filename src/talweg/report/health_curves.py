"""Curves of a watched run: the loss, the learning rate, and curvature beside what is stable."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from talweg.report.figure import Figure, Panel, layout
from talweg.report.health_marks import Run, upright
from talweg.report.scale import known, whole

POINTS = 1500
"""Of a curve, at most."""
TABLED = 12
"""Steps in the table below a curve."""
HEIGHT = 300
ALIKE = 1e3
"""How many times higher one panel may go than the other for both to have the same axis."""

Points = Sequence[tuple[float, float]]


def curves(runs: Sequence[Run]) -> list[Figure]:
    """Those that have something to show."""
    drawn = [
        _loss(runs),
        _of_whole(
            runs,
            "rate",
            "Learning rate",
            {"lr": ("learning rate", "--rule-0"), "edge": ("edge of stability", "--rule-1")},
        ),
        _of_whole(runs, "sharpness", "Sharpness", {"sharpness": ("sharpness", "--rule-0")}),
    ]
    return [figure for figure in drawn if figure is not None]


def _loss(runs: Sequence[Run]) -> Figure | None:
    every = [known(run.health.losses) for run in runs]
    if not any(every):
        return None
    panels: list[Panel] = []
    for run in runs:
        points = thinned(run.health.losses)
        data = [
            _line("each step", points, "--rule-0 0.35", 1),
            _line("mean", smoothed(points), "--rule-0", 2),
        ]
        panels.append(_panel(run, data, "Loss of a step, and its running mean"))
    return Figure(
        key="loss",
        title="Loss",
        panels=panels,
        how_to_read="Upright lines, with their numbers, are the steps at which findings began."
        if any(run.findings for run in runs)
        else "",
        alternative="; ".join(_ends(run.health.losses) for run in runs),
        numbers=_numbers(runs, [dict(enumerate(run.health.losses)) for run in runs], "Loss"),
        contenders=[],
        views=_views(every),
        texts=2 if len(runs) > 1 else 1,
        legend=False,
    )


def _of_whole(
    runs: Sequence[Run], key: str, title: str, lines: Mapping[str, tuple[str, str]]
) -> Figure | None:
    """Measures of the whole model; none that never changes."""
    taken = [
        {
            measure: {
                step: values[measure][""]
                for step, values in run.moments.items()
                if "" in values.get(measure, {})
            }
            for measure in lines
        }
        for run in runs
    ]
    main, *others = lines
    is_beside = any(by_measure[other] for by_measure in taken for other in others)
    if not is_beside and not any(len(set(by_measure[main].values())) > 1 for by_measure in taken):
        return None
    panels = [
        _panel(
            run,
            [
                _line(text, list(by_measure[measure].items()), colour, 2)
                for measure, (text, colour) in lines.items()
                if by_measure[measure]
            ],
            " and ".join(
                text for measure, (text, _) in lines.items() if by_measure[measure]
            ).capitalize(),
            showlegend=sum(map(bool, by_measure.values())) > 1,
            legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        )
        for run, by_measure in zip(runs, taken, strict=True)
    ]
    return Figure(
        key=key,
        title=title,
        panels=panels,
        how_to_read={
            "rate": "The rate at the measured steps and, where curvature is measured, the edge "
            "above which steps overshoot ever farther.",
            "sharpness": "The largest curvature of the loss on a batch, λmax; of adaptive rules "
            "that of the preconditioned loss.",
        }[key],
        alternative="; ".join(_ends(list(one[main].values())) for one in taken),
        numbers=_numbers(runs, [one[main] for one in taken], title.split()[0]),
        contenders=[],
        views=_views([[v for line in one.values() for v in line.values()] for one in taken]),
        texts=2 if len(runs) > 1 else 1,
        legend=False,
    )


def _views(runs: Sequence[Sequence[float]]) -> dict[str, dict[str, Any]]:
    """A linear and a logarithmic axis, first the one that shows more.

    Panels share their ends, unless one would be flat in those of the other.

    Args:
        runs: The values of each panel.
    """
    each = [sorted(known(values)) for values in runs]
    each = [finite for finite in each if finite]
    finite = sorted(value for one in each for value in one)
    ends = whole(finite)
    if ends is None:
        return {}
    is_shared = max(one[-1] for one in each) <= ALIKE * abs(min(one[-1] for one in each))
    found: dict[str, dict[str, Any]] = {
        "Linear": {"yaxis.type": "linear"} | ({"yaxis.range": list(ends)} if is_shared else {})
    }
    above = [value for value in finite if value > 0]
    if above and above[-1] > above[0]:
        low, high = math.log10(above[0]) - 0.1, math.log10(above[-1]) + 0.1
        found["Log"] = {"yaxis.type": "log"} | ({"yaxis.range": [low, high]} if is_shared else {})
        if is_shared and high - low > 1.5:
            found["Log"]["yaxis.dtick"] = math.ceil((high - low) / 8)
    is_wide = finite[-1] > 20 * abs(finite[len(finite) // 2])
    return dict(reversed(found.items())) if is_wide else found


def _panel(run: Run, data: list[dict[str, Any]], title: str, **more: Any) -> Panel:
    shapes, notes = upright(run)
    across = {"title": {"text": "step"}, "range": [0, max(run.end - 1, 1)]}
    upward = {"exponentformat": "power"}
    plot = layout(across, upward, hovermode="closest", shapes=shapes, annotations=notes, **more)
    return Panel(run.label or title, data, plot, HEIGHT)


def _line(name: str, points: Points, colour: str, width: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "name": name,
        "x": [step for step, _ in points],
        "y": [float(f"{value:.5g}") for _, value in points],
        "mode": "lines" if len(points) > 1 else "markers",
        "line": {"color": colour, "width": width},
        "marker": {"color": colour, "size": 8},
        "hovertemplate": "step %{x}: %{y:.4~g}<extra>%{fullData.name}</extra>",
    }


def thinned(values: Sequence[float]) -> list[tuple[float, float]]:
    """``(step, value)`` of each step, or means of equally many where there are too many.

    >>> thinned([1.0, 2.0])
    [(0, 1.0), (1, 2.0)]
    >>> len(thinned([0.5] * 40_000))
    1482
    """
    size = math.ceil(len(values) / POINTS) or 1
    found: list[tuple[float, float]] = []
    for start in range(0, len(values), size):
        part = values[start : start + size]
        finite = known(part)
        found.append((start, sum(finite) / len(finite) if finite else math.nan))
    return found


def smoothed(points: Points) -> list[tuple[float, float]]:
    """Running means over a fortieth of all points; none where fewer than half are finite."""
    reach = len(points) // 80
    found: list[tuple[float, float]] = []
    for place, (step, _) in enumerate(points):
        near = points[max(place - reach, 0) : place + reach + 1]
        finite = known(value for _, value in near)
        is_known = 2 * len(finite) > len(near)
        found.append((step, sum(finite) / len(finite) if is_known else math.nan))
    return found


def _ends(values: Sequence[float]) -> str:
    finite = known(values)
    return f"from {finite[0]:.3g} to {finite[-1]:.3g}" if finite else "nothing finite"


def _numbers(
    runs: Sequence[Run], taken: Sequence[Mapping[int, float]], noun: str
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    beside = len(runs) > 1
    rows: list[list[str]] = []
    for run, values in zip(runs, taken, strict=True):
        steps = list(values)
        count = min(TABLED, len(steps))
        for step in [steps[n * (len(steps) - 1) // max(count - 1, 1)] for n in range(count)]:
            value = values[step]
            told = f"{value:.4g}" if math.isfinite(value) else "not finite"
            rows.append([*([run.label] if beside else []), f"{step:,}", told])
    return [*(["Run"] if beside else []), "Step", noun], rows
