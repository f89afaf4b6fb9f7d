"""Dead units."""

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from talweg.diagnose.measures.measure import Activity, OfActivity, share

RECTIFIED = ("relu", "relu6")
"""Activations that give 0, and no gradient, for every input below 0."""
WINDOW, SAMPLES = 2, 32


def largest(activity: Activity) -> Tensor | None:
    """The largest output of each unit in size, ``[unit]``; None after what never gives 0.

    Where the activation is not known, units that give exactly 0 on all samples count as dead too.
    """
    if activity.activation in RECTIFIED:
        return activity.values.amax(activity.others)
    return None if activity.activation else activity.values.abs().amax(activity.others)


def dead(seen: Sequence[Tensor]) -> Tensor:
    """How many units gave nothing but 0 in all passes; NaN is none."""
    return reduce(torch.maximum, seen).eq(0).sum()


DEAD = OfActivity(
    "dead",
    f"share of a layer's units that gave 0 on every sample of {WINDOW} measured steps, or of more "
    f"where these have fewer than {SAMPLES}",
    "a pass over the outputs of activations that give 0",
    largest,
    dead,
    share,
    of="units",
    window=WINDOW,
    samples=SAMPLES,
)
