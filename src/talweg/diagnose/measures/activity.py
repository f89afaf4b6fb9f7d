"""Mean, deviation and sparsity of what layers give."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from talweg.diagnose.measures.measure import Activity, Number, OfActivity, share


def length(activity: Activity) -> Tensor:
    """The norm of all outputs."""
    return torch.linalg.vector_norm(activity.real)


def joined(lengths: Sequence[Tensor]) -> Tensor:
    """The norm of all that some norms are of."""
    return lengths[0] if len(lengths) == 1 else torch.stack(list(lengths)).norm(dim=0)


def deviation(length: Number, count: int, known: Mapping[str, Number]) -> Number:
    """What the mean square is above the square of the mean, but for rounding."""
    return abs(length * length / count - known["mean"] * known["mean"]) ** 0.5


def sparsity(number: Number, count: int, _: Mapping[str, Number]) -> Number:
    """The share that is 0, by the number of those that are not."""
    return 1 - number / count


MEAN = OfActivity(
    "mean",
    "mean of a layer's outputs",
    "a pass over the outputs",
    lambda activity: activity.real.sum(),
    tell=share,
)
DEVIATION = OfActivity(
    "deviation",
    "standard deviation of a layer's outputs",
    "a pass over the outputs",
    length,
    joined,
    deviation,
)
SPARSITY = OfActivity(
    "sparsity",
    "share of a layer's outputs that are 0",
    "a pass over the outputs",
    # count_nonzero takes eight times as long; the sign of NaN is 0.
    lambda activity: activity.values.bool().sum(),
    tell=sparsity,
)
