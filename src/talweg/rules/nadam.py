"""NAdam."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, shares


@dataclass(frozen=True)
class NAdam(Rule):
    """Adam whose mean gradient looks one step ahead, as Nesterov's momentum does.

    ``μ_t = b1·(1 − ½·0.96^(t·psi))``; ``m ← b1·m + (1−b1)·g``; ``r ← b2·r + (1−b2)·g²``;
    ``m̂ = μ_{t+1}·m/(1 − Π_{i≤t+1} μ_i) + (1−μ_t)·g/(1 − Π_{i≤t} μ_i)``; ``r̂ = r/(1−b2^t)``;
    ``p ← p − lr·m̂/(√r̂ + eps)``

    ``m`` is kept with ``b1`` and only corrected with ``μ``, as PyTorch and Keras do; the paper's
    algorithm keeps it with ``μ_t``. optax's ``nadam`` has no ``psi``.

    Args:
        lr: Learning rate, positive.
        beta1: ``b1``, at least 0 and below 1.
        beta2: ``b2``, at least 0 and below 1.
        eps: Keeps the quotient finite, positive.
        psi: How fast the look-ahead's momentum grows to ``b1``, at least 0 (PyTorch:
            ``momentum_decay``).

    Source: Dozat, "Incorporating Nesterov momentum into Adam" (2016), algorithm 2.
    """

    lr: Scalar = hyper(2e-3, "learning rate", above=0)
    beta1: Scalar = hyper(
        0.9, "share of the mean gradient kept", at_least=0, below=1, usual=(0.8, 0.95)
    )
    beta2: Scalar = hyper(
        0.999, "share of the mean square kept", at_least=0, below=1, usual=(0.9, 0.9999)
    )
    eps: Scalar = hyper(1e-8, "keeps the quotient finite", above=0, usual=(1e-10, 1e-6))
    psi: Scalar = hyper(0.004, "how fast the momentum grows", at_least=0, usual=(0.004, 1))

    def init(self, params: Tensor) -> State:
        return {"m": torch.zeros_like(params), "r": torch.zeros_like(params)}

    def scalars(self, t: Scalar) -> Scalars:
        return {
            **shares(b1=self.beta1, b2=self.beta2),
            "lr": self.lr,
            "mu": self.beta1 * (1 - 0.5 * 0.96 ** (t * self.psi)),
            "next mu": self.beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * self.psi)),
            "root": (1 - self.beta2**t) ** -0.5,
            "eps": self.eps,
        }

    def memory(self) -> Scalars:
        """The product of all ``μ`` so far: it has no closed form when ``b1`` follows a schedule."""
        return {"product": 1.0}

    def recall(self, scalars: Scalars, memory: Scalars) -> tuple[Scalars, Scalars]:
        lr, mu, ahead = scalars["lr"], scalars["mu"], scalars["next mu"]
        product = memory["product"] * mu
        rates = {
            "grad rate": lr * (1 - mu) / (1 - product),
            "mean rate": lr * ahead / (1 - product * ahead),
        }
        return {**scalars, **rates}, {"product": product}

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        m = scalars["b1"] * state["m"] + scalars["1-b1"] * grad
        r = scalars["b2"] * state["r"] + scalars["1-b2"] * grad * grad
        change = scalars["grad rate"] * grad + scalars["mean rate"] * m
        return params - change / (r.sqrt() * scalars["root"] + scalars["eps"]), {"m": m, "r": r}
