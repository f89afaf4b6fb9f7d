"""RMSProp, plain and with momentum or Nesterov momentum."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, UserError, hyper, option, shares
from talweg.rules.starting import filled


@dataclass(frozen=True)
class RMSProp(Rule):
    """A rate per coordinate from a moving average of its squared gradients.

    ``r ← rho·r + (1−rho)·g²``; ``d = g/(√r + eps)``, or ``g/√(r + eps)`` with ``eps_inside``.
    Without momentum ``p ← p − lr·d``; with it
    ``form="velocity"``: ``v ← a·v − lr·d``; ``p ← p + v``
    ``form="accumulate"``: ``m ← a·m + d``; ``p ← p − lr·m`` (what PyTorch does).
    ``nesterov`` takes the gradient at the look-ahead point ``p + a·v`` (``p − lr·a·m``). With
    ``stored`` the parameters are that point, as PyTorch and Keras have it for SGD:
    ``p ← p + a·v − lr·d`` (``p − lr·(a·m + d)``).
    ``centered`` keeps ``c ← rho·c + (1−rho)·g`` and uses ``r − c²`` in place of ``r``.

    TensorFlow puts ``eps`` under the root, PyTorch outside.

    Args:
        lr: Learning rate, positive.
        rho: Share of the average that is kept, at least 0 and below 1 (PyTorch: ``alpha``, 0.99).
        eps: Keeps the quotient finite where the gradient is 0 from the start, positive.
        eps_inside: Whether ``eps`` is added under the root.
        momentum: ``a``, at least 0 and below 1; 0 keeps no velocity.
        nesterov: Whether the gradient is taken at the look-ahead point; needs momentum.
        stored: Whether the parameters are themselves the look-ahead point; needs ``nesterov``.
        centered: Whether the average is centred by the mean gradient.
        form: ``"velocity"`` or ``"accumulate"``.
        initial: Where the average of squares starts, at least 0.

    Source: Hinton (2012), lecture 6e; Goodfellow, Bengio, Courville (2016), algorithms 8.5 and
    8.6; Graves (2013), eq. 38 to 45, for ``centered``.
    """

    lr: Scalar = hyper(1e-3, "learning rate", above=0)
    rho: Scalar = hyper(
        0.9, "share of the squared average kept", at_least=0, below=1, usual=(0.9, 0.99)
    )
    eps: Scalar = hyper(1e-8, "keeps the quotient finite", above=0, usual=(1e-10, 1e-6))
    eps_inside: bool = option(False, "eps under the root")
    momentum: Scalar = hyper(
        0.0, "share of the velocity that is kept", at_least=0, below=1, usual=(0, 0.9)
    )
    nesterov: bool = option(False, "gradient at the look-ahead point")
    stored: bool = option(False, "the parameters are the look-ahead point")
    centered: bool = option(False, "subtract the squared mean gradient")
    form: str = option("velocity", "convention of momentum", ("velocity", "accumulate"))
    initial: Scalar = hyper(0.0, "where the average of squares starts", at_least=0, usual=(0, 1))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise UserError("nesterov=True needs momentum above 0, got momentum=0")
        if self.stored and not self.nesterov:
            raise UserError("stored=True needs nesterov=True")

    @property
    def keeps_velocity(self) -> bool:
        """Whether there is momentum, if only as a tensor, or one that a schedule takes to 0."""
        return self.nesterov or isinstance(self.momentum, Tensor) or self.momentum > 0

    @property
    def structure(self) -> tuple[object, ...]:
        return (*super().structure, self.keeps_velocity)

    def init(self, params: Tensor) -> State:
        names = ["c"] if self.centered else []
        if self.keeps_velocity:
            names.append("v" if self.form == "velocity" else "m")
        state = {"r": filled(params, self.initial)}
        return state | {name: torch.zeros_like(params) for name in names}

    def scalars(self, t: Scalar) -> Scalars:
        fixed = {"lr": self.lr, **shares(rho=self.rho), "eps": self.eps}
        return {**fixed, "a": self.momentum, "lr·a": self.lr * self.momentum}

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        lr, rho, eps = scalars["lr"], scalars["rho"], scalars["eps"]
        r = rho * state["r"] + scalars["1-rho"] * grad * grad
        new = {"r": r}
        spread = r
        if self.centered:
            new["c"] = rho * state["c"] + scalars["1-rho"] * grad
            # In exact arithmetic r ≥ c²; rounding can take the difference just below 0.
            spread = (r - new["c"] * new["c"]).clamp(min=0)
        direction = grad / ((spread + eps).sqrt() if self.eps_inside else spread.sqrt() + eps)
        if "v" in state:
            new["v"] = scalars["a"] * state["v"] - lr * direction
            v = new["v"]
            return params + (scalars["a"] * v - lr * direction if self.stored else v), new
        if "m" in state:
            new["m"] = scalars["a"] * state["m"] + direction
            m = new["m"]
            return params - lr * (scalars["a"] * m + direction if self.stored else m), new
        return params - lr * direction, new

    def probe(self, params: Tensor, state: State, scalars: Scalars) -> Tensor:
        """The parameters, or with ``nesterov`` the look-ahead point."""
        if not self.looks_ahead:
            return params
        if self.form == "velocity":
            return params + scalars["a"] * state["v"]
        return params - scalars["lr·a"] * state["m"]

    @property
    def looks_ahead(self) -> bool:
        return self.nesterov and not self.stored
