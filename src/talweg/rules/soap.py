"""SOAP."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, option, shares


@dataclass(frozen=True)
class SOAP(Rule):
    """Adam in the directions in which Shampoo sees the gradients of a matrix vary.

    For each dimension ``i`` of a tensor: ``G_i ← b3·G_i + (1−b3)·g·gᵀ`` over the others, and
    ``Q_i`` its eigenvectors, brought up to date every ``frequency`` steps by a power iteration.
    With ``rotated(x)``, which is ``Q_1ᵀ·x·Q_2`` of a matrix, and ``n = t − 1``:
    ``m ← b1·m + (1−b1)·g``; ``r ← b2·r + (1−b2)·rotated(g)²``;
    ``u = lr·√(1−b2ⁿ)/(1−b1ⁿ)·back(rotated(m)/(√r + eps))``; ``p ← (1 − lr·λ)·(p − u)``

    The first step moves nothing: it finds the directions. Vectors, and dimensions of more than
    ``largest``, are not rotated. The authors also have forms that merge dimensions, rotate vectors
    or normalise the update.

    Args:
        lr: Learning rate, positive.
        beta1: ``b1``, at least 0 and below 1.
        beta2: ``b2``, at least 0 and below 1.
        beta3: ``b3``, at least 0 and below 1; the authors' ``shampoo_beta``, for them ``beta2``.
        eps: Keeps the quotient finite, positive.
        weight_decay: ``λ``, at least 0; decoupled, and after the step.
        bias_correction: Whether to correct for the start of ``m`` and ``r`` at 0.
        frequency: Steps from one update of the directions to the next, at least 1.
        largest: The largest dimension that is rotated, at least 1.

    Source: Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam" (2024), algorithm 3,
    and the authors' code.
    """

    lr: Scalar = hyper(3e-3, "learning rate", above=0)
    beta1: Scalar = hyper(
        0.95, "share of the mean gradient kept", at_least=0, below=1, usual=(0.9, 0.95)
    )
    beta2: Scalar = hyper(
        0.95, "share of the mean square kept", at_least=0, below=1, usual=(0.9, 0.99)
    )
    beta3: Scalar = hyper(
        0.95, "share of the directions' spread kept", at_least=0, below=1, usual=(0.9, 0.99)
    )
    eps: Scalar = hyper(1e-8, "keeps the quotient finite", above=0, usual=(1e-10, 1e-6))
    weight_decay: Scalar = hyper(0.0, "share of p taken away, in rates", at_least=0, usual=(0, 0.1))
    bias_correction: bool = option(True, "correct for the start at 0")
    frequency: int = option(10, "steps between updates of the directions")
    largest: int = option(10_000, "largest dimension that is rotated")

    def _sides(self, params: Tensor) -> list[int]:
        """The dimensions that are rotated."""
        if params.ndim < 2:
            return []
        return [side for side, size in enumerate(params.shape) if size <= self.largest]

    def init(self, params: Tensor) -> State:
        state = {"m": torch.zeros_like(params), "r": torch.zeros_like(params)}
        for side in self._sides(params):
            size = params.shape[side]
            state[f"spread{side}"] = params.new_zeros(size, size)
            state[f"turn{side}"] = torch.eye(size, dtype=params.dtype, device=params.device)
        return state

    def scalars(self, t: Scalar) -> Scalars:
        b1, b2 = self.beta1, self.beta2
        n = t - 1
        first = n == 0  # where nothing is moved
        n = n + first if isinstance(first, Tensor) else max(n, 1)
        lr = self.lr * (1 - b2**n) ** 0.5 / (1 - b1**n) if self.bias_correction else self.lr
        return {
            **shares(b1=b1, b2=b2, b3=self.beta3),
            "lr": lr,
            "eps": self.eps,
            "kept": 1 - self.lr * self.weight_decay,
        }

    def at(self, t: int) -> Rule:
        turns = (t - 1) % self.frequency == 0
        if t > 1 and not turns:
            return self
        kind = _First if t == 1 else _Turning
        copy = object.__new__(kind)
        vars(copy).update(vars(self))
        return copy

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        turns = {side: state[f"turn{side}"] for side in self._sides(params)}
        m = scalars["b1"] * state["m"] + scalars["1-b1"] * grad
        square = rotated(grad, turns).square()
        r = scalars["b2"] * state["r"] + scalars["1-b2"] * square
        direction = rotated(m, turns) / (r.sqrt() + scalars["eps"])
        back = rotated(direction, {side: turn.T for side, turn in turns.items()})
        params = scalars["kept"] * (params - scalars["lr"] * back)
        return params, {**self._spread(grad, state, scalars), "m": m, "r": r}

    def _spread(self, grad: Tensor, state: State, scalars: Scalars) -> State:
        """The state with how much the gradients vary brought up to date."""
        new = dict(state)
        for side in self._sides(grad):
            flat = grad.movedim(side, 0).flatten(1)
            new[f"spread{side}"] = torch.lerp(
                state[f"spread{side}"], flat @ flat.T, scalars["1-b3"]
            )
        return new

    @property
    def is_per_tensor(self) -> bool:
        return True

    @property
    def lr_range(self) -> tuple[float, float]:
        return (1e-5, 1e-1)


class _First(SOAP):
    """The first step: directions are found and nothing is moved."""

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        new = self._spread(grad, state, scalars)
        for side in self._sides(params):
            _, vectors = torch.linalg.eigh(exact(new[f"spread{side}"]))
            new[f"turn{side}"] = vectors.flip(-1).to(params.dtype).contiguous()
        return params.clone(), new


class _Turning(SOAP):
    """A step after which the directions are brought up to date."""

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        params, new = super().step(params, grad, state, scalars)
        for side in self._sides(params):
            product = new[f"spread{side}"] @ new[f"turn{side}"]
            order = (new[f"turn{side}"] * product).sum(0).argsort(descending=True)
            new["r"] = new["r"].index_select(side, order)
            turn, _ = torch.linalg.qr(exact(product.index_select(1, order)))
            new[f"turn{side}"] = turn.to(params.dtype).contiguous()
        return params, new


def exact(x: Tensor) -> Tensor:
    """In at least float32, which decompositions need."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def rotated(x: Tensor, turns: dict[int, Tensor]) -> Tensor:
    """A tensor times an orthogonal matrix along each of some dimensions."""
    for side, turn in turns.items():
        x = (x.movedim(side, -1) @ turn).movedim(-1, side)
    return x
