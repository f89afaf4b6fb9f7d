"""Data that is already in memory: arrays, tensors, data frames, lists, PyTorch data sets."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from talweg.core import UserError
from talweg.data.columns import Column, column_of
from talweg.data.datasets import check_map_style, class_names, pair_of, readable
from talweg.data.inputs import Inputs
from talweg.data.raw import Raw, fields_of, floats, from_columns, named_columns
from talweg.data.table import Features
from talweg.data.useful import table_of


def is_frame(source: object) -> bool:
    """Whether something is a data frame, of whichever library."""
    return hasattr(source, "columns") and hasattr(source, "__getitem__")


def is_pair(source: object) -> bool:
    """Whether something is ``(X, y)``."""
    return isinstance(source, (tuple, list)) and len(source) == 2


def are_several(x: object, y: object) -> bool:
    """Whether something is the inputs of a model that takes several, rather than one input.

    They are in a mapping, or in a tuple of arrays or tensors. But a tuple of as many as there are
    targets holds samples, one each, unless each of them has as many rows.
    """
    if isinstance(x, (Mapping, Inputs)):
        return True
    if not isinstance(x, tuple) or not all(isinstance(own, (Tensor, np.ndarray)) for own in x):
        return False
    try:
        targets = len(y)  # type: ignore[arg-type]
    except TypeError:
        return True
    return len(x) != targets or all(own.ndim and len(own) == targets for own in x)


def refuse_several(x: object, y: object) -> None:
    """Raises a UserError for several inputs, where only one can be used."""
    if are_several(x, y):
        raise UserError(
            "several inputs per sample are taken as they are, by talweg.lanes.train and "
            "talweg.find_lr: data to be split and scaled must have one input"
        )


def is_stream(source: object) -> bool:
    """Whether something gives samples one after another, and never says how many there are."""
    if isinstance(source, (DataLoader, IterableDataset)):
        return True
    has_rows = hasattr(source, "__len__") or hasattr(source, "__getitem__")
    return isinstance(source, Iterable) and not has_rows


def columns_of(frame: Any) -> dict[str, Any]:
    """A data frame's columns by name."""
    if hasattr(frame, "to_arrow"):
        frame = frame.to_arrow()
    if hasattr(frame, "column_names"):
        return named_columns(frame.column_names, frame.columns, "the table")
    names = list(frame.columns)
    return named_columns(names, [frame.iloc[:, place] for place in range(len(names))], "the table")


def from_frame(frame: Any, target: object) -> Raw:
    """A data frame one of whose columns is the target."""
    return from_columns(columns_of(frame), target, "the table")


def from_pair(x: Any, y: Any, name: str = "(X, y)") -> Raw:
    """Features and target that were given apart.

    Raises:
        UserError: If either cannot be used.
    """
    target = target_of(y)
    target_name = str(getattr(y, "name", None) or "target")
    if is_frame(x):
        table, notes = table_of(columns_of(x))
        return Raw(name, table, target, target_name, fills=True, notes=notes)
    features, notes = _features(x)
    return Raw(name, features, target, target_name, notes=notes)


def from_dataset(dataset: Dataset[Any]) -> Raw:
    """A map-style data set of PyTorch, read once from first to last."""
    x, y = tensors_of(dataset)
    refuse_several(x, y)
    features, notes = _features(x)
    return Raw(
        type(dataset).__name__,
        features,
        target_of(y),
        classes=class_names(dataset),
        notes=notes,
    )


def tensors_of(
    dataset: Dataset[Any],
) -> tuple[Tensor | tuple[Tensor, ...] | dict[str, Tensor], Tensor]:
    """All samples of a map-style data set as two tensors, or as several inputs and a tensor.

    Raises:
        UserError: If its length is unknown or 0, or its samples are not pairs that can be stacked.
    """
    check_map_style(dataset)
    # A generator of its own, so that reading does not advance the user's random numbers.
    loader = DataLoader(dataset, batch_size=256, generator=torch.Generator())
    xs: list[Any] = []
    ys: list[Tensor] = []
    with readable():
        for batch in loader:
            x, y = pair_of(batch)
            xs.append(x)
            ys.append(y)
        return _joined(xs), torch.cat(ys)


def _joined(parts: Sequence[Any]) -> Any:
    """Parts of an input one after another, or those of each input."""
    first = parts[0]
    if isinstance(first, Mapping):
        if any(part.keys() != first.keys() for part in parts):
            raise ValueError("x holds other names in some samples than in others")
        return {name: torch.cat([part[name] for part in parts]) for name in first}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(first, (list, tuple)):
        return tuple(torch.cat(own) for own in zip(*parts, strict=True))  # pyright: ignore[reportUnknownArgumentType]
    return torch.cat(list(parts))


def target_of(y: Any) -> Column:
    """A target from a tensor, an array, a series, a data frame of one column, or a list."""
    if is_frame(y):
        columns = columns_of(y)
        if len(columns) == 1:
            return column_of(*next(iter(columns.items())), exact=True)
        parts = [column_of(name, values).values for name, values in columns.items()]
        return _target_rows(np.stack(parts, axis=1))
    if isinstance(y, (np.ndarray, Tensor, list, tuple)):
        values = array_of(y, "target")
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim == 2:
            return _target_rows(values)
        if values.ndim != 1:
            raise UserError(
                f"the target must have one value or one row of values per sample, "
                f"got shape {list(values.shape)}"
            )
        return column_of("target", values, exact=True)
    if isinstance(y, (str, bytes)) or not hasattr(y, "__len__"):
        raise UserError(f"the target must be an array or a list, got {type(y).__name__}")
    return column_of("target", y, exact=True)


def array_of(values: Any, what: str) -> NDArray[Any]:
    """A tensor, list or array as an array.

    Raises:
        UserError: If it is not an array of one shape.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype is torch.bfloat16 else values).numpy()
    if hasattr(values, "toarray"):
        return np.asarray(values.toarray())
    if np.ma.is_masked(values):
        values = values.astype(np.float64).filled(np.nan)
    try:
        array = np.asarray(values)
    except (ValueError, TypeError):
        raise UserError(f"{what} must be an array; its rows are of different lengths") from None
    if array.dtype.kind in "US" and isinstance(values, (list, tuple)):
        array = np.asarray(values, dtype=object)  # keeps None and numbers apart from text
    return array


def are_indices(x: object, ndim: int) -> bool:
    """Whether integers are indices, such as tokens, rather than amounts.

    They are in tensors of int32 or int64, and in arrays of signed integers with more than two
    dimensions. All others, such as the bytes of images, are amounts.
    """
    if isinstance(x, Tensor):
        return x.dtype in (torch.int32, torch.int64)
    return isinstance(x, np.ndarray) and x.dtype.kind == "i" and ndim > 2


def _features(x: Any) -> tuple[Features, tuple[str, ...]]:
    values = array_of(x, "features")
    if values.dtype.names:
        return table_of(fields_of(values))
    if values.ndim and are_indices(x, values.ndim):
        return values.astype(np.int64), ()
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim == 2 and values.dtype.kind in "OUMm":
        return table_of({f"x{place}": values[:, place] for place in range(values.shape[1])})
    if values.ndim == 0 or values.dtype.kind not in "biuf":
        raise UserError(
            f"features must be an array of numbers with one row per sample, "
            f"got {type(x).__name__} of {values.dtype} with shape {list(values.shape)}"
        )
    if 0 in values.shape[1:]:
        raise UserError(f"features have no columns: their shape is {list(values.shape)}")
    return floats(values), ()


def _target_rows(values: NDArray[Any]) -> Column:
    if values.dtype.kind not in "biuf":
        raise UserError(f"a target of shape {list(values.shape)} must hold numbers")
    return Column(values.astype(np.float64), "real")
