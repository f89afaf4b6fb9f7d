"""Dead units."""

from collections.abc import Iterator
from dataclasses import dataclass

from talweg.diagnose.findings.finding import Diagnosis, Sign
from talweg.diagnose.moment import Past


@dataclass(frozen=True)
class Dead(Diagnosis):
    """Units give 0 on every sample, so that no gradient reaches their weights.

    Args:
        share: The share of a layer's units from which on it is a problem.
        some: The share from which on it is worth a warning.

    Narrow layers that are drawn as PyTorch draws them lose up to 45% by chance and learn all the
    same, see ``benchmarks/findings.py``.

    Source: Maas, Hannun & Ng, "Rectifier nonlinearities improve neural network acoustic models"
    (2013), section 2; CS231n, "Commonly used activation functions": 40% with too large a rate.
    """

    share: float = 0.5
    some: float = 0.2

    name = "dead units"
    meaning = (
        "A ReLU unit whose input is below 0 on every sample gives 0 and gets no gradient: it stays "
        "as it is, and the layer is narrower than it was made."
    )
    remedies = (
        "a lower learning rate",
        "nn.LeakyReLU(), nn.PReLU() or nn.GELU() in place of nn.ReLU()",
        "biases that start at 0 or a little above: nn.init.constant_(layer.bias, 0.01)",
        "nn.BatchNorm1d before the activation",
    )
    needs = ("dead",)
    persists = 1  # it is measured over a window of steps

    def signs(self, past: Past) -> Iterator[Sign]:
        """See `Diagnosis.signs`."""
        if past.now.step == 0:  # of a single step: it is measured over two
            return
        for name, share in past.now.of("dead").items():
            if share >= self.some:
                layer = past.setting.layer(name)
                units = f"{layer.units} " if layer else ""
                yield Sign(
                    name,
                    f"{100 * share:.0f}% of its {units}units are dead",
                    {"dead": share, "threshold": self.share},
                    "problem" if share >= self.share else "warning",
                )
