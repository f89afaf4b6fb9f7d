"""Averaged SGD."""

from dataclasses import dataclass

from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, largest, switch


@dataclass(frozen=True)
class ASGD(Rule):
    """Gradient descent at a decaying rate; what counts is the average of its path.

    ``p ← p·(1 − lambd·η) − η·g``; ``x ← x + μ·(p − x)``; evaluated at ``x``;
    ``η = lr/(1 + lambd·lr·(t−1))^alpha``; ``μ = 1/max(1, t − 1 − t0)``

    Averaging begins after ``t0`` steps; until then ``x`` is ``p``. With PyTorch's ``t0`` of a
    million it hardly ever does. As in PyTorch, ``η`` is computed at the end of a step for the
    next one, so that a schedule's rate arrives one step late.

    Args:
        lr: Learning rate, positive.
        lambd: Weight decay and the speed of the rate's decay, at least 0.
        alpha: The power of the rate's decay, at least 0; 1 in the original, 3/4 in practice.
        t0: The step after which averaging begins, at least 0.

    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992);
    Bottou, "Large-scale machine learning with stochastic gradient descent" (2010), section 5.
    """

    lr: Scalar = hyper(1e-2, "learning rate", above=0)
    lambd: Scalar = hyper(1e-4, "weight decay and decay of the rate", at_least=0)
    alpha: Scalar = hyper(0.75, "power of the rate's decay", at_least=0, usual=(0.75, 1))
    t0: Scalar = hyper(1e6, "step after which averaging begins", at_least=0)

    def init(self, params: Tensor) -> State:
        return {"x": params.clone()}

    def scalars(self, t: Scalar) -> Scalars:
        return {
            "t": t,
            "lr": self.lr,
            "lambd": self.lambd,
            "next mu": 1 / largest(t - self.t0, 1.0),
            "next rate": self.lr / (1 + self.lambd * self.lr * t) ** self.alpha,
        }

    def memory(self) -> Scalars:
        """The rate, and the share of the average, that the step before left."""
        return {"rate": 0.0, "mu": 1.0}

    def recall(self, scalars: Scalars, memory: Scalars) -> tuple[Scalars, Scalars]:
        rate = switch(scalars["t"] == 1, scalars["lr"], memory["rate"])
        kept = 1 - scalars["lambd"] * rate
        now = {**scalars, "rate": rate, "kept": kept, "mu": memory["mu"]}
        return now, {"rate": scalars["next rate"], "mu": scalars["next mu"]}

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        params = params * scalars["kept"] - scalars["rate"] * grad
        x = state["x"]
        return params, {"x": x + scalars["mu"] * (params - x)}

    def output(self, params: Tensor, state: State, scalars: Scalars) -> Tensor:
        """The average of the path."""
        return state["x"]

    @property
    def lr_range(self) -> tuple[float, float]:
        return (1e-3, 1e1)
