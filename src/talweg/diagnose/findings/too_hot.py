"""A learning rate that is too large."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

from talweg.diagnose.findings.finding import Diagnosis, Sign
from talweg.diagnose.moment import WHOLE, Moment, Past


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
    needs = ("loss", "last loss", "diverged")

    def signs(self, past: Past) -> Iterator[Sign]:
        """See `Diagnosis.signs`."""
        above = above_edge(past)
        ways = (self._diverged, self._rose, self._stuck, self._lost, self._thrown, self._above)
        found = (way(past, above) for way in ways)
        yield from itertools.islice((sign for sign in found if sign is not None), 1)

    def _diverged(self, past: Past, above: "Above") -> Sign | None:
        """A lane is over: of lanes it is known when they diverged."""
        step = past.now.one("diverged")
        if step is None:
            return None
        text = f"{_rate(past, above)}it diverged at step {step:.0f}"
        return Sign(WHOLE, text, {"step": step, **above.evidence}, is_certain=True)

    def _rose(self, past: Past, above: "Above") -> Sign | None:
        """The loss is above the first one."""
        first, now = past.first_loss, past.now.one("loss")
        if first is None:
            return None
        last = past.now.one("last loss")  # before one that is not finite
        is_lost = last is not None and last > first + abs(first)
        now = last if is_lost else now
        if now is None or now <= first + (self.rise - 1) * abs(first):
            return None
        gained = first - past.least_loss
        is_far = now > first + (self.at_once - 1) * abs(first) or not math.isfinite(now)
        return Sign(
            WHOLE,
            f"{_rate(past, above)}the loss is {now:.3g}, and was {first:.3g} at the start",
            {"loss": now, "first loss": first, "threshold": self.rise, **above.evidence},
            is_certain=is_lost or is_far or gained >= self.at_once_gained * abs(first),
        )

    def _stuck(self, past: Past, above: "Above") -> Sign | None:
        """The loss stays near the first one after something violent."""
        first, now, before = past.first_loss, past.now.one("loss"), past.before.one("loss")
        if first is None or now is None or not now >= self.stuck * first > 0:
            return None
        moved, grown = _moved(past.before), _grown(past)
        is_blown_up = self.grown <= grown < math.inf
        if before is not None and before > first + (self.rose - 1) * abs(first):
            what = f"it rose to {before:.3g}"
        elif is_blown_up:
            what = f"weights grew {grown:.2g} times as large"
        elif self.thrown <= moved < math.inf:
            what = f"a step that moved weights by {moved:.2g} of their size"
        else:
            return None
        return Sign(
            WHOLE,
            f"{_rate(past, above)}the loss stays at {now:.3g} after {what}; it was {first:.3g} at "
            "the start",
            {"loss": now, "first loss": first, "threshold": self.stuck},
            is_certain=is_blown_up,
        )

    def _lost(self, past: Past, above: "Above") -> Sign | None:
        """What the loss had come down by is lost again."""
        first, now, least = past.first_loss, past.now.one("loss"), past.least_loss
        if first is None or now is None:
            return None
        gained = first - least
        if not gained > 0 or gained < self.gained * abs(first) or now < least + self.lost * gained:
            return None
        return Sign(
            WHOLE,
            f"{_rate(past, above)}the loss is back at {now:.3g}; it had come from {first:.3g} to "
            f"{least:.3g}",
            {"loss": now, "least loss": least, "threshold": self.lost},
        )

    def _thrown(self, past: Past, above: "Above") -> Sign | None:
        """Weights are thrown about."""
        moved = _moved(past.now)
        if past.now.one("loss") is None or not self.moved <= moved < math.inf:
            return None
        return Sign(
            WHOLE,
            f"{_rate(past, above)}a step moves weights by {moved:.2g} of their size",
            {"update ratio": moved, "threshold": self.moved},
        )

    def _above(self, past: Past, above: "Above") -> Sign | None:
        """The rate is above the edge, whatever the loss says yet."""
        first, now = past.first_loss, past.now.one("loss")
        if first is None or now is None or past.count < 2:
            return None
        if not above.is_seen_twice or above.times < self.edge:
            return None
        evidence = {**above.evidence, "threshold": self.edge, "loss": now}
        is_clear = above.times >= self.far or now > first
        return Sign(WHOLE, above.text, evidence, "problem" if is_clear else "note")


def _rate(past: Past, above: "Above") -> str:
    """The rate in words, and that it is above the edge if it is."""
    if above.times > 1:
        return f"{above.text}; "
    return "" if past.last_lr is None else f"at a rate of {past.last_lr:.3g} "


def _moved(moment: Moment) -> float:
    """The update ratio, in the median over weights."""
    return median(moment.of("update ratio").values() or [0.0])


def _grown(past: Past) -> float:
    """How many times as large the weight is that has grown most since the measured step before."""
    before = past.before.of("weight rms")
    return max(
        (
            size / before[name]
            for name, size in past.now.of("weight rms").items()
            if before.get(name, 0.0) > 0
        ),
        default=0.0,
    )


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
