"""The record of a study: what was asked, of what, on what machine. It becomes study.json."""

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from talweg.data import Samples, Splits
from talweg.lanes import Engine
from talweg.metrics import Metric
from talweg.rules import NamedRule

LIBRARIES = ("talweg", "torch", "numpy", "scikit-learn", "pyarrow")


def new_record(
    *,
    name: str,
    asked: Mapping[str, Any],
    splits: Splits,
    engine: Engine,
    metric: Metric,
    rules: Sequence[tuple[NamedRule, Sequence[float]]],
    epochs: int,
    reach: float | None,
    log: list[str],
) -> dict[str, Any]:
    """A record with status ``"running"`` and no lanes yet; plain values, ready for JSON.

    Args:
        name: The data set's.
        asked: The arguments of the comparison.
        splits: The prepared data.
        engine: The engine that trains on it.
        metric: What decides.
        rules: Each rule with its learning rates.
        epochs: Passes over the training part.
        reach: The validation score whose first reaching is timed.
        log: What the engine says; kept by reference, so that later lines are in it too.
    """
    return {
        "format": 1,
        "name": name,
        "status": "running",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": None,
        "rows": None,
        "asked": dict(asked),
        "task": {
            "kind": splits.kind,
            "loss": engine.loss.name,
            "metric": metric.name,
            "higher_is_better": metric.higher_is_better,
            "lowest": metric.lowest,
            "highest": metric.highest,
            "baseline": constant_score(splits, splits.validation, metric),
            "test_baseline": constant_score(splits, splits.test, metric),
        },
        "target": reach,
        "data": {
            "name": name,
            "train": len(splits.train),
            "validation": len(splits.validation),
            "test": len(splits.test),
            "features": list(splits.train.x.shape[1:]),
            "classes": list(splits.classes),
            "notes": list(splits.notes),
        },
        "model": {"name": engine.source.name, "parameters": engine.layout.size},
        "steps_per_epoch": engine.epoch_steps,
        "total_steps": epochs * engine.epoch_steps,
        "rules": [
            {
                "name": rule.name,
                "label": rule.label,
                "settings": {**rule.rule.settings, "lr": None},
                "lrs": list(lrs),
            }
            for rule, lrs in rules
        ],
        "lanes": [],
        "log": log,
        "versions": {library: metadata.version(library) for library in LIBRARIES}
        | {"python": platform.python_version()},
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": _device_name(engine.device),
        },
    }


def constant_score(splits: Splits, held_out: Samples, metric: Metric) -> float:
    """The score there of predicting the training part's commonest class, or its mean."""
    y, target = splits.train.y, held_out.y
    if splits.kind == "classification":
        counts = torch.bincount(y, minlength=len(splits.classes))
        output = counts.float().expand(len(target), -1)
    else:
        output = y.mean(0).expand_as(target)
    scale = torch.tensor(splits.target_scale[1])
    each = metric.per_sample(output, target, scale).double()
    return float(metric.finish(each.mean(), target, scale))


def processor() -> str:
    """The name of this machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
