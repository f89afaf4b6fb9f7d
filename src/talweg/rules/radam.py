"""RAdam."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, largest, option, shares, switch


@dataclass(frozen=True)
class RAdam(Rule):
    """Adam that waits for its mean square to be trusted, a warm-up that needs no schedule.

    ``m ← b1·m + (1−b1)·g``; ``r ← b2·r + (1−b2)·g²``; ``m̂ = m/(1−b1^t)``;
    ``s∞ = 2/(1−b2) − 1``; ``s = s∞ − 2·t·b2^t/(1−b2^t)``;
    while ``s ≤ 5``: ``p ← p − lr·m̂``; after that
    ``p ← p − lr·q·m̂·√(1−b2^t)/(√r + eps)`` with ``q = √((s−4)(s−2)s∞/((s∞−4)(s∞−2)s))``,
    or ``lr·q·m̂/(√(r/(1−b2^t)) + eps)`` without ``eps_hat``

    The first steps are those of momentum, at a rate that suits Adam: they hardly move. Averages
    shorter than ``s∞ = 5`` (``b2`` below 2/3) are never trusted. The paper's threshold is 4;
    PyTorch's, and the authors' code's, is 5, as here.

    Args:
        lr: Learning rate, positive.
        beta1: ``b1``, at least 0 and below 1.
        beta2: ``b2``, at least 0 and below 1.
        eps: Keeps the quotient finite, positive.
        eps_hat: Whether ``eps`` is added before the bias of ``r`` is corrected, as in PyTorch;
            optax adds it after.

    Source: Liu et al., "On the variance of the adaptive learning rate and beyond" (2020),
    algorithm 2.
    """

    lr: Scalar = hyper(1e-3, "learning rate", above=0)
    beta1: Scalar = hyper(
        0.9, "share of the mean gradient kept", at_least=0, below=1, usual=(0.8, 0.95)
    )
    beta2: Scalar = hyper(
        0.999, "share of the mean square kept", at_least=0, below=1, usual=(0.9, 0.9999)
    )
    eps: Scalar = hyper(1e-8, "keeps the quotient finite", above=0, usual=(1e-10, 1e-6))
    eps_hat: bool = option(True, "eps before the bias is corrected")

    def init(self, params: Tensor) -> State:
        return {"m": torch.zeros_like(params), "r": torch.zeros_like(params)}

    def scalars(self, t: Scalar) -> Scalars:
        """The rates of both kinds of step; the one that is not taken is 0."""
        b1, b2 = self.beta1, self.beta2
        correction = 1 - b2**t
        limit = 2 / (1 - b2) - 1
        length = limit - 2 * t * b2**t / correction
        trusted = length > 5
        safe, safe_limit = largest(length, 5.0), largest(limit, 5.0)
        q2 = (safe - 4) * (safe - 2) * safe_limit / ((safe_limit - 4) * (safe_limit - 2) * safe)
        rate = self.lr / (1 - b1**t)
        return {
            **shares(b1=b1, b2=b2),
            "plain": switch(trusted, 0.0, rate),
            "adaptive": switch(trusted, rate * (q2 * correction) ** 0.5, 0.0),
            "eps": self.eps if self.eps_hat else self.eps * correction**0.5,
            "whole": switch(trusted, 0.0, 1.0),
        }

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        m = scalars["b1"] * state["m"] + scalars["1-b1"] * grad
        r = scalars["b2"] * state["r"] + scalars["1-b2"] * grad * grad
        # A plain step divides by nothing that may be 0.
        root = r.sqrt() + (scalars["eps"] + scalars["whole"])
        rate = scalars["plain"] + scalars["adaptive"] / root
        return params - rate * m, {"m": m, "r": r}
