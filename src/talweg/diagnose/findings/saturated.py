"""Saturated units."""

from collections.abc import Iterator
from dataclasses import dataclass

from talweg.diagnose.findings.finding import Diagnosis, Sign
from talweg.diagnose.moment import Past


@dataclass(frozen=True)
class Saturated(Diagnosis):
    """Outputs of bounded activations lie where the activation is flat.

    Args:
        share: The share of a layer's outputs from which on it is a problem.
        some: The share from which on it is worth a warning.
        learned: The share of the first loss at which, or under which, units saturate because the
            model has become sure of what it learned.
        share_learned: The share of outputs from which on it is a problem then: nets that train well
            reach 0.73 in ``benchmarks/findings.py``.

    Source: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (2010), section 3.
    """

    share: float = 0.5
    some: float = 0.3
    learned: float = 0.25
    share_learned: float = 0.8

    name = "saturation"
    meaning = (
        "Where an activation is flat its slope is next to 0, and so is the gradient that goes "
        "through it: the unit hardly learns."
    )
    remedies = (
        "smaller weights at the start: nn.init.xavier_uniform_(layer.weight, gain)",
        "inputs of mean 0 and standard deviation 1",
        "nn.BatchNorm1d or nn.LayerNorm before the activation",
        "nn.ReLU() or nn.GELU() in its place",
    )
    needs = ("saturated",)

    def signs(self, past: Past) -> Iterator[Sign]:
        """See `Diagnosis.signs`."""
        loss, first = past.now.one("loss"), past.first_loss
        has_learned = loss is not None and first is not None and loss <= self.learned * first
        limit = self.share_learned if has_learned else self.share
        for name, share in past.now.of("saturated").items():
            if share >= self.some and name != past.setting.last:
                layer = past.setting.layer(name)
                kind = f"{layer.activation} " if layer and layer.activation else ""
                yield Sign(
                    name,
                    f"{100 * share:.0f}% of its {kind}outputs are saturated",
                    {"saturated": share, "threshold": limit},
                    "problem" if share >= limit else "warning",
                )
