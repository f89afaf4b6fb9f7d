"""What is given as one input or as several, as features and target."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from talweg.core import UserError
from talweg.data.inputs import Inputs, Key, label, said_of
from talweg.data.mapped import from_large_pair, is_large
from talweg.data.memory import features_of, from_pair, is_frame, name_of, target_of
from talweg.data.raw import Raw
from talweg.data.table import Held, Several


def are_several(x: object, y: object) -> bool:
    """Whether something is the inputs of a model that takes several, rather than one input.

    They are in a mapping, or in a tuple of arrays, tensors or data frames. But a tuple of as many
    as there are targets holds samples, one each, unless each of them has as many rows.
    """
    if isinstance(x, (Mapping, Inputs)):
        return True
    if not isinstance(x, tuple):
        return False
    if not all(isinstance(own, (Tensor, np.ndarray)) or is_frame(own) for own in x):
        return False
    try:
        targets = len(y)  # type: ignore[arg-type]
    except TypeError:
        return True
    return len(x) != targets or all(getattr(own, "ndim", 2) and len(own) == targets for own in x)


def inputs_in(x: Any, is_too_large: Callable[[Any], bool]) -> dict[Key, Any]:
    """Each of several inputs, by its place or the name of the model's argument.

    Args:
        x: The inputs.
        is_too_large: Whether one cannot be held in memory.

    Raises:
        UserError: If there is such a one, or a name is none.
    """
    if isinstance(x, Inputs):
        inputs: dict[Key, Any] = {**dict(enumerate(x.positional)), **x.named}
    elif isinstance(x, Mapping):
        inputs = dict(x)  # pyright: ignore[reportUnknownArgumentType]
        for key in inputs:
            if not isinstance(key, str):
                raise UserError(f"inputs must be named by arguments of the model, got {key!r}")
    else:
        inputs = dict(enumerate(x))
    for key, values in inputs.items():
        if is_too_large(values):
            raise UserError(
                f"{label(key)} is too large for the memory: only one input can stay on disk"
            )
    return inputs


def from_given(x: Any, y: Any, name: str, memory: int) -> Raw:
    """Features and target that were given apart, the features as one input or as several.

    Args:
        x: The features.
        y: The target.
        name: What the source is called.
        memory: The bytes that the whole process may take.

    Raises:
        UserError: If either cannot be used.
    """
    if not are_several(x, y):
        return from_large_pair(x, y, name, memory) if is_large(x, memory) else from_pair(x, y, name)
    target = target_of(y)
    inputs = inputs_in(x, lambda values: is_large(values, memory))
    held: dict[Key, Held] = {}
    notes: list[str] = []
    for key, values in inputs.items():
        with said_of(label(key)):
            held[key], done = features_of(values, among=True)
        notes += [f"{label(key)}: {note}" for note in done]
    fills = all(is_frame(values) for values in inputs.values())
    return Raw(name, Several(held), target, name_of(y), fills, notes=tuple(notes))
