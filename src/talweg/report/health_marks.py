"""Runs as their page shows them: names, numbers of findings, and where those are marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from talweg.diagnose import Finding, Health, by_name

COLOURS = {"problem": "--problem", "warning": "--warn", "note": "--ink-soft"}
"""Of a finding's marks, by its severity."""
NUMBERED = 24
"""Upright lines that have numbers."""


@dataclass(frozen=True)
class Run:
    """A watched run.

    Args:
        health: What was measured and found.
        label: What it is called beside another; empty where it is the only one.
        facts: What is said of it besides, by name.
        code: How it was made; lines.
        changed: Those of them that the other run does not have.
    """

    health: Health
    label: str = ""
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    code: Sequence[str] = ()
    changed: Sequence[str] = ()

    @cached_property
    def moments(self) -> dict[int, dict[str, Mapping[str, float]]]:
        """Step → measure → layer → value."""
        found: dict[int, dict[str, Mapping[str, float]]] = {}
        for moment in self.health.moments:
            found.setdefault(moment.step, {}).update(moment.values)
        return found

    @cached_property
    def findings(self) -> dict[str, list[Finding]]:
        """What was found, by its name; its place is the number that marks it."""
        return by_name(self.health.findings)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number that marks a finding, by its name."""
        return {name: place for place, name in enumerate(self.findings, start=1)}

    @property
    def end(self) -> int:
        """The step after the last."""
        return max(self.health.steps, 1 + max(self.moments, default=0))

    def lasts(self, finding: Finding) -> bool:
        """Whether what was found was still there when the run ended, and was looked for."""
        needs = next(each.needs for each in self.health.diagnoses if each.name == finding.name)
        last = max(self.moments, default=0)
        return finding.passed is None and bool(set(needs) & set(self.moments[last]))

    def found_by(self, measures: Sequence[str]) -> list[Finding]:
        """Findings of diagnoses that need one of some measures."""
        names = {one.name for one in self.health.diagnoses if set(one.needs) & set(measures)}
        return [one for one in self.health.findings if one.name in names]


def is_of(name: str, layer: str) -> bool:
    """Whether a row is a layer, or a weight of it; all are of the whole model."""
    return not layer or name == layer or name.startswith(f"{layer}.")


def label(text: str, colour: str, **where: Any) -> dict[str, Any]:
    """The number of a finding on a plot: a layout's annotation.

    Args:
        text: The number.
        colour: The CSS variable of the severity.
        where: Its place.
    """
    return {
        "text": f"<b>{text}</b>",
        "showarrow": False,
        "font": {"size": 10, "color": "--paper"},
        "bgcolor": colour,
        "borderpad": 2,
        **where,
    }


def upright(run: Run) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Where findings began, each time, as upright lines: a layout's shapes and annotations.

    Of findings that come and go often, only the first `NUMBERED` beginnings have their numbers.
    """
    begins: dict[int, list[Finding]] = {}
    for one in run.health.findings:
        for began, _ in one.spells:
            if one.name not in [other.name for other in begins.setdefault(began, [])]:
                begins[began].append(one)
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for step, there in sorted(begins.items()):
        colour = COLOURS[there[0].severity]
        shapes.append(
            {
                "type": "line",
                "xref": "x",
                "yref": "paper",
                "x0": step,
                "x1": step,
                "y0": 0,
                "y1": 1,
                "line": {"color": colour, "width": 1, "dash": "dot"},
                "layer": "below",
            }
        )
        text = " ".join(map(str, sorted(run.numbers[one.name] for one in there)))
        notes.append(
            label(text, colour, xref="x", yref="paper", x=step, y=1, xanchor="left", yanchor="top")
        )
    return shapes, notes[:NUMBERED]


def reach(steps: Sequence[int]) -> tuple[float, float]:
    """From where to where the cells go, half a cell before the first and after the last."""
    if len(steps) == 1:
        return steps[0] - 0.5, steps[0] + 0.5
    return steps[0] - (steps[1] - steps[0]) / 2, steps[-1] + (steps[-1] - steps[-2]) / 2


def frames(
    run: Run, measures: Sequence[str], rows: Sequence[str], steps: Sequence[int], most: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Where and when something was found: a layout's shapes and annotations.

    Rows next to one another share a frame.

    Args:
        run: The run.
        measures: By which it was found.
        rows: Layers, or weights of them.
        steps: Those of the cells.
        most: Numbers that are written, at most.
    """
    places: dict[tuple[int, int, int | None, str], list[int]] = {}
    for one in run.found_by(measures):
        own = [row for row, name in enumerate(rows) if is_of(name, one.layer)]
        for spell in one.spells:
            key = (run.numbers[one.name], *spell, COLOURS[one.severity])
            places.setdefault(key, []).extend(own)
    left, right = reach(steps)
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
    return shapes, notes[:most]


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
