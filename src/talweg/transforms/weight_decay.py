"""Weight decay, coupled and decoupled."""

from dataclasses import dataclass

from torch import Tensor

from talweg.core import Scalar, Scalars, State, UserError, hyper, option
from talweg.transforms.base import Transform


@dataclass(frozen=True)
class WeightDecay(Transform):
    """Pulls the parameters toward 0 at each step.

    ``decoupled=True``: ``p ← p·(1 − lr·λ)`` before the rule's step: AdamW, SGDW.
    ``decoupled=False``: ``g ← g + λ·p``, the gradient of ``λ/2·‖p‖²``: L2 regularisation, which an
    adaptive rule rescales with the rest of the gradient.

    With SGD both are the same. The paper's decoupled decay is ``p·(1 − η·λ)`` with a schedule η
    apart from the rate; PyTorch and optax multiply by ``lr``, as here. A rule that looks ahead
    adds its decay at the parameters, not at the look-ahead point.

    Args:
        rule: The rule inside.
        weight_decay: ``λ``, at least 0.
        decoupled: Which of the two.
        spare_vectors: Whether tensors of fewer than two dimensions, biases and norms, are left
            alone. An optimizer's groups can say it too, and then its step is faster:
            `optim.decay_groups`.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), algorithms 1
    and 2.
    """

    weight_decay: Scalar = hyper(
        1e-2, "share of a parameter taken away", at_least=0, usual=(0, 0.1)
    )
    decoupled: bool = option(True, "apart from the gradient")
    spare_vectors: bool = option(False, "leave biases and norms alone")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.decoupled and "lr" not in self.rule.hypers:
            raise UserError(
                f"decoupled decay goes by the rate, and {type(self.rule).__name__} has no lr; "
                f"use decoupled=False"
            )

    def scalars(self, t: Scalar) -> Scalars:
        if self.decoupled:
            return {**super().scalars(t), "decay.kept": 1 - self.hypers["lr"] * self.weight_decay}
        return {**super().scalars(t), "decay.share": self.weight_decay}

    def inward(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, Tensor]:
        if self.spare_vectors and params.ndim < 2:
            return params, grad
        if self.decoupled:
            return params * scalars["decay.kept"], grad
        return params, grad + scalars["decay.share"] * params

    @property
    def is_per_tensor(self) -> bool:
        return self.spare_vectors or super().is_per_tensor
