"""Which optimizers train a model: a step of a run is a round of them."""

import inspect
from types import FrameType

from torch import Tensor, nn
from torch.optim.optimizer import Optimizer


class Rounds:
    """Follows the steps of all optimizers that hold parameters of a model.

    A round is over when each optimizer that is known has made its step; in the first round, when
    those that did hold every parameter that is trained; or when one of them steps again. Steps
    within another's step (of optimizers that hold others) are part of it.

    Args:
        model: The model.

    Attributes:
        known: The optimizers that made the last round; also one that is yet to step.
        stepped: Those that made a step in this round.
        params: The model's parameters that are trained.
        own: Their identities.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.known: list[Optimizer] = []
        self.stepped: list[Optimizer] = []
        self._is_settled = False
        self._outer: FrameType | None = None
        self._inside: list[Optimizer] = []
        self._has_nested = False
        self._others: set[int] = set()
        self.refresh()

    def refresh(self) -> None:
        """Looks up the model's parameters once more: they are others than before."""
        self.params = [value for value in self._model.parameters() if value.requires_grad]
        self.own = {id(value) for value in self.params}

    def forget_others(self) -> None:
        """Looks up once more whose parameters an optimizer holds: it may have been given some."""
        self._others.clear()

    def trains(self, optimizer: Optimizer) -> bool:
        """Whether an optimizer holds parameters of the model."""
        return not self.own.isdisjoint(held_by(optimizer))

    def is_other(self, optimizer: Optimizer) -> bool:
        """Whether an optimizer is known to hold no parameters of the model."""
        return id(optimizer) in self._others

    def _comes_to_train(self, optimizer: Optimizer) -> bool:
        """Whether an optimizer that is not known holds some, perhaps of parts that are new."""
        if not self.trains(optimizer):
            self.refresh()
        return self.trains(optimizer)

    def enter(self, optimizer: Optimizer, frame: FrameType | None) -> bool:
        """Whether a step that begins is one of the round; `leave` follows if so.

        Args:
            optimizer: Whose step it is.
            frame: Where it was called: if a step that began there never ended, it failed.
        """
        is_known = any(optimizer is each for each in self.known)
        if not is_known and (self.is_other(optimizer) or not self._comes_to_train(optimizer)):
            self._others.add(id(optimizer))
            return False
        if self._inside and self._outer is not None and _is_on_stack(self._outer):
            self._inside.append(optimizer)
            self._has_nested = True
            return False
        self._inside, self._outer = [optimizer], frame
        if not is_known:
            self.known.append(optimizer)
        return True

    def leave(self, optimizer: Optimizer) -> bool:
        """Whether a step that ends is one of the round."""
        if not self._inside or self._inside[-1] is not optimizer:
            return False
        self._inside.pop()
        if self._inside:
            return False
        self._outer = None
        return True

    def is_second(self, optimizer: Optimizer) -> bool:
        """Whether an optimizer made a step in this round before."""
        return any(optimizer is each for each in self.stepped)

    def is_over(self) -> bool:
        """Whether no step is to come in this round, as far as that is known."""
        if len(self.stepped) < len(self.known):
            return False
        return self._is_settled or self.own <= set[int]().union(*map(held_by, self.stepped))

    @property
    def only(self) -> Optimizer | None:
        """The one optimizer that makes each round, in a step without steps of others in it."""
        is_one = len(self.known) == 1 and self._is_settled and not self._has_nested
        return self.known[0] if is_one else None

    def next(self) -> None:
        """Begins the next round."""
        self.known, self.stepped, self._is_settled = self.stepped or self.known, [], True


def held_by(optimizer: Optimizer) -> set[int]:
    """Identities of an optimizer's parameters."""
    return {id(value) for group in optimizer.param_groups for value in group["params"]}


def rate_of(optimizer: Optimizer) -> float:
    """The rate of an optimizer's first group; 0 where it has none of its own."""
    rate = optimizer.param_groups[0].get("lr")
    return float(rate) if isinstance(rate, (int, float, Tensor)) else 0.0


def bare(optimizer: Optimizer) -> Optimizer:
    """An optimizer without what wraps it and makes no steps of its own."""
    while isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = inner
    return optimizer


def _is_on_stack(frame: FrameType) -> bool:
    now = inspect.currentframe()
    while now is not None and now is not frame:
        now = now.f_back
    return now is not None
