"""Vanishing gradients."""

from collections.abc import Iterator
from dataclasses import dataclass

from talweg.diagnose.findings.finding import Diagnosis, Sign, geometric
from talweg.diagnose.findings.passing import Way, ways, weights_left
from talweg.diagnose.moment import Past


@dataclass(frozen=True)
class Vanishing(Diagnosis):
    """The loss's gradient falls layer by layer on its way to the input.

    PyTorch's own way of drawing the weights of linear layers leaves 0.41 a layer between ReLUs (by
    1/√3 for the weights, 1/√2 for the activation), 0.29 between GELUs, where nets of six layers
    learn all the same; sigmoid layers leave 1/4 at most.

    Args:
        total: What is left of it at the first layer, at most.
        a_layer: What each layer leaves of it on the mean, at most.
        a_step: What each time step of a recurrent layer leaves of it, at most; and each layer,
            where next to nothing is left in all, or weights feel it.
        weights: What is left of the size of the weights' own gradients, at most, for them to feel
            it: between ReLUs these keep their size, as outputs shrink as much on the way forward.
        total_in_time: What is left of it at the first time step, at most.
        at_once: What is left of it at the first layer, at most, for it to be told without waiting
            whether it persists; through time it always is.

    Thresholds lie between the healthy and the planted runs of ``benchmarks/findings.py``.

    Source: Hochreiter, "Untersuchungen zu dynamischen neuronalen Netzen" (1991); Glorot & Bengio,
    "Understanding the difficulty of training deep feedforward neural networks" (2010), section 4.
    """

    total: float = 5e-3
    a_layer: float = 0.38
    a_step: float = 0.6
    total_in_time: float = 1e-3
    weights: float = 0.02
    at_once: float = 1e-4

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
        for way in ways(past.now, past.setting):
            is_little = way.total <= (self.total_in_time if way.is_in_time else self.at_once)
            total = self.total_in_time if way.is_in_time else self.total
            is_felt = weights_left(past.now, past.setting) <= self.weights
            each = self.a_step if way.is_in_time or is_little or is_felt else self.a_layer
            if way.total <= total and way.a_layer <= each:
                most = None if way.is_in_time else bound_a_layer(past, way)
                limit = "" if most is None else f" (at most {most:.2g} with these weights)"
                yield Sign(
                    way.first,
                    f"{way.words('falls', limit)}: {way.total:.1g} of it arrives",
                    {"a layer": way.a_layer, "total": way.total, "threshold a layer": each}
                    | {"threshold total": total}
                    | ({} if most is None else {"bound a layer": most}),
                    # Next to weights that start at 0, as in adapters, there is none at first.
                    is_certain=is_little and way.total > 0,
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
