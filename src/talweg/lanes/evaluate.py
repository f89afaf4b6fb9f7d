"""Losses and metrics of a squad's lanes on held-out samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.data import Samples
from talweg.lanes.squad import Squad
from talweg.losses import Loss
from talweg.metrics import Metric

ROWS = 1024
"""Samples per forward pass."""


@dataclass(frozen=True)
class Reading:
    """What was measured of some lanes at one step.

    Args:
        lanes: Their numbers.
        step: Updates made so far.
        epoch: The same in passes over the training samples.
        values: ``(split, metric)`` → one value per lane.
    """

    lanes: tuple[int, ...]
    step: int
    epoch: float
    values: dict[tuple[str, str], list[float]]


def evaluate(
    squad: Squad, samples: Samples, loss: Loss, metrics: Sequence[Metric], scale: Tensor
) -> dict[str, list[float]]:
    """Mean loss and every metric of each lane alive, by name."""
    sums: dict[str, Tensor] = {}
    count = len(samples)
    for begin in range(0, count, ROWS):
        y = samples.y[begin : begin + ROWS]
        for lane, output in enumerate(squad.outputs(samples.x[begin : begin + ROWS])):
            values = {"loss": loss.per_sample(output, y)}
            if loss.weight is not None:
                values["counts"] = loss.weight(output, y)
            values |= {metric.name: metric.per_sample(output, y, scale) for metric in metrics}
            for name, value in values.items():
                total = value.double().sum() if value.dim() else value.double() * len(y)
                row = sums.setdefault(
                    name, torch.zeros(len(squad.lanes), dtype=torch.float64, device=y.device)
                )
                row[lane] += total
    results = {"loss": sums["loss"] / sums.pop("counts", torch.tensor(float(count)))}
    for metric in metrics:
        results[metric.name] = metric.finish(sums[metric.name] / count, samples.y, scale)
    return {name: value.tolist() for name, value in results.items()}
