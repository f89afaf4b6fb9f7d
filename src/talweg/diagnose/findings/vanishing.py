"""Vanishing gradients."""

from collections.abc import Iterator
from dataclasses import dataclass

from talweg.diagnose.findings.finding import Diagnosis, Sign, geometric
from talweg.diagnose.findings.passing import Way, passing
from talweg.diagnose.moment import Past


@dataclass(frozen=True)
class Vanishing(Diagnosis):
    """The loss's gradient falls layer by layer on its way to the input.

    Args:
        total: What is left of it at the first layer, at most, for a problem.
        a_layer: What each layer leaves of it on the mean, at most.

    Source: Hochreiter, "Untersuchungen zu dynamischen neuronalen Netzen" (1991); Glorot & Bengio,
    "Understanding the difficulty of training deep feedforward neural networks" (2010), section 4.
    """

    total: float = 1e-2
    a_layer: float = 0.6

    name = "vanishing gradient"
    meaning = (
        "Each layer multiplies the gradient by its weights and its activation's slope. Where that "
        "is under 1, layer after layer, the first layers learn next to nothing."
    )
    remedies = (
        "nn.ReLU() or nn.GELU() in place of sigmoid or tanh",
        "nn.init.kaiming_normal_(layer.weight), or xavier_normal_ with the activation's gain",
        "nn.BatchNorm1d or nn.LayerNorm between the layers",
        "a residual path around each block: x + block(x)",
        "nn.LSTM or nn.GRU in place of nn.RNN",
    )
    needs = ("backward norm", "gradient rms")

    def signs(self, past: Past) -> Iterator[Sign]:
        """See `Diagnosis.signs`."""
        way = passing(past.now, past.setting)
        if way is None or not way.a_layer <= self.a_layer or not way.total <= self.total:
            return
        most = bound_a_layer(past, way)
        limit = "" if most is None else f" (at most {most:.2g} with these weights)"
        yield Sign(
            way.first,
            f"the gradient falls by {way.a_layer:.2g} a layer{limit} from {way.last} on: "
            f"{way.total:.1g} of it arrives",
            {
                "a layer": way.a_layer,
                "total": way.total,
                "threshold a layer": self.a_layer,
                "threshold total": self.total,
                **({} if most is None else {"bound a layer": most}),
            },
        )


def bound_a_layer(past: Past, way: Way) -> float | None:
    """What each layer on a gradient's way lets through at most, on the geometric mean.

    None where the bound of a layer is not measured.
    """
    names = [layer.name for layer in past.setting.layers if layer.weight]
    if not past.full or way.first not in names or way.last not in names:
        return None
    measured = past.full[-1].of("bound")
    bounds = [
        measured.get(name, 0.0) for name in names[names.index(way.first) : names.index(way.last)]
    ]
    return geometric(bounds) if bounds and min(bounds) > 0 else None
