"""The loss that a run starts from, beside that of a constant prediction."""

import math

import torch
from torch import Tensor

CLOSE = 1e-3
"""How far values may be off, as a share, for a loss to be recognised; in reduced precision more."""

MANY = 3
"""Samples of each class, on the mean, from which on a batch shows how often classes are."""


def constant_loss(outputs: Tensor, grad: Tensor, loss: Tensor) -> float | None:
    """The least loss that a constant prediction has on a batch; None if the loss is not recognised.

    It is 0 where all targets are the same. Of fewer than 3 samples a class it is at least ln C.

    Cross-entropy from logits, binary cross-entropy from logits and mean squared error, averaged
    over the batch, are recognised by their gradient, which gives the targets away:
    ``softmax(z) − n·g`` is 1 at the target's class and 0 elsewhere, ``σ(z) − m·g`` is 0 or 1, and
    ``z − m·g/2`` is the target if the loss is what then follows.

    Args:
        outputs: What the loss was taken of, ``[n, …]``; of ``m`` values.
        grad: The loss's gradient in it.
        loss: Its value.
    """
    close = max(CLOSE, 4 * torch.finfo(grad.dtype).eps)
    z, g, value = outputs.detach().double(), grad.double(), float(loss.detach())
    if z.dim() == 0 or z.shape != g.shape or not len(z) or not math.isfinite(value):
        return None
    if z.dim() == 2 and z.shape[1] > 1:
        target = z.softmax(1) - len(z) * g
        if _is_0_or_1(target, close) and bool((target.sum(1) - 1).abs().max() < 2 * close):
            share = target.round().mean(0)
            # Few samples do not show how often classes are: then they count as equally so.
            unknown = math.log(z.shape[1]) if len(z) < MANY * z.shape[1] else 0.0
            return max(float(-torch.special.xlogy(share, share).sum()), unknown)
    target = z.sigmoid() - z.numel() * g
    if _is_0_or_1(target, close):
        share = target.round().mean(0)
        return float(
            -(torch.special.xlogy(share, share) + torch.special.xlogy(1 - share, 1 - share)).mean()
        )
    target = z - z.numel() * g / 2
    if abs(float((z - target).square().mean()) - value) <= close * max(value, 1e-12):
        constant = float((target - target.mean(0)).square().mean())
        # Targets are known to the precision of what they are told by: less is none at all.
        least = torch.finfo(grad.dtype).eps ** 2 * float(z.square().mean())
        return constant if constant > 16 * least else 0.0
    return None


def _is_0_or_1(target: Tensor, close: float) -> bool:
    return bool(((target - target.round()).abs() < close).all()) and bool(
        ((target.round() == 0) | (target.round() == 1)).all()
    )
