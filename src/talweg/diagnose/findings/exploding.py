"""Exploding gradients."""

from collections.abc import Iterator
from dataclasses import dataclass

from talweg.diagnose.findings.finding import Diagnosis, Sign
from talweg.diagnose.findings.passing import passing
from talweg.diagnose.moment import Past


@dataclass(frozen=True)
class Exploding(Diagnosis):
    """The loss's gradient grows layer by layer on its way to the input.

    Args:
        total: By how much it has grown at the first layer, at least.
        a_layer: By how much each layer multiplies it on the mean, at least.

    Source: Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks"
    (2013), section 2.
    """

    total: float = 30.0
    a_layer: float = 1.5

    name = "exploding gradient"
    meaning = (
        "Each layer multiplies the gradient by its weights and its activation's slope. Where that "
        "is over 1, layer after layer, steps are as large as the gradient has grown."
    )
    remedies = (
        "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) before optimizer.step()",
        "a lower learning rate",
        "nn.init.kaiming_normal_(layer.weight), or xavier_normal_ with the activation's gain",
        "nn.BatchNorm1d or nn.LayerNorm between the layers",
    )
    needs = ("backward norm", "gradient rms")

    def signs(self, past: Past) -> Iterator[Sign]:
        """See `Diagnosis.signs`."""
        way = passing(past.now, past.setting)
        if way is None or not way.a_layer >= self.a_layer or not way.total >= self.total:
            return
        yield Sign(
            way.first,
            f"the gradient grows by {way.a_layer:.2g} a layer from {way.last} on, "
            f"{way.total:.2g} times in all",
            {
                "a layer": way.a_layer,
                "total": way.total,
                "threshold a layer": self.a_layer,
                "threshold total": self.total,
            },
        )
