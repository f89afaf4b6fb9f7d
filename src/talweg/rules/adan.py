"""Adan."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, shares, switch


@dataclass(frozen=True)
class Adan(Rule):
    """Nesterov's momentum for adaptive rules, from the differences of successive gradients.

    ``d = g − g₋`` (0 at the first step); ``m ← b1·m + (1−b1)·g``; ``v ← b2·v + (1−b2)·d``;
    ``n ← b3·n + (1−b3)·(g + b2·d)²``;
    ``p ← p − lr·(m̂ + b2·v̂)/(√n̂ + eps)``, each average corrected for its start at 0

    The shares are those kept, as in the authors' code; the paper's ``β`` are one minus these. Its
    weight decay divides, ``p ← p/(1 + lr·λ)``; here `transforms.WeightDecay` multiplies.

    Args:
        lr: Learning rate, positive.
        beta1: ``b1``, at least 0 and below 1.
        beta2: ``b2``, at least 0 and below 1.
        beta3: ``b3``, at least 0 and below 1.
        eps: Keeps the quotient finite, positive.

    Source: Xie et al., "Adan: adaptive Nesterov momentum algorithm for faster optimizing deep
    models" (2022), algorithm 1.
    """

    lr: Scalar = hyper(1e-3, "learning rate", above=0)
    beta1: Scalar = hyper(
        0.98, "share of the mean gradient kept", at_least=0, below=1, usual=(0.9, 0.98)
    )
    beta2: Scalar = hyper(0.92, "share of the mean difference kept", at_least=0, below=1)
    beta3: Scalar = hyper(
        0.99, "share of the mean square kept", at_least=0, below=1, usual=(0.9, 0.999)
    )
    eps: Scalar = hyper(1e-8, "keeps the quotient finite", above=0, usual=(1e-10, 1e-6))

    def init(self, params: Tensor) -> State:
        return {name: torch.zeros_like(params) for name in ("m", "v", "n", "g")}

    def scalars(self, t: Scalar) -> Scalars:
        return {
            **shares(b1=self.beta1, b2=self.beta2, b3=self.beta3),
            "later": switch(t > 1, 1.0, 0.0),
            "mean rate": self.lr / (1 - self.beta1**t),
            "difference rate": self.lr * self.beta2 / (1 - self.beta2**t),
            "root": (1 - self.beta3**t) ** -0.5,
            "eps": self.eps,
        }

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        difference = scalars["later"] * (grad - state["g"])
        ahead = grad + scalars["b2"] * difference
        m = scalars["b1"] * state["m"] + scalars["1-b1"] * grad
        v = scalars["b2"] * state["v"] + scalars["1-b2"] * difference
        n = scalars["b3"] * state["n"] + scalars["1-b3"] * ahead * ahead
        change = scalars["mean rate"] * m + scalars["difference rate"] * v
        new = {"m": m, "v": v, "n": n, "g": grad.clone()}
        return params - change / (n.sqrt() * scalars["root"] + scalars["eps"]), new
