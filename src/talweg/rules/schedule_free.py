"""Schedule-Free rules: averaging in place of a schedule."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, largest, shares, switch


@dataclass(frozen=True)
class _ScheduleFree(Rule):
    """What both have: the parameters are ``y``, where gradients are taken; ``x`` is evaluated."""

    lr: Scalar = hyper(0.1, "learning rate", above=0)
    momentum: Scalar = hyper(0.9, "share of the average in y", above=0, below=1, usual=(0.9, 0.98))
    weight_decay: Scalar = hyper(
        0.0, "share of y added to the direction", at_least=0, usual=(0, 0.1)
    )
    warmup: Scalar = hyper(0.0, "steps over which the rate rises", at_least=0)
    r: Scalar = hyper(0.0, "power of the step in an average's weight", at_least=0)
    weight_power: Scalar = hyper(2.0, "power of the rate in an average's weight", at_least=0)

    def scalars(self, t: Scalar) -> Scalars:
        risen = t / largest(self.warmup, 1.0)
        return {
            "rate": self.lr * switch(risen < 1, risen, 1.0),
            "share": t**self.r,
            "power": self.weight_power,
            "a": self.momentum,
            "decay": self.weight_decay,
            "back": 1 - 1 / self.momentum,
        }

    def memory(self) -> Scalars:
        """The largest rate and the sum of the weights so far."""
        return {"peak": 0.0, "weights": 0.0}

    def recall(self, scalars: Scalars, memory: Scalars) -> tuple[Scalars, Scalars]:
        rate = scalars["rate"]
        peak = largest(rate, memory["peak"])
        weight = scalars["share"] * peak ** scalars["power"]
        weights = memory["weights"] + weight
        newest = weight / largest(weights, 5e-324)  # a rate of 0 weighs nothing
        toward = rate * (1 - scalars["a"] * (1 - newest))
        now = {**scalars, **shares(c=newest), "y rate": toward}
        return now, {"peak": peak, "weights": weights}

    def _moved(
        self, params: Tensor, direction: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        direction = direction + scalars["decay"] * params
        z = state["z"]
        y = scalars["1-c"] * params + scalars["c"] * z - scalars["y rate"] * direction
        return y, {"z": z - scalars["rate"] * direction}

    def output(self, params: Tensor, state: State, scalars: Scalars) -> Tensor:
        """The average ``x = y + (1 − 1/a)·(z − y)``."""
        return params + scalars["back"] * (state["z"] - params)


@dataclass(frozen=True)
class ScheduleFreeSGD(_ScheduleFree):
    """Gradient descent whose average takes the place of a falling rate.

    ``g`` at ``y = (1−a)·z + a·x``; ``z ← z − lr·(g + λ·y)``; ``x ← (1−c)·x + c·z``, with
    ``c = w/Σw`` and ``w = t^r·(largest lr so far)^weight_power``; evaluated at ``x``.

    The parameters are ``y``, as in the authors' code: ``y ← (1−c)·y + c·z − lr·(1 − a·(1−c))·g``
    with the ``z`` before its step. Keep the rate constant, but for a warm-up, and the momentum:
    a change of it moves ``x``.

    Args:
        lr: Learning rate, positive; larger than without averaging.
        momentum: ``a``: share of the average in ``y``, above 0 and below 1.
        weight_decay: ``λ``, at least 0, at ``y``.
        warmup: Steps over which the rate rises from 0, at least 0.
        r: Power of the step in an average's weight, at least 0.
        weight_power: Power of the largest rate so far in an average's weight, at least 0.

    Source: Defazio et al., "The road less scheduled" (2024), eq. 3 to 5, and the authors' code
    for the weights.
    """

    def init(self, params: Tensor) -> State:
        return {"z": params.clone()}

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        return self._moved(params, grad, state, scalars)

    @property
    def lr_range(self) -> tuple[float, float]:
        return (1e-3, 1e1)


@dataclass(frozen=True)
class ScheduleFreeAdamW(_ScheduleFree):
    """Adam's rate per coordinate with an average in place of momentum and of a falling rate.

    ``r ← b2·r + (1−b2)·g²``; ``d = g/(√(r/(1−b2^t)) + eps)``; then as `ScheduleFreeSGD` with
    ``d`` in place of ``g``. Weight decay is decoupled from the gradient and added to ``d``.

    Args:
        lr: Learning rate, positive; up to ten times Adam's.
        momentum: ``a``: share of the average in ``y``, above 0 and below 1 (the authors: beta1).
        weight_decay: ``λ``, at least 0, at ``y``.
        warmup: Steps over which the rate rises from 0, at least 0.
        r: Power of the step in an average's weight, at least 0.
        weight_power: Power of the largest rate so far in an average's weight, at least 0.
        beta2: Share of the mean square that is kept, at least 0 and below 1.
        eps: Keeps the quotient finite, positive.

    Source: Defazio et al., "The road less scheduled" (2024), algorithm 1.
    """

    lr: Scalar = hyper(2.5e-3, "learning rate", above=0)
    beta2: Scalar = hyper(
        0.999, "share of the mean square kept", at_least=0, below=1, usual=(0.9, 0.9999)
    )
    eps: Scalar = hyper(1e-8, "keeps the quotient finite", above=0, usual=(1e-10, 1e-6))

    def init(self, params: Tensor) -> State:
        return {"z": params.clone(), "r": torch.zeros_like(params)}

    def scalars(self, t: Scalar) -> Scalars:
        more = {**shares(b2=self.beta2), "eps": self.eps, "root": (1 - self.beta2**t) ** -0.5}
        return {**super().scalars(t), **more}

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        r = scalars["b2"] * state["r"] + scalars["1-b2"] * grad * grad
        direction = grad / (r.sqrt() * scalars["root"] + scalars["eps"])
        y, new = self._moved(params, direction, state, scalars)
        return y, new | {"r": r}
