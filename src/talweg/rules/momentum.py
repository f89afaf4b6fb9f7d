"""Heavy-ball momentum in its three conventions."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, option, switch


@dataclass(frozen=True)
class Momentum(Rule):
    """Gradient descent with heavy-ball momentum (Polyak 1964).

    ``form="velocity"``: ``v ← a·v − lr·g``; ``p ← p + v``
    ``form="accumulate"``: ``m ← a·m + g``; ``p ← p − lr·m``
    ``form="average"``: ``m ← a·m + (1−a)·g``; ``p ← p − lr·m``
    ``nesterov``: the new parameters take the velocity once more in place of the old:
    ``p ← p + a·v − lr·g``, ``p ← p − lr·(a·m + g)``, ``p ← p − lr·(a·m + (1−a)·g)``

    Under a constant rate the first two take the same path, and "average" at ``lr`` takes the path
    of "accumulate" at ``lr·(1−a)``. When the rate changes during the run, "velocity" keeps the old
    rate in what it has gathered and "accumulate" does not.

    Args:
        lr: Learning rate, positive.
        momentum: ``a``, at least 0 and below 1. Under a constant gradient, the first two forms
            speed descent up by at most ``1/(1−a)``.
        form: ``"velocity"``, ``"accumulate"`` (what PyTorch's SGD does) or ``"average"``.
        nesterov: Nesterov's momentum as PyTorch and Keras have it: ``p`` is itself the look-ahead
            point, where `Nesterov` holds the point behind it.
        dampening: Share of every gradient but the first that is left out of the velocity, at
            least 0 and below 1. PyTorch's, which leaves the first one whole.

    Source: Goodfellow, Bengio, Courville (2016), algorithm 8.2, for "velocity"; Sutskever et al.,
    "On the importance of initialization and momentum" (2013), discusses the first two.
    """

    lr: Scalar = hyper(1e-2, "learning rate", above=0)
    momentum: Scalar = hyper(
        0.9, "share of the velocity that is kept", at_least=0, below=1, usual=(0.8, 0.99)
    )
    form: str = option("velocity", "convention", ("velocity", "accumulate", "average"))
    nesterov: bool = option(False, "the parameters are the look-ahead point")
    dampening: Scalar = hyper(0.0, "share of later gradients left out", at_least=0, below=1)

    def init(self, params: Tensor) -> State:
        return {"v" if self.form == "velocity" else "m": torch.zeros_like(params)}

    def scalars(self, t: Scalar) -> Scalars:
        a = self.momentum
        taken = switch(t == 1, 1.0, 1 - self.dampening)
        if self.form == "average":
            return {"lr": self.lr, "a": a, "taken": (1 - a) * taken, "direct": 1 - a}
        return {"lr": self.lr, "a": a, "taken": taken, "direct": 1.0}

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        lr, a = scalars["lr"], scalars["a"]
        taken = scalars["taken"] * grad
        if self.form == "velocity":
            v = a * state["v"] - lr * taken
            return params + (a * v - lr * grad if self.nesterov else v), {"v": v}
        m = a * state["m"] + taken
        return params - lr * (a * m + scalars["direct"] * grad if self.nesterov else m), {"m": m}

    @property
    def lr_range(self) -> tuple[float, float]:
        return (1e-3, 1e1) if self.form == "average" else (1e-4, 1e0)
