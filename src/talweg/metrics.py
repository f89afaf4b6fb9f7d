"""Metrics: what a comparison is decided by. A value per sample, then a closing step."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Registry


@dataclass(frozen=True)
class Metric:
    """A metric by name.

    Args:
        name: What users type and tables show.
        higher_is_better: Its direction.
        kind: The kind of task it is for.
        per_sample: ``(output [n, …], target [n, …], scale) -> [n]``; ``scale`` is the standard
            deviation that regression targets were divided by, a number or one per output.
        finish: ``(mean over the samples [lane], all targets) -> [lane]``.
        lowest: No score lies below; None if there is no such bound.
        highest: No score lies above; None if there is no such bound.
        is_share: Whether it is the share of samples for which something holds, so that one of n
            samples moves it by 1/n.
    """

    name: str
    higher_is_better: bool
    kind: str
    per_sample: Callable[[Tensor, Tensor, Tensor], Tensor]
    finish: Callable[[Tensor, Tensor, Tensor], Tensor]
    lowest: float | None
    highest: float | None
    is_share: bool


METRICS: Registry[Metric] = Registry("metric")


def correct(output: Tensor, target: Tensor, scale: Tensor) -> Tensor:  # noqa: ARG001
    """1 where the most probable class is the target, else 0; one logit stands for two classes."""
    flat = output.reshape(len(output), -1)
    predicted = (flat[:, 0] > 0).long() if flat.shape[1] == 1 else flat.argmax(1)
    return (predicted == target).to(output.dtype)


def squared_error(output: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    """Squared error in the target's own unit, averaged over the outputs of a sample; in double."""
    error = (output.reshape(target.shape) - target).double() * scale
    return error.square().reshape(len(target), -1).mean(1)


def _as_is(mean: Tensor, target: Tensor, scale: Tensor) -> Tensor:  # noqa: ARG001
    return mean


def _root(mean: Tensor, target: Tensor, scale: Tensor) -> Tensor:  # noqa: ARG001
    return mean.sqrt()


def _explained(mean: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    """NaN where the targets do not differ: there is nothing to explain."""
    if (target == target[:1]).all():
        return torch.full_like(mean, torch.nan)
    exact = target.double()
    return 1 - mean / ((exact - exact.mean(0)) * scale).square().mean()


ACCURACY = METRICS.add(
    "accuracy", Metric("accuracy", True, "classification", correct, _as_is, 0.0, 1.0, True)
)
RMSE = METRICS.add(
    "rmse", Metric("rmse", False, "regression", squared_error, _root, 0.0, None, False)
)
R2 = METRICS.add(
    "r2", Metric("r2", True, "regression", squared_error, _explained, None, 1.0, False)
)


def metrics_of(kind: str) -> list[Metric]:
    """All metrics for a kind of task; the first is the usual one to decide by.

    >>> [metric.name for metric in metrics_of("regression")]
    ['rmse', 'r2']
    """
    return [metric for metric in METRICS.values() if metric.kind == kind]
