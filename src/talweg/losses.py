"""Losses: one value per sample; the reduction is a separate step.

A loss takes what the model returned, ``[batch, …]``, and the targets, and gives ``[batch]``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor
from torch.nn import functional

from talweg.core import Registry, UserError

PerSample: TypeAlias = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Loss:
    """A loss by name.

    Args:
        name: What users type.
        per_sample: ``(output [batch, …], target [batch, …]) -> [batch]``.
        kind: The kind of task it is for: ``"classification"`` or ``"regression"``.
    """

    name: str
    per_sample: PerSample
    kind: str

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean over the batch, a scalar."""
        return self.per_sample(output, target).mean()


LOSSES: Registry[Loss] = Registry("loss")


def _add(name: str, kind: str) -> Callable[[PerSample], PerSample]:
    def register(per_sample: PerSample) -> PerSample:
        LOSSES.add(name, Loss(name, per_sample, kind))
        return per_sample

    return register


@_add("cross-entropy", "classification")
def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """``−log softmax(output)[target]``.

    Args:
        output: Logits ``[batch, classes]``.
        target: Class numbers ``[batch]``.
    """
    return functional.cross_entropy(output, target, reduction="none")


@_add("binary-cross-entropy", "classification")
def binary_cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """``−[y·log σ(z) + (1−y)·log(1−σ(z))]``.

    Args:
        output: One logit ``z`` per sample, ``[batch]`` or ``[batch, 1]``.
        target: ``y``, 0 or 1, ``[batch]``.
    """
    logit = output.reshape(target.shape)
    return functional.binary_cross_entropy_with_logits(
        logit, target.to(logit.dtype), reduction="none"
    )


@_add("mean-squared-error", "regression")
def squared_error(output: Tensor, target: Tensor) -> Tensor:
    """``(y − ŷ)²``, averaged over the outputs of a sample.

    Args:
        output: ``ŷ``, ``[batch]``, ``[batch, 1]`` or ``[batch, outputs]``.
        target: ``y``, with as many values.
    """
    error = (output.reshape(target.shape) - target).square()
    return error.reshape(len(target), -1).mean(1)


def loss_for(loss: str | Loss | PerSample | None, target: Tensor, output: Tensor) -> Loss:
    """The loss to use: the one asked for, or the usual one for these targets.

    Args:
        loss: A name, a `Loss`, a function ``(output, target)`` that returns one value per sample
            or a scalar, or None: cross-entropy for whole-number targets (binary cross-entropy if
            the model gives one value per sample), mean squared error for the rest.
        target: Targets of a batch.
        output: What the model returned for it.
    """
    if isinstance(loss, Loss):
        return loss
    if callable(loss):
        kind = "regression" if target.is_floating_point() else "classification"
        return Loss(getattr(loss, "__name__", "custom"), _per_sample(loss), kind)
    if loss is not None:
        chosen = LOSSES[loss]
    elif target.is_floating_point():
        chosen = LOSSES["mean-squared-error"]
    else:
        single = output.dim() == 1 or output.shape[1:] == (1,)
        chosen = LOSSES["binary-cross-entropy" if single else "cross-entropy"]
    if chosen.kind == "classification" and target.is_floating_point():
        raise UserError(f"{chosen.name} needs whole-number class targets, got {target.dtype}")
    return chosen


def _per_sample(function: PerSample) -> PerSample:
    def per_sample(output: Tensor, target: Tensor) -> Tensor:
        value = function(output, target)
        count = len(target)
        crossed = count in value.shape[1:2] and count not in (
            *output.shape[1:2],
            *target.shape[1:2],
        )
        if value.dim() and (len(value) != count or crossed):
            raise UserError(
                f"the loss must return one value per sample or a scalar: of an output "
                f"{list(output.shape)} and a target {list(target.shape)} it made "
                f"{list(value.shape)}"
            )
        return value.reshape(value.shape[0], -1).mean(1) if value.dim() else value

    return per_sample
