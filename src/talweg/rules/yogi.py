"""Yogi."""

from dataclasses import dataclass

from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, shares
from talweg.rules.starting import filled


@dataclass(frozen=True)
class Yogi(Rule):
    """Adam whose mean square moves toward ``g²`` by steps of ``g²``'s own size, never by more.

    ``m ← b1·m + (1−b1)·g``; ``r ← r − (1−b2)·sign(r − g²)·g²``;
    ``p ← p − lr·m̂/(√r̂ + eps)`` with ``m̂ = m/(1−b1^t)``, ``r̂ = r/(1−b2^t)``

    After a few large gradients Adam's rate recovers fast and Yogi's slowly. The paper leaves the
    bias as it is; optax and TensorFlow Addons correct it as Adam does, as here, and start both
    averages at 1e-6, where here only the mean square starts there (``initial_mean``).

    Args:
        lr: Learning rate, positive.
        beta1: ``b1``, at least 0 and below 1.
        beta2: ``b2``, at least 0 and below 1.
        eps: Keeps the quotient finite, positive; the paper recommends 1e-3.
        initial: Where the mean square starts, at least 0.
        initial_mean: Where the mean gradient starts, at least 0.

    Source: Zaheer et al., "Adaptive methods for nonconvex optimization" (2018), algorithm 2.
    """

    lr: Scalar = hyper(1e-2, "learning rate", above=0)
    beta1: Scalar = hyper(
        0.9, "share of the mean gradient kept", at_least=0, below=1, usual=(0.8, 0.95)
    )
    beta2: Scalar = hyper(
        0.999, "one minus the mean square's step", at_least=0, below=1, usual=(0.9, 0.9999)
    )
    eps: Scalar = hyper(1e-3, "keeps the quotient finite", above=0)
    initial: Scalar = hyper(1e-6, "where the mean square starts", at_least=0)
    initial_mean: Scalar = hyper(0.0, "where the mean gradient starts", at_least=0)

    def init(self, params: Tensor) -> State:
        return {"m": filled(params, self.initial_mean), "r": filled(params, self.initial)}

    def scalars(self, t: Scalar) -> Scalars:
        return {
            **shares(b1=self.beta1),
            "1-b2": 1 - self.beta2,
            "rate": self.lr / (1 - self.beta1**t),
            "root": (1 - self.beta2**t) ** -0.5,
            "eps": self.eps,
        }

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        m = scalars["b1"] * state["m"] + scalars["1-b1"] * grad
        square = grad * grad
        r = state["r"] - scalars["1-b2"] * (state["r"] - square).sign() * square
        scale = r.sqrt() * scalars["root"] + scalars["eps"]
        return params - scalars["rate"] * m / scale, {"m": m, "r": r}

    @property
    def lr_range(self) -> tuple[float, float]:
        return (1e-4, 1e0)
