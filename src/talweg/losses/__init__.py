"""Losses: one value per sample; the reduction is a separate, named step.

A loss takes what the model returned, ``[batch, …]``, and the targets, and gives ``[batch]``.
`LOSSES` has them by name.
"""

from talweg.losses.classification import BinaryCrossEntropy, CrossEntropy, Focal, Hinge
from talweg.losses.likelihood import NegativeLogLikelihood
from talweg.losses.loss import Loss, PerSample
from talweg.losses.regression import Huber, Quantile, absolute_error, log_cosh, squared_error
from talweg.losses.table import LOSSES, loss_for, loss_named

__all__ = [
    "LOSSES",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Focal",
    "Hinge",
    "Huber",
    "Loss",
    "NegativeLogLikelihood",
    "PerSample",
    "Quantile",
    "absolute_error",
    "log_cosh",
    "loss_for",
    "loss_named",
    "squared_error",
]
