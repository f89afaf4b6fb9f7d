"""A learning rate that is too small."""

from collections.abc import Iterator
from dataclasses import dataclass

from talweg.diagnose.findings.finding import Diagnosis, Sign, geometric
from talweg.diagnose.moment import WHOLE, Past

FAR = 5
"""Times the mean that the largest update of a layer may be, for the mean to stand for all."""


@dataclass(frozen=True)
class TooCold(Diagnosis):
    """Updates are a tiny share of the weights while the loss has hardly moved.

    A rate that a schedule lowered, or is raising yet, is left alone. Of lanes of a study, whose
    updates are not measured, it is told by how far the loss comes at the best rate.

    Args:
        ratio: The root mean square of an update, of that of its weight, at most, in the layer in
            which it is largest.
        mean: The same on the geometric mean over layers, at most, if it is 5 times that at most in
            the one in which it is largest.
        left: The share of the loss of the first steps that is left, at least.
        way: How far the loss of a lane came, as a share of the way it comes at the best rate in as
            many steps, at most.

    Source: about 1e-3 is usual: CS231n, "Ratio of weights:updates". In healthy runs of
    ``benchmarks/findings.py`` the layer that moves most moves by 9e-4 or more and the
    geometric mean is 3e-4 or more, where the loss stands.
    """

    ratio: float = 6.5e-4
    mean: float = 2.5e-4
    left: float = 0.85
    way: float = 0.5

    name = "learning rate too small"
    meaning = "Weights hardly move: at this pace training takes many times the steps it could."
    remedies = (
        "three to ten times the rate; talweg.find_lr(model, data) finds one to start from",
        "talweg.optim.Adam, whose steps do not shrink with the gradient",
    )
    needs = ("update ratio", "way")

    def signs(self, past: Past) -> Iterator[Sign]:
        """See `Diagnosis.signs`."""
        yield from self._behind(past)
        lr, loss, ratios = past.now.one("lr"), past.now.one("loss"), past.now.of("update ratio")
        first = past.first_loss if past.count < 3 else past.early_loss
        if lr is None or loss is None or first is None or past.count < 2 or not ratios:
            return
        if lr < past.highest_lr or (past.last_lr is not None and lr > past.last_lr):
            return
        if 0.0 in past.now.of("backward norm").values():  # none arrives, at whatever rate
            return
        ratio = max(ratios.values())
        mean = geometric(list(ratios.values())) if min(ratios.values()) > 0 else ratio
        is_small = ratio <= self.ratio or (mean <= self.mean and ratio <= FAR * mean)
        left = self.left if past.count >= 3 else self.left / 2  # the first is of one batch
        if is_small and ratio > 0 and loss >= left * first > 0:
            yield Sign(
                WHOLE,
                f"an update at a rate of {lr:.3g} moves weights by {ratio:.1g} of their size or "
                f"less, and the loss is {loss:.3g} of {first:.3g}",
                {"update ratio": ratio, "threshold": self.ratio, "loss": loss},
            )

    def _behind(self, past: Past) -> Iterator[Sign]:
        """A lane comes less far than one with a larger rate."""
        lr, way, best = (past.now.one(name) for name in ("lr", "way", "best rate"))
        if lr is None or way is None or best is None or not way <= self.way:
            return
        yield Sign(
            WHOLE,
            f"at a rate of {lr:.3g} the loss has come {max(100 * way, 0):.0f}% of the way that it "
            f"comes at {best:.3g}",
            {"way": way, "threshold": self.way, "best rate": best},
            is_certain=True,
        )
