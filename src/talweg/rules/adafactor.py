"""Adafactor."""

from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, option, switch


@dataclass(frozen=True)
class Adafactor(Rule):
    """RMSProp that keeps the mean square of a matrix by its rows and columns only.

    ``k = t^−power``; ``R ← (1−k)·R + k·rowmean(g²)``; ``C ← (1−k)·C + k·columnmean(g²)``;
    ``r = R·C/max(mean(R), eps)``, for vectors ``r ← (1−k)·r + k·g²``;
    ``u = g/max(√r, eps)``; ``s = min(lr, 1/√t)·max(floor, rms(p))``;
    ``p ← (1 − lr·λ)·p − s·u/max(1, rms(u)/clip)``

    Of tensors with more dimensions the last two are taken for rows and columns. So steps are
    relative to the size of the tensor. This is PyTorch's form. The paper has no ``lr`` and no
    ``λ`` (``lr`` is 0.01 there) and adds ``eps`` to ``g²`` instead; others leave out the sizes
    (``relative_step``, ``scale_parameter``) or add momentum.

    Args:
        lr: The largest relative step, positive.
        power: How fast the mean square forgets less, at least 0.
        eps: Keeps the quotients finite, positive; without effect with ``machine_eps``.
        floor: The size that a tensor is taken to have at least, at least 0.
        clip: The largest root mean square of a direction, at least 1.
        weight_decay: ``λ``, at least 0; decoupled.
        machine_eps: Whether ``eps`` is the distance from 1 to the next number of the dtype.

    Source: Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost"
    (2018), algorithms 4 and 5; `torch.optim.Adafactor`.
    """

    lr: Scalar = hyper(1e-2, "largest relative step", above=0)
    power: Scalar = hyper(
        0.8, "how fast the mean square forgets less", at_least=0, usual=(0.5, 0.9)
    )
    eps: Scalar = hyper(1e-15, "keeps the quotients finite", above=0, usual=(1e-30, 1e-7))
    floor: Scalar = hyper(1e-3, "size of a tensor at least", at_least=0, usual=(1e-4, 1e-2))
    clip: Scalar = hyper(1.0, "largest root mean square of a direction", at_least=1, usual=(1, 2))
    weight_decay: Scalar = hyper(0.0, "share of p taken away, in rates", at_least=0, usual=(0, 0.1))
    machine_eps: bool = option(True, "eps as the dtype has it")

    def init(self, params: Tensor) -> State:
        if params.ndim < 2:
            return {"r": torch.zeros_like(params)}
        return {
            "rows": torch.zeros_like(params[..., :1]),
            "columns": torch.zeros_like(params[..., :1, :]),
        }

    def scalars(self, t: Scalar) -> Scalars:
        root = t**-0.5
        return {
            "k": t**-self.power,
            "rate": switch(self.lr < root, self.lr, root),
            "eps": self.eps,
            "floor": self.floor,
            "clip": self.clip,
            "kept": 1 - self.lr * self.weight_decay,
        }

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        eps = torch.finfo(params.dtype).eps if self.machine_eps else scalars["eps"]
        k, new, square = scalars["k"], {}, grad * grad
        if params.ndim < 2:
            r = new["r"] = torch.lerp(state["r"], square, k)
        else:
            rows = new["rows"] = torch.lerp(state["rows"], square.mean(-1, keepdim=True), k)
            columns = torch.lerp(state["columns"], square.mean(-2, keepdim=True), k)
            new["columns"] = columns
            r = rows * columns / rows.mean(-2, keepdim=True).clamp(min=eps)
        direction = grad * r.clamp(min=eps * eps).rsqrt()
        size, length = (x.square().mean().sqrt() for x in (params, direction))
        rate = scalars["rate"] * size.clamp(min=scalars["floor"])
        shorter = (length / scalars["clip"]).clamp(min=1)
        return scalars["kept"] * params - rate / shorter * direction, new

    @property
    def is_per_tensor(self) -> bool:
        return True

    @property
    def lr_range(self) -> tuple[float, float]:
        return (1e-4, 1e0)
