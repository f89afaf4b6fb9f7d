"""The losses that have a name, and the usual one for a task."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor

from talweg.core import Registry, UserError, choose, parse_call
from talweg.losses.classification import BinaryCrossEntropy, CrossEntropy, Focal, Hinge
from talweg.losses.likelihood import NegativeLogLikelihood, gaussian, laplace, poisson
from talweg.losses.loss import Loss, PerSample
from talweg.losses.regression import Huber, Quantile, absolute_error, log_cosh, squared_error

LOSSES: Registry[Loss] = Registry("loss", "talweg list losses")
for _loss in (
    Loss("cross-entropy", CrossEntropy(), "classification", output="classes"),
    Loss("binary-cross-entropy", BinaryCrossEntropy(), "classification", output="one"),
    Loss("focal", Focal(), "classification", output="classes"),
    Loss("hinge", Hinge(), "classification", output="classes"),
    Loss("mean-squared-error", squared_error, "regression", output="values"),
    Loss("mean-absolute-error", absolute_error, "regression", output="values"),
    Loss("huber", Huber(), "regression", output="values"),
    Loss("log-cosh", log_cosh, "regression", output="values"),
    Loss("quantile", Quantile(), "regression", output="values"),
    Loss("gaussian-nll", NegativeLogLikelihood(gaussian), "regression"),
    Loss("laplace-nll", NegativeLogLikelihood(laplace), "regression"),
    Loss("poisson-nll", poisson, "regression", output="values"),
):
    LOSSES.add(_loss.name, _loss)


def loss_named(text: str) -> Loss:
    """The loss of that name, with options.

    Raises:
        UserError: If the name or an option is unknown, or a value out of range.

    >>> loss_named("cross-entropy(smoothing=0.1)").per_sample
    CrossEntropy(weights=None, smoothing=0.1, ignore=None)
    """
    name, settings = parse_call(text)
    known = LOSSES[name]
    if not settings:
        return known
    function: Any = known.per_sample
    own = [spec.name for spec in fields(function)] if is_dataclass(function) else []
    own = dict.fromkeys(name for name in own if name != "family")
    for key in settings:
        if key not in own:
            raise choose(f"option of {known.name}", key, own)
    return _weighed(replace(known, per_sample=type(function)(**settings)))


def _weighed(loss: Loss) -> Loss:
    """The loss with what samples count for, where that is not the same for all."""
    function = loss.per_sample
    if isinstance(function, CrossEntropy) and (function.weights or function.ignore is not None):
        return replace(loss, weight=function.weight)
    return loss


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
    if isinstance(loss, CrossEntropy):
        return _weighed(replace(LOSSES["cross-entropy"], per_sample=loss))
    if callable(loss):
        kind = "regression" if target.is_floating_point() else "classification"
        return Loss(_called(loss), _per_sample(loss), kind)
    if loss is not None:
        chosen = loss_named(loss) if isinstance(loss, str) else LOSSES[loss]  # pyright: ignore[reportUnnecessaryIsInstance]
    elif target.is_floating_point():
        chosen = LOSSES["mean-squared-error"]
    else:
        single = output.dim() == 1 or output.shape[1:] == (1,)
        chosen = LOSSES["binary-cross-entropy" if single else "cross-entropy"]
    if chosen.kind == "classification" and target.is_floating_point():
        raise UserError(f"{chosen.name} needs whole-number class targets, got {target.dtype}")
    return chosen


def _called(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", "custom")


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
