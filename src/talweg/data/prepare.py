"""Features and targets as tensors: filled, encoded and scaled by the training part alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talweg.data.encoder import Encoder, matrix
from talweg.data.fill import fill, notes_on_gaps
from talweg.data.inputs import Inputs, Key, label
from talweg.data.samples import OneInput
from talweg.data.scaling import Scaling, note_on_beyond, note_on_constant
from talweg.data.table import Held, Table

TargetScale: TypeAlias = tuple[float, float] | tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation; for targets ``[N, K]`` a tuple of K of each."""


@dataclass(frozen=True)
class Prepared:
    """Features of several parts, prepared by what the first part says.

    Args:
        parts: What is read of each part, ``[n, …]``: float32, or int64 where the inputs are
            indices, or true/false.
        names: Names of the columns; empty where a sample is not a row of columns.
        notes: What was done, one sentence each.
    """

    parts: tuple[OneInput | Inputs, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...]


def prepare(parts: Sequence[Held], *, scale: bool) -> Prepared:
    """Prepares all parts by statistics of the first.

    Missing numbers are filled with the median of their column. With ``scale`` each column is
    standardised, ``(x − mean) / std``, columns that are constant in the first part become 0, and
    what lies more than 10 standard deviations from the mean is set to ±10: a pixel that is 0 in
    all but one training sample has a tiny deviation, and without a limit a single such value
    (46 in digits) would outweigh all others in that sample. What has more than two dimensions is
    standardised by one mean and one deviation. Indices (int64) and true/false are left alone.

    Categories become one column each, 0 or 1; those that the first part does not have are 0 in
    all of them. A missing category is a category. Of more than 30, the most frequent are kept and
    the others share a column.
    """
    first = parts[0]
    if isinstance(first, Table):
        return _prepare_table(cast("Sequence[Table]", parts), scale)
    arrays = cast("Sequence[NDArray[Any]]", parts)
    columns = first[:1].size if first.ndim <= 2 else 0
    names = tuple(f"x{place}" for place in range(columns))
    if first.dtype == np.int64 or first.dtype == np.bool_:
        return Prepared(_tensors(arrays), names, ())
    flat, notes = fill([array.reshape(len(array), -1) for array in arrays], names)
    if first.ndim == 2:
        return _finish(flat, names, notes, scale)
    if first.ndim == 1:
        found = _finish(flat, names, notes, scale)
        single = tuple(cast("Tensor", part)[:, 0] for part in found.parts)
        return Prepared(single, names, found.notes)
    if scale:
        mean, std = _moments(flat[0], axis=None)
        flat = [(values - mean) / std for values in flat]
    shaped = [values.reshape(array.shape) for values, array in zip(flat, arrays, strict=True)]
    return Prepared(_tensors(shaped), (), notes)


def together(inputs: Mapping[Key, Prepared]) -> Prepared:
    """Inputs that were prepared one by one, as several; names and notes tell whose they are."""
    parts = zip(*(cast("tuple[Tensor, ...]", each.parts) for each in inputs.values()), strict=True)
    return Prepared(
        tuple(Inputs.of(dict(zip(inputs, part, strict=True))) for part in parts),
        tuple(f"{label(key)} {name}" for key, each in inputs.items() for name in each.names),
        tuple(f"{label(key)}: {note}" for key, each in inputs.items() for note in each.notes),
    )


def prepare_targets(
    parts: Sequence[NDArray[Any]], *, scale: bool
) -> tuple[tuple[Tensor, ...], TargetScale]:
    """Targets as tensors, with the mean and deviation of the first part that scaled them.

    Class numbers are left alone, and so are numbers without ``scale``: their scale is (0, 1).
    """
    if not scale or parts[0].dtype == np.int64:
        return _tensors(parts), (0.0, 1.0)
    mean, std = _moments(parts[0], axis=0)
    tensors = _tensors([(part - mean) / std for part in parts])
    if parts[0].ndim == 1:
        return tensors, (float(mean), float(std))
    return tensors, (tuple(map(float, mean)), tuple(map(float, std)))


def _moments(values: NDArray[Any], axis: int | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and standard deviation in float64; the deviation is 1 where all values are the same."""
    mean = values.mean(axis=axis, dtype=np.float64)
    std = values.std(axis=axis, dtype=np.float64)
    return mean, np.where(np.ptp(values, axis=axis) == 0, 1.0, std)


def _prepare_table(parts: Sequence[Table], scale: bool) -> Prepared:
    encoder = Encoder(parts[0])
    numbers = [matrix(part, encoder.numeric) for part in parts]
    gaps = np.stack([np.isnan(values).sum(0) for values in numbers]).sum(0)
    empty = np.asarray(np.isnan(numbers[0]).all(axis=0))
    notes = (*notes_on_gaps(gaps, empty, encoder.numeric), *encoder.notes)
    whole = [encoder(part) for part in parts]
    return _finish(whole, encoder.names, notes, scale, encoder.are_categories)


def _finish(
    parts: Sequence[NDArray[Any]],
    names: Sequence[str],
    notes: tuple[str, ...],
    scale: bool,
    are_categories: NDArray[np.bool_] | None = None,
) -> Prepared:
    """Standardises columns ``[n, columns]``, other than those of categories."""
    constant = np.ptp(parts[0], axis=0) == 0
    notes = (*notes, *note_on_constant(names, constant))
    if not scale:
        return Prepared(_tensors(parts), tuple(names), notes)
    from sklearn.preprocessing import StandardScaler

    scaler: Any = StandardScaler().fit(parts[0])
    as_they_are = np.zeros(len(names), bool) if are_categories is None else are_categories
    scaling = Scaling(scaler.transform, constant, as_they_are)
    scaled, beyond = zip(*map(scaling, parts), strict=True)
    notes = (*notes, *note_on_beyond(names, np.sum(beyond, axis=0)))
    return Prepared(_tensors(scaled), tuple(names), notes)


def _tensors(parts: Sequence[NDArray[Any]]) -> tuple[Tensor, ...]:
    """float32 tensors of their own memory; int64 or bool where arrays are integers or truth."""
    exact = {"i": torch.int64, "b": torch.bool}
    return tuple(
        torch.tensor(part, dtype=exact.get(part.dtype.kind, torch.float32)) for part in parts
    )
