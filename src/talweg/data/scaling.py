"""Columns brought to mean 0 and standard deviation 1, and what is said of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.core import counted, listing
from talweg.data.fill import chosen

FARTHEST = 10.0
"""Standardised values end at this many standard deviations from the mean."""


@dataclass(frozen=True)
class Scaling:
    """What is done to columns.

    Args:
        standardised: ``(x − mean) / std`` of rows ``[n, columns]``.
        constant: Columns that become 0.
        as_they_are: Columns that are left alone otherwise: those of categories.
    """

    standardised: Callable[[NDArray[Any]], NDArray[Any]]
    constant: NDArray[np.bool_]
    as_they_are: NDArray[np.bool_]

    def __call__(self, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Scaled rows ``[n, columns]``, and how many values of each column were cut off."""
        scaled = self.standardised(values)
        if self.as_they_are.any():
            scaled = np.where(self.as_they_are, values, scaled)
        if self.constant.any():
            scaled = np.where(self.constant, 0.0, scaled)
        beyond = (np.abs(scaled) > FARTHEST).sum(0)
        return np.clip(scaled, -FARTHEST, FARTHEST), beyond


def note_on_constant(names: Sequence[str], constant: NDArray[np.bool_]) -> tuple[str, ...]:
    """Which columns carry nothing, if any."""
    count = int(constant.sum())
    if count == 0:
        return ()
    said = (
        f"{counted(count, 'column')} {'is' if count == 1 else 'are'} constant in the training "
        f"part and {'carries' if count == 1 else 'carry'} nothing"
    )
    return (f"{said}: {listing(chosen(names, constant))}",)


def note_on_beyond(names: Sequence[str], beyond: NDArray[np.int64]) -> tuple[str, ...]:
    """How many values were cut off, if any."""
    count = int(beyond.sum())
    if count == 0:
        return ()
    verb = "was" if count == 1 else "were"
    said = (
        f"{counted(count, 'value')} more than {FARTHEST:g} standard deviations from the "
        f"training mean {verb} set to ±{FARTHEST:g}"
    )
    return (f"{said}: {listing(chosen(names, beyond > 0))}",)
