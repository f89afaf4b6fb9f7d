"""A learning rate that is too large."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

from talweg.diagnose.findings.finding import Diagnosis, Sign
from talweg.diagnose.moment import WHOLE, Past


@dataclass(frozen=True)
class TooHot(Diagnosis):
    """The loss rises, weights are thrown about, or the rate is above what curvature allows.

    Args:
        rise: How many times the first loss the loss must be, at least.
        at_once: How many times the first loss it must be, at least, to be told without waiting
            whether it persists.
        at_once_gained: The share of the first loss that it had come down by, at least, for a loss
            above the first to be told at once.
        rose: How many times the first loss it must have been, at least, where it is stuck now.
        stuck: The share of the first loss that it stays at, at least, after it rose.
        lost: The share of what the loss had come down by that is lost again, at least.
        gained: The share of the first loss that it had come down by, at least, for that to count.
        moved: The update ratio, in the median over weights, at least.
        thrown: The same of a single step, where the loss is stuck after it.
        grown: How many times as large a weight became since the step measured before, at least,
            where the loss is stuck after it.
        edge: How many times 2/λmax, or what takes its place for the rule, the rate must be for a
            note. Training hovers about the edge by itself, and that of a batch is lower.
        far: How many times that it must be for a problem, where the loss is not above its start.

    Losses are means over the steps since the one measured before. In healthy runs of
    ``benchmarks/findings.py`` these are 1.6 times the first one at most, 1.4 times twice in
    a row, and the update ratio is 0.06 or less after the first step.

    Source: for the edge, Cohen et al., "Gradient descent on neural networks typically occurs at the
    edge of stability" (2021) and "Adaptive gradient methods at the edge of stability" (2022).
    """

    rise: float = 1.5
    at_once: float = 3.0
    at_once_gained: float = 0.5
    rose: float = 2.0
    stuck: float = 0.75
    lost: float = 0.5
    gained: float = 0.25
    moved: float = 0.1
    thrown: float = 0.3
    grown: float = 2.0
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
        first, lr = past.first_loss, past.last_lr
        last = past.now.one("last loss")  # before one that is not finite
        is_lost = last is not None and first is not None and last > first + abs(first)
        now = last if is_lost else past.now.one("loss")
        if now is None or first is None:
            return
        moved, before_moved = (
            median(moment.of("update ratio").values() or [0.0])
            for moment in (past.now, past.before)
        )
        above = above_edge(past)
        edge = f"{above.text}; " * (above.times > 1)
        rate = edge + ("" if lr is None else f"at a rate of {lr:.3g} ")
        least, gained = past.least_loss, first - past.least_loss
        was_above = (past.before.one("loss") or 0.0) > first + (self.rose - 1) * abs(first)
        if not math.isfinite(now) or now > first + (self.rise - 1) * abs(first):
            far = now > first + (self.at_once - 1) * abs(first)
            yield Sign(
                WHOLE,
                f"{rate}the loss is {now:.3g}, and was {first:.3g} at the start",
                {"loss": now, "first loss": first, "threshold": self.rise, **above.evidence},
                is_certain=is_lost or far or gained >= self.at_once_gained * abs(first),
            )
            return
        was_thrown = self.thrown <= before_moved < math.inf
        grown = max(
            (
                size / old
                for name, size in past.now.of("weight rms").items()
                if (old := past.before.of("weight rms").get(name, 0.0)) > 0
            ),
            default=0.0,
        )
        is_blown_up = self.grown <= grown < math.inf
        if (was_above or was_thrown or is_blown_up) and now >= self.stuck * first > 0:
            what = (
                f"it rose to {past.before.one('loss'):.3g}"
                if was_above
                else f"weights grew {grown:.2g} times as large"
                if is_blown_up
                else f"a step that moved weights by {before_moved:.2g} of their size"
            )
            yield Sign(
                WHOLE,
                f"{rate}the loss stays at {now:.3g} after {what}; it was {first:.3g} at the start",
                {"loss": now, "first loss": first, "threshold": self.stuck},
                is_certain=is_blown_up,
            )
            return
        if gained > 0 and gained >= self.gained * abs(first) and now >= least + self.lost * gained:
            yield Sign(
                WHOLE,
                f"{rate}the loss is back at {now:.3g}; it had come from {first:.3g} to {least:.3g}",
                {"loss": now, "least loss": least, "threshold": self.lost},
            )
            return
        if self.moved <= moved < math.inf:
            yield Sign(
                WHOLE,
                f"{rate}a step moves weights by {moved:.2g} of their size",
                {"update ratio": moved, "threshold": self.moved},
            )
            return
        if past.count > 1 and above.is_seen_twice and above.times >= self.edge:
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
