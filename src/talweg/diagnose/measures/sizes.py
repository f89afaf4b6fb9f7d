"""Sizes of gradients, weights and updates."""

from torch import Tensor

from talweg.diagnose.measures.measure import OfStep, Step


def gradient_size(step: Step) -> Tensor:
    """The root mean square of each weight's gradient."""
    return step.sizes[0]


def weight_size(step: Step) -> Tensor:
    """The root mean square of each weight before the update."""
    return step.sizes[1]


def update_ratio(step: Step) -> Tensor:
    """The root mean square of each weight's update, of that of the weight.

    About 1e-3 is usual (Karpathy, CS231n, "Ratio of weights:updates").
    """
    _, before, update = step.sizes
    return update / before


GRADIENT = OfStep(
    "gradient rms", "root mean square of a weight's gradient", "a pass over it", gradient_size
)
WEIGHT = OfStep("weight rms", "root mean square of a weight", "a pass over it", weight_size)
UPDATE = OfStep(
    "update ratio",
    "root mean square of a weight's update, divided by that of the weight",
    "two copies of a weight, or of a million of its values, and two passes over them",
    update_ratio,
)
