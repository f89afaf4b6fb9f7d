"""Gradient descent."""

from dataclasses import dataclass

from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper


@dataclass(frozen=True)
class SGD(Rule):
    """Gradient descent: batch, mini-batch or stochastic, as the batch size has it.

    ``p ← p − lr·g``

    Args:
        lr: Learning rate, positive.

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), algorithm 8.1.

    >>> import torch
    >>> rule = SGD(lr=0.1)
    >>> p, state = rule.step(torch.tensor([1.0]), torch.tensor([2.0]), {}, rule.scalars(1))
    >>> round(p.item(), 6)
    0.8
    """

    lr: Scalar = hyper(1e-2, "learning rate", above=0)

    def init(self, params: Tensor) -> State:
        return {}

    def scalars(self, t: Scalar) -> Scalars:
        return {"lr": self.lr}

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        return params - scalars["lr"] * grad, state

    @property
    def lr_range(self) -> tuple[float, float]:
        return (1e-3, 1e1)
