"""What a model must satisfy before its lanes start: checked once, on two samples."""

import math

import torch
from torch import Tensor, nn

from talweg.core import UserError, first_line
from talweg.data import Samples, Stream
from talweg.data.inputs import X, call, kinds, shown
from talweg.losses import Loss, PerSample, loss_for
from talweg.models import MODELS, Model, ModelSource, ready_source, source_of


def output_of(module: nn.Module, x: X) -> Tensor:
    """What a model gives for a few samples, in evaluation.

    Raises:
        UserError: If it cannot take them or gives something else than a tensor.
    """
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            output = call(module, x.clone())  # some models work on their input in place
    except Exception as error:
        raise UserError(
            f"the model cannot take a batch of shape {shown(x)}: {first_line(error)}"
        ) from error
    finally:
        module.train(was_training)
    if not isinstance(output, Tensor):
        raise UserError(f"the model must return a tensor, got {type(output).__name__}")
    return output


def fitting_loss(loss: str | Loss | PerSample | None, module: nn.Module, samples: Samples) -> Loss:
    """The loss to train with, after checking that the model's output fits the target.

    Raises:
        UserError: If it does not fit: both shapes are named.
    """
    x, y = samples.x[:2], samples.y[:2]
    output = output_of(module, x)
    if output.shape[:1] != y.shape[:1]:
        raise UserError(
            f"the model must return one row per sample: "
            f"for a batch of shape {shown(x)} it returned {list(output.shape)}"
        )
    chosen = loss_for(loss, samples.y, output)
    values = math.prod(output.shape[1:])
    if chosen.output == "classes":
        highest = int(samples.y.max()) + 1
        if output.dim() < 2 or output.shape[1] < highest:
            raise UserError(
                f"the model returns {values} values per sample, "
                f"but the target has {highest} classes: its last layer must have {highest} units"
            )
    elif chosen.output == "one" and (values != 1 or int(samples.y.max()) > 1):
        raise UserError(
            f"binary cross-entropy needs one value per sample and two classes, "
            f"got {values} values and {int(samples.y.max()) + 1} classes"
        )
    elif chosen.output == "values" and values != math.prod(y.shape[1:]):
        raise UserError(
            f"the model returns {values} values per sample, "
            f"but the target has {math.prod(y.shape[1:])}"
        )
    elif chosen.output == "values" and _long(output) != _long(y):
        raise UserError(
            f"the model returns samples of shape {list(output.shape[1:])}, "
            f"but those of the target have {list(y.shape[1:])}"
        )
    return chosen


def _long(values: Tensor) -> list[int]:
    """The shape of a sample, without sides of length 1."""
    return [side for side in values.shape[1:] if side != 1]


def classes_of(loss: Loss, module: nn.Module, samples: Samples) -> int | None:
    """How many classes a model tells apart; None if the loss is not one for classes."""
    if loss.output == "classes":
        return output_of(module, samples.x[:2]).shape[1]
    return 2 if loss.output == "one" else None


def check_alike(name: str, held_out: Samples, trained: Samples, classes: int | None) -> None:
    """Complains of held-out samples that are not like those trained on.

    Args:
        name: What they are called.
        held_out: What would be evaluated on.
        trained: What is trained on.
        classes: How many there are; None to go by the samples trained on.

    Raises:
        UserError: If shapes or kinds of target differ, or a class is unknown.
    """
    for what, ours, theirs in (
        ("x", held_out.x[:1], trained.x[:1]),
        ("y", held_out.y, trained.y),
    ):
        if kinds(ours) != kinds(theirs):
            raise UserError(
                f"{what} of {name!r} has samples of shape {shown(ours, sample=True)}, "
                f"but {shown(theirs, sample=True)} is trained on"
            )
    if held_out.y.is_floating_point() != trained.y.is_floating_point():
        raise UserError(f"y of {name!r} is {held_out.y.dtype}, but {trained.y.dtype} is trained on")
    if trained.y.is_floating_point():
        return
    highest = int(trained.y.max()) if classes is None else classes - 1
    if held_out.y.max() > highest:
        raise UserError(
            f"y of {name!r} has class {int(held_out.y.max())}, "
            f"but the highest trained on is {highest}"
        )


def sizes_of(samples: Samples) -> tuple[int, int]:
    """Features per sample, and classes or target values per sample: what an MLP needs to know."""
    inputs = math.prod(samples.only_input("a ready model").shape[1:])
    if samples.y.is_floating_point():
        return inputs, math.prod(samples.y.shape[1:])
    return inputs, int(samples.y.max()) + 1


def source_for(model: Model | ModelSource, samples: Samples | Stream) -> ModelSource:
    """Where models for some samples come from; a name is one of `MODELS`, of their size.

    Raises:
        UserError: If there is no such model, or it does not fit them.
    """
    if not isinstance(model, str) or model not in MODELS:
        return source_of(model)
    if isinstance(samples, Stream):
        raise UserError(
            f"{model} takes its size from data, which a stream does not show before it begins: "
            f"pass a callable, such as lambda: talweg.models.mlp(64, 10)"
        )
    x = samples.only_input(model)
    if not x.is_floating_point():
        raise UserError(
            f"{model} takes numbers, but x is {x.dtype}, which are indices: "
            f"convert them, or pass a model of your own with a torch.nn.Embedding"
        )
    kind = "regression" if samples.y.is_floating_point() else "classification"
    return ready_source(model, x.shape[1:], sizes_of(samples)[1], kind)
