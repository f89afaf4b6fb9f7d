"""What kind of task a target asks for, and its values as class numbers or float64."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.core import UserError, counted
from talweg.data.columns import Column, missing_in
from talweg.data.table import LARGEST

FEW = 20
"""Whole numbers with at most this many different values are taken as classes."""


@dataclass(frozen=True)
class Target:
    """A target whose kind is settled.

    Args:
        kind: ``"classification"`` or ``"regression"``.
        values: Class numbers ``[N]`` (int64), or values ``[N]`` or ``[N, K]`` (float64).
        classes: The name of each class number; empty for regression.
        notes: What was decided, where it could have been decided otherwise.
    """

    kind: str
    values: NDArray[Any]
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def settle(
    column: Column,
    name: str,
    kind: str | None = None,
    names: tuple[str, ...] = (),
) -> Target:
    """The kind of task and the encoded target.

    Text and true/false are classes. Whole numbers, also those stored as floats, are classes if
    they have at most 20 different values, or are exactly 0 … C−1 with 10 rows a class, and either
    way at least two rows a class, on average. Rows of 0 and 1 with a single 1 are classes too
    (one-hot). All else is a number.

    Args:
        column: The target without missing values, ``[N]`` or ``[N, K]``.
        name: What the target is called.
        kind: The kind that was asked for, or None to decide by the values.
        names: Names of classes 0, 1, …, if they have any.

    Raises:
        UserError: If the target is not of the kind asked for, or holds nothing to learn.
    """
    if column.values.ndim == 2:
        return _settle_rows(column.values, name, kind)
    if column.flavour != "text":
        _check_finite(column.values, name)
    distinct = np.unique(column.values)
    if len(distinct) == 1:
        raise UserError(
            f"target {name!r} has the same value in every row ({_shown(column, distinct[0])}); "
            f"there is nothing to learn"
        )
    chosen, notes = (kind, ()) if kind else _decide(column, name, distinct)
    if chosen == "regression":
        return Target(chosen, _as_numbers(column, name), notes=notes)
    if 2 * len(distinct) > len(column.values):
        raise UserError(
            f"target {name!r} has {len(distinct)} different values in {len(column.values)} rows; "
            f"classes need two rows each on average"
            + ("" if column.flavour == "text" else ' (kind="regression" predicts the number)')
        )
    classes, numbers = _encode(column, distinct, names)
    return Target(chosen, numbers, classes, notes)


def _settle_rows(values: NDArray[Any], name: str, kind: str | None) -> Target:
    one_hot = bool(np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all())
    if kind == "regression" or (kind is None and not one_hot):
        _check_finite(values, name)
        if (np.ptp(values, axis=0) == 0).all():
            raise UserError(f"target {name!r} is the same in every row; there is nothing to learn")
        return Target("regression", values.astype(np.float64))
    if not one_hot:
        raise UserError(
            f"target {name!r} of shape {list(values.shape)} must be one class per row, or one-hot"
        )
    found = settle(Column(values.argmax(1).astype(np.float64), "whole"), name, "classification")
    note = f"target {name!r} is one-hot and was turned into {len(found.classes)} class numbers"
    return Target(found.kind, found.values, found.classes, (note,))


def _decide(column: Column, name: str, distinct: NDArray[Any]) -> tuple[str, tuple[str, ...]]:
    if column.flavour in ("text", "truth"):
        return "classification", ()
    whole = bool((distinct == np.round(distinct)).all())
    if column.flavour == "time":
        return "regression", (f"target {name!r} holds dates or times, turned into seconds",)
    if not whole:
        return "regression", ()
    count, rows = len(distinct), len(column.values)
    numbered = bool((distinct == np.arange(count)).all()) and rows >= 10 * count
    seen = f"target {name!r} holds {count} different whole numbers and was taken as"
    if rows < 2 * count or (count > FEW and not numbered):
        doubtful = column.flavour == "whole" and rows >= 2 * count and count <= 100
        note = f'{seen} a number; kind="classification" takes them as classes'
        return "regression", (note,) if doubtful else ()
    note = f'{seen} classes; kind="regression" takes them as a number'
    return "classification", (note,) if count > 2 else ()


def _encode(
    column: Column, distinct: NDArray[Any], names: tuple[str, ...]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Class names in order, numeric ones by number, and the number of each row's class."""
    if names and column.flavour == "whole" and distinct.min() >= 0 and distinct.max() < len(names):
        return names, column.values.astype(np.int64)
    order = np.arange(len(distinct))
    if column.flavour == "text" and _are_numbers(distinct):
        order = np.argsort([float(value) for value in distinct], kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    classes = tuple(_shown(column, value) for value in distinct[order])
    return classes, place[np.searchsorted(distinct, column.values)].astype(np.int64)


def _as_numbers(column: Column, name: str) -> NDArray[np.float64]:
    values = column.values
    if column.flavour == "text":
        try:
            values = np.array([float(value) for value in values])
        except ValueError:
            example = next(value for value in values if not _are_numbers([value]))
            raise UserError(
                f"target {name!r} holds text such as {str(example)!r}, which is not a number; "
                f"a regression needs numbers"
            ) from None
    _check_finite(values, name)
    return values


def _check_finite(values: NDArray[Any], name: str) -> None:
    count = int((np.abs(values) > LARGEST).sum())
    if count:
        raise UserError(
            f"target {name!r} holds {counted(count, 'infinite value')} (beyond ±3.4e38)"
        )


def _are_numbers(values: Any) -> bool:
    try:
        return bool(np.isfinite([float(value) for value in values]).all())
    except ValueError:
        return False


def _shown(column: Column, value: Any) -> str:
    if column.flavour == "text":
        return str(value)
    if column.flavour == "truth":
        return str(bool(value))
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def without_missing(column: Column, name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The rows that have a target, and a note on those that have not.

    Raises:
        UserError: If no row has one.
    """
    missing = missing_in(column.values)
    missing = np.asarray(missing.reshape(len(missing), -1).any(axis=1))
    rows = np.flatnonzero(~missing)
    if len(rows) == 0:
        raise UserError(f"target {name!r} is missing in every row")
    dropped = len(missing) - len(rows)
    verb = "was" if dropped == 1 else "were"
    note = f"{counted(dropped, 'row')} without a target {verb} dropped"
    return rows, (note,) if dropped else ()
