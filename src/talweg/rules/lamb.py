"""LAMB."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, option, shares


@dataclass(frozen=True)
class LAMB(Rule):
    """Adam's direction, as long for each parameter tensor as the tensor itself, times the rate.

    ``m ← b1·m + (1−b1)·g``; ``r ← b2·r + (1−b2)·g²``; ``u = m̂/(√r̂ + eps) + λ·p``;
    ``p ← p − lr·‖p‖/‖u‖·u``, with ``‖p‖/‖u‖`` taken for 1 where either norm is 0

    For large batches. The paper allows a function of ``‖p‖`` that bounds it; its authors use
    none, several implementations cut it at 10 and leave out the correction of ``m`` and ``r``
    for their start at 0 (``bias_correction=False``). Biases and norms are often left to Adam.

    Args:
        lr: Learning rate, positive: the share of its length that a tensor moves by.
        beta1: ``b1``, at least 0 and below 1.
        beta2: ``b2``, at least 0 and below 1.
        eps: Keeps the quotient finite, positive.
        weight_decay: ``λ``, at least 0.
        bias_correction: Whether ``m̂`` and ``r̂`` are corrected for their start at 0.

    Source: You et al., "Large batch optimization for deep learning: training BERT in 76 minutes"
    (2020), algorithm 2.
    """

    lr: Scalar = hyper(1e-3, "learning rate", above=0)
    beta1: Scalar = hyper(
        0.9, "share of the mean gradient kept", at_least=0, below=1, usual=(0.8, 0.95)
    )
    beta2: Scalar = hyper(
        0.999, "share of the mean square kept", at_least=0, below=1, usual=(0.9, 0.9999)
    )
    eps: Scalar = hyper(1e-6, "keeps the quotient finite", above=0, usual=(1e-8, 1e-6))
    weight_decay: Scalar = hyper(
        0.0, "share of p added to the direction", at_least=0, usual=(0, 0.1)
    )
    bias_correction: bool = option(True, "correct for the start at 0")

    def init(self, params: Tensor) -> State:
        return {"m": torch.zeros_like(params), "r": torch.zeros_like(params)}

    def scalars(self, t: Scalar) -> Scalars:
        b1, b2 = self.beta1, self.beta2
        return {
            **shares(b1=b1, b2=b2),
            "lr": self.lr,
            "eps": self.eps,
            "decay": self.weight_decay,
            "mean": 1 / (1 - b1**t) if self.bias_correction else 1.0,
            "root": (1 - b2**t) ** -0.5 if self.bias_correction else 1.0,
        }

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        m = scalars["b1"] * state["m"] + scalars["1-b1"] * grad
        r = scalars["b2"] * state["r"] + scalars["1-b2"] * grad * grad
        adam = scalars["mean"] * m / (r.sqrt() * scalars["root"] + scalars["eps"])
        direction = adam + scalars["decay"] * params
        size, length = (x.norm() for x in (params, direction))
        trust = torch.where((size > 0) & (length > 0), size / length, 1.0)
        return params - scalars["lr"] * trust * direction, {"m": m, "r": r}

    @property
    def is_per_tensor(self) -> bool:
        return True

    @property
    def lr_range(self) -> tuple[float, float]:
        return (1e-4, 1e0)
