"""A learning rate that is too large."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from talweg.diagnose.findings.finding import Diagnosis, Sign
from talweg.diagnose.moment import WHOLE, Past


@dataclass(frozen=True)
class TooHot(Diagnosis):
    """The loss is above that of the start, or the rate above what curvature allows.

    Args:
        rise: How many times the first loss the loss must be, at least.
        edge: How many times 2/λmax, or what takes its place for the rule, the rate must be.

    Source: for the edge, Cohen et al., "Gradient descent on neural networks typically occurs at the
    edge of stability" (2021) and "Adaptive gradient methods at the edge of stability" (2022).
    """

    rise: float = 1.3
    edge: float = 1.5

    name = "learning rate too large"
    meaning = (
        "Steps overshoot: along the direction of the largest curvature each one lands farther "
        "from the valley's floor than it began."
    )
    remedies = (
        "a third of the rate; talweg.find_lr(model, data) finds where training diverges",
        "a warm-up: talweg.schedules.WarmUp, torch.optim.lr_scheduler.LinearLR",
        "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) before optimizer.step()",
    )
    needs = ("loss", "last loss")

    def signs(self, past: Past) -> Iterator[Sign]:
        """See `Diagnosis.signs`."""
        now, first, lr = past.now.one("loss"), past.first_loss, past.last_lr
        last = past.now.one("last loss")  # before one that is not finite
        is_lost = last is not None and first is not None and last > first + abs(first)
        now = last if is_lost else now
        if now is None or first is None or (past.count < 2 and not is_lost):
            return
        if not math.isfinite(now) or now > first + (self.rise - 1) * abs(first):
            rate = "" if lr is None else f"at a rate of {lr:.3g} "
            yield Sign(
                WHOLE,
                f"{rate}the loss is {now:.3g}, and was {first:.3g} at the start",
                {"loss": now, "first loss": first, "threshold": self.rise},
                is_certain=is_lost,
            )
