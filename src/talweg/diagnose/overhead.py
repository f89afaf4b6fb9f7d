"""What measuring takes of a run's time, as far as that shows from inside."""

import time
from collections import deque
from statistics import median

FEW = 8
"""Steps right before a measured one, to whose length its own is compared."""
MANY = 99
"""Measured steps whose length is remembered, and those before them."""


class Overhead:
    """Adds up what the measurements take.

    A measured step takes longer than the steps before it by more than is spent here: torch calls
    hooks by a longer way, and what the processor had at hand is gone. That is told by the lengths
    of steps: as a median, since a loop may do other things now and then.
    """

    def __init__(self) -> None:
        self._began = self._last = time.perf_counter()
        self._own = 0.0
        self._lengths: deque[float] = deque(maxlen=FEW)
        self._beside: deque[tuple[float, list[float]]] = deque(maxlen=MANY)
        self._measured = 0

    def begin(self, own: float) -> None:
        """The steps before a measured one begin.

        Args:
            own: Seconds spent here since the run began.
        """
        self._last, self._own = time.perf_counter(), own

    def step(self, own: float, *, is_measured: bool) -> None:
        """A step is over.

        Args:
            own: Seconds spent here since the run began.
            is_measured: Whether it was a measured one.
        """
        now = time.perf_counter()
        length = now - self._last - (own - self._own)
        self._last, self._own = now, own
        if not is_measured:
            self._lengths.append(length)
            return
        self._measured += 1
        if self._lengths:
            self._beside.append((length, [*self._lengths]))

    def seconds(self, own: float) -> tuple[float, float]:
        """The time since the run began and, within it, that of the measurements.

        Args:
            own: Seconds spent here.
        """
        unseen = [length - median(before) for length, before in self._beside]
        more = max(median(unseen), 0.0) if unseen else 0.0
        return time.perf_counter() - self._began, own + self._measured * more
