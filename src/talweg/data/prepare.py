"""Features and targets as tensors: filled, encoded and scaled by the training part alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talweg.core import counted, listing
from talweg.data.fill import chosen, encode, fill
from talweg.data.table import Features, Table

FARTHEST = 10.0
"""Standardised values end at this many standard deviations from the mean."""

TargetScale: TypeAlias = tuple[float, float] | tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation; for targets ``[N, K]`` a tuple of K of each."""


@dataclass(frozen=True)
class Prepared:
    """Features of several parts, prepared by what the first part says.

    Args:
        parts: One tensor per part, ``[n, …]``: float32, or int64 where the inputs are indices.
        names: Names of the columns; empty where a sample is not a row of columns.
        notes: What was done, one sentence each.
    """

    parts: tuple[Tensor, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...]


def prepare(parts: Sequence[Features], *, scale: bool) -> Prepared:
    """Prepares all parts by statistics of the first.

    Missing numbers are filled with the median of their column. With ``scale`` each column is
    standardised, ``(x − mean) / std``, columns that are constant in the first part become 0, and
    what lies more than 10 standard deviations from the mean is set to ±10: a pixel that is 0 in
    all but one training sample has a tiny deviation, and without a limit a single such value
    (46 in digits) would outweigh all others in that sample. What has more than two dimensions is
    standardised by one mean and one deviation. Indices (int64) are left alone.

    Categories become one column each, 0 or 1; those that the first part does not have are 0 in
    all of them. A missing category is a category. Of more than 30, the most frequent are kept and
    the others share a column.
    """
    first = parts[0]
    if isinstance(first, Table):
        return _prepare_table(cast("Sequence[Table]", parts), scale)
    arrays = cast("Sequence[NDArray[Any]]", parts)
    names = tuple(f"x{place}" for place in range(first.shape[1])) if first.ndim == 2 else ()
    if first.dtype == np.int64:
        return Prepared(_tensors(arrays), names, ())
    flat, notes = fill([array.reshape(len(array), -1) for array in arrays], names)
    if first.ndim == 2:
        return _finish(flat, names, notes, scale)
    if scale:
        mean, std = _moments(flat[0], axis=None)
        flat = [(values - mean) / std for values in flat]
    shaped = [values.reshape(array.shape) for values, array in zip(flat, arrays, strict=True)]
    return Prepared(_tensors(shaped), (), notes)


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
    first = parts[0]
    numeric = [name for name in first.names if first.is_numeric(name)]
    places = {name: place for place, name in enumerate(numeric)}
    filled, notes = fill([_matrix(part, numeric) for part in parts], numeric)
    names: list[str] = []
    blocks: list[list[NDArray[Any]]] = []  # by column, then by part
    are_categories: list[bool] = []
    for name in first.names:
        if first.is_numeric(name):
            place = places[name]
            block, new = [values[:, place : place + 1] for values in filled], [name]
        else:
            block, new, said = encode([part.columns[name] for part in parts], name)
            notes = (*notes, *said)
        blocks.append(block)
        names += new
        are_categories += [not first.is_numeric(name)] * len(new)
    whole = [np.concatenate(columns, axis=1) for columns in zip(*blocks, strict=True)]
    return _finish(whole, names, notes, scale, np.array(are_categories))


def _matrix(table: Table, names: Sequence[str]) -> NDArray[np.float64]:
    columns = [table.columns[name] for name in names]
    return np.stack(columns, axis=1) if columns else np.empty((len(table), 0))


def _finish(
    parts: Sequence[NDArray[Any]],
    names: Sequence[str],
    notes: tuple[str, ...],
    scale: bool,
    are_categories: NDArray[np.bool_] | None = None,
) -> Prepared:
    """Standardises columns ``[n, columns]``, other than those of categories."""
    constant = np.ptp(parts[0], axis=0) == 0
    if constant.any():
        one = constant.sum() == 1
        said = (
            f"{counted(int(constant.sum()), 'column')} {'is' if one else 'are'} constant in the "
            f"training part and {'carries' if one else 'carry'} nothing"
        )
        notes = (*notes, f"{said}: {listing(chosen(names, constant))}")
    if not scale:
        return Prepared(_tensors(parts), tuple(names), notes)
    from sklearn.preprocessing import StandardScaler

    scaler: Any = StandardScaler().fit(parts[0])
    as_they_are = np.zeros(len(names), bool) if are_categories is None else are_categories
    scaled = [np.where(as_they_are, part, scaler.transform(part)) for part in parts]
    scaled = [np.where(constant, 0.0, part) for part in scaled]
    beyond = np.stack([(np.abs(part) > FARTHEST).sum(0) for part in scaled]).sum(0)
    count = int(beyond.sum())
    if count:
        verb = "was" if count == 1 else "were"
        said = (
            f"{counted(count, 'value')} more than {FARTHEST:g} standard deviations from the "
            f"training mean {verb} set to ±{FARTHEST:g}"
        )
        notes = (*notes, f"{said}: {listing(chosen(names, beyond > 0))}")
    clipped = [np.clip(part, -FARTHEST, FARTHEST) for part in scaled]
    return Prepared(_tensors(clipped), tuple(names), notes)


def _tensors(parts: Sequence[NDArray[Any]]) -> tuple[Tensor, ...]:
    """float32 tensors of their own memory, or int64 where the arrays are of integers."""
    return tuple(
        torch.tensor(part, dtype=torch.int64 if part.dtype.kind == "i" else torch.float32)
        for part in parts
    )
