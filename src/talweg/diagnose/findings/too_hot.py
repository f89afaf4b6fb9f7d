"""A learning rate that is too large."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from talweg.diagnose.findings.finding import Diagnosis, Sign
from talweg.diagnose.moment import WHOLE, Past


@dataclass(frozen=True)
class TooHot(Diagnosis):
    """The loss is above that of the start, or the rate above what curvature allows.

    Args:
        rise: How many times the first loss the loss must be, at least.
        edge: How many times 2/λmax, or what takes its place for the rule, the rate must be for a
            note. Training hovers about the edge by itself, and that of a batch is lower.
        far: How many times that it must be for a problem, where the loss is not above its start.

    Source: for the edge, Cohen et al., "Gradient descent on neural networks typically occurs at the
    edge of stability" (2021) and "Adaptive gradient methods at the edge of stability" (2022).
    """

    rise: float = 1.3
    edge: float = 1.5
    far: float = 10.0

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
        above = above_edge(past)
        if not math.isfinite(now) or now > first + (self.rise - 1) * abs(first):
            rate = "" if lr is None else f"at a rate of {lr:.3g} "
            yield Sign(
                WHOLE,
                f"{above.text}; " * (above.times > 1)
                + f"{rate}the loss is {now:.3g}, and was {first:.3g} at the start",
                {"loss": now, "first loss": first, "threshold": self.rise, **above.evidence},
                is_certain=is_lost,
            )
        elif above.is_seen_twice and above.times >= self.edge:
            evidence = {**above.evidence, "threshold": self.edge, "loss": now}
            is_clear = above.times >= self.far or now > first
            yield Sign(WHOLE, above.text, evidence, "problem" if is_clear else "note")


@dataclass(frozen=True)
class Above:
    """How far a rate is above the stability edge.

    Attributes:
        times: The rate, as a multiple of the edge: of the larger one of two in a row; 0
            where that is not known.
        is_seen_twice: Whether two are known, of measurements in a row.
        text: The same in words.
        evidence: The same in numbers.
    """

    times: float = 0.0
    is_seen_twice: bool = False
    text: str = ""
    evidence: Mapping[str, float] = field(default_factory=dict[str, float])


def above_edge(past: Past) -> Above:
    """How far the rate is above the edge: by twice in a row, as training itself hovers there."""
    lr, rule = past.last_lr if past.now.one("lr") is None else past.now.one("lr"), past.setting.rule
    measured = [
        (edge, sharpness * (moment.one("clipped") or 1.0))
        for moment in past.full
        if (edge := moment.one("edge")) and (sharpness := moment.one("sharpness"))
    ]
    if lr is None or rule is None or not measured:
        return Above()
    edge, sharpness = max(measured)
    of = "the preconditioned λmax" if rule.is_adaptive else "λmax"
    text = f"{rule.name} at {lr:.3g}: above {edge * sharpness:.3g}/{of} = {edge:.3g}"
    evidence = {"lr": lr, "edge": edge, "sharpness": sharpness}
    return Above(lr / edge, len(measured) > 1, text, evidence)
