"""AdaDelta."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, shares


@dataclass(frozen=True)
class AdaDelta(Rule):
    """Steps as large as the root mean square of the steps before, so that units agree.

    ``r ← rho·r + (1−rho)·g²``; ``d = √(u + eps)/√(r + eps)·g``; ``u ← rho·u + (1−rho)·d²``;
    ``p ← p − lr·d``

    The paper has no rate: ``lr = 1``. Keras starts from 0.001.

    Args:
        lr: Learning rate, positive.
        rho: Share of both averages that is kept, at least 0 and below 1.
        eps: Lets the first step be taken and keeps the quotient finite, positive.

    Source: Zeiler, "ADADELTA: an adaptive learning rate method" (2012), algorithm 1.
    """

    lr: Scalar = hyper(1.0, "learning rate", above=0)
    rho: Scalar = hyper(0.9, "share of both averages kept", at_least=0, below=1, usual=(0.9, 0.99))
    eps: Scalar = hyper(1e-6, "lets the first step be taken", above=0, usual=(1e-8, 1e-2))

    def init(self, params: Tensor) -> State:
        return {"r": torch.zeros_like(params), "u": torch.zeros_like(params)}

    def scalars(self, t: Scalar) -> Scalars:
        return {"lr": self.lr, **shares(rho=self.rho), "eps": self.eps}

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        rho, rest, eps = scalars["rho"], scalars["1-rho"], scalars["eps"]
        r = rho * state["r"] + rest * grad * grad
        delta = (state["u"] + eps).sqrt() / (r + eps).sqrt() * grad
        u = rho * state["u"] + rest * delta * delta
        return params - scalars["lr"] * delta, {"r": r, "u": u}

    @property
    def lr_range(self) -> tuple[float, float]:
        return (1e-2, 1e2)
