"""AdaMax."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, shares


@dataclass(frozen=True)
class AdaMax(Rule):
    """Adam with the largest recent gradient in place of the root mean square.

    ``m ← b1·m + (1−b1)·g``; ``u ← max(b2·u, |g| + eps)``; ``p ← p − lr/(1−b1^t)·m/u``

    The paper has no ``eps`` and divides 0 by 0 where no gradient arrives; PyTorch adds it to
    ``|g|``, as here, and Keras to ``u``.

    Args:
        lr: Learning rate, positive.
        beta1: ``b1``, at least 0 and below 1.
        beta2: ``b2``, at least 0 and below 1.
        eps: Keeps the quotient finite, positive.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 2.
    """

    lr: Scalar = hyper(2e-3, "learning rate", above=0)
    beta1: Scalar = hyper(0.9, "share of the mean gradient kept", at_least=0, below=1)
    beta2: Scalar = hyper(0.999, "share of the largest gradient kept", at_least=0, below=1)
    eps: Scalar = hyper(1e-8, "keeps the quotient finite", above=0)

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
        u = torch.maximum(scalars["b2"] * state["u"], grad.abs() + scalars["eps"])
        return params - scalars["rate"] * m / u, {"m": m, "u": u}
