"""Rprop."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper
from talweg.rules.starting import filled


@dataclass(frozen=True)
class Rprop(Rule):
    """A step size per coordinate that depends on the gradient's sign alone.

    where ``g·g₋ > 0``: ``s ← min(s·eta_plus, step_max)``;
    where ``g·g₋ < 0``: ``s ← max(s·eta_minus, step_min)`` and ``g ← 0``;
    ``p ← p − s·sign(g)``, and ``g`` is what the next step sees as ``g₋``.

    A coordinate whose gradient changed its sign rests for a step (PyTorch's form, iRprop−); the
    paper's first form takes its last step back. For batch descent: the noise of mini-batches
    changes signs at random.

    Args:
        lr: Where every step size starts, positive; it is not read afterwards.
        eta_minus: Factor after a change of sign, above 0 and below 1.
        eta_plus: Factor otherwise, above 1.
        step_min: The smallest step size, positive.
        step_max: The largest, positive.

    Source: Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning"
    (1993); Igel and Hüsken (2000) for iRprop−.
    """

    lr: Scalar = hyper(1e-2, "where every step size starts", above=0)
    eta_minus: Scalar = hyper(0.5, "factor after a change of sign", above=0, below=1)
    eta_plus: Scalar = hyper(1.2, "factor otherwise", above=1)
    step_min: Scalar = hyper(1e-6, "the smallest step size", above=0)
    step_max: Scalar = hyper(50.0, "the largest step size", above=0)

    def init(self, params: Tensor) -> State:
        return {"g": torch.zeros_like(params), "s": filled(params, self.lr)}

    def scalars(self, t: Scalar) -> Scalars:
        return {
            "down": self.eta_minus,
            "up": self.eta_plus,
            "least": self.step_min,
            "most": self.step_max,
        }

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        agreement = grad * state["g"]
        size = state["s"]
        size = torch.where(agreement > 0, size * scalars["up"], size)
        size = torch.where(agreement < 0, size * scalars["down"], size)
        size = torch.where(size < scalars["least"], scalars["least"], size)
        size = torch.where(size > scalars["most"], scalars["most"], size)
        grad = torch.where(agreement < 0, 0.0, grad)
        return params - size * grad.sign(), {"g": grad, "s": size}
