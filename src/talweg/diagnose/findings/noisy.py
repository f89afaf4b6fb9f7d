"""A gradient that is mostly chance."""

from collections.abc import Iterator
from dataclasses import dataclass

from talweg.diagnose.findings.finding import Diagnosis, Sign
from talweg.diagnose.moment import WHOLE, Past


@dataclass(frozen=True)
class Noisy(Diagnosis):
    """The gradient differs from batch to batch by far more than by what batches have in common.

    Of two steps in a row, so it needs the full tier; on average over the last few pairs. That alone
    is the end of any training with batches: it is told where the loss no longer falls, and is a
    warning where most of it is left.

    Args:
        ratio: Noise, as a multiple of the signal, from which on it counts. Of a full batch's step a
            batch's then makes ``1/(1 + ratio)``. A signal below 0 by as little is none either.
        falls: Standard errors by which the loss falls over 100 steps, from which on it does.
        few: Pairs of steps, at least.
        least: The share of the first loss that is left, from which on it is told.
        left: The share from which on it is a warning.

    Source: McCandlish et al., "An empirical model of large-batch training" (2018), section 2.2 and
    equation 2.7: the ratio is that of the simple noise scale to the batch size.
    """

    ratio: float = 10.0
    falls: float = 2.0
    few: float = 3.0
    least: float = 0.1
    left: float = 0.7

    name = "gradient noise"
    meaning = (
        "What a step follows is mostly the chance of its batch, and the loss stays where such "
        "steps throw it about."
    )
    remedies = (
        "a larger batch, or gradients of several batches added up before optimizer.step()",
        "a lower learning rate, or one that decays: talweg.schedules.Cosine",
        "an average of the weights: torch.optim.swa_utils.AveragedModel",
        "labels that are checked: chance in them is chance in the gradient",
    )
    needs = ("signal to noise",)

    def signs(self, past: Past) -> Iterator[Sign]:
        """See `Diagnosis.signs`."""
        now = past.now
        share, pairs, fall = now.one("signal to noise"), now.one("pairs"), now.one("fall")
        loss, first = now.one("loss"), past.first_loss
        if share is None or pairs is None or fall is None or loss is None or not first:
            return
        left = loss / first
        if pairs < self.few or abs(share) * self.ratio > 1 or fall >= self.falls:
            return
        if left < self.least or first < 0:
            return
        scale = now.one("noise scale")
        size = "" if scale is None else f": it would take batches of {float(f'{scale:.1g}'):,.0f}"
        yield Sign(
            WHOLE,
            f"what batches have in common is {max(share, 0.0):.2g} of the gradient's variance"
            f"{size}; the loss stays at {loss:.3g}",
            {
                "signal to noise": share,
                "threshold": 1 / self.ratio,
                "fall": fall,
                "loss": loss,
                **({} if scale is None else {"noise scale": scale}),
            },
            "warning" if left >= self.left else "note",
        )
