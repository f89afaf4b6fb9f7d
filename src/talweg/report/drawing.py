"""What the figures of one study share: looks, labels, units and the lines across them."""

from collections.abc import Mapping, Sequence
from typing import Any

from talweg.report.figure import level
from talweg.report.marks import Mark
from talweg.report.pieces import escape
from talweg.report.scale import close_up, whole
from talweg.report.table import metric_name
from talweg.study import Study, views, words

BAND = 0.13
"""Opacity of the bands over seeds."""


class Drawing:
    """What the figures of one study share: its looks, labels and units.

    Args:
        study: The study.
        marks: Each contender's look.
        labels: Each contender's name for people.
    """

    def __init__(self, study: Study, marks: Mapping[str, Mark], labels: Mapping[str, str]) -> None:
        self.study, self.marks, self.labels = study, marks, labels
        task = study.record["task"]
        self.task: dict[str, Any] = task
        self.metric = metric_name(task["metric"])
        self.share = words.is_share(task["metric"])
        self.factor = 100 if self.share else 1
        self.suffix = "%" if self.share else ""
        self.noun = words.noun(study.record).capitalize()
        self.by_steps = study.record["asked"].get("steps") is not None
        self.time = "step" if self.by_steps else "epoch"
        self.digits = ".1f" if self.share else ",.4~r"

    def trace(self, name: str, part: str, **more: Any) -> dict[str, Any]:
        """A Plotly trace in the contender's colour."""
        return {
            "type": "scatter",
            "legendgroup": name,
            "uid": f"{self.marks[name].index}-{part}",
            "name": escape(self.labels[name], quote=False),
            "showlegend": part == "line",
            **more,
        }

    def times(self, curve: views.Curve) -> list[float]:
        """Where a curve's points lie in time: in steps if all runs made equally many."""
        return (curve.steps if self.by_steps else curve.epochs).tolist()

    def line(self, name: str) -> dict[str, Any]:
        """The line style of a contender."""
        mark = self.marks[name]
        return {"color": mark.colour, "width": 2, "dash": mark.dash}

    def band(
        self, name: str, x: Sequence[float], low: Sequence[float], high: Sequence[float]
    ) -> dict[str, Any]:
        """The area between the lowest and the highest seed."""
        return self.trace(
            name,
            "band",
            x=[*x, *reversed(x)],
            y=[*high, *reversed(low)],
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=f"{self.marks[name].colour} {BAND}",
            hoverinfo="skip",
        )

    def score_levels(self) -> dict[str, Any]:
        """The target and the constant prediction, as shapes and annotations."""
        target, baseline = self.study.record["target"], self.task["baseline"]
        lines = [
            level(self.factor * value, f"{text} {words.score(value, self.task)}")
            for value, text in ((target, "target"), (baseline, "constant prediction"))
            if value is not None
        ]
        return {
            "shapes": [shape for shape, _ in lines],
            "annotations": [text for _, text in lines],
        }

    def score_views(
        self,
        values: Sequence[float],
        tops: Sequence[tuple[float, float, float]],
        patience: float,
    ) -> dict[str, Any]:
        """The whole range and a close-up.

        Args:
            values: All that is drawn.
            tops: The lowest, mean and highest value of each contender at its best.
            patience: How many times wider than the close-up the whole may be and still come first.
        """
        everything = whole(values)
        near = close_up(tops, self.task["higher_is_better"])
        if everything is None:
            return {}
        ends = {"Whole range": everything}
        if near:
            low, high = max(near[0], everything[0]), min(near[1], everything[1])
            wide = (everything[1] - everything[0]) / (high - low)
            if wide > patience:
                ends = {"Close-up": (low, high), **ends}
            elif wide > 1.5:
                ends["Close-up"] = (low, high)
        return {
            name: {"yaxis.range": [self.factor * end for end in pair]}
            for name, pair in ends.items()
        }
