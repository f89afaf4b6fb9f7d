"""The record of a study: what was asked, of what, on what machine. It becomes study.json."""

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from talweg.data import Inputs, Samples, Splits
from talweg.metrics import Metric
from talweg.study.contenders import Level
from talweg.study.folder import FORMAT
from talweg.study.teams import Team

LIBRARIES = ("talweg", "torch", "numpy", "scikit-learn", "pyarrow")


def new_record(
    *,
    name: str,
    asked: Mapping[str, Any],
    splits: Splits,
    metric: Metric,
    factors: Mapping[str, Sequence[Level]],
    teams: Sequence[Team],
    reach: float | None,
    log: list[str],
) -> dict[str, Any]:
    """A record with status ``"running"`` and no lanes yet; plain values, ready for JSON.

    Args:
        name: The data set's.
        asked: The arguments of the comparison.
        splits: The prepared data.
        metric: What decides.
        factors: What is varied, or could have been: factor → levels.
        teams: The contenders, with the engines that train them.
        reach: The validation score whose first reaching is timed.
        log: What engines say; kept by reference, so that later lines are in it too.
    """
    return {
        "format": FORMAT,
        "name": name,
        "status": "running",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": None,
        "rows": None,
        "asked": dict(asked),
        "task": {
            "kind": splits.kind,
            "loss": ", ".join(dict.fromkeys(team.engine.loss.name for team in teams)),
            "metric": metric.name,
            "higher_is_better": metric.higher_is_better,
            "lowest": metric.lowest,
            "highest": metric.highest,
            "baseline": constant_score(splits, splits.validation, metric),
            "test_baseline": constant_score(splits, splits.test, metric),
        },
        "target": reach,
        "pruned": None,
        "data": {
            "name": name,
            "train": len(splits.train),
            "validation": len(splits.validation),
            "test": len(splits.test),
            "features": _shapes(splits.train),
            "classes": list(splits.classes),
            "notes": list(splits.notes),
        },
        "factors": {
            factor: {level.name: level.label for level in levels}
            for factor, levels in factors.items()
        },
        "contenders": [entry for team in teams for entry in team.record()],
        "lanes": [],
        "log": log,
        "versions": {library: metadata.version(library) for library in LIBRARIES}
        | {"python": platform.python_version()},
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": _device_name(teams[0].engine.device),
        },
    }


def _shapes(samples: Samples) -> list[int] | dict[str, list[int]]:
    """The shape of a sample's input, or of each input by what it is called."""
    x = samples.x
    if isinstance(x, Inputs):
        return {name: list(values.shape[1:]) for name, values in x.by_name.items()}
    return list(x.shape[1:])


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
