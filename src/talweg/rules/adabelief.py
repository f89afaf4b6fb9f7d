"""AdaBelief."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, shares


@dataclass(frozen=True)
class AdaBelief(Rule):
    """Adam that scales by how far the gradient is from its mean, not from 0.

    ``m ← b1·m + (1−b1)·g``; ``s ← b2·s + (1−b2)·(g − m)² + eps``;
    ``p ← p − lr·m̂/(√ŝ + eps)`` with ``m̂ = m/(1−b1^t)``, ``ŝ = s/(1−b2^t)``

    ``eps`` is added to ``s`` at every step and outside the root as well, as in the paper. The
    authors' package also rectifies as RAdam does unless told otherwise, which the paper does not.

    Args:
        lr: Learning rate, positive.
        beta1: ``b1``, at least 0 and below 1.
        beta2: ``b2``, at least 0 and below 1.
        eps: Keeps the quotient finite, positive. Far smaller than Adam's: it is added to a
            square. The authors use 1e-16 for most and 1e-8 for vision tasks like SGD's.

    Source: Zhuang et al., "AdaBelief optimizer: adapting stepsizes by the belief in observed
    gradients" (2020), algorithm 2.
    """

    lr: Scalar = hyper(1e-3, "learning rate", above=0)
    beta1: Scalar = hyper(
        0.9, "share of the mean gradient kept", at_least=0, below=1, usual=(0.8, 0.95)
    )
    beta2: Scalar = hyper(
        0.999, "share of the mean square kept", at_least=0, below=1, usual=(0.9, 0.9999)
    )
    eps: Scalar = hyper(1e-16, "keeps the quotient finite", above=0, usual=(1e-16, 1e-8))

    def init(self, params: Tensor) -> State:
        return {"m": torch.zeros_like(params), "s": torch.zeros_like(params)}

    def scalars(self, t: Scalar) -> Scalars:
        return {
            **shares(b1=self.beta1, b2=self.beta2),
            "rate": self.lr / (1 - self.beta1**t),
            "root": (1 - self.beta2**t) ** -0.5,
            "eps": self.eps,
        }

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        eps = scalars["eps"]
        m = scalars["b1"] * state["m"] + scalars["1-b1"] * grad
        apart = grad - m
        s = scalars["b2"] * state["s"] + scalars["1-b2"] * apart * apart + eps
        return params - scalars["rate"] * m / (s.sqrt() * scalars["root"] + eps), {"m": m, "s": s}
