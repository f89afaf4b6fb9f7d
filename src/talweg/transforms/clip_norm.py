"""Clipping a gradient by its length."""

from dataclasses import dataclass

from torch import Tensor

from talweg.core import Scalar, Scalars, State, UserError, hyper, option
from talweg.transforms.base import Transform


@dataclass(frozen=True)
class ClipNorm(Transform):
    """The rule on a gradient that is shortened to a largest length; its direction stays.

    ``g ← g·min(1, max_norm/(‖g‖ + slack))``, with the norm over all of a model's parameters or,
    with ``over="tensor"``, over each parameter tensor by itself.

    Args:
        rule: The rule inside.
        max_norm: The largest length, positive.
        slack: Added to the length, at least 0: 1e-6 in PyTorch, 0 in Keras and optax.
        over: ``"model"`` or ``"tensor"``.

    Raises:
        UserError: If ``over="model"`` and the rule inside has sums over the model of its own.

    Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks"
    (2013); `torch.nn.utils.clip_grad_norm_`.
    """

    max_norm: Scalar = hyper(1.0, "the largest length", above=0)
    slack: Scalar = hyper(1e-6, "added to the length", at_least=0)
    over: str = option("model", "what the length is of", ("model", "tensor"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.over == "model" and self.rule.gathers:
            raise UserError(
                f"ClipNorm over the model cannot go around {type(self.rule).__name__}, which has "
                'sums over the model of its own: use over="tensor"'
            )

    def scalars(self, t: Scalar) -> Scalars:
        return {**super().scalars(t), "clip.max_norm": self.max_norm, "clip.slack": self.slack}

    def sums(self, params: Tensor, grad: Tensor, state: State, scalars: Scalars) -> Scalars:
        if self.over == "model":
            return {"clip.square": grad.square().sum()}
        return super().sums(params, grad, state, scalars)

    def inward(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, Tensor]:
        norm = scalars["clip.square"].sqrt() if self.over == "model" else grad.norm()
        return params, grad * (scalars["clip.max_norm"] / (norm + scalars["clip.slack"])).clamp(
            max=1
        )

    @property
    def gathers(self) -> bool:
        return self.over == "model" or super().gathers

    @property
    def is_per_tensor(self) -> bool:
        return self.over == "tensor" or super().is_per_tensor
