"""How the loss's gradient changes on its way from the last layer to the first."""

from collections.abc import Iterator
from dataclasses import dataclass

from talweg.diagnose.graph import THROUGH_TIME, TIME_STEPS
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
        a_layer: The factor of a layer, or of a time step, on the geometric mean.
        is_in_time: Whether it goes through the time steps of a recurrent layer.
    """

    first: str
    last: str
    total: float
    a_layer: float
    is_in_time: bool = False

    def words(self, verb: str, limit: str = "") -> str:
        """Where it goes along and by how much it changes, as in ``"the gradient falls by …"``."""
        where = "time step" if self.is_in_time else f"layer{limit} from {self.last} on"
        return f"the gradient {verb} by {self.a_layer:.2g} a {where}"


def passing(moment: Moment, setting: Setting) -> Way | None:
    """The gradient's way through the layers at a measured step; None for a model of too few.

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


def weights_left(moment: Moment, setting: Setting) -> float:
    """What is left of the size of weights' gradients at the first layer, from the last but one on.

    1 where that is not measured.
    """
    sizes = moment.of("gradient rms")
    found = [sizes[layer.name] for layer in setting.layers if layer.name in sizes and layer.weight]
    if len(found) <= FEWEST or not found[-2] > 0:
        return 1.0
    return found[0] / found[-2]


def ways(moment: Moment, setting: Setting) -> Iterator[Way]:
    """The gradient's ways at a measured step: through the layers, and through recurrent ones."""
    through = passing(moment, setting)
    if through is not None:
        yield through
    uses = moment.of(TIME_STEPS)
    for layer, total in moment.of(THROUGH_TIME).items():
        yield Way(layer, layer, total, total ** (1 / (uses[layer] - 1)), is_in_time=True)
