"""A small convolutional network."""

from collections.abc import Sequence

from torch import nn

from talweg.activations import ACTIVATIONS
from talweg.core import UserError
from talweg.models.layers import Feedforward, drawn, sizes_of_hidden
from talweg.models.shapes import image_of

LEAST = 4
"""Pixels that an image needs in both directions."""


def cnn(
    shape: Sequence[int],
    outputs: int,
    hidden: Sequence[int] = (16, 32),
    activation: str = "relu",
) -> nn.Sequential:
    """3×3 convolutions, each with the activation, then 2×2 pooling by the maximum, a linear map.

    Weights are drawn from ``N(0, gain²/fan_in)`` with ``fan_in = 9·channels``, biases start at 0.

    Args:
        shape: Of a sample: ``(C, H, W)``, ``(H, W)``, or ``(H·H,)``, at least 4 × 4.
        outputs: Classes, or values per sample.
        hidden: Channels of each convolution.
        activation: A name in `talweg.activations.ACTIVATIONS` that is no layer.

    Raises:
        UserError: If samples are no images, or too small.

    >>> import torch
    >>> cnn((64,), 10)(torch.zeros(2, 64)).shape
    torch.Size([2, 10])
    """
    hidden = sizes_of_hidden(hidden)
    channels, height, width = image_of(shape)
    if min(height, width) < LEAST:
        raise UserError(
            f"cnn takes images of at least {LEAST} × {LEAST} pixels with their channels first, "
            f"got {channels} × {height} × {width} from samples of shape {list(shape)}"
        )
    if not hidden:
        raise UserError("cnn needs at least one convolution: hidden is empty")
    chosen = ACTIVATIONS[activation]
    if chosen.is_layer:
        raise UserError(f"cnn takes an activation of one value, and {chosen.name} is a layer")
    gain = chosen.properties.gain
    layers: list[nn.Module] = [nn.Flatten(), nn.Unflatten(1, (channels, height, width))]
    scale = 1.0
    for fan_in, maps in zip((channels, *hidden), hidden, strict=False):
        layers += [drawn(nn.Conv2d(fan_in, maps, 3, padding=1), scale), chosen.make()]
        scale = gain
    pooled = hidden[-1] * (height // 2) * (width // 2)
    head = drawn(nn.Linear(pooled, outputs), scale)
    return Feedforward(*layers, nn.MaxPool2d(2), nn.Flatten(), head, gain=gain)
