"""AdaGrad."""

from dataclasses import dataclass

from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, option
from talweg.rules.starting import filled


@dataclass(frozen=True)
class AdaGrad(Rule):
    """A rate per coordinate that shrinks with the sum of its squared gradients.

    ``r ← r + g²``; ``p ← p − lr·g/(√r + eps)``, or ``lr·g/√(r + eps)`` with ``eps_inside``.

    With ``lr_decay`` the rate at step ``t`` is ``lr/(1 + (t−1)·lr_decay)``. The accumulator
    includes the current gradient. PyTorch's default ``eps`` is 1e-10; TensorFlow's accumulator
    starts at 0.1.

    Args:
        lr: Learning rate, positive.
        eps: Keeps the quotient finite where no gradient has arrived yet, positive.
        eps_inside: Whether ``eps`` is added under the root.
        lr_decay: How fast the rate itself falls, at least 0.
        initial: Where the accumulator starts, at least 0.

    Source: Duchi, Hazan, Singer (2011); Goodfellow, Bengio, Courville (2016), algorithm 8.4.
    """

    lr: Scalar = hyper(1e-2, "learning rate", above=0)
    eps: Scalar = hyper(1e-7, "keeps the quotient finite", above=0, usual=(1e-10, 1e-6))
    eps_inside: bool = option(False, "eps under the root")
    lr_decay: Scalar = hyper(0.0, "how fast the rate itself falls", at_least=0)
    initial: Scalar = hyper(0.0, "where the accumulator starts", at_least=0, usual=(0, 0.1))

    def init(self, params: Tensor) -> State:
        return {"r": filled(params, self.initial)}

    def scalars(self, t: Scalar) -> Scalars:
        return {"lr": self.lr / (1 + (t - 1) * self.lr_decay), "eps": self.eps}

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        r = state["r"] + grad * grad
        eps = scalars["eps"]
        root = (r + eps).sqrt() if self.eps_inside else r.sqrt() + eps
        return params - scalars["lr"] * grad / root, {"r": r}

    @property
    def lr_range(self) -> tuple[float, float]:
        return (1e-4, 1e0)
