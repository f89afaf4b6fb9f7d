"""Adam."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, option, shares


@dataclass(frozen=True)
class Adam(Rule):
    """Moving averages of the gradient and its square, both corrected for their start at 0.

    ``m ← b1·m + (1−b1)·g``; ``r ← b2·r + (1−b2)·g²``;
    ``m̂ = m/(1−b1^t)``; ``r̂ = r/(1−b2^t)``;
    ``p ← p − lr·m̂/(√r̂ + eps)``, or ``lr·m̂/√(r̂ + eps)`` with ``eps_inside``.
    ``eps_hat`` adds it before ``r`` is corrected: ``p ← p − lr·√(1−b2^t)·m̂/(√r + eps)``.
    ``amsgrad`` keeps ``x ← max(x, r)`` and uses it in place of ``r``, so that no rate ever grows.

    A step is bounded: ``|Δp| ≤ lr·(1−b1)/√((1−b2)·(1−b1²/b2))`` where ``b1² < b2``. That is 7.3·lr
    at the usual values, which gradients that grow by ``b2/b1`` a step approach. The paper's
    ``lr·max(1, (1−b1)/√(1−b2))`` leaves the last factor out: it holds for a gradient that comes
    alone after zeros, 3.2·lr. Under a constant gradient a step is ``lr`` in every coordinate.

    Args:
        lr: Learning rate, positive.
        beta1: ``b1``, at least 0 and below 1.
        beta2: ``b2``, at least 0 and below 1.
        eps: Keeps the quotient finite, positive.
        eps_inside: Whether ``eps`` is added under the root.
        amsgrad: Whether the largest mean square so far is used. As PyTorch has it: the largest is
            taken before the bias is corrected; optax takes it after, the paper corrects neither.
        eps_hat: Whether ``eps`` is added before the bias of ``r`` is corrected, as in the paper's
            faster order (section 2), in TensorFlow and in Keras. In terms of the usual ``eps`` it
            is then ``eps/√(1−b2^t)``, 32 times as large at the first step.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1;
    Reddi, Kale, Kumar, "On the convergence of Adam and beyond" (2018), for ``amsgrad``.
    """

    lr: Scalar = hyper(1e-3, "learning rate", above=0)
    beta1: Scalar = hyper(
        0.9, "share of the mean gradient kept", at_least=0, below=1, usual=(0.8, 0.95)
    )
    beta2: Scalar = hyper(
        0.999, "share of the mean square kept", at_least=0, below=1, usual=(0.9, 0.9999)
    )
    eps: Scalar = hyper(1e-8, "keeps the quotient finite", above=0, usual=(1e-10, 1e-6))
    eps_inside: bool = option(False, "eps under the root")
    amsgrad: bool = option(False, "the largest mean square so far")
    eps_hat: bool = option(False, "eps before the bias is corrected")

    def init(self, params: Tensor) -> State:
        names = ("m", "r", "x") if self.amsgrad else ("m", "r")
        return {name: torch.zeros_like(params) for name in names}

    def scalars(self, t: Scalar) -> Scalars:
        """Bias corrections folded into the rate and into one factor on the root."""
        rate, root = self.lr / (1 - self.beta1**t), (1 - self.beta2**t) ** -0.5
        if self.eps_hat:
            rate, root = rate / root, 1.0
        return {
            **shares(b1=self.beta1, b2=self.beta2),
            "rate": rate,
            "root": root,
            "eps": self.eps,
        }

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        m = scalars["b1"] * state["m"] + scalars["1-b1"] * grad
        r = scalars["b2"] * state["r"] + scalars["1-b2"] * grad * grad
        new = {"m": m, "r": r}
        if self.amsgrad:
            r = new["x"] = torch.maximum(state["x"], r)
        root, eps = scalars["root"], scalars["eps"]
        scale = (r * root * root + eps).sqrt() if self.eps_inside else r.sqrt() * root + eps
        return params - scalars["rate"] * m / scale, new
