"""How models look at a sample: as a row of features, as an image, or as a sequence."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from talweg.core import UserError


def flat_of(shape: Sequence[int]) -> tuple[int]:
    """Any sample as a row of features.

    >>> flat_of((1, 8, 8))
    (64,)
    """
    return (math.prod(shape),)


def image_of(shape: Sequence[int]) -> tuple[int, int, int]:
    """A sample as an image: channels, height and width.

    Raises:
        UserError: If it is none.

    >>> image_of((64,)), image_of((28, 28)), image_of((3, 32, 32))
    ((1, 8, 8), (1, 28, 28), (3, 32, 32))
    """
    match tuple(shape):
        case (channels, height, width):
            return channels, height, width
        case (height, width):
            return 1, height, width
        case (length,) if math.isqrt(length) ** 2 == length:
            return 1, math.isqrt(length), math.isqrt(length)
        case _:
            raise UserError(
                f"cnn takes images, (H, W) or (C, H, W), or as many features as a square has "
                f"pixels, got samples of shape {list(shape)}: reshape them, or choose mlp"
            )


def sequence_of(shape: Sequence[int]) -> tuple[int, int]:
    """A sample as a sequence: steps, and features of each; an image is the sequence of its rows.

    Raises:
        UserError: If it is none.

    >>> sequence_of((64,)), sequence_of((100, 3)), sequence_of((3, 32, 32))
    ((8, 8), (100, 3), (32, 96))
    """
    match tuple(shape):
        case (channels, height, width):
            return height, channels * width
        case (steps, features):
            return steps, features
        case (length,) if math.isqrt(length) ** 2 == length:
            return math.isqrt(length), math.isqrt(length)
        case _:
            raise UserError(
                f"lstm, gru and transformer take sequences (T, F), images (H, W) or (C, H, W), or "
                f"as many features as a square has pixels, got samples of shape {list(shape)}: "
                f"reshape them, or choose mlp"
            )


class AsSequence(nn.Module):
    """Samples of any shape that `sequence_of` takes → ``[batch, steps, features]``."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.steps, self.features = sequence_of(shape)
        self.channels = shape[0] if len(shape) == 3 else 1

    def forward(self, x: Tensor) -> Tensor:
        """The features of a step are what all channels have in its row."""
        rows = x.reshape(len(x), self.channels, self.steps, -1)
        return rows.transpose(1, 2).flatten(2)
