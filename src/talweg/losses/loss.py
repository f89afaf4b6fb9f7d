"""What a loss is: one value per sample, and then a reduction."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

PerSample: TypeAlias = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Loss:
    """A loss by name.

    Args:
        name: What users type.
        per_sample: ``(output [batch, …], target [batch, …]) -> [batch]``.
        kind: The kind of task it is for: ``"classification"`` or ``"regression"``.
        weight: ``(output, target) -> [batch]``: what a sample counts for in the mean; None for 1
            each. ``per_sample`` has it as a factor already.
        output: What it takes from the model for a sample: a value for each class, one value, as
            many values as the target has, or what only the loss can say.
    """

    name: str
    per_sample: PerSample
    kind: str
    weight: PerSample | None = None
    output: Literal["classes", "one", "values", "any"] = "any"

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean over the batch, a scalar: `reduced` with ``"mean"``."""
        return self.reduced(output, target)

    def reduced(self, output: Tensor, target: Tensor, how: str = "mean") -> Tensor:
        """The loss of a batch.

        Args:
            output: What the model returned, ``[batch, …]``.
            target: What it should have, ``[batch, …]``.
            how: ``"none"``: ``[batch]``; ``"sum"``; ``"mean"``: the sum over what the samples count
                for, which is their number unless some count more than others, or nothing.
        """
        values = self.per_sample(output, target)
        if how == "none":
            return values
        if how == "sum":
            return values.sum()
        if self.weight is None:
            return values.mean()
        counts = self.weight(output, target).sum()
        return values.sum() / counts.clamp(min=counts.new_tensor(1e-30))
