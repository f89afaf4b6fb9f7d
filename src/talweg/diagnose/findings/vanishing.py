"""Vanishing gradients."""

from collections.abc import Iterator
from dataclasses import dataclass

from talweg.diagnose.findings.finding import Diagnosis, Sign
from talweg.diagnose.findings.passing import passing
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
        yield Sign(
            way.first,
            f"the gradient falls by {way.a_layer:.2g} a layer from {way.last} on: "
            f"{way.total:.1g} of it arrives",
            {
                "a layer": way.a_layer,
                "total": way.total,
                "threshold a layer": self.a_layer,
                "threshold total": self.total,
            },
        )
