"""What is done to each piece of features that stay in their files."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.data.encoder import Encoder
from talweg.data.fill import filled, medians_of, notes_on_gaps
from talweg.data.scaling import Scaling, note_on_constant
from talweg.data.survey import Survey
from talweg.data.table import Table

FLOAT, INDEX = np.dtype(np.float32), np.dtype(np.int64)


@dataclass(frozen=True)
class Form:
    """What comes of a piece.

    Args:
        names: Names of the columns; empty where a sample has more than one dimension.
        notes: What is done, one sentence each.
        shape: Of a sample.
        dtype: Of what comes out.
        apply: The piece → its samples ``[n, *shape]``, and how many values were cut off, by column.
    """

    names: tuple[str, ...]
    notes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    apply: Callable[[Any], tuple[NDArray[Any], NDArray[np.int64]]]


def form_of(found: Survey, scale: bool) -> Form:
    """What to do to pieces, by what the survey of the training part found."""
    if isinstance(found.sample, Table):
        return _of_table(found, found.sample, scale)
    if found.sample.dtype == INDEX:
        nothing = np.zeros(found.sample[0].size, np.int64)
        shape = found.sample.shape[1:]
        return Form(_numbered(found.sample), (), shape, INDEX, lambda piece: (piece, nothing))
    return _of_array(found, found.sample, scale)


def _of_table(found: Survey, sample: Table, scale: bool) -> Form:
    encoder = Encoder(sample)
    mean, std, constant = (np.zeros(len(encoder.names), kind) for kind in (float, float, bool))
    numbers, words = ~encoder.are_categories, encoder.are_categories
    mean[numbers], std[numbers], constant[numbers] = found.moments.finish(encoder.medians)
    std[words] = 1.0
    constant[words] = np.ptp(encoder(sample)[:, words], axis=0) == 0
    notes = (
        *notes_on_gaps(found.gaps, found.moments.empty, encoder.numeric),
        *encoder.notes,
        *note_on_constant(encoder.names, constant),
    )
    scaling = _scaling(mean, std, constant, words) if scale else _uncut
    shape = (len(encoder.names),)
    return Form(tuple(encoder.names), notes, shape, FLOAT, lambda piece: scaling(encoder(piece)))


def _of_array(found: Survey, sample: NDArray[Any], scale: bool) -> Form:
    shape, names = sample.shape[1:], _numbered(sample)
    medians = medians_of(sample.reshape(len(sample), -1))
    mean, std, constant = found.moments.finish(medians if names else None)
    notes = notes_on_gaps(found.gaps, found.moments.empty, names)
    if not names:  # a sample is no row of columns: one mean for all, and nothing is cut off
        scaling = partial(_uncut, mean=mean, std=std) if scale else _uncut
    else:
        notes = (*notes, *note_on_constant(names, constant))
        scaling = _scaling(mean, std, constant, constant & False) if scale else _uncut

    def apply(piece: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        scaled, beyond = scaling(filled(piece.reshape(len(piece), -1), medians))
        return scaled.reshape(piece.shape), beyond

    return Form(names, notes, shape, FLOAT, apply)


def _numbered(sample: NDArray[Any]) -> tuple[str, ...]:
    return tuple(f"x{place}" for place in range(sample.shape[1])) if sample.ndim == 2 else ()


def _scaling(
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    constant: NDArray[np.bool_],
    as_they_are: NDArray[np.bool_],
) -> Scaling:
    return Scaling(lambda values: (values - mean) / std, constant, as_they_are)


def _uncut(
    values: NDArray[Any], mean: NDArray[Any] | float = 0.0, std: NDArray[Any] | float = 1.0
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Values that are shifted and stretched, if at all, and none of them cut off."""
    return (values - mean) / std, np.zeros(values.shape[1], np.int64)
