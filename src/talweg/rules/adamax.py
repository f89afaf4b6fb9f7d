"""AdaMax."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, option, shares


@dataclass(frozen=True)
class AdaMax(Rule):
    """Adam with the largest recent gradient in place of the root mean square.

    ``m ← b1·m + (1−b1)·g``; ``u ← max(b2·u, |g| + eps)``; ``p ← p − lr/(1−b1^t)·m/u``,
    or ``u ← max(b2·u, |g|)`` and ``m/(u + eps)`` without ``eps_inside``

    The paper has no ``eps`` and divides 0 by 0 where no gradient arrives; PyTorch adds it to
    ``|g|`` and Keras to ``u``.

    Args:
        lr: Learning rate, positive.
        beta1: ``b1``, at least 0 and below 1.
        beta2: ``b2``, at least 0 and below 1.
        eps: Keeps the quotient finite, positive.
        eps_inside: Whether ``eps`` is added inside the maximum.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 2.
    """

    lr: Scalar = hyper(2e-3, "learning rate", above=0)
    beta1: Scalar = hyper(
        0.9, "share of the mean gradient kept", at_least=0, below=1, usual=(0.8, 0.95)
    )
    beta2: Scalar = hyper(
        0.999, "share of the largest gradient kept", at_least=0, below=1, usual=(0.9, 0.9999)
    )
    eps: Scalar = hyper(1e-8, "keeps the quotient finite", above=0, usual=(1e-10, 1e-6))
    eps_inside: bool = option(True, "eps inside the maximum")

    def init(self, params: Tensor) -> State:
        return {"m": torch.zeros_like(params), "u": torch.zeros_like(params)}

    def scalars(self, t: Scalar) -> Scalars:
        return {
            **shares(b1=self.beta1),
            "b2": self.beta2,
            "rate": self.lr / (1 - self.beta1**t),
            "eps": self.eps,
        }

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        m = scalars["b1"] * state["m"] + scalars["1-b1"] * grad
        kept, eps = scalars["b2"] * state["u"], scalars["eps"]
        u = torch.maximum(kept, grad.abs() + eps if self.eps_inside else grad.abs())
        scale = u if self.eps_inside else u + eps
        return params - scalars["rate"] * m / scale, {"m": m, "u": u}
