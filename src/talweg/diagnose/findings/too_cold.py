"""A learning rate that is too small."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from talweg.diagnose.findings.finding import Diagnosis, Sign
from talweg.diagnose.moment import WHOLE, Past


@dataclass(frozen=True)
class TooCold(Diagnosis):
    """Updates are a tiny share of the weights while the loss has hardly moved.

    A rate that a schedule lowered, or is raising yet, is left alone.

    Args:
        ratio: The root mean square of an update, of that of its weight, at most.
        left: The share of the first loss that is left, at least.

    Source: about 1e-3 is usual: CS231n, "Ratio of weights:updates".
    """

    ratio: float = 3e-5
    left: float = 0.8

    name = "learning rate too small"
    meaning = "Weights hardly move: at this pace training takes many times the steps it could."
    remedies = (
        "three to ten times the rate; talweg.find_lr(model, data) finds one to start from",
        "talweg.optim.Adam, whose steps do not shrink with the gradient",
    )
    needs = ("update ratio",)

    def signs(self, past: Past) -> Iterator[Sign]:
        """See `Diagnosis.signs`."""
        lr, loss, ratios = past.now.one("lr"), past.now.one("loss"), past.now.of("update ratio")
        if lr is None or loss is None or past.first_loss is None or past.count < 2 or not ratios:
            return
        if lr < past.highest_lr or (past.last_lr is not None and lr > past.last_lr):
            return
        ratio = median(ratios.values())
        if ratio <= self.ratio and loss >= self.left * past.first_loss > 0:
            yield Sign(
                WHOLE,
                f"an update at a rate of {lr:.3g} moves weights by {ratio:.1g} of their size, and "
                f"the loss is {loss:.3g} of {past.first_loss:.3g} at the start",
                {"update ratio": ratio, "threshold": self.ratio, "loss": loss},
            )
