"""Any source → Data: reading, checking, deciding what kind of task it is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

from talweg.core import UserError, choose
from talweg.data.bundled import BUNDLED
from talweg.data.datasets import from_dataset
from talweg.data.files import READERS, from_file
from talweg.data.flaws import Flaws
from talweg.data.inputs import said_of
from talweg.data.mapped import opened
from talweg.data.memory import from_frame, is_frame, is_pair, is_stream
from talweg.data.on_demand import from_large_dataset
from talweg.data.raw import Raw, from_matrix
from talweg.data.room import allowed_memory, give_back
from talweg.data.samples import Samples
from talweg.data.several import from_given
from talweg.data.table import KINDS, Data, Scan, Several, check_lengths, take
from talweg.data.target import settle, without_missing

MISSING = ("median", "error")


def load(
    source: Any,
    *,
    target: str | int | None = None,
    kind: str | None = None,
    missing: str | None = None,
    memory: str | int | None = None,
) -> Data:
    """Reads a data set and decides what is to be learned from it.

    Rows without a target are dropped. The target's classes are sorted, by number where they are
    numbers. All that was done is told in the notes of the result.

    Args:
        source: One of

            - the name of a bundled data set: digits, iris, wine, breast_cancer, diabetes;
            - a .csv, .tsv or .parquet file with a target column, or a folder of .parquet files
              that have the same columns;
            - an .npz file with arrays X and y (or x and y, data and target, or the target's name
              and one other array, or several others, which are inputs by their names);
            - an .npy file, or an array, whose last (or ``target``) column is the target;
            - ``(X, y)``: arrays, tensors, lists, data frames, or two .npy files. Tensors of int32
              or int64, and arrays of signed integers with more than two dimensions, are indices
              (tokens): they stay integers and are never scaled. Several inputs of a model are
              ``((a, b), y)``, in the order of its arguments, or ``({"ids": a, "mask": b}, y)``,
              by their names; each is prepared as it would be alone, but all signed integers among
              them are indices, and true/false stays as it is;
            - a data frame with a target column;
            - a map-style PyTorch data set of ``(x, y)``, which is read once where it fits; for
              several inputs, of ``((a, b), y)`` or ``({"ids": a, "mask": b}, y)``;
            - `Samples`, or `Data`, which is returned as it is.
        target: The target's column (or array) where the source does not say.
        kind: ``"classification"`` or ``"regression"``; None decides by the target: text,
            true/false and whole numbers with few different values are classes.
        missing: What to do about missing features. ``"median"``: numbers are filled with the
            median of the training part, and missing categories are a category of their own.
            ``"error"``: none are allowed. None is ``"median"`` for tables (.csv, .tsv, .parquet,
            data frames), ``"error"`` for the rest.
        memory: What the process may take in all, in bytes or as ``"1.5G"``; None for 80% of what
            is free. Parquet and .npy files and data sets that would take more are read in pieces,
            and what does not fit even as float32 stays on disk, from where batches are read;
            medians and categories are then those of up to 100,000 rows.

    Raises:
        UserError: If the source cannot be found, read or used, in one line. Rows and columns are
            counted from 0.

    >>> data = load("iris")
    >>> len(data), data.kind, data.classes
    (150, 'classification', ('setosa', 'versicolor', 'virginica'))
    """
    if kind is not None and kind not in KINDS:
        raise choose("kind", kind, KINDS)
    if missing is not None and missing not in MISSING:
        raise choose("way to treat missing values", missing, MISSING)
    if isinstance(source, Data):
        if (target, kind, missing) != (None, None, None):
            raise UserError("data that is loaded already has its target, kind and missing values")
        return source
    raw = _read(source, target, allowed_memory(memory))
    data = _finish(raw, kind or raw.kind, missing or ("median" if raw.fills else "error"))
    if isinstance(raw.features, Scan):
        give_back()
    return data


def _read(source: Any, target: str | int | None, memory: int) -> Raw:
    if isinstance(source, (str, Path)):
        if str(source) not in BUNDLED or isinstance(source, Path):
            return _from_path(source, target, memory)
        found = BUNDLED[str(source)]
        _refuse(target, f"data set {source!r}")
        return found()
    if is_frame(source):
        return from_frame(source, target)
    if isinstance(source, np.ndarray):
        return from_matrix(source, target, "the array")
    _refuse(target, type(source).__name__ if not is_pair(source) else "(X, y)")
    if isinstance(source, Samples):
        return from_given(source.x, source.y, "samples", memory)
    if is_pair(source):
        return from_given(*opened(*source), memory)
    if isinstance(source, Dataset):
        return from_large_dataset(source, memory) or from_dataset(source, memory)
    if isinstance(source, DataLoader):
        raise UserError("data must be a data set, not a DataLoader: give its .dataset")
    if is_stream(source):
        raise UserError(
            f"{type(source).__name__} is a stream, without rows to split: collect its samples "
            f"first, as (X, y), or learn from it as it arrives by talweg.lanes.train"
        )
    raise UserError(
        f"data must be a name ({', '.join(BUNDLED)}), a file ({', '.join(READERS)}), (X, y), "
        f"a data frame or a PyTorch Dataset, got {type(source).__name__}"
    )


def _from_path(source: str | Path, target: object, memory: int) -> Raw:
    path = Path(source).expanduser()
    try:
        exists = path.exists()
    except OSError as error:
        raise UserError(f"cannot read {str(source)[:40]!r}: {error.strerror}") from None
    if not exists and isinstance(source, str) and not path.suffix and path.name == source:
        more = f"bundled: {', '.join(BUNDLED)}; or a file: {', '.join(READERS)}"
        raise choose("data set", str(source), BUNDLED, more)
    return from_file(path, target, memory)


def _refuse(target: object, what: str) -> None:
    if target is not None:
        raise UserError(f"{what} has its own target; leave out target={target!r}")


def _finish(raw: Raw, kind: str | None, missing: str) -> Data:
    check_lengths(raw.features, raw.target.values)
    rows, dropped = without_missing(raw.target, raw.target_name)
    features = take(raw.features, rows)
    if isinstance(features, Scan):
        features = replace(features, missing=missing)
    else:
        inputs = features.by_name if isinstance(features, Several) else {"": features}
        for name, values in inputs.items():
            flaws = Flaws(missing)
            flaws.look(values, rows)
            with said_of(name):
                flaws.complain()
    column = replace(raw.target, values=raw.target.values[rows])
    target = settle(column, raw.target_name, kind, raw.classes)
    notes = (*raw.notes, *dropped, *target.notes)
    return Data(
        raw.name, target.kind, features, target.values, target.classes, raw.target_name, notes
    )
