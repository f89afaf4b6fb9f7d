"""Studies made by hand, so that every number of the ranking is known beforehand."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from talweg.study.history import SCHEMA, History

UNBOUNDED = {"lowest": None, "highest": None}


def record(rules: Mapping[str, Sequence[float]], **task: Any) -> dict[str, Any]:
    usual = {"kind": "classification", "loss": "cross-entropy", "metric": "accuracy"}
    return {
        "format": 2,
        "name": "made",
        "status": "complete",
        "seconds": 1.0,
        "task": {
            **usual,
            "higher_is_better": True,
            **UNBOUNDED,
            "baseline": 0.1,
            "test_baseline": 0.1,
            **task,
        },
        "target": 0.8,
        "factors": {"rule": {name: name.upper() for name in rules}},
        "contenders": [contender(name, lrs) for name, lrs in rules.items()],
        "lanes": [],
    }


def contender(name: str, lrs: Sequence[float], **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.upper(),
        "levels": {"rule": name},
        "settings": {"lr": None},
        "lrs": list(lrs),
        "steps_per_epoch": 10,
        "steps": None,
        "model": "made",
        "gradients": {},
        "blocked": [],
        **more,
    }


class Maker:
    """Adds lanes with their readings to a record."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.record = about
        self.steps: int | None = None
        """How many steps lanes make; None for as many as the longest made."""
        self.rows: list[tuple[int, int, float, str, str, float]] = []

    def lane(
        self, phase: str, rule: str, lr: float, seed: int, scores: Sequence[float],
        diverged: int | None = None, stopped: int | None = None,
    ) -> None:  # fmt: skip
        """A lane whose held-out scores after epochs 0, 1, … are given."""
        number = len(self.record["lanes"])
        entry = {"lane": number, "phase": phase, "contender": rule, "lr": lr, "seed": seed}
        self.record["lanes"].append(entry)
        splits = ("validation", "test") if phase == "final" else ("validation",)
        for epoch, score in enumerate(scores):
            for split in splits:
                for metric, value in ((self.record["task"]["metric"], score), ("loss", 1 - score)):
                    self.rows.append((number, 10 * epoch, float(epoch), split, metric, value))
        for step, how in ((diverged, "diverged"), (stopped, "stopped")):
            if step is not None:
                self.rows.append((number, step, step / 10, "train", how, 1.0))

    def history(self) -> History:
        longest = max(row[1] for row in self.rows if row[4] == "loss")
        for each in self.record["contenders"]:
            each["steps"] = self.steps or longest
        columns = zip(SCHEMA.names, zip(*self.rows, strict=True), strict=True)
        return History(self.record, pa.table({n: list(v) for n, v in columns}, schema=SCHEMA))
