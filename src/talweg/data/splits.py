"""Training, validation and test parts, prepared by what the training part alone says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talweg.core import UserError, counted, is_finite, listing, whole_number
from talweg.data.prepare import Prepared, TargetScale, prepare, prepare_targets, together
from talweg.data.prepare_scan import prepare_scan
from talweg.data.room import give_back
from talweg.data.samples import Samples
from talweg.data.table import Data, Features, Scan, Several, held_rows

PARTS = ("training", "validation", "test")
ENOUGH = 150
"""Rows to hold out where a tenth would be fewer, if a fifth allows."""


@dataclass(frozen=True)
class Splits:
    """A data set in three parts, ready to train on.

    Args:
        train: What is trained on.
        validation: What settings are chosen by.
        test: What is reported.
        kind: ``"classification"`` or ``"regression"``.
        classes: The name of each class number; empty for regression.
        notes: What was done to the data, one sentence each.
        features: Names of the input columns after encoding; empty where a sample has more than
            one dimension. Where there are several inputs, each with the name of its input.
        target_scale: The training part's mean and standard deviation that regression targets were
            standardised by, so that ``y · std + mean`` is in the target's own unit; for targets
            ``[N, K]`` a tuple of K means and one of K deviations. (0, 1) for classes, and for
            targets that were not scaled.
    """

    train: Samples
    validation: Samples
    test: Samples
    kind: str
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    features: tuple[str, ...]
    target_scale: TargetScale


def split(
    data: Data,
    *,
    seed: int = 0,
    fractions: Sequence[float] | None = None,
    scale: bool = True,
) -> Splits:
    """Splits a data set and prepares its parts.

    Classes keep their share in each part; a class of a single row goes to the training part. Where
    there are too few rows for that the split is random, but for one row of each class that goes to
    the training part. Whatever class a part is left without is named in the notes.

    Args:
        data: What `load` returned.
        seed: At least 0; the same seed always gives the same parts.
        fractions: Shares of the training, validation and test part; they add up to 1. None holds
            out a tenth each for validation and test, or up to a fifth where a tenth is fewer than
            150 rows.
        scale: Whether to standardise features and regression targets; see
            `talweg.data.prepare.prepare`.

    Raises:
        UserError: If the fractions are no shares, or the rows too few.

    >>> from talweg.data import load
    >>> parts = split(load("iris"))
    >>> len(parts.train), len(parts.validation), len(parts.test), parts.features[0]
    (90, 30, 30, 'sepal length (cm)')
    """
    whole_number("seed", seed, at_least=0)
    held_out = _sizes(len(data), fractions)
    labels = data.target if data.kind == "classification" else None
    shuffled = np.random.default_rng(seed).permutation(len(data))
    rest, test_rows, first_even = _cut(shuffled, labels, held_out[1], seed)
    train_rows, validation_rows, even = _cut(rest, labels, held_out[0], seed)
    rows = [train_rows, validation_rows, test_rows]
    prepared = _prepared(data.features, rows, scale)
    targets, target_scale = prepare_targets([data.target[part] for part in rows], scale=scale)
    if isinstance(data.features, Scan):
        give_back()
    train, validation, test = map(Samples, prepared.parts, targets)
    said = () if labels is None else _shares(data, rows, first_even and even)
    notes = (*data.notes, *said, *prepared.notes)
    return Splits(
        train,
        validation,
        test,
        data.kind,
        data.classes,
        notes,
        prepared.names,
        target_scale,
    )


def everything(data: Data | Samples, *, scale: bool = True) -> Samples:
    """All rows as samples, prepared by statistics of all rows.

    Regression targets are standardised too: by ``data.target``'s own mean and standard deviation.

    Args:
        data: What `load` returned; `Samples` are returned as they are.
        scale: Whether to standardise; see `talweg.data.prepare.prepare`.
    """
    if isinstance(data, Samples):
        return data
    (x,) = _prepared(data.features, None, scale).parts
    (y,), _ = prepare_targets([data.target], scale=scale)
    return Samples(x, y)


def _prepared(
    features: Features, rows: Sequence[NDArray[np.int64]] | None, scale: bool
) -> Prepared:
    """Parts of these rows, or all rows as the only part."""
    if isinstance(features, Several):
        return together({key: _prepared(own, rows, scale) for key, own in features.inputs.items()})
    if isinstance(features, Scan):
        return prepare_scan(features, rows or [np.arange(len(features))], scale=scale)
    parts = [features] if rows is None else [held_rows(features, part) for part in rows]
    return prepare(parts, scale=scale)


def _sizes(count: int, fractions: Sequence[float] | None) -> tuple[int, int]:
    """How many rows to hold out for validation and for the test."""
    if fractions is None:
        held = max(1, round(count / 10), min(ENOUGH, round(count / 5)))
        sizes = held, held
    else:
        sizes = _shares_of(count, fractions)
    if count - sum(sizes) < 2:
        raise UserError(
            f"{counted(count, 'row')} cannot be split into training (at least 2 rows), "
            f"validation and test parts; give more data"
        )
    return sizes


def _shares_of(count: int, fractions: Sequence[float]) -> tuple[int, int]:
    if (
        not isinstance(fractions, Sequence)  # pyright: ignore[reportUnnecessaryIsInstance]
        or len(fractions) != 3
        or not all(is_finite(share) and 0 < share < 1 for share in fractions)
        or abs(sum(fractions) - 1) > 1e-6
    ):
        raise UserError(
            f"fractions must be three positive numbers that add up to 1 "
            f"(training, validation, test), got {fractions!r}"
        )
    validation, test = (max(1, round(count * share)) for share in fractions[1:])
    return validation, test


def _cut(
    rows: NDArray[np.int64], labels: NDArray[np.int64] | None, held: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], bool]:
    """Splits ``held`` rows off: what is kept, what is held out, whether classes keep their share.

    A class that has a single row keeps it.
    """
    from sklearn.model_selection import train_test_split

    fixed, stratify = rows[:0], None
    if labels is not None:
        own = labels[rows]
        _, firsts, numbers, members = np.unique(
            own, return_index=True, return_inverse=True, return_counts=True
        )
        several = members[numbers] > 1
        classes = int((members > 1).sum())
        if classes <= held <= several.sum() - classes:
            fixed, rows, stratify = rows[~several], rows[several], own[several]
        elif len(firsts) <= len(rows) - held:
            fixed, rows = rows[firsts], np.delete(rows, firsts)
    if len(rows) == held:
        return fixed, rows, False
    kept, out = train_test_split(rows, test_size=held, random_state=seed % 2**32, stratify=stratify)
    return np.concatenate([fixed, kept]), np.asarray(out), stratify is not None


def _shares(data: Data, rows: Sequence[NDArray[np.int64]], even: bool) -> tuple[str, ...]:
    """Notes on how the classes are spread over the parts."""
    notes: list[str] = []
    if not even:
        notes.append("there are too few rows for each class to keep its share in each part")
    every = set(np.unique(data.target).tolist())
    for part, chosen in zip(PARTS, rows, strict=True):
        absent = sorted(every - set(data.target[chosen].tolist()))
        if absent:
            names = listing([data.classes[number] for number in absent])
            many = counted(len(absent), "rare class", "rare classes")
            notes.append(f"the {part} part has no row of {many}: {names}")
    return tuple(notes)
