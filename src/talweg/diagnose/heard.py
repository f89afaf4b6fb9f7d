"""The losses that a model is trained on, as they are differentiated."""

import math
from typing import TypeAlias

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from talweg.diagnose.backward import is_of
from talweg.diagnose.rounds import Rounds

Loss: TypeAlias = Tensor | float
"""A loss that was differentiated; as a number where nobody had to wait for it."""
FEW = 3
"""Rounds without a loss of others, after which it is taken that there is none."""


class Heard:
    """The losses of a round: those whose gradients the updates were made with.

    Losses whose gradients were thrown away (of a step that a `GradScaler` left out, of a model that
    is trained through this one) are none of them, nor are those of other models.

    Args:
        rounds: The optimizers' steps.

    Attributes:
        last: The losses of the round so far.
        scaler: What scaled the last loss.
        is_open: Whether losses are still heard in this step.
    """

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds
        self._now: list[Loss] = []
        self._refused: list[Loss] = []
        self._had_own = False
        self._rounds_alone = 0
        self.is_open = True
        self.last: list[Loss] = []
        self.scaler: GradScaler | None = None

    def note(self, loss: Tensor, scaler: GradScaler | None, is_measured: bool) -> Loss | None:
        """Takes in a loss that is about to be differentiated; None if it is not the model's.

        It is read at once where nobody waits for it, at a step that is not measured. Whose it is
        shows in its graph, which is looked at in the first steps and the measured ones, and always
        once there was a loss of others.
        """
        if not self.is_open:
            return None
        is_read = type(loss) is Tensor and loss.is_cpu and not is_measured
        value = loss.item() if is_read else loss.detach()
        if (self._rounds_alone < FEW or is_measured) and not self.is_own(loss):
            self._refused.append(value)
            self._rounds_alone = -1
            return None
        if self._now and self.is_afresh:
            self._now.clear()
        self.add(value, scaler)
        return value

    @property
    def is_alone(self) -> bool:
        """Whether the next loss is the first of its step, and no loss of others is expected."""
        return self.is_open and not self._now and self._rounds_alone >= FEW

    def add(self, loss: Loss, scaler: GradScaler | None) -> None:
        """Takes in a loss that is the model's."""
        self._now.append(loss)
        self.scaler = scaler

    @property
    def is_afresh(self) -> bool:
        """Whether there are no gradients, so that those of an update are yet to be taken."""
        return not self._rounds.stepped and all(p.grad is None for p in self._rounds.params)

    def is_own(self, loss: Tensor) -> bool:
        """Whether a loss is the model's, as its graph tells."""
        # Parameters that are spread over processes are not those of the graph.
        return hasattr(self._rounds.params[0], "to_local") or is_of(loss, self._rounds.own)

    def close_ears(self) -> None:
        """A step has what it is made with: what it evaluates besides is not its loss."""
        self.last += self._now
        self._now.clear()
        self.is_open = False

    def settle(self) -> None:
        """An optimizer has made its step."""
        self.is_open = True

    def counted(self) -> Loss:
        """The loss of a round of one optimizer, which is over and in which nothing was measured."""
        if len(self._now) != 1 or self.last or not self._had_own:
            self.close_ears()
            self.settle()
            return self.total()
        if self._rounds_alone < FEW:
            self._rounds_alone += self._rounds_alone >= 0
            self._refused = []
        return self._now.pop()

    def total(self) -> Loss:
        """The loss of a round that is over: the sum of its losses; NaN if there is none."""
        if not self._had_own and not self.last:
            self.last = self._refused[-1:]
        else:
            self._had_own = True
        self._rounds_alone += self._rounds_alone >= 0
        losses, self.last, self._refused = self.last, [], []
        if len(losses) == 1:
            return losses[0]
        numbers = [value for value in losses if not isinstance(value, Tensor)]
        tensors = [value.reshape(()) for value in losses if isinstance(value, Tensor)]
        total = math.fsum(numbers) if losses else math.nan
        return torch.stack(tensors).sum() + total if tensors else total
