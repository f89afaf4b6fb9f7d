"""Samples to train on as they are given."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from talweg.core import UserError, counted
from talweg.data.loading import load
from talweg.data.mapped import is_too_large, stored_of
from talweg.data.memory import are_indices, array_of, is_frame, is_pair, tensors_of
from talweg.data.room import allowed_memory
from talweg.data.samples import Inputs, Samples
from talweg.data.splits import everything


def as_samples(
    source: Any, *, target: str | int | None = None, memory: str | int | None = None
) -> Samples:
    """All rows of a source as samples, for training on everything.

    ``(X, y)`` of arrays, tensors or lists, and PyTorch data sets, are taken as given: nothing is
    scaled, filled or renumbered, only the type changes. Targets become int64 if they are integers
    or true/false; features become float32 if they are, unless they are indices (see `load`).
    float64 stays float64: training casts it to the model's type.
    Names, files, data frames and `Data` are prepared by statistics of all rows (see `everything`).

    Args:
        source: What `load` takes; `Samples` are returned as they are.
        target: The target's column where the source does not say.
        memory: What the process may take in all; see `load`.

    Raises:
        UserError: If the source cannot be used; missing and infinite values are refused.

    >>> as_samples(([[1.0], [2.0]], [5, 7])).y
    tensor([5, 7])
    """
    if isinstance(source, Samples):
        return source
    if isinstance(source, Dataset):
        x, y = tensors_of(source)
    elif is_pair(source) and not is_frame(source[0]) and not isinstance(source[0], (str, Path)):
        x, y = source
    else:
        return everything(load(source, target=target, memory=memory))
    if target is not None:
        raise UserError(f"the data has its own target; leave out target={target!r}")
    return Samples(_features(x, allowed_memory(memory)), _target(y))


def _features(x: Any, memory: int) -> Inputs:
    if is_too_large(x, memory):
        found, wrong = stored_of(x, _exact(x.dtype, are_indices(x, x.ndim)))
        _check_finite("features", wrong)
        return found
    values = _numbers(x, "features")
    return _tensor(values, "features", whole=are_indices(x, values.ndim))


def _target(y: Any) -> Tensor:
    values = _numbers(y, "target")
    return _tensor(values, "target", whole=values.dtype.kind in "biu")


def _numbers(values: Any, what: str) -> np.ndarray[Any, Any]:
    array = array_of(values, what)
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise UserError(
            f"{what} must be an array of numbers with one row per sample, got "
            f"{type(values).__name__} of {array.dtype} with shape {list(array.shape)}; "
            f"talweg.data.load((X, y)) encodes text"
        )
    return array


def _tensor(array: np.ndarray[Any, Any], what: str, *, whole: bool) -> Tensor:
    tensor = torch.tensor(np.ascontiguousarray(array)).to(_exact(array.dtype, whole))
    _check_finite(what, int((~tensor.isfinite()).sum()))
    return tensor


def _exact(dtype: Any, whole: bool) -> torch.dtype:
    if whole:
        return torch.int64
    return torch.float64 if dtype == np.float64 else torch.float32


def _check_finite(what: str, wrong: int) -> None:
    if wrong:
        raise UserError(
            f"{what} must be finite numbers, but hold {counted(wrong, 'value')} that are not "
            f"(NaN or infinite); talweg.data.load fills missing features with their median"
        )
