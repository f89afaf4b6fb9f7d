"""The metrics of a run folder, by lane: what rankings and pictures are computed from."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SCHEMA = pa.schema(
    [
        ("lane", pa.int32()),
        ("step", pa.int64()),
        ("epoch", pa.float64()),
        ("split", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Lane:
    """One training run of a study."""

    lane: int
    phase: str
    contender: str
    lr: float
    seed: int


@dataclass(frozen=True)
class Series:
    """One metric of one lane over time."""

    steps: NDArray[np.int64]
    epochs: NDArray[np.float64]
    values: NDArray[np.float64]


Given = ParamSpec("Given")
Found = TypeVar("Found")


def remembered(
    function: Callable[Concatenate["History", Given], Found],
) -> Callable[Concatenate["History", Given], Found]:
    """A function of a history and names that is computed once for each."""

    @wraps(function)
    def once(history: "History", *names: Given.args, **more: Given.kwargs) -> Found:
        key = (function.__name__, *names, *more.items())
        if key not in history.known:
            history.known[key] = function(history, *names, **more)
        return history.known[key]

    return once


class History:
    """What was recorded of each lane; it does not change.

    Args:
        record: The study's record; its ``lanes``, ``contenders`` and ``task`` are read.
        metrics: Rows of `SCHEMA`, in any order.
    """

    def __init__(self, record: Mapping[str, Any], metrics: Any) -> None:
        self.record = record
        self.lanes = [Lane(**entry) for entry in record["lanes"]]
        self.contenders: dict[str, Mapping[str, Any]] = {
            entry["name"]: entry for entry in record["contenders"]
        }
        self.known: dict[tuple[object, ...], Any] = {}
        self._columns = {name: metrics.column(name).to_numpy() for name in SCHEMA.names}

    @cached_property
    def _series(self) -> dict[tuple[int, str, str], Series]:
        rows: defaultdict[tuple[int, str, str], list[int]] = defaultdict(list)
        columns = self._columns
        keys = zip(columns["lane"], columns["split"], columns["metric"], strict=True)
        for row, (lane, split, metric) in enumerate(keys):
            rows[int(lane), str(split), str(metric)].append(row)
        found: dict[tuple[int, str, str], Series] = {}
        for key, places in rows.items():
            _, first = np.unique(columns["step"][places], return_index=True)
            index = np.asarray(places)[first]
            found[key] = Series(*(columns[name][index] for name in ("step", "epoch", "value")))
        return found

    @cached_property
    def diverged(self) -> dict[int, int]:
        """Lane → step at which it diverged, or its held-out loss or score was no longer finite."""
        found: dict[int, int] = {}
        for (lane, _, metric), series in self._series.items():
            if metric not in ("diverged", "loss", self.record["task"]["metric"]):
                continue
            bad = (
                series.steps[:1]
                if metric == "diverged"
                else series.steps[~np.isfinite(series.values)]
            )
            if len(bad):
                found[lane] = min(int(bad[0]), found.get(lane, int(bad[0])))
        return found

    @cached_property
    def stopped(self) -> dict[int, int]:
        """Lane → steps it had made when pruning stopped it."""
        return {
            lane: int(series.steps[0])
            for (lane, _, metric), series in self._series.items()
            if metric == "stopped" and lane not in self.diverged
        }

    @cached_property
    def _steps(self) -> dict[int, int]:
        """Lane → the steps that it is to make."""
        return {lane.lane: self.contenders[lane.contender]["steps"] for lane in self.lanes}

    def is_finished(self, lane: int, split: str = "validation") -> bool:
        """Whether a lane made all its steps, and was read on that part, or diverged."""
        return lane in self.diverged or self.has_made_all(lane, split)

    def has_made_all(self, lane: int, split: str = "validation") -> bool:
        """Whether a lane made all its steps, and was read on that part."""
        series = self.series(lane, split, "loss")
        made = 0 if series is None else int(series.steps[-1])
        return made == self._steps[lane] and lane not in self.diverged

    @cached_property
    def any_finished(self) -> bool:
        """Whether a lane of the tuning phase made all its steps."""
        return any(self.has_made_all(lane.lane) for lane in self.of("tune"))

    @cached_property
    def _lanes_of(self) -> dict[tuple[str, str], list[Lane]]:
        found: defaultdict[tuple[str, str], list[Lane]] = defaultdict(list)
        for lane in self.lanes:
            found[lane.phase, lane.contender].append(lane)
        return dict(found)

    def of(self, phase: str, contender: str | None = None) -> list[Lane]:
        """The lanes of one phase (``"tune"`` or ``"final"``), and of a contender if it is named."""
        if contender is None:
            return [lane for lane in self.lanes if lane.phase == phase]
        return self._lanes_of.get((phase, contender), [])

    def series(self, lane: int, split: str, metric: str) -> Series | None:
        """One metric of one lane over time, or None if nothing was recorded."""
        return self._series.get((lane, split, metric))

    def metrics(self, lane: int, split: str) -> list[str]:
        """What was recorded of one lane on one part."""
        return [metric for own, part, metric in self._series if (own, part) == (lane, split)]

    def last(self, lane: int, split: str, metric: str) -> float | None:
        """The latest value, or None if there is none past the start or the lane diverged."""
        series = self.series(lane, split, metric)
        if lane in self.diverged or series is None or series.steps[-1] == 0:
            return None
        return float(series.values[-1])
