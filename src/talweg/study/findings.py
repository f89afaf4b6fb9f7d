"""What went wrong in the lanes of a study, from what was recorded of them."""

import math
from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from talweg.core import counted, listing
from talweg.diagnose import DIAGNOSES, Finding, Layer, Moment, Setting, persisting
from talweg.diagnose.findings import SEVERITIES, TooCold
from talweg.diagnose.moment import WHOLE, RuleInUse
from talweg.diagnose.probe import SPLIT
from talweg.diagnose.stability import STABLE
from talweg.rules import RULES
from talweg.study import words
from talweg.study.history import History, Lane, remembered
from talweg.study.tuning import best_rate, rates

FALLS = 0.2
"""The share of the first loss that is gone at the best rate, for another to be called too small."""
MANY = 6
"""Contenders whose findings are told in sentences; the rest are in the report."""


@dataclass(frozen=True)
class LaneFinding:
    """A finding of one lane.

    Attributes:
        lane: The lane.
        finding: What was found.
    """

    lane: Lane
    finding: Finding


@dataclass(frozen=True)
class RateFinding:
    """What most seeds of a contender show at a learning rate.

    Attributes:
        lr: The rate.
        name: The finding's name.
        layers: Where, the worst first; empty names are the whole model's.
        seeds: How many lanes show it.
        worst: The worst of these findings.
    """

    lr: float
    name: str
    layers: tuple[str, ...]
    seeds: int
    worst: Finding


def setting_of(history: History, contender: str) -> Setting:
    """The layers of a contender's model and its rule, from its record; no layers in older ones."""
    about = history.contenders[contender]
    rule = about["levels"].get("rule", contender)
    label = history.record["factors"].get("rule", {}).get(rule, rule)
    return Setting(tuple(Layer(**layer) for layer in about.get("layers", ())), RuleInUse(label))


def edge_of(contender: Mapping[str, Any]) -> float | None:
    """The rate above which a contender's first steps overshoot; None where that is not known.

    It follows from the largest eigenvalue of the Hessian at the start, for rules that are not
    adaptive: their preconditioner is not there yet.
    """
    sharpness = contender.get("start", {}).get("sharpness", {}).get(WHOLE)
    base = contender["levels"].get("rule", "").partition("(")[0]
    rule = STABLE.get(type(RULES[base].rule).__name__) if base in RULES else None
    if not sharpness or rule is None or rule.divisor is not None:
        return None
    return 2 / (rule.gain({"momentum": 0.0, **contender["settings"]}, {}) * sharpness)


def moments_of(history: History, lane: Lane) -> list[Moment]:
    """What was measured of a lane, step by step: at its start, at readings, and as it diverged.

    The start is that of the first seed, whose weights and gradients are measured. The loss is the
    mean of training batches since the reading before.
    """
    contender = history.contenders[lane.contender]
    layers = [Layer(**layer).name for layer in contender.get("layers", ())]
    by_step: dict[int, dict[str, dict[str, float]]] = {
        0: {name: dict(values) for name, values in contender.get("start", {}).items()}
    }
    sizes = {
        name.removesuffix(".weight"): size
        for name, size in contender.get("gradients", {}).items()
        if size is not None
    }
    if sizes:
        by_step[0]["gradient rms"] = sizes
    edge = edge_of(contender)
    if edge is not None:
        by_step[0]["edge"] = {WHOLE: edge}
    for measure in history.metrics(lane.lane, SPLIT):
        name, _, layer = measure.rpartition(" ")
        series = history.series(lane.lane, SPLIT, measure)
        if series is not None:
            for step, value in zip(series.steps.tolist(), series.values.tolist(), strict=True):
                by_step.setdefault(step, {}).setdefault(name, {})[layer] = value
    losses = history.series(lane.lane, "train", "loss")
    if losses is not None:
        for step, loss in zip(losses.steps.tolist(), losses.values.tolist(), strict=True):
            by_step.setdefault(step, {})["loss"] = {WHOLE: loss}
    for step, values in way_of(history, lane).items():
        by_step.setdefault(step, {}).update(values)
    died = history.diverged.get(lane.lane)
    if died is not None:
        by_step.setdefault(died, {})["diverged"] = {WHOLE: float(died)}
    for step, values in by_step.items():
        if step in (0, died) or "loss" in values:
            values["lr"] = {WHOLE: lane.lr}
    return [
        Moment(step, {name: _ordered(found, layers) for name, found in by_step[step].items()})
        for step in sorted(by_step)
    ]


def way_of(history: History, lane: Lane) -> dict[int, dict[str, dict[str, float]]]:
    """How far a lane's loss came, as a share of the way it comes at its contender's best rate.

    Of lanes in tuning with lower rates, by the training loss at their last reading; of none where
    the loss hardly falls at the best rate either.
    """
    best = best_rate(history, lane.contender)
    start = history.contenders[lane.contender].get("start", {}).get("loss", {}).get(WHOLE)
    own = history.series(lane.lane, "train", "loss")
    if lane.phase != "tune" or lane.lane in history.diverged or own is None:
        return {}
    if best is None or start is None or best.diverged or lane.lr >= best.lr:
        return {}
    step = int(own.steps[-1])
    there = [
        float(series.values[series.steps == step][0])
        for each in history.of("tune", lane.contender)
        if each.lr == best.lr
        and (series := history.series(each.lane, "train", "loss")) is not None
        and step in series.steps
    ]
    come = start - sum(there) / len(there) if there else 0.0
    if not come > FALLS * abs(start):
        return {}
    way = (start - float(own.values[-1])) / come
    return {step: {"way": {WHOLE: way}, "best rate": {WHOLE: best.lr}}}


def _ordered(values: Mapping[str, float], layers: Sequence[str]) -> dict[str, float]:
    """The same in the order of a forward pass."""
    known = {layer: values[layer] for layer in layers if layer in values}
    return known | dict(values)


@remembered
def findings_of(history: History, contender: str) -> list[LaneFinding]:
    """All findings in a contender's lanes, lane by lane, the worst of each first.

    A reading is an epoch or more after the one before it: what it shows need not be seen twice.
    """
    setting = setting_of(history, contender)
    diagnoses = list(DIAGNOSES.values())
    return [
        LaneFinding(lane, finding)
        for phase in ("tune", "final")
        for lane in history.of(phase, contender)
        for finding in persisting(diagnoses, moments_of(history, lane), setting, persists=1)
    ]


@remembered
def by_rate(history: History, contender: str) -> dict[float, list[RateFinding]]:
    """Tuning rate of a contender → what most of its seeds show and did not get over.

    The worst of each rate comes first. Where lanes diverged, what they had shown before counts.
    """
    lanes: Counter[float] = Counter(lane.lr for lane in history.of("tune", contender))
    shown: defaultdict[tuple[float, str], list[LaneFinding]] = defaultdict(list)
    for each in findings_of(history, contender):
        stays = each.finding.passed is None or each.finding.is_of_a_moment
        if each.lane.phase == "tune" and stays:
            shown[each.lane.lr, each.finding.name].append(each)
    found: defaultdict[float, list[RateFinding]] = defaultdict(list)
    for (lr, name), own in shown.items():
        seeds = len({each.lane.lane for each in own})
        if 2 * seeds > lanes[lr]:
            findings = sorted((each.finding for each in own), key=_badness)
            layers = tuple(dict.fromkeys(finding.layer for finding in findings))
            found[lr].append(RateFinding(lr, name, layers, seeds, findings[0]))
    return {lr: sorted(found[lr], key=lambda each: _badness(each.worst)) for lr in sorted(found)}


def _badness(finding: Finding) -> tuple[int, int, float]:
    """What findings are sorted by, the worst first.

    By severity, then those that came first, then by how far the evidence is over its threshold.
    """
    evidence = finding.evidence
    over = next(iter(evidence.values()), 0.0) / evidence.get("threshold", math.inf)
    return -SEVERITIES.index(finding.severity), finding.since, -over


@remembered
def at_every_rate(history: History, contender: str) -> RateFinding | None:
    """The worst problem that a contender shows at every rate that was tried, where it is worst."""
    by_name = problems(history, contender)
    tuned = len(rates(history, contender))
    found = [each for own in by_name.values() if len(own) == tuned for each in own]
    return min(found, key=lambda each: _badness(each.worst), default=None)


def problems(history: History, contender: str) -> dict[str, list[RateFinding]]:
    """Problem → where a contender shows it, by rate; that low rates are low goes without saying."""
    own: defaultdict[str, list[RateFinding]] = defaultdict(list)
    for found in by_rate(history, contender).values():
        for each in found:
            if each.worst.severity == "problem" and each.name != TooCold.name:
                own[each.name].append(each)
    return dict(own)


def reasons(history: History, explained: Container[str] = ()) -> dict[str, str]:
    """Why rates were lost: contender → a sentence, of those that have a problem at some of them.

    Args:
        history: The study's.
        explained: Contenders of which the problem they have at every rate was told before.

    Returns:
        Of many contenders the first few; under no name that there are more.
    """
    texts = {
        name: text for name in history.contenders if (text := _reason(history, name, explained))
    }
    if len(texts) <= MANY:
        return texts
    more = counted(len(texts) - MANY, words.noun(history.record))
    return dict(list(texts.items())[:MANY]) | {
        "": f"{more} more had problems; the report names them."
    }


def _reason(history: History, contender: str, explained: Container[str]) -> str:
    """The two problems that cost a contender most of its rates."""
    tuned = [rate.lr for rate in rates(history, contender)]
    own = problems(history, contender)
    known = at_every_rate(history, contender) if contender in explained else None
    if known is not None:
        del own[known.name]
    if not own:
        return ""
    largest = sorted(own.values(), key=len, reverse=True)[:2]
    label = history.contenders[contender]["label"]
    parts = [f"{_at(each, tuned)}: {each[0].name} ({told(each[0])})" for each in largest]
    return f"{label} {'; '.join(parts)}."


def told(found: RateFinding) -> str:
    """The evidence of a finding in words, with the worst layer and when it was seen."""
    others = len(found.layers) - 1
    where = f"layer {found.layers[0]}: " if found.layers[0] else ""
    more = f", and {counted(others, 'layer')} more" if others else ""
    when = "" if is_end(found.worst) else f", {found.worst.when}"
    return f"{where}{found.worst.text}{more}{when}"


def is_end(finding: Finding) -> bool:
    """Whether a finding is that its lane diverged, and says at which step."""
    return "step" in finding.evidence


def _at(own: Sequence[RateFinding], tuned: Sequence[float]) -> str:
    """Some of the rates that were tried."""
    found = [each.lr for each in own]
    if len(found) == len(tuned):
        return "at every rate"
    if found == tuned[-len(found) :] and len(found) > 1:
        return f"from {words.rate(found[0])} up"
    if found == tuned[: len(found)] and len(found) > 1:
        return f"up to {words.rate(found[-1])}"
    return f"at {listing([words.rate(lr) for lr in found], limit=4)}"
