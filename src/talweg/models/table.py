"""The models that have a name."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from talweg.activations import ACTIVATIONS
from talweg.core import Registry, UserError, choose, listing, whole_number
from talweg.models.attention import transformer
from talweg.models.convolutional import cnn
from talweg.models.perceptron import linear, maxout, mlp
from talweg.models.recurrent import gru, lstm
from talweg.models.shapes import flat_of, image_of, sequence_of
from talweg.models.source import ModelSource

KINDS = ("classification", "regression")
ANY = "any; they are flattened"
SEQUENCES = "(T, F), or images and squares as their rows"


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


def _flat(make: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """What builds a model of a number of features, as one that does of a shape."""

    def of_shape(shape: Sequence[int], outputs: int, **options: Any) -> nn.Module:
        return make(math.prod(shape), outputs, **options)

    return of_shape


def _one_logit(inputs: int, outputs: int) -> nn.Module:
    if outputs > 2:
        raise UserError(f"logistic tells two classes apart, got {outputs}: choose softmax")
    return linear(inputs, 1)


MODELS: Registry[Ready] = Registry("model", "talweg list models")
for _entry in (
    Ready(
        "linear",
        "Linear",
        "x·W + b: linear regression, or the plain map to one logit per class",
        _flat(linear),
        flat_of,
        ANY,
    ),
    Ready(
        "logistic",
        "Logistic regression",
        "x·w + b, the logit of the second of two classes",
        _flat(_one_logit),
        flat_of,
        ANY,
        kinds=("classification",),
    ),
    Ready(
        "softmax",
        "Softmax regression",
        "x·W + b, one logit per class: multinomial logistic regression",
        _flat(linear),
        flat_of,
        ANY,
        kinds=("classification",),
    ),
    Ready(
        "mlp",
        "MLP",
        "linear maps with an activation between them",
        _flat(mlp),
        flat_of,
        ANY,
        hidden=(128, 128),
        activation="relu",
    ),
    Ready(
        "maxout",
        "Maxout network",
        "hidden units that are the larger of two linear maps",
        _flat(maxout),
        flat_of,
        ANY,
        hidden=(128, 128),
    ),
    Ready(
        "cnn",
        "CNN",
        "3×3 convolutions with an activation, 2×2 pooling, a linear map",
        cnn,
        image_of,
        "(C, H, W), (H, W) or squares, from 4 × 4",
        hidden=(16, 32),
        activation="relu",
    ),
    Ready(
        "lstm",
        "LSTM",
        "long short-term memory, a linear map of the last output",
        lstm,
        sequence_of,
        SEQUENCES,
        hidden=(64,),
    ),
    Ready(
        "gru",
        "GRU",
        "gated recurrent units, a linear map of the last output",
        gru,
        sequence_of,
        SEQUENCES,
        hidden=(64,),
    ),
    Ready(
        "transformer",
        "Transformer",
        "blocks of attention, the mean over the steps, a linear map",
        transformer,
        sequence_of,
        SEQUENCES,
        hidden=(32, 32),
        activation="gelu",
    ),
):
    MODELS.add(_entry.name, _entry)


def ready_source(
    name: str,
    shape: Sequence[int],
    outputs: int,
    kind: str = "classification",
    hidden: Sequence[int] | None = None,
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
        raise UserError(f"{ready.name} is not for {kind} (allowed: {listing(others, limit=9)})")
    shape = tuple(whole_number("each side of a sample", side) for side in shape)
    if not shape:
        raise UserError(f"{ready.name} takes samples of one or more features, got single numbers")
    outputs = whole_number("outputs", outputs)
    options: dict[str, Any] = {}
    sizes = _sizes(ready, hidden, layers)
    if sizes is not None:
        options["hidden"] = sizes
    if activation is not None and ready.activation is None:
        own = [entry.name for entry in MODELS.values() if entry.activation]
        raise UserError(
            f"{ready.name} has no activation to choose, got {activation!r} "
            f"({listing(own)} have one)"
        )
    if ready.activation is not None:
        options["activation"] = ACTIVATIONS[activation or ready.activation].name
    seen = "×".join(map(str, ready.seen(shape)))
    ends = 1 if ready.name == "logistic" else outputs
    text = "-".join(map(str, (seen, *(sizes or ()), ends)))
    described = ", ".join((text, *([options["activation"]] if "activation" in options else [])))
    source = ModelSource(f"{ready.name} {described}", lambda: ready.make(shape, outputs, **options))
    source.build(0)
    return source


def _sizes(
    ready: Ready, hidden: Sequence[int] | None, layers: int | None
) -> tuple[int, ...] | None:
    """What the hidden layers are asked to have; None for a model that has none."""
    if ready.hidden is None:
        for what, value in (("hidden", hidden), ("layers", layers)):
            if value is not None:
                own = [entry.name for entry in MODELS.values() if entry.hidden]
                raise UserError(
                    f"{ready.name} has no hidden layers, got {what}={value} "
                    f"({listing(own, limit=9)} have some)"
                )
        return None
    if layers is None:
        return ready.hidden if hidden is None else tuple(hidden)
    sizes = ready.hidden[-1:] if hidden is None else tuple(hidden)
    count = whole_number("layers", layers)
    if len(sizes) != 1:
        raise UserError(
            f"layers={count} repeats one size of hidden layers, "
            f"but hidden has {len(sizes)}: give one, or leave out layers"
        )
    return sizes * count


def mlp_source(
    inputs: int, outputs: int, hidden: Sequence[int] = (128, 128), activation: str = "relu"
) -> ModelSource:
    """The source of `mlp`, under a name that tells its sizes.

    >>> mlp_source(64, 10).name
    'mlp 64-128-128-10, relu'
    """
    return ready_source("mlp", (inputs,), outputs, hidden=hidden, activation=activation)
