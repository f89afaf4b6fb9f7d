"""Samples to train on as they are given."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from talweg.core import UserError, counted
from talweg.data.datasets import tensors_of
from talweg.data.inputs import Inputs, Key, label
from talweg.data.loading import load
from talweg.data.mapped import is_too_large, stored_of
from talweg.data.memory import are_indices, array_of, is_frame, is_pair
from talweg.data.on_demand import Decoded, OnDemand, is_beyond
from talweg.data.room import allowed_memory
from talweg.data.samples import OneInput, Samples
from talweg.data.several import are_several, inputs_in
from talweg.data.splits import everything
from talweg.data.stored import Stored


def as_samples(
    source: Any, *, target: str | int | None = None, memory: str | int | None = None
) -> Samples:
    """All rows of a source as samples, for training on everything.

    ``(X, y)`` of arrays, tensors or lists, and PyTorch data sets, are taken as given: nothing is
    scaled, filled or renumbered, only the type changes. Targets become int64 if they are integers
    or true/false; features become float32 if they are, unless they are indices (see `load`).
    float64 stays float64: training casts it to the model's type.
    Names, files, data frames and `Data` are prepared by statistics of all rows (see `everything`).

    A model that takes several inputs gets them from a tuple, ``((a, b), y)``, or by the names of
    its arguments from a mapping, ``({"ids": a, "mask": b}, y)``; samples of a data set likewise.
    Among several, all signed integers are indices, and true/false stays as it is.

    A data set that does not fit into the memory is read from first to last, for its targets, and
    then sample by sample when one is asked for.

    Args:
        source: What `load` takes; `Samples` are returned as they are.
        target: The target's column where the source does not say.
        memory: What the process may take in all; see `load`.

    Raises:
        UserError: If the source cannot be used; missing and infinite values are refused.

    >>> as_samples(([[1.0], [2.0]], [5, 7])).y
    tensor([5, 7])
    >>> as_samples(({"ids": [[3, 4]], "mask": [[True, False]]}, [5])).x.named["ids"]
    tensor([[3, 4]])
    """
    if isinstance(source, Samples):
        return source
    is_arrays = is_pair(source) and not is_frame(source[0])
    if not isinstance(source, Dataset) and (not is_arrays or isinstance(source[0], (str, Path))):
        return everything(load(source, target=target, memory=memory))
    if target is not None:
        raise UserError(f"the data has its own target; leave out target={target!r}")
    allowed = allowed_memory(memory)
    if isinstance(source, Dataset):
        samples = OnDemand(source)
        if is_beyond(samples, allowed):
            return _on_demand(samples)
        x, y = tensors_of(source)
        several = not isinstance(x, Tensor)
    else:
        x, y = source
        several = are_several(x, y)
    return Samples((_several if several else _features)(x, allowed), _target(y))


def _on_demand(samples: OnDemand) -> Samples:
    y, wrong = samples.survey()
    _check_finite("features", wrong, FILLS)
    first = samples.first
    dtype = _exact(array_of(first, "features").dtype, are_indices(first, first.ndim))
    source = Decoded(samples, first.shape[1:], torch.empty(0, dtype=dtype).numpy().dtype)
    return Samples(Stored(source, np.arange(len(samples))), _target(y))


def _features(x: Any, memory: int) -> OneInput:
    if is_too_large(x, memory):
        found, wrong = stored_of(x, _exact(x.dtype, are_indices(x, x.ndim)))
        _check_finite("features", wrong, FILLS)
        return found
    values = _numbers(x, "features", ENCODES)
    return _tensor(values, "features", _exact(values.dtype, are_indices(x, values.ndim)), FILLS)


def _several(x: Any, memory: int) -> Inputs:
    def one(key: Key, values: Any) -> Tensor:
        name = label(key)
        array = _numbers(values, name)
        is_truth = array.dtype.kind == "b"
        return _tensor(
            array, name, torch.bool if is_truth else _exact(array.dtype, array.dtype.kind == "i")
        )

    inputs = inputs_in(x, lambda values: is_too_large(values, memory))
    return Inputs.of({key: one(key, values) for key, values in inputs.items()})


def _target(y: Any) -> Tensor:
    values = _numbers(y, "target", ENCODES)
    return _tensor(values, "target", _exact(values.dtype, values.dtype.kind in "biu"), FILLS)


ENCODES = "; talweg.data.load((X, y)) encodes text"
FILLS = "; talweg.data.load fills missing features with their median"


def _numbers(values: Any, what: str, tip: str = "") -> np.ndarray[Any, Any]:
    array = array_of(values, what)
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise UserError(
            f"{what} must be an array of numbers with one row per sample, got "
            f"{type(values).__name__} of {array.dtype} with shape {list(array.shape)}{tip}"
        )
    return array


def _tensor(array: np.ndarray[Any, Any], what: str, dtype: torch.dtype, tip: str = "") -> Tensor:
    tensor = torch.tensor(np.ascontiguousarray(array)).to(dtype)
    _check_finite(what, int((~tensor.isfinite()).sum()), tip)
    return tensor


def _exact(dtype: Any, whole: bool) -> torch.dtype:
    if whole:
        return torch.int64
    return torch.float64 if dtype == np.float64 else torch.float32


def _check_finite(what: str, wrong: int, tip: str) -> None:
    if wrong:
        raise UserError(
            f"{what} must be finite numbers, but hold {counted(wrong, 'value')} that are not "
            f"(NaN or infinite){tip}"
        )
