"""Means and deviations of columns, gathered piece by piece."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Part = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]
"""Of each column: how many values, their mean, the sum of squared deviations, lowest, highest."""


class Moments:
    """What standardising needs to know of columns, exact however the rows were cut into pieces.

    Sums of two pieces are joined as in Chan, Golub and LeVeque, "Updating formulae and a pairwise
    algorithm for computing sample variances" (1979), equation 2.1.

    Args:
        width: How many columns.

    Attributes:
        gaps: Missing values of each column so far.

    >>> moments = Moments(1)
    >>> moments.add(np.array([[1.0], [np.nan]])); moments.add(np.array([[3.0]]))
    >>> [float(values[0]) for values in moments.finish(np.array([2.0]))[:2]]
    [2.0, 0.816496580927726]
    """

    def __init__(self, width: int) -> None:
        nothing = np.zeros(width)
        self.gaps = np.zeros(width, np.int64)
        self._so_far: Part = (
            nothing,
            nothing,
            nothing,
            np.full(width, np.inf),
            np.full(width, -np.inf),
        )

    @property
    def empty(self) -> NDArray[np.bool_]:
        """Which columns had no value so far."""
        return self._so_far[0] == 0

    def add(self, values: NDArray[Any]) -> None:
        """Takes in rows ``[n, columns]``, NaN = missing."""
        if len(values) == 0:
            return
        gaps = np.isnan(values)
        missing = gaps.sum(0)
        self.gaps = self.gaps + missing
        count = (len(values) - missing).astype(np.float64)
        if missing.any():
            low, high = (np.where(gaps, end, values) for end in (np.inf, -np.inf))
            values = np.where(gaps, 0.0, values)
        else:
            low = high = values
        mean = values.sum(0, dtype=np.float64) / np.maximum(count, 1)
        apart = values - mean
        if missing.any():
            apart[gaps] = 0.0
        squares = np.einsum("nc,nc->c", apart, apart, dtype=np.float64)
        self._so_far = _joined(self._so_far, (count, mean, squares, low.min(0), high.max(0)))

    def only(self, columns: NDArray[np.bool_]) -> "Moments":
        """Those of some of the columns."""
        found = Moments(int(columns.sum()))
        found.gaps = self.gaps[columns]
        count, mean, squares, low, high = (values[columns] for values in self._so_far)
        found._so_far = count, mean, squares, low, high
        return found

    def finish(
        self, medians: NDArray[Any] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Mean and standard deviation with the gaps filled, and which columns are constant.

        The deviation is 1 where values differ by no more than rounding, as scikit-learn's
        ``StandardScaler`` has it.

        Args:
            medians: What gaps are filled with, ``[columns]``; None to leave them out.
        """
        whole = self._so_far
        if medians is not None:
            gaps = self.gaps.astype(np.float64)
            low, high = (np.where(gaps > 0, medians, end) for end in (np.inf, -np.inf))
            medians = medians.astype(np.float64)
            whole = _joined(whole, (gaps, medians, np.zeros(len(gaps)), low, high))
        count, mean, squares, low, high = whole
        variance = squares / count
        epsilon = np.finfo(np.float64).eps
        rounding = count * epsilon * variance + (count * mean * epsilon) ** 2
        std = np.where(variance <= rounding, 1.0, np.sqrt(variance))
        return mean, std, low == high


def _joined(a: Part, b: Part) -> Part:
    count = a[0] + b[0]
    share = b[0] / np.maximum(count, 1)
    apart = b[1] - a[1]
    return (
        count,
        a[1] + apart * share,
        a[2] + b[2] + apart**2 * a[0] * share,
        np.minimum(a[3], b[3]),
        np.maximum(a[4], b[4]),
    )
