"""Steps of which nothing is measured: most of a run, so that as little as can be is done."""

import threading
import time

from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.compiler import is_dynamo_compiling
from torch.optim.optimizer import Optimizer

from talweg.diagnose.calls import Calls
from talweg.diagnose.heard import Heard
from talweg.diagnose.losses import Losses


class Counting:
    """Counts the steps of one optimizer, and hears their losses as long as these are as usual.

    Args:
        heard: The losses of a round.
        losses: Those of the run.
        calls: The model's calls.

    Attributes:
        only: The optimizer whose next step is only counted; None where there is more to do.
        seconds: The time it took.
    """

    def __init__(self, heard: Heard, losses: Losses, calls: Calls) -> None:
        self._heard = heard
        self._losses = losses
        self._calls = calls
        self.only: Optimizer | None = None
        self.seconds = 0.0

    def hears(self, loss: Tensor, scaler: GradScaler | None) -> bool:
        """Takes in a loss that is about to be differentiated; whether there was no more to do."""
        if self.only is None or is_dynamo_compiling():
            return False
        if self._calls.thread != threading.get_ident() or not self._heard.is_alone:
            return False
        if type(loss) is not Tensor:
            return False
        began = time.perf_counter()
        try:
            value = loss.item() if loss.is_cpu else loss.detach()
        except RuntimeError:  # it has no number of its own
            return False
        is_usual = isinstance(value, Tensor) or self._losses.is_usual(value)
        if is_usual:
            self._heard.add(value, scaler)
            self._calls.forget()
        self.seconds += time.perf_counter() - began
        return is_usual

    def count(self) -> None:
        """A step is over."""
        self._losses.add(self._heard.counted())
