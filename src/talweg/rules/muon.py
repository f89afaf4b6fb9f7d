"""Muon."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, hyper, option, shares
from talweg.rules.adam import Adam


@dataclass(frozen=True)
class Muon(Rule):
    """Momentum whose update is made orthogonal, for matrices; Adam for vectors.

    ``m ← a·m + (1−a)·g``; ``u = (1−a)·g + a·m`` with ``nesterov``, else ``m``;
    ``p ← (1 − lr·λ)·p − lr·s·orthogonal(u)``, which has about the singular vectors of ``u``, all
    with values of 0.7 to 1.2

    It comes of ``ns_steps`` Newton–Schulz iterations ``X ← a·X + (b·A + c·A²)·X`` with
    ``A = X·Xᵀ``, from ``X = u/max(‖u‖, eps)``. Tensors of more than two dimensions are taken as
    matrices of their first dimension by the rest.

    ``adjust="match_rms_adamw"``: ``s = 0.2·√max(rows, columns)``: the length of a usual step of
    Adam, so that vectors can share the rate. ``adjust="original"``: ``s = √max(1, rows/columns)``,
    and vectors want another rate: set ``ratio``. PyTorch's documentation has ``m ← a·m + g`` and
    ``u = g + a·m``, its code the average here: as long as ``a`` is constant both are of one
    direction.

    Embeddings and the last layer are matrices too; its authors leave them to Adam.

    Args:
        lr: Learning rate, positive.
        momentum: ``a``, at least 0 and below 1.
        eps: Keeps the quotient by ``‖u‖`` finite, positive.
        weight_decay: ``λ``, at least 0; decoupled, and of matrices only.
        ratio: Rate of vectors, in units of ``lr``, positive.
        beta1: Of Adam for vectors, at least 0 and below 1.
        beta2: Of Adam for vectors, at least 0 and below 1.
        adam_eps: ``eps`` of Adam for vectors, positive.
        nesterov: Whether the gradient counts twice.
        adjust: ``"match_rms_adamw"`` or ``"original"``.
        half: Whether to iterate in bfloat16, as PyTorch's does: for GPUs.
        ns_steps: Iterations, at least 1.
        ns_coefficients: ``(a, b, c)``.

    Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); Liu
    et al., "Muon is scalable for LLM training" (2025); `torch.optim.Muon`.
    """

    lr: Scalar = hyper(1e-3, "learning rate", above=0)
    momentum: Scalar = hyper(
        0.95, "share of the mean gradient kept", at_least=0, below=1, usual=(0.9, 0.98)
    )
    eps: Scalar = hyper(1e-7, "keeps the quotient by the norm finite", above=0, usual=(1e-8, 1e-6))
    weight_decay: Scalar = hyper(0.0, "share of p taken away, in rates", at_least=0, usual=(0, 0.1))
    ratio: Scalar = hyper(1.0, "rate of vectors, in units of lr", above=0, usual=(0.01, 1))
    beta1: Scalar = hyper(
        0.9, "of vectors: mean gradient kept", at_least=0, below=1, usual=(0.8, 0.95)
    )
    beta2: Scalar = hyper(
        0.95, "of vectors: mean square kept", at_least=0, below=1, usual=(0.9, 0.999)
    )
    adam_eps: Scalar = hyper(
        1e-8, "of vectors: keeps the quotient finite", above=0, usual=(1e-10, 1e-6)
    )
    nesterov: bool = option(True, "count the gradient twice")
    adjust: str = option("match_rms_adamw", "how long a step is", ("match_rms_adamw", "original"))
    half: bool = option(False, "iterate in bfloat16")
    ns_steps: int = option(5, "Newton–Schulz iterations")
    ns_coefficients: tuple[float, ...] = option((3.4445, -4.775, 2.0315), "of an iteration")

    _adam: ClassVar[Adam] = Adam()

    def init(self, params: Tensor) -> State:
        if params.ndim < 2:
            return self._adam.init(params)
        return {"m": torch.zeros_like(params)}

    def scalars(self, t: Scalar) -> Scalars:
        adam = self._adam.moved(
            lr=self.lr * self.ratio, beta1=self.beta1, beta2=self.beta2, eps=self.adam_eps
        )
        return {
            "lr": self.lr,
            **shares(a=self.momentum),
            "eps": self.eps,
            "kept": 1 - self.lr * self.weight_decay,
            **{f"adam.{name}": value for name, value in adam.scalars(t).items()},
        }

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        if params.ndim < 2:
            own = {n[5:]: value for n, value in scalars.items() if n.startswith("adam.")}
            return self._adam.step(params, grad, state, own)
        # In place on what is fresh: for large matrices new memory costs more than the arithmetic.
        m = torch.lerp(state["m"], grad, scalars["1-a"])
        update = torch.lerp(grad, m, scalars["a"]) if self.nesterov else m
        matrix = update if update.ndim == 2 else update.flatten(1)
        rows, columns = matrix.shape
        if self.adjust == "original":
            length = max(1, rows / columns) ** 0.5
        else:
            length = 0.2 * max(rows, columns) ** 0.5
        direction = self._orthogonal(matrix, scalars)
        direction = direction if update.ndim == 2 else direction.view(params.shape)
        rate = scalars["lr"] * length
        moved = scalars["kept"] * params
        if isinstance(rate, Tensor):
            return moved - rate * direction.to(params.dtype), {"m": m}
        # Rounded once, as PyTorch's is: half an iteration makes another step of another rounding.
        return moved.add_(direction, alpha=-rate), {"m": m}

    def _orthogonal(self, matrix: Tensor, scalars: Scalars) -> Tensor:
        a, b, c = self.ns_coefficients
        rows, columns = matrix.shape
        x = matrix.to(torch.bfloat16 if self.half else matrix.dtype, copy=True)
        x = x.T if rows > columns else x
        x.div_(x.norm().clamp(min=scalars["eps"]))
        for _ in range(self.ns_steps):
            gram = x @ x.T
            x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        return x.T if rows > columns else x

    @property
    def is_per_tensor(self) -> bool:
        return True

    @property
    def lr_range(self) -> tuple[float, float]:
        return (1e-5, 1e-1)
