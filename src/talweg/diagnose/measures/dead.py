"""Dead units."""

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from talweg.diagnose.measures.measure import Activity, OfActivity

RECTIFIED = ("relu", "relu6")
"""Activations that give 0, and no gradient, for every input below 0."""
WINDOW, SAMPLES = 2, 32


def gave(activity: Activity) -> Tensor | None:
    """How often each unit gave anything but 0, ``[unit]``; None after what never gives it.

    Where the activation is not known, units that give exactly 0 on all samples count as dead too.
    """
    if activity.activation not in (*RECTIFIED, ""):
        return None
    return activity.given


def dead(seen: Sequence[Tensor]) -> Tensor:
    """The share of units that gave nothing but 0 in all passes."""
    return reduce(torch.add, seen).eq(0).mean(dtype=torch.float32)


DEAD = OfActivity(
    "dead",
    f"share of a layer's units that gave 0 on every sample of {WINDOW} measured steps, or of more "
    f"where these have fewer than {SAMPLES}",
    "shared with the sparsity",
    gave,
    dead,
    WINDOW,
    SAMPLES,
)
