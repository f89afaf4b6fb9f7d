"""The losses of a run, as they come."""

import math
from collections.abc import Callable

from torch import Tensor, nn

from talweg.diagnose.calls import Calls
from talweg.diagnose.finite import Origin
from talweg.diagnose.health import Health
from talweg.diagnose.heard import Loss
from talweg.diagnose.moment import WHOLE, Moment
from talweg.diagnose.taking import Values, read

LEAP = 10.0
"""A loss of so many times the mean of those before is looked at, between measured steps too."""


class Losses:
    """Reads them where nobody waits, and looks at those that leap or are not finite at once.

    Args:
        model: The model, without what compiles or spreads it.
        calls: Its calls.
        health: Told of all losses, and of what made one not finite.
        note: Told what could not be found.
    """

    def __init__(
        self, model: nn.Module, calls: Calls, health: Health, note: Callable[[str], None]
    ) -> None:
        self._calls = calls
        self._health = health
        self._unread: list[Loss] = []
        self._mean = math.nan
        self._origin = Origin(model, note)

    def is_usual(self, loss: float) -> bool:
        """Whether there is nothing to look at in a loss, which is taken in then."""
        size, mean = abs(loss), self._mean
        if size <= LEAP * mean and size < math.inf:
            self._mean = 0.9 * mean + 0.1 * size
            return True
        return False

    def look(self, loss: Loss, step: int) -> bool:
        """Whether a loss is far above those before; where it is not finite, looks for the cause.

        Args:
            loss: The loss, before its gradient is taken.
            step: Whose it is.
        """
        if not self._origin.is_open or (isinstance(loss, Tensor) and not loss.is_cpu):
            return False
        number = float(loss)
        if self.is_usual(number):
            return False
        if math.isfinite(number):
            is_first, size = math.isnan(self._mean), abs(number)
            self._mean = size if is_first else 0.9 * self._mean + 0.1 * size
            return not is_first
        with self._calls.calling():
            values = self._origin.of_loss(self._calls.last)
        if values:
            known = [value for value in self.read() if math.isfinite(value)]
            if known:
                values["last loss"] = {WHOLE: known[-1]}
            self._health.add(Moment(step, values))
        return False

    def add(self, loss: Loss) -> None:
        """A step is over that was made with a loss."""
        self._unread.append(loss)

    def read(self) -> list[float]:
        """Tells the losses since the last time."""
        unread, self._unread = self._unread, []
        tensors = iter(read([loss for loss in unread if isinstance(loss, Tensor)]))
        losses = [next(tensors) if isinstance(loss, Tensor) else loss for loss in unread]
        self._health.losses += losses
        return losses

    def close(self, values: Values) -> None:
        """A measured step is over: adds the mean loss since the one before, if there was any.

        Args:
            values: What was measured; also told which gradient is not finite.
        """
        known = [value for value in self.read() if not math.isnan(value)]
        if known:
            values["loss"] = {WHOLE: sum(known) / len(known)}
        self._origin.of_gradients(values)
