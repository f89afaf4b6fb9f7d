"""How the loss's gradient changes on its way from the last layer to the first."""

from dataclasses import dataclass

from talweg.diagnose.moment import Moment, Setting

FEWEST = 3
"""Layers that multiply, for what one leaves of a gradient on the mean to mean something."""


@dataclass(frozen=True)
class Way:
    """The gradient's way through a model.

    Attributes:
        first: The first layer, where it arrives.
        last: The last but one, where it starts: the last is the loss's own.
        total: What arrives, as a share of what starts.
        a_layer: The factor of a layer, on the geometric mean.
    """

    first: str
    last: str
    total: float
    a_layer: float


def passing(moment: Moment, setting: Setting) -> Way | None:
    """The gradient's way at a measured step; None for a model of too few layers.

    By the norm of the gradient in what the layers that multiply give; where that is not measured
    (in models that are compiled), by the root mean square of their weights' gradients.
    """
    norms = moment.of("backward norm") or moment.of("gradient rms")
    layers = [layer.name for layer in setting.layers if layer.weight and layer.name in norms]
    layers = layers or list(norms)
    if len(layers) < FEWEST:
        return None
    first, last = layers[0], layers[-1]
    start, end = norms[last], norms[first]
    if not start > 0:
        return None
    total = end / start
    return Way(first, last, total, total ** (1 / (len(layers) - 1)))
