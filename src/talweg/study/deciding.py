"""Which choice decided, and who failed, in sentences."""

import math
from collections.abc import Sequence

import numpy as np

from talweg.core import listing
from talweg.diagnose import a_layer
from talweg.study import words
from talweg.study.effects import Effect, LevelMean, has_failed, varied
from talweg.study.findings import at_every_rate, told
from talweg.study.history import History
from talweg.study.ranking import Row
from talweg.study.tuning import near_best, sign_of

WORTH_TELLING = 0.02
"""An interaction that explains less than this share of the variance is left to the report."""
FADES = 0.5
"""A gradient that changes by less than this factor a layer is named as a reason to fail."""


def headline(history: History, rows: Sequence[Row], found: Sequence[Effect]) -> str:
    """The factor that decides most and its best level; empty if none is sure to.

    Args:
        history: The study's.
        rows: Its ranking.
        found: Its effects.
    """
    if not found:
        return ""
    largest = max(found, key=lambda effect: effect.share)
    if largest.share < 1 - sum(effect.share for effect in found):
        return ""
    if largest.is_sure and len(largest.factors) == 2:
        return (
            f"{words.listed(largest.factors).capitalize()} decide together, "
            f"{_percent(largest.share)} of the variance between the {len(rows)} combinations: "
            f"{_apart(history, largest)}."
        )
    if not found[0].is_sure or _is_level(found[0]):
        return ""
    first, task = found[0], history.record["task"]
    best, worst = first.levels[0], first.levels[-1]
    tied = f", tied with {words.listed(best.ties)}" if best.ties else ""
    return (
        f"The {first.factors[0]} decides most, {_percent(first.share)} of the variance between the "
        f"{len(rows)} combinations: {best.label} is best ({words.score(best.mean, task)} averaged "
        f"over the rest{tied}), {worst.label} worst ({words.score(worst.mean, task)})."
    )


def deciding(history: History, rows: Sequence[Row], found: Sequence[Effect]) -> list[str]:
    """What each choice explains, which level of it is best, and what failed.

    Args:
        history: The study's.
        rows: Its ranking.
        found: Its effects.
    """
    sentences = [_shares(found)] if found else []
    mains = [effect for effect in found if len(effect.factors) == 1]
    first = headline(history, rows, found)
    sentences += [
        text for effect in mains if (text := _level(history, effect)) and not _tells(first, effect)
    ]
    sentences += [
        _together(history, effect)
        for effect in found
        if len(effect.factors) == 2 and effect.is_sure and effect.share >= WORTH_TELLING
        if _apart(history, effect) not in first
    ]
    return [*sentences, *_failures(history, rows, found), *_blocked(history)]


def _shares(found: Sequence[Effect]) -> str:
    parts = [
        f"{_percent(effect.share)} from {_called(effect)}"
        for effect in sorted(found, key=lambda effect: -effect.share)
        if effect.is_sure and effect.share >= 0.005
    ]
    unsure = [_called(effect) for effect in found if not effect.is_sure]
    if all(math.isnan(effect.p) for effect in found):
        largest = max(found, key=lambda effect: effect.share)
        return (
            f"{_called(largest).capitalize()} makes {_percent(largest.share)} of the variance "
            f"between combinations; one seed cannot tell whether that is sure."
        )
    if not parts:
        return "No choice explains a share of the variance that is sure to be there."
    text = f"Of the variance between combinations, {words.listed(parts)}"
    left = 1 - sum(effect.share for effect in found)
    if left > 0.05:
        text += f"; {_percent(left)} from more of them together"
    if unsure:
        text += f"; no sure effect of {words.listed(unsure)}"
    return text + "."


def _is_level(effect: Effect) -> bool:
    """Whether no level of a factor is shown to be better than another."""
    return len(effect.levels[0].ties) == len(effect.levels) - 1


def _called(effect: Effect) -> str:
    return " with ".join(effect.factors)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.01 else f"{100 * share:.1f}%"


def _level(history: History, effect: Effect) -> str:
    """Which level of a factor is best, over all combinations of the others."""
    factor, task = effect.factors[0], history.record["task"]
    best, worst = effect.levels[0], effect.levels[-1]
    if not effect.is_sure or _is_level(effect):
        return ""
    ties = f", tied with {words.listed(best.ties)}" if best.ties else ""
    return (
        f"Averaged over the rest, {best.label} is the best {factor} "
        f"({words.score(best.mean, task)}){ties}; {worst.label} the worst "
        f"({words.score(worst.mean, task)})."
    )


def _tells(headline: str, effect: Effect) -> bool:
    """Whether the headline is of this factor already."""
    return headline.startswith(f"The {effect.factors[0]} decides")


def _together(history: History, effect: Effect) -> str:
    """That two choices depend on one another, and where most."""
    return (
        f"{words.listed(effect.factors).capitalize()} depend on one another: "
        f"{_apart(history, effect)}."
    )


def _apart(history: History, effect: Effect) -> str:
    """Where the gap between two levels of one factor depends most on the other factor."""
    assert effect.cells is not None
    first, second = (list(varied(history)[factor].values()) for factor in effect.factors)
    sign, task = sign_of(history), history.record["task"]
    best = int((sign * effect.cells.mean(1)).argmax())
    behind = sign * (effect.cells[best] - effect.cells)
    row = int((behind.max(1) - behind.min(1)).argmax())
    most, least = int(behind[row].argmax()), int(behind[row].argmin())
    return (
        f"{first[row]} is {_behind(behind[row, most], task)} {first[best]} with {second[most]}, "
        f"but {_behind(behind[row, least], task)} it with {second[least]}"
    )


def _behind(value: float, task: dict[str, object]) -> str:
    if value == 0:
        return "level with"
    return f"{words.difference(value, task)} {'behind' if value > 0 else 'ahead of'}"


def _failures(history: History, rows: Sequence[Row], found: Sequence[Effect]) -> list[str]:
    """Who did not train: whole levels first, then the rest by name."""
    task = history.record["task"]
    constant, good = (words.score(value, task) for value in (task["baseline"], near_best(history)))
    what = (
        f"did not get half-way from the constant prediction ({constant}) to a good score ({good}) "
        f"at any rate{' that was trained to the end' if history.stopped else ''}"
    )
    failed = [row for row in rows if has_failed(history, row)]
    if len(failed) == len(rows):
        return []
    named: set[str] = set()
    sentences: list[str] = []
    mains = [effect for effect in found if len(effect.factors) == 1 and effect.factors != ("rule",)]
    for effect in mains:
        for level in effect.levels:
            own = [row for row in failed if row.levels[effect.factors[0]] == level.name]
            if not own or {row.name for row in own} <= named:
                continue
            named |= {row.name for row in own}
            sentences.append(
                f"{_whom(history, effect.factors[0], level, own)} {what}{_why(history, own, rows)}."
            )
    rest = [row for row in failed if row.name not in named]
    if rest:
        who = listing([row.label for row in rest], limit=6)
        sentences.append(f"{who} {what}{_why(history, rest, rows)}.")
    return [*sentences, *_fell(history, rows)]


def _fell(history: History, rows: Sequence[Row]) -> list[str]:
    """Those that did well in tuning and diverged on most fresh seeds, at the same rate."""
    found: list[str] = []
    for row in rows:
        final = history.of("final", row.name)
        lost = sum(lane.lane in history.diverged for lane in final)
        if 2 * lost > len(final) and row.diverged < 1 and not has_failed(history, row):
            found.append(
                f"{row.label} trained in tuning at {words.rate(row.lr)}, but diverged in {lost} of "
                f"{len(final)} fresh seeds: the rate is at its edge, take a lower one."
            )
    return found


def _whom(history: History, factor: str, level: LevelMean, own: Sequence[Row]) -> str:
    """A level, with what it failed in combination with."""
    label = level.label[:1].upper() + level.label[1:]
    if len(own) == level.count:
        return label
    if len(own) > 6:
        return f"{label} in {len(own)} of {level.count} combinations"
    others = {name: labels for name, labels in varied(history).items() if name != factor}
    order = sorted(others, key=lambda name: name != "rule")
    named = [" · ".join(others[name][row.levels[name]] for name in order) for row in own]
    return f"{label} with {words.listed(named)}"


def explained(history: History, rows: Sequence[Row]) -> list[str]:
    """Contenders that did not train, and why is known: of a problem at every rate.

    The best contender does not have it.
    """
    best = at_every_rate(history, rows[0].name)
    failed = [row.name for row in rows if has_failed(history, row)]
    if len(failed) == len(rows):
        return []
    return [
        name
        for name in failed
        if (cause := at_every_rate(history, name)) is not None
        and (best is None or best.name != cause.name)
    ]


def _why(history: History, own: Sequence[Row], rows: Sequence[Row]) -> str:
    """What those that failed show at every rate, or how the gradient fades in them at the start."""
    known = explained(history, rows)
    causes = [at_every_rate(history, row.name) for row in own if row.name in known]
    named = [cause for cause in causes if cause is not None]
    if len(named) == len(own) and len({cause.name for cause in named}) == 1:
        return f": {named[0].name} ({told(named[0])})"
    factors = [_fading(history, row) for row in own]
    if not factors or None in factors:
        return ""
    typical = float(np.median([factor for factor in factors if factor is not None]))
    best = _fading(history, rows[0])
    if typical >= FADES or (best is not None and typical > 0.8 * best):
        return ""
    sizes = [float(size) for size in history.contenders[own[0].name]["gradients"].values()]
    text = (
        f": at the start its gradient changes by a factor of {typical:.2g} a layer on the way "
        f"back, and the first layer's is {sizes[0] / sizes[-1]:.1g} of the last one's"
    )
    return text if best is None else f"{text} ({rows[0].label}: {best:.2g} a layer)"


def _blocked(history: History) -> list[str]:
    """Models with weights that no gradient reaches."""
    blocked = {each["model"]: each["blocked"] for each in history.contenders.values()}
    return [
        f"{model} cannot be trained through: the gradient of {listing(names)} is 0."
        for model, names in blocked.items()
        if names
    ]


def _fading(history: History, row: Row) -> float | None:
    return a_layer(history.contenders[row.name]["gradients"])
