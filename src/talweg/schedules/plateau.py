"""A schedule that waits for what is measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from talweg.core import UserError, check_number, whole_number


@dataclass(frozen=True)
class ReduceOnPlateau:
    """Multiplies by ``factor`` when a reading has not improved for ``patience`` readings.

    No function of the step: it is one of the readings so far. `shares` gives it for all of them, so
    that a run which goes on after a pause goes on as it would have.

    Args:
        factor: What is left, above 0.
        patience: Readings without improvement that are waited for, at least 0.
        threshold: By what share a reading must be better to count, at least 0.
        cooldown: Readings after a fall that are not counted, at least 0.
        end: The least share of ``lr0``, at least 0.
        mode: ``"min"`` or ``"max"``: which reading is better.

    Source: `torch.optim.lr_scheduler.ReduceLROnPlateau`, with ``threshold_mode="rel"``.
    """

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    cooldown: int = 0
    end: float = 0.0
    mode: str = "min"

    def __post_init__(self) -> None:
        if self.mode not in ("min", "max"):
            raise UserError(f"mode must be 'min' or 'max', got {self.mode!r}")
        for name in ("patience", "cooldown"):
            whole_number(name, getattr(self, name), at_least=0)
        check_number("factor", self.factor, above=0, below=1)
        for name in ("threshold", "end"):
            check_number(name, getattr(self, name), at_least=0)

    def shares(self, readings: Sequence[float]) -> list[float]:
        """The share of ``lr0`` after each reading.

        Args:
            readings: What was measured, from the first on.

        >>> ReduceOnPlateau(factor=0.5, patience=1).shares([3.0, 2.0, 2.0, 2.0, 1.0])
        [1.0, 1.0, 1.0, 0.5, 0.5]
        """
        best = math.inf if self.mode == "min" else -math.inf
        share, bad, cooling = 1.0, 0, 0
        found: list[float] = []
        for reading in readings:
            if self._is_better(reading, best):
                best, bad = reading, 0
            else:
                bad += 1
            if cooling:
                cooling, bad = cooling - 1, 0
            if bad > self.patience:
                share = max(share * self.factor, self.end)
                cooling, bad = self.cooldown, 0
            found.append(share)
        return found

    def _is_better(self, reading: float, best: float) -> bool:
        if self.mode == "min":
            return reading < best * (1 - self.threshold)
        return reading > best * (1 + self.threshold)
