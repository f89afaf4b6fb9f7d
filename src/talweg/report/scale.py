"""Axes: which part of the numbers to show, and where the ticks go."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """A linear axis from ``low`` to ``high``, drawn in percent of a width.

    >>> Scale(0.0, 10.0).percent(5.0)
    50.0
    """

    low: float
    high: float

    def percent(self, value: float) -> float:
        """Where a value lies, with 4% left free at both ends; ends are not passed."""
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return round(4 + 92 * min(1.0, max(0.0, share)), 2)

    def ticks(self, about: int = 3) -> list[float]:
        """Round numbers inside the axis, at most ``about`` steps apart.

        >>> Scale(0.931, 0.983).ticks()
        [0.94, 0.96, 0.98]
        """
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        raw = span / about
        power = 10 ** math.floor(math.log10(raw))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= 0.999 * raw)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(count * step, 12) for count in range(first, last + 1)]


def known(values: Iterable[float]) -> list[float]:
    """The finite ones."""
    return [value for value in values if math.isfinite(value)]


def whole(values: Sequence[float]) -> tuple[float, float] | None:
    """The range of all values with a little air; None if there is none."""
    finite = known(values)
    if not finite:
        return None
    low, high = min(finite), max(finite)
    air = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    return low - air, high + air


def close_up(
    tops: Sequence[tuple[float, float, float]], best_is_high: bool
) -> tuple[float, float] | None:
    """The part of an axis in which the better half of the rules lies, and twice as much below.

    Args:
        tops: The lowest, mean and highest value of each rule at its best; the study's winner comes
            first and lies within, whatever it has here.
        best_is_high: The direction of the metric.

    >>> low, high = close_up([(y, y, y) for y in (0.97, 0.96, 0.95, 0.93, 0.1)], best_is_high=True)
    >>> round(low, 3), round(high, 3)
    (0.91, 0.976)
    >>> close_up([(y, y, y) for y in (0.5, 0.97, 0.96)], best_is_high=True)[0]
    0.5
    """
    finite = sorted(
        (top for top in tops if all(map(math.isfinite, top))),
        key=lambda top: top[1],
        reverse=best_is_high,
    )
    if len(finite) < 2:
        return None
    better = finite[: len(finite) // 2 + 1]
    best, middle = better[0][1], better[-1][1]
    spread = abs(best - middle)
    ends = (3.0, 0.3) if best_is_high else (0.3, 3.0)
    better += [top for top in tops[:1] if top in finite]
    low = min(best - ends[0] * spread, *(top[0] for top in better))
    high = max(best + ends[1] * spread, *(top[2] for top in better))
    return (low, high) if high > low else None
