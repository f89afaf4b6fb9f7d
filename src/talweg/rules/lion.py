"""Lion."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, shares


@dataclass(frozen=True)
class Lion(Rule):
    """The sign of a mean gradient: every coordinate moves by the rate.

    ``p ← p − lr·sign(b1·m + (1−b1)·g)``; then ``m ← b2·m + (1−b2)·g``

    Rates are three to ten times smaller than Adam's, and weight decay as much larger.

    Args:
        lr: Learning rate, positive: by how much every coordinate moves.
        beta1: ``b1``, at least 0 and below 1: the mean in the step.
        beta2: ``b2``, at least 0 and below 1: the mean that is kept.

    Source: Chen et al., "Symbolic discovery of optimization algorithms" (2023), algorithm 2.
    """

    lr: Scalar = hyper(1e-4, "learning rate", above=0)
    beta1: Scalar = hyper(
        0.9, "share of the mean gradient in the step", at_least=0, below=1, usual=(0.9, 0.95)
    )
    beta2: Scalar = hyper(
        0.99, "share of the mean gradient kept", at_least=0, below=1, usual=(0.98, 0.99)
    )

    def init(self, params: Tensor) -> State:
        return {"m": torch.zeros_like(params)}

    def scalars(self, t: Scalar) -> Scalars:
        return {
            "lr": self.lr,
            **shares(b1=self.beta1, b2=self.beta2),
        }

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        direction = (scalars["b1"] * state["m"] + scalars["1-b1"] * grad).sign()
        m = scalars["b2"] * state["m"] + scalars["1-b2"] * grad
        return params - scalars["lr"] * direction, {"m": m}

    @property
    def lr_range(self) -> tuple[float, float]:
        return (1e-6, 1e-2)
