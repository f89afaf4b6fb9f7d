"""Exploding gradients."""

from collections.abc import Iterator
from dataclasses import dataclass

from talweg.diagnose.findings.finding import Diagnosis, Sign
from talweg.diagnose.findings.passing import ways
from talweg.diagnose.moment import Past


@dataclass(frozen=True)
class Exploding(Diagnosis):
    """The loss's gradient grows layer by layer on its way to the input.

    Args:
        total: By how much it has grown at the first layer, at least.
        a_layer: By how much each layer, or time step, multiplies it on the mean, at least.
        at_once: By how much it has grown at least, for it to be told without waiting whether it
            persists; so it is too if numbers that are not finite follow.

    Thresholds lie between the healthy and the planted runs of ``benchmarks/findings.py``.

    Source: Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks"
    (2013), section 2.
    """

    total: float = 50.0
    a_layer: float = 1.3
    at_once: float = 1e3

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
    needs = ("backward norm", "gradient rms", "not finite")

    def signs(self, past: Past) -> Iterator[Sign]:
        """See `Diagnosis.signs`."""
        is_end = bool(past.now.of("not finite"))
        for way in ways(past.before if is_end else past.now, past.setting):
            if way.total >= self.total and way.a_layer >= self.a_layer:
                yield Sign(
                    way.first,
                    f"{way.words('grows')}, {way.total:.2g} times in all",
                    {"a layer": way.a_layer, "total": way.total, "threshold a layer": self.a_layer}
                    | {"threshold total": self.total},
                    is_certain=is_end or way.total >= self.at_once,
                )
