"""Linear layers with nothing between."""

from collections.abc import Iterator
from dataclasses import dataclass

from talweg.diagnose.findings.finding import Diagnosis, Sign
from talweg.diagnose.moment import Past


@dataclass(frozen=True)
class NoActivation(Diagnosis):
    """Two linear maps follow one another: together they are one.

    One that is narrower than what is before and behind it may be meant so (a factorised layer):
    that is a note.

    Source: Goodfellow, Bengio & Courville, "Deep Learning" (2016), section 6.1.
    """

    name = "no activation"
    meaning = (
        "Two linear maps with nothing between are one linear map: the second layer adds "
        "parameters and nothing that the model could express."
    )
    remedies = ("an activation between the two, such as nn.ReLU()",)
    needs = ("lr",)
    persists = 1

    def signs(self, past: Past) -> Iterator[Sign]:
        """See `Diagnosis.signs`."""
        for layer in past.setting.layers:
            before = past.setting.layer(layer.straight_from)
            if not layer.straight_from or before is None:
                continue
            narrow = before.units < min(before.inputs, layer.units)
            yield Sign(
                layer.name,
                f"nothing lies between {before.name} and {layer.name}, which makes one linear map "
                f"of {before.inputs} to {layer.units}",
                {"units between": float(before.units)},
                "note" if narrow else "problem",
            )
