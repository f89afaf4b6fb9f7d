"""Prodigy."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, option, shares


@dataclass(frozen=True)
class Prodigy(Rule):
    """Adam whose rate is estimated from how far the gradients say that the start was off.

    ``m ← b1·m + (1−b1)·d·g``; ``r ← b2·r + (1−b2)·d²·g²``;
    ``n ← √b2·n + (d²/d0)·lr·⟨g, p0 − p⟩``; ``s ← √b2·s + (d²/d0)·lr·g``;
    ``d' = max(d, growth·n/Σ|s|)``; ``p ← p − d·lr·(m/(√r + d'·eps) + λ·p)``; ``d ← d'``

    ``p0`` is where the run began, and the sums go over all of a model's parameters. With
    ``bias_correction`` ``lr`` stands for ``lr·√(1−b2ᵗ)/(1−b1ᵗ)``. The authors have a bound on how
    fast ``d`` grows too, which they leave infinite, and a constant of its own for ``√b2``.

    Args:
        lr: Factor of the estimated rate, positive; 1 is the rate itself, with any schedule.
        beta1: ``b1``, at least 0 and below 1.
        beta2: ``b2``, at least 0 and below 1.
        eps: Keeps the quotient finite, positive.
        weight_decay: ``λ``, at least 0; decoupled.
        d0: The first estimate, positive; too small rather than too large.
        growth: Factor of the estimate, positive; the authors' ``d_coef``.
        bias_correction: Whether to correct for the start of ``m`` and ``r`` at 0.
        safeguard_warmup: Whether ``lr`` is left out of ``s``: for schedules with a warm-up.

    Source: Mishchenko and Defazio, "Prodigy: an expeditiously adaptive parameter-free learner"
    (2023), algorithm 4, and the authors' package ``prodigyopt``.
    """

    lr: Scalar = hyper(1.0, "factor of the estimated rate", above=0)
    beta1: Scalar = hyper(
        0.9, "share of the mean gradient kept", at_least=0, below=1, usual=(0.8, 0.95)
    )
    beta2: Scalar = hyper(
        0.999, "share of the mean square kept", at_least=0, below=1, usual=(0.9, 0.9999)
    )
    eps: Scalar = hyper(1e-8, "keeps the quotient finite", above=0, usual=(1e-10, 1e-6))
    weight_decay: Scalar = hyper(0.0, "share of p taken away, in rates", at_least=0, usual=(0, 0.1))
    d0: Scalar = hyper(1e-6, "first estimate of the rate", above=0, usual=(1e-8, 1e-5))
    growth: Scalar = hyper(1.0, "factor of the estimate", above=0, usual=(0.5, 2))
    bias_correction: bool = option(False, "correct for the start at 0")
    safeguard_warmup: bool = option(False, "leave lr out of the estimate's denominator")

    def init(self, params: Tensor) -> State:
        zero = torch.zeros_like(params)
        one = params.new_ones(())
        start = params.clone()
        return {
            "m": zero,
            "r": zero.clone(),
            "s": zero.clone(),
            "start": start,
            "n": torch.zeros_like(one),
            "grown": one,  # d/d0
        }

    def scalars(self, t: Scalar) -> Scalars:
        b1, b2 = self.beta1, self.beta2
        lr = self.lr * (1 - b2**t) ** 0.5 / (1 - b1**t) if self.bias_correction else self.lr
        return {
            **shares(b1=b1, b2=b2),
            "b3": b2**0.5,
            "lr": lr,
            "eps": self.eps,
            "decay": self.weight_decay,
            "d0": self.d0,
            "growth": self.growth,
        }

    def sums(self, params: Tensor, grad: Tensor, state: State, scalars: Scalars) -> Scalars:
        return {
            "along": scalars["lr"] * (grad * (state["start"] - params)).sum(),
            "size": self._distance(grad, state, scalars).abs().sum(),
        }

    def _distance(self, grad: Tensor, state: State, scalars: Scalars) -> Tensor:
        share = scalars["d0"] * state["grown"] * state["grown"]
        share = share if self.safeguard_warmup else share * scalars["lr"]
        return scalars["b3"] * state["s"] + share * grad

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        grown = state["grown"]
        d = scalars["d0"] * grown
        m = scalars["b1"] * state["m"] + scalars["1-b1"] * (d * grad)
        r = scalars["b2"] * state["r"] + scalars["1-b2"] * (d * grad) * (d * grad)
        n = scalars["b3"] * state["n"] + d * grown * scalars["along"]
        size = scalars["size"]
        estimate = torch.where(size > 0, scalars["growth"] * n / size, 0.0)
        later = torch.maximum(grown, estimate / scalars["d0"])
        direction = m / (r.sqrt() + scalars["d0"] * later * scalars["eps"])
        moved = params - d * scalars["lr"] * (direction + scalars["decay"] * params)
        return moved, {
            "m": m,
            "r": r,
            "s": self._distance(grad, state, scalars),
            "start": state["start"],
            "n": n,
            "grown": later,
        }

    @property
    def common(self) -> tuple[str, ...]:
        return ("n", "grown")

    @property
    def gathers(self) -> bool:
        return True

    @property
    def lr_range(self) -> tuple[float, float]:
        return (1e-1, 1e1)
