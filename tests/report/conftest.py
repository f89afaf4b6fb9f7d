"""A study made of plausible numbers: rates have a valley, large ones diverge, seeds scatter."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from talweg.rules import RULES, default_lrs
from talweg.study import Study
from talweg.study.history import SCHEMA

# name: log10 of the best rate, share of the baseline's error left there, epochs to a third of it
CHARACTER = {
    "sgd": (-0.2, 0.047, 4.5),
    "momentum": (-1.0, 0.031, 2.0),
    "nesterov": (-1.1, 0.028, 1.7),
    "adagrad": (-1.5, 0.040, 2.4),
    "rmsprop": (-2.8, 0.033, 1.2),
    "rmsprop-nesterov": (-3.4, 0.036, 1.1),
    "adam": (-2.4, 0.024, 1.0),
}


STEPS = 17
"""In an epoch."""


@dataclass
class Maker:
    """Builds the record and the readings of a study, lane by lane."""

    rules: tuple[str, ...] = tuple(CHARACTER)
    name: str = "digits"
    kind: str = "classification"
    metric: str = "accuracy"
    rate_count: int = 9
    tune_seeds: int = 2
    seeds: int = 5
    epochs: int = 20
    everything_diverges: bool = False
    prunes: bool = False
    """Whether low rates are stopped in tuning."""
    measured: int | None = None
    """How many lanes have readings; None for all."""

    def study(self, folder) -> Study:
        self.random = np.random.default_rng(7)
        self.rows = {name: [] for name in SCHEMA.names}
        self.record = self._record()
        for rule in self.rules:
            for lr in default_lrs(RULES[rule].rule, self.rate_count):
                for seed in range(self.tune_seeds):
                    self._lane("tune", rule, lr, 1000 + seed)
        tuned = Study(self.record, self._table(), folder)
        best = {row.rule: row.lr for row in tuned.ranking}
        for rule in self.rules:
            for seed in range(self.seeds):
                self._lane("final", rule, best.get(rule, 0.01), seed)
        if self.measured is None:
            self.record["status"] = "complete"
        return Study(self.record, self._table(), folder)

    def _lane(self, phase: str, rule: str, lr: float, seed: int) -> None:
        lane = len(self.record["lanes"])
        self.record["lanes"].append(
            {"lane": lane, "phase": phase, "contender": rule, "lr": lr, "seed": seed}
        )
        if self.measured is not None and lane >= self.measured:
            return
        best, floor, pace = CHARACTER[rule]
        off = np.log10(lr) - best
        scatter = self.random.normal()
        steps = STEPS
        gone = off > 1.15 + 0.1 * scatter or self.everything_diverges
        last = 0 if self.everything_diverges else 1 if gone else self.epochs
        stopped = self.prunes and phase == "tune" and off < -0.9
        last = 3 if stopped else last
        pace *= 10 ** (0.55 * max(0, -off)) * 10 ** (0.3 * max(0, off))
        floor = (floor + 0.05 * max(0, off)) * np.exp(0.09 * scatter)
        wobble = np.concatenate([[0], self.random.normal(size=self.epochs)])
        for epoch in range(last + 1):
            left = floor + (1 - floor) * np.exp(-epoch / pace) * np.exp(0.05 * wobble[epoch])
            for split in ("train", "validation", *(("test",) if phase == "final" else ())):
                if epoch == 0 and split == "train":
                    continue
                loss = 2.4 * left ** (1.5 if split == "train" else 1.1) * np.exp(0.02 * scatter)
                self._add(lane, epoch, split, "loss", loss)
                if split != "train":
                    self._add(lane, epoch, split, self.metric, self._score(left))
        if gone:
            self._add(lane, last + 2 / steps, "train", "diverged", 1.0)
        if stopped:
            self._add(lane, last, "train", "stopped", 1.0)

    def _score(self, left: float) -> float:
        if self.metric == "accuracy":
            return float(np.clip(1 - 0.9 * left, 0, 1))
        return float(1 - left) if self.metric == "r2" else float(42 + 36 * left)

    def _add(self, lane: int, epoch: float, split: str, metric: str, value: float) -> None:
        step = round(epoch * STEPS)
        row = (lane, step, epoch, split, metric, value)
        for column, entry in zip(self.rows.values(), row, strict=True):
            column.append(entry)

    def _table(self) -> pa.Table:
        return pa.table(self.rows, schema=SCHEMA)

    def _record(self) -> dict:
        classes = [str(digit) for digit in range(10)] if self.kind == "classification" else []
        return {
            "format": 2,
            "name": self.name,
            "status": "interrupted",
            "created": "2026-11-20T21:00:00+00:00",
            "seconds": 24.1,
            "asked": {
                "data": self.name,
                "models": ["mlp"],
                "rules": list(self.rules),
                "seeds": self.seeds,
                "tune_seeds": self.tune_seeds,
                "epochs": self.epochs,
                "steps": None,
                "batch_sizes": ["64"],
                "schedules": ["constant"],
                "target": None,
                "reach": None,
                "scale": True,
                "split_seed": 0,
                "prune": self.prunes,
            },
            "task": {
                "kind": self.kind,
                "loss": "cross-entropy" if classes else "mean squared error",
                "metric": self.metric,
                "higher_is_better": self.metric != "rmse",
                "lowest": None if self.metric == "r2" else 0.0,
                "highest": None if self.metric == "rmse" else 1.0,
                "baseline": {"accuracy": 0.1017, "rmse": 78.0, "r2": -0.002}[self.metric],
                "test_baseline": {"accuracy": 0.1017, "rmse": 78.0, "r2": -0.002}[self.metric],
            },
            "target": {"accuracy": 0.95, "rmse": 45.0, "r2": 0.9}[self.metric],
            "data": {
                "name": self.name,
                "train": 1078,
                "validation": 359,
                "test": 360,
                "features": [64],
                "classes": classes,
                "notes": ["3 columns are constant and were dropped"],
            },
            "factors": {
                "model": {"mlp": "mlp"},
                "batch size": {"64": "batch 64"},
                "schedule": {"constant": "constant"},
                "rule": {rule: RULES[rule].label for rule in self.rules},
            },
            "contenders": [
                {
                    "name": rule,
                    "label": RULES[rule].label,
                    "levels": {
                        "model": "mlp",
                        "batch size": "64",
                        "schedule": "constant",
                        "rule": rule,
                    },
                    "model": "mlp 64-128-128-10, relu",
                    "parameters": 26122,
                    "gradients": {},
                    "blocked": [],
                    "batch_size": 64,
                    "steps_per_epoch": STEPS,
                    "steps": STEPS * self.epochs,
                    "settings": {**RULES[rule].rule.settings, "lr": None},
                    "lrs": default_lrs(RULES[rule].rule, self.rate_count),
                }
                for rule in self.rules
            ],
            "lanes": [],
            "log": ["lanes are stacked 18 at a time and compiled"],
            "versions": {"talweg": "0.1.0", "torch": "2.13.0", "numpy": "2.4.0"},
            "machine": {
                "system": "Linux 6.1",
                "processor": "a processor",
                "cores": 2,
                "threads": 2,
                "device": "cpu",
            },
        }


@pytest.fixture
def make_study(tmp_path):
    """``make_study(name="…", …)``: a study with the given features."""
    return lambda **features: Maker(**features).study(tmp_path)
