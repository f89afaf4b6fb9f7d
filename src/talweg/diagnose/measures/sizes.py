"""Sizes of gradients, weights and updates."""

import math
from collections.abc import Mapping

from talweg.diagnose.measures.measure import Number, OfStep, root_mean_square


def update_ratio(length: Number, count: int, known: Mapping[str, Number]) -> Number:
    """The root mean square of each weight's update, of that of the weight.

    About 1e-3 is usual (Karpathy, CS231n, "Ratio of weights:updates").
    """
    update, weight = root_mean_square(length, count, known), known["weight rms"]
    return update / weight if weight else math.inf if update else math.nan


GRADIENT = OfStep(
    "gradient rms",
    "root mean square of a weight's gradient",
    "a pass over it",
    lambda step: step.lengths[0],
    root_mean_square,
    of="grads",
)
WEIGHT = OfStep(
    "weight rms",
    "root mean square of a weight",
    "a pass over it",
    lambda step: step.lengths[1],
    root_mean_square,
)
UPDATE = OfStep(
    "update ratio",
    "root mean square of a weight's update, divided by that of the weight",
    "two copies of a weight, or of a million of its values, and two passes over them",
    lambda step: step.lengths[2],
    update_ratio,
)
