"""The models that have a name."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from talweg.activations import ACTIVATIONS
from talweg.core import Registry, UserError, choose, whole_number
from talweg.models.attention import transformer
from talweg.models.convolutional import cnn
from talweg.models.perceptron import linear, maxout, mlp
from talweg.models.recurrent import gru, lstm
from talweg.models.shapes import flat_of, image_of, sequence_of
from talweg.models.source import ModelSource

KINDS = ("classification", "regression")
ANY = "any, flattened"
SEQUENCES = "(T, F), rows of images"


@dataclass(frozen=True)
class Ready:
    """A model by name.

    Args:
        name: What users type.
        label: What tables and pictures call it.
        summary: What it is, in a line.
        make: Builds one, of a sample's shape and a number of outputs, with ``hidden`` and
            ``activation`` where it takes them.
        seen: How it looks at a sample: its shape → the shape that the model computes with.
        samples: The shapes of samples it takes, in words.
        hidden: Sizes of its hidden layers unless others are asked for; None if it has none.
        activation: Its activation unless another is asked for; None if it has none to choose.
        kinds: The kinds of task that it is for.
        is_binary: Whether it tells two classes apart by one logit.
    """

    name: str
    label: str
    summary: str
    make: Callable[..., nn.Module]
    seen: Callable[[Sequence[int]], tuple[int, ...]]
    samples: str
    hidden: tuple[int, ...] | None = None
    activation: str | None = None
    kinds: tuple[str, ...] = KINDS
    is_binary: bool = False


def _flat(make: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """What builds a model of a number of features, as one that does of a shape."""

    def of_shape(shape: Sequence[int], outputs: int, **options: Any) -> nn.Module:
        return make(math.prod(shape), outputs, **options)

    return of_shape


MODELS: Registry[Ready] = Registry("model", "talweg list models")
for _entry in (
    Ready(
        "linear",
        "Linear",
        "x·W + b: linear regression",
        _flat(linear),
        flat_of,
        ANY,
    ),
    Ready(
        "logistic",
        "Logistic regression",
        "x·w + b: one logit for two classes",
        _flat(linear),
        flat_of,
        ANY,
        kinds=("classification",),
        is_binary=True,
    ),
    Ready(
        "softmax",
        "Softmax regression",
        "x·W + b: a logit for each class",
        _flat(linear),
        flat_of,
        ANY,
        kinds=("classification",),
    ),
    Ready(
        "mlp",
        "MLP",
        "linear maps, an activation between",
        _flat(mlp),
        flat_of,
        ANY,
        hidden=(128, 128),
        activation="relu",
    ),
    Ready(
        "maxout",
        "Maxout network",
        "units: the larger of two linear maps",
        _flat(maxout),
        flat_of,
        ANY,
        hidden=(128, 128),
    ),
    Ready(
        "cnn",
        "CNN",
        "3×3 convolutions, 2×2 pooling",
        cnn,
        image_of,
        "images from 4 × 4",
        hidden=(16, 32),
        activation="relu",
    ),
    Ready(
        "lstm",
        "LSTM",
        "long short-term memory, its last output",
        lstm,
        sequence_of,
        SEQUENCES,
        hidden=(64,),
    ),
    Ready(
        "gru",
        "GRU",
        "gated recurrent units, their last output",
        gru,
        sequence_of,
        SEQUENCES,
        hidden=(64,),
    ),
    Ready(
        "transformer",
        "Transformer",
        "attention, the mean over the steps",
        transformer,
        sequence_of,
        SEQUENCES,
        hidden=(32,),
        activation="gelu",
    ),
):
    MODELS.add(_entry.name, _entry)


def ready_source(
    name: str,
    shape: Sequence[int],
    outputs: int,
    kind: str = "classification",
    hidden: int | Sequence[int] | None = None,
    activation: str | None = None,
    layers: int | None = None,
) -> ModelSource:
    """The source of a model that has a name, for samples of a shape.

    Args:
        name: A name in `MODELS`.
        shape: Of one sample, such as ``(64,)``, ``(1, 8, 8)`` or ``(T, F)``.
        outputs: Classes, or values per sample.
        kind: ``"classification"`` or ``"regression"``.
        hidden: Units of each hidden layer, channels of each convolution, width of each block; None
            for the model's own.
        activation: A name in `talweg.activations.ACTIVATIONS`; None for the model's own.
        layers: How many hidden layers of one size; that is the one in ``hidden``, or the model's
            own.

    Returns:
        The source, under a name that tells its sizes. A model has been built of it, so that what
        cannot be is told here.

    Raises:
        UserError: If there is no such model, or it does not fit samples, task, sizes or activation.

    >>> ready_source("mlp", (64,), 10).name
    'mlp 64-128-128-10, relu'
    >>> ready_source("cnn", (64,), 10, hidden=(8,), layers=3, activation="tanh").name
    'cnn 1×8×8-8-8-8-10, tanh'
    """
    ready = MODELS[name]
    if kind not in KINDS:
        raise choose("kind", kind, KINDS)
    if kind not in ready.kinds:
        others = [entry.name for entry in MODELS.values() if kind in entry.kinds]
        raise UserError(f"{ready.name} is not for {kind} (allowed: {', '.join(others)})")
    shape = tuple(whole_number("each side of a sample", side) for side in shape)
    if not shape:
        raise UserError(f"{ready.name} takes samples of one or more features, got single numbers")
    outputs = whole_number("outputs", outputs)
    if ready.is_binary:
        if outputs > 2:
            raise UserError(f"{ready.name} is for two classes, got {outputs}: choose softmax")
        outputs = 1
    options: dict[str, Any] = {}
    sizes: tuple[int, ...] = ()
    if ready.hidden is not None:
        sizes = options["hidden"] = _sizes(ready.hidden, hidden, layers)
    elif hidden is not None or layers is not None:
        raise _has_none(ready, "hidden layers", lambda entry: entry.hidden)
    if ready.activation is not None:
        options["activation"] = ACTIVATIONS[activation or ready.activation].name
    elif activation is not None:
        raise _has_none(ready, "activation to choose", lambda entry: entry.activation)
    seen = "×".join(map(str, ready.seen(shape)))
    described = f"{ready.name} {'-'.join(map(str, (seen, *sizes, outputs)))}"
    if "activation" in options:
        described += f", {options['activation']}"
    source = ModelSource(described, lambda: ready.make(shape, outputs, **options))
    source.build(0)
    return source


def _sizes(
    own: tuple[int, ...], hidden: int | Sequence[int] | None, layers: int | None
) -> tuple[int, ...]:
    """The sizes of hidden layers that are asked for, beside a model's own."""
    given = None if hidden is None else tuple(hidden) if isinstance(hidden, Iterable) else (hidden,)
    if layers is None:
        return own if given is None else given
    sizes = own[-1:] if given is None else given
    if len(sizes) != 1:
        raise UserError(
            f"layers repeats one size of hidden layers, got {len(sizes)} sizes: "
            f"give one, or leave out layers"
        )
    return sizes * whole_number("layers", layers)


def _has_none(ready: Ready, what: str, has: Callable[[Ready], Any]) -> UserError:
    having = ", ".join(entry.name for entry in MODELS.values() if has(entry))
    return UserError(f"{ready.name} has no {what} (those that have: {having})")


def mlp_source(
    inputs: int, outputs: int, hidden: Sequence[int] = (128, 128), activation: str = "relu"
) -> ModelSource:
    """The source of `mlp`, under a name that tells its sizes.

    >>> mlp_source(64, 10).name
    'mlp 64-128-128-10, relu'
    """
    return ready_source("mlp", (inputs,), outputs, hidden=hidden, activation=activation)
