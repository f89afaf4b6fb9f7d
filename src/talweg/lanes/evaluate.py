"""Losses and metrics of a squad's lanes on held-out samples."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.data import Samples
from talweg.lanes.ahead import slices
from talweg.lanes.probe import SAMPLES, Probe, is_probed
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
        epoch: The same in passes over the training samples; 0 for those of a stream.
        values: ``(split, metric)`` → one value per lane.
    """

    lanes: tuple[int, ...]
    step: int
    epoch: float
    values: dict[tuple[str, str], list[float]]


class Reader:
    """Reads squads and tells what it found.

    Args:
        each: Told; an exception that it raises stops the training.
        epoch_steps: Steps of an epoch; infinite for a stream.
        held_out: Split name → samples to evaluate on.
        loss: The loss.
        metrics: What to evaluate besides it.
        scale: Standard deviation that regression targets were divided by.
        probe: Looks into the models at some of the readings; None if nobody does.
        every: Steps between readings.
    """

    def __init__(
        self,
        each: Callable[[Reading], None],
        epoch_steps: float,
        held_out: Mapping[str, Samples],
        loss: Loss,
        metrics: Sequence[Metric],
        scale: Tensor,
        probe: Probe | None = None,
        every: float = 1,
    ) -> None:
        self._each = each
        self._epoch_steps = epoch_steps
        self._held_out = held_out
        self._loss = loss
        self._metrics = metrics
        self._scale = scale
        self._probe = probe
        self._every = every

    def tell(self, reading: Reading) -> None:
        """Tells of a reading that another reader made."""
        self._each(reading)

    def telling(self, each: Callable[[Reading], None]) -> "Reader":
        """The same, but another is told."""
        other = copy(self)
        other._each = each
        return other

    def read(self, squad: Squad, step: int, train_losses: Sequence[float]) -> None:
        """Reads the lanes of a squad that are alive.

        Args:
            squad: The squad.
            step: Updates made so far.
            train_losses: Of each lane, the mean since the last reading; empty before the first.
        """
        if not squad.lanes:
            return
        values: dict[tuple[str, str], list[float]] = {}
        if train_losses:
            values["train", "loss"] = list(train_losses)
        for split, samples in self._held_out.items():
            found = evaluate(squad, samples, self._loss, self._metrics, self._scale)
            values |= {(split, name): column for name, column in found.items()}
        if self._probe and self._held_out and is_probed(step / self._every):
            x, _ = next(iter(slices(next(iter(self._held_out.values())), SAMPLES)))
            probed = squad.probed(x, self._probe)
            values |= {(self._probe.split, name): column for name, column in probed.items()}
        self._each(Reading(tuple(squad.lanes), step, step / self._epoch_steps, values))

    def read_death(self, lane: int, step: int) -> None:
        """Tells the step at which a lane diverged."""
        values = {("train", "diverged"): [1.0]}
        self._each(Reading((lane,), step, step / self._epoch_steps, values))


def evaluate(
    squad: Squad, samples: Samples, loss: Loss, metrics: Sequence[Metric], scale: Tensor
) -> dict[str, list[float]]:
    """Mean loss and every metric of each lane alive, by name."""
    sums: dict[str, Tensor] = {}
    count = len(samples)
    for x, y in slices(samples, ROWS):
        for lane, output in enumerate(squad.outputs(x)):
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
