"""Linear maps, with activations between them or without."""

from collections.abc import Sequence

from torch import nn

from talweg.activations import ACTIVATIONS
from talweg.models.layers import Feedforward, drawn, hidden_layer, sizes_of_hidden


def mlp(
    inputs: int, outputs: int, hidden: Sequence[int] = (128, 128), activation: str = "relu"
) -> nn.Sequential:
    """A multilayer perceptron, initialised for its activation.

    Weights are drawn from ``N(0, gain²/fan_in)``, biases start at 0.

    Args:
        inputs: Features per sample; samples of more dimensions are flattened.
        outputs: Classes, or values per sample.
        hidden: Units of each hidden layer.
        activation: A name in `talweg.activations.ACTIVATIONS`.

    >>> import torch
    >>> mlp(4, 3, hidden=(8,))(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """
    hidden = sizes_of_hidden(hidden)
    gain = ACTIVATIONS[activation].properties.gain
    layers: list[nn.Module] = [nn.Flatten()]
    scale = 1.0
    for fan_in, units in zip((inputs, *hidden), hidden, strict=False):
        layers += hidden_layer(fan_in, units, activation, scale)
        scale = gain
    layers.append(drawn(nn.Linear(hidden[-1] if hidden else inputs, outputs), scale))
    return Feedforward(*layers, gain=gain)


def linear(inputs: int, outputs: int) -> nn.Sequential:
    """A linear map: linear regression, or logits for softmax or logistic regression.

    Weights are drawn from ``N(0, 1/fan_in)``, the bias starts at 0.

    Args:
        inputs: Features per sample; samples of more dimensions are flattened.
        outputs: Classes, or values per sample; 1 for logistic regression.
    """
    return mlp(inputs, outputs, hidden=())


def maxout(inputs: int, outputs: int, hidden: Sequence[int] = (128, 128)) -> nn.Sequential:
    """A maxout network: each hidden unit is the larger of two linear maps.

    Args:
        inputs: Features per sample; samples of more dimensions are flattened.
        outputs: Classes, or values per sample.
        hidden: Units of each hidden layer.

    Source: Goodfellow et al., "Maxout networks" (2013).
    """
    return mlp(inputs, outputs, hidden, "maxout")
