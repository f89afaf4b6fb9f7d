"""Mean, deviation and sparsity of what layers give."""

from torch import Tensor

from talweg.diagnose.measures.measure import Activity, OfActivity


def mean(activity: Activity) -> Tensor:
    """The mean over samples, places and units."""
    return activity.spread[1]


def deviation(activity: Activity) -> Tensor:
    """The standard deviation over samples, places and units."""
    return activity.spread[0]


def sparsity(activity: Activity) -> Tensor:
    """The share of outputs that are exactly 0."""
    return 1 - activity.given.sum() / activity.values.numel()


MEAN = OfActivity("mean", "mean of a layer's outputs", "a pass over the outputs", mean)
DEVIATION = OfActivity(
    "deviation", "standard deviation of a layer's outputs", "shared with the mean", deviation
)
SPARSITY = OfActivity(
    "sparsity", "share of a layer's outputs that are 0", "a pass over the outputs", sparsity
)
