"""Outputs that are not centred at 0."""

from collections.abc import Iterator
from dataclasses import dataclass

from talweg.diagnose.findings.finding import Diagnosis, Sign
from talweg.diagnose.moment import Past


@dataclass(frozen=True)
class OffCentre(Diagnosis):
    """A layer's outputs lie on one side of 0, far from it in their own standard deviations.

    Args:
        deviations: How many standard deviations their mean lies from 0, at least.
        at_once: How many, at least, for it to be told without waiting whether it persists.

    Source: LeCun, Bottou, Orr & Müller, "Efficient BackProp" (1998), section 4.3.
    """

    deviations: float = 1.5
    at_once: float = 5.0

    name = "off-centre"
    meaning = (
        "Where a unit's inputs all have one sign, so do the gradients of its weights: they can "
        "only rise or fall together, and training zigzags."
    )
    remedies = (
        "nn.Tanh() in place of nn.Sigmoid()",
        "nn.BatchNorm1d or nn.LayerNorm after the layer",
        "inputs of mean 0",
    )
    needs = ("mean",)

    def signs(self, past: Past) -> Iterator[Sign]:
        """See `Diagnosis.signs`."""
        deviations = past.now.of("deviation")
        for name, mean in past.now.of("mean").items():
            off = abs(mean) / deviations[name] if deviations[name] else 0.0
            if off >= self.deviations and name != past.setting.last:
                yield Sign(
                    name,
                    f"its outputs' mean lies {off:.1f} standard deviations from 0",
                    {"off-centre": off, "threshold": self.deviations},
                    "warning",
                    is_certain=off >= self.at_once,
                )
