"""Nesterov's accelerated gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper


@dataclass(frozen=True)
class Nesterov(Rule):
    """Momentum whose gradient is taken at the look-ahead point.

    gradient at ``p + a·v``; ``v ← a·v − lr·g``; ``p ← p + v``

    `torch.optim.SGD(nesterov=True)` and Keras store the look-ahead point as the parameter. Under
    a constant rate and momentum they see the same gradients as this rule, which holds ``p`` itself
    and names the point to evaluate in `probe`.

    Args:
        lr: Learning rate, positive.
        momentum: ``a``, at least 0 and below 1.

    Source: Goodfellow, Bengio, Courville (2016), algorithm 8.3; Nesterov (1983).
    """

    lr: Scalar = hyper(1e-2, "learning rate", above=0)
    momentum: Scalar = hyper(
        0.9, "share of the velocity that is kept", at_least=0, below=1, usual=(0.8, 0.99)
    )

    def init(self, params: Tensor) -> State:
        return {"v": torch.zeros_like(params)}

    def scalars(self, t: Scalar) -> Scalars:
        return {"lr": self.lr, "a": self.momentum}

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        v = scalars["a"] * state["v"] - scalars["lr"] * grad
        return params + v, {"v": v}

    def probe(self, params: Tensor, state: State, scalars: Scalars) -> Tensor:
        """The look-ahead point ``p + a·v``."""
        return params + scalars["a"] * state["v"]

    @property
    def looks_ahead(self) -> bool:
        return True

    @property
    def lr_range(self) -> tuple[float, float]:
        return (1e-4, 1e0)
