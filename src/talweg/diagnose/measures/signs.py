"""Weight gradients of one sign."""

from torch import Tensor

from talweg.diagnose.measures.measure import OfStep, Step


def one_signed(step: Step) -> list[Tensor]:
    """The share of a weight's units, its rows, whose gradient has one sign in the batch.

    Rows without a gradient do not count; 0 if none has one. A unit whose inputs are all positive
    moves its weights all up or all down (LeCun et al., "Efficient BackProp", 1998, section 4.3).
    """
    return [_share(grad) for grad in step.grads]


def _share(grad: Tensor) -> Tensor:
    rows = grad.flatten(1)
    low, high = rows.aminmax(dim=1)
    moves = (low < 0) | (high > 0)
    mixed = (low < 0) & (high > 0)
    return (moves & ~mixed).sum() / moves.sum().clamp(min=1)


ONE_SIGNED = OfStep(
    "one-signed",
    "share of a weight's units whose gradient has one sign in the batch",
    "a pass over a gradient",
    one_signed,
    tier="full",
)
