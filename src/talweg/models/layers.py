"""Layers whose weights are drawn for the activation that feeds them."""

from collections.abc import Sequence
from numbers import Integral
from typing import TypeVar

from torch import nn

from talweg.activations import ACTIVATIONS, Maxout
from talweg.core import UserError

Layer = TypeVar("Layer", bound=nn.Module)


def drawn(layer: Layer, scale: float = 1.0) -> Layer:
    """A layer with new weights from ``N(0, scale²/fan_in)`` and biases at 0.

    Its pre-activations then have a second moment of 1 if ``scale`` is one over the root of that of
    its inputs: 1 for standardised data, the gain of the activation between two layers.

    Args:
        layer: A linear map, a convolution or maxout; it is changed.
        scale: Positive.
    """
    for name, values in layer.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(values)
        else:
            nn.init.normal_(values, std=scale * values[0].numel() ** -0.5)
    return layer


def hidden_layer(inputs: int, units: int, activation: str, scale: float = 1.0) -> list[nn.Module]:
    """A linear map and an activation, or a layer that is both, as maxout is."""
    chosen = ACTIVATIONS[activation]
    if chosen.is_layer:
        return [drawn(chosen.make(inputs, units), scale)]
    return [drawn(nn.Linear(inputs, units), scale), chosen.make()]


class Feedforward(nn.Sequential):
    """Layers in a row, which draw their weights for their activation whenever they are drawn anew.

    Args:
        layers: As `torch.nn.Sequential` takes them.
        gain: Of the activation between the layers that have weights.
    """

    def __init__(self, *layers: nn.Module, gain: float = 1.0) -> None:
        super().__init__(*layers)
        self.gain = gain

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        scale = 1.0
        for layer in self:
            if isinstance(layer, (nn.Linear, nn.Conv2d, Maxout)):
                drawn(layer, scale)
                scale = self.gain


def sizes_of_hidden(hidden: Sequence[int]) -> tuple[int, ...]:
    """Sizes of hidden layers.

    Raises:
        UserError: If one is no size.
    """
    for units in hidden:
        if isinstance(units, bool) or not isinstance(units, Integral) or units < 1:
            raise UserError(f"hidden must be whole numbers of at least 1, got {units!r}")
    return tuple(int(units) for units in hidden)


def one_width(name: str, hidden: Sequence[int]) -> int:
    """The width that all layers share.

    Raises:
        UserError: If there is none.
    """
    widths = sizes_of_hidden(hidden)
    if not widths:
        raise UserError(f"{name} needs at least one layer: hidden is empty")
    if len(set(widths)) > 1:
        raise UserError(f"{name} has layers of one width, got hidden={','.join(map(str, widths))}")
    return widths[0]
