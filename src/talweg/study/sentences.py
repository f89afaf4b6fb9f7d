"""What a study found, in sentences."""

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

from talweg.diagnose.findings import TooHot
from talweg.study import words
from talweg.study.deciding import deciding, explained, headline
from talweg.study.effects import effects
from talweg.study.findings import is_end, problems, reasons
from talweg.study.history import History
from talweg.study.pairs import Pairs
from talweg.study.pruning import saving
from talweg.study.ranking import Row, ranked_on
from talweg.study.tuning import baseline, rates, sign_of

MANY = 7
"""A sentence names no more contenders than this, and counts the rest."""


def sentences(history: History, rows: Sequence[Row]) -> list[str]:
    """The conclusions of a study, the most important first."""
    if not rows:
        return ["Nothing was measured: the study ended before its first reading."]
    decisive = effects(history, rows)
    found = [headline(history, rows, decisive), _verdict(history, rows), _chance(history, rows)]
    found += deciding(history, rows, decisive)
    found += _beaten(history, rows)
    found.append(_more_seeds(history, rows))
    found += [_first_to_target(history, rows), _easiest(rows), *_edges(history, rows)]
    told = reasons(history, explained(history, rows))
    found += [*_divergence(history, told), *told.values(), _pruned(history)]
    return [text for text in found if text]


def _some(labels: Sequence[str]) -> str:
    """Labels, or the first few of many."""
    if len(labels) <= MANY + 1:
        return words.listed(labels)
    return f"{', '.join(labels[:MANY])} and {len(labels) - MANY} more"


def _named(row: Row) -> str:
    return f"{row.label} at {words.rate(row.lr)}"


def _verdict(history: History, rows: Sequence[Row]) -> str:
    task: dict[str, Any] = history.record["task"]
    best = rows[0]
    on = f"{ranked_on(history)} {task['metric']}"
    score = words.score(best.score, task)
    if math.isnan(best.loss):
        return (
            f"No {words.noun(history.record)} is worth choosing: {best.label} diverged in every "
            f"fresh run, which counts as the constant prediction, and no other did better."
        )
    if len(best.scores) < 2:
        return f"{_named(best)} came out first with {score} {on}; one seed tells no interval."
    interval = (
        f"95% interval {words.score(best.low, task, unit=False)} "
        f"to {words.score(best.high, task)}, {len(best.scores)} seeds"
    )
    if len(rows) == 1:
        return f"{_named(best)} has {score} {on} ({interval})."
    if not best.ties:
        return f"{_named(best)} wins: {score} {on} ({interval})."
    tied = [row.label for row in rows if row.label in best.ties]
    if len(tied) == len(rows) - 1 and len(rows) > 1:
        return (
            f"No {words.noun(history.record)} is shown to be better than another; "
            f"{_named(best)} has {score} {on} ({interval})."
        )
    return (
        f"{_some([best.label, *tied])} tie; "
        f"{_named(best)} has the best mean, {score} {on} ({interval})."
    )


def _chance(history: History, rows: Sequence[Row]) -> str:
    task, constant = history.record["task"], baseline(history, ranked_on(history))
    if sign_of(history) * (rows[0].score - constant) > 0 or math.isnan(rows[0].loss):
        return ""
    return (
        f"No {words.noun(history.record)} beats the constant prediction "
        f"({words.score(constant, task)}): "
        f"train longer, or look at the data and the model first."
    )


def _beaten(history: History, rows: Sequence[Row]) -> list[str]:
    task = history.record["task"]
    best = rows[0]
    tied = [row for row in rows if row.label in best.ties]
    beaten = [row for row in rows[1:] if row.label not in best.ties]
    if not beaten:
        return []
    parts = [
        f"{row.label} by {words.difference(row.gap, task)}, {words.p_value(row.p)}"
        for row in beaten[:MANY]
    ]
    if len(beaten) > MANY:
        rest = len(beaten) - MANY
        return [f"{best.label} beats {'; '.join(parts)}; and {rest} more by a larger margin."]
    subject = best.label
    together = [row for row in tied if all(other.label not in row.ties for other in beaten)]
    if tied and len(together) == len(tied):
        subject = f"{words.listed([best.label, *[row.label for row in tied]])} each"
        return [
            f"{subject} beat {words.listed([row.label for row in beaten])} "
            f"({best.label} beats {'; '.join(parts)})."
        ]
    return [f"{subject} beats {'; '.join(parts)}."]


def _more_seeds(history: History, rows: Sequence[Row]) -> str:
    """How large a difference must be to show with these seeds, and with four times as many."""
    best, seeds = rows[0], len(rows[0].scores)
    if not best.ties or seeds < 2:
        return ""
    pairs = Pairs([row.scores for row in rows])
    tied = [
        (0, place)
        for place, row in enumerate(rows)
        if row.label in best.ties and len(row.scores) == seeds
    ]
    least = [pairs.least(count, tied) for count in (seeds, 4 * seeds)]
    if least[0] == 0:
        return ""
    nouns, task = words.noun(history.record) + "s", history.record["task"]
    now, then = (words.difference(value, task) for value in least)
    if None not in (task["lowest"], task["highest"]):
        widest = task["highest"] - task["lowest"]
        if least[1] >= widest:
            return f"{seeds} seeds are too few to tell two typical {nouns} apart here."
        if least[0] >= widest:
            return (
                f"{seeds} seeds are too few to tell two typical {nouns} apart here; "
                f"{4 * seeds} seeds do from a difference of about {then} on."
            )
    return (
        f"{seeds} seeds tell two typical {nouns} apart here from a difference of about {now} on; "
        f"{4 * seeds} seeds, of {then}."
    )


def _first_to_target(history: History, rows: Sequence[Row]) -> str:
    target = history.record["target"]
    arrived = [row for row in rows if row.steps_to_target is not None]
    if target is None or not arrived:
        return ""
    by_steps = min(arrived, key=lambda row: row.steps_to_target or 0.0)
    by_epochs = min(arrived, key=lambda row: (row.epochs_to_target or 0.0, row.steps_to_target))
    if by_steps.steps_to_target == 0:
        return ""
    score = words.score(target, history.record["task"])
    if by_epochs.epochs_to_target == by_steps.epochs_to_target:
        text = f"{_arrived(by_steps, arrived)} reached {score} on validation first: after "
        text += f"{_epochs(by_steps)} ({_steps(by_steps)})"
    else:
        text = (
            f"{_arrived(by_steps, arrived)} reached {score} on validation in the fewest steps, "
            f"{_steps(by_steps)} ({_epochs(by_steps)}); {_arrived(by_epochs, arrived)} in the "
            f"fewest epochs, {_epochs(by_epochs)} ({_steps(by_epochs)})"
        )
    never = [row.label for row in rows if row.steps_to_target is None]
    if never and len(never) <= 3:
        text += f"; {words.listed(never)} did not get there in most seeds"
    return f"{text}."


def _arrived(first: Row, arrived: Sequence[Row]) -> str:
    """All who took as many steps and epochs as the first."""
    return _some(
        [
            row.label
            for row in arrived
            if (row.steps_to_target, row.epochs_to_target)
            == (first.steps_to_target, first.epochs_to_target)
        ]
    )


def _steps(row: Row) -> str:
    return _shown(row.steps_to_target or 0.0, "step")


def _epochs(row: Row) -> str:
    return _shown(row.epochs_to_target or 0.0, "epoch")


def _shown(number: float, noun: str) -> str:
    return f"{number:g} {noun}{'s' if number != 1 else ''}"


def _easiest(rows: Sequence[Row]) -> str:
    widest = max(rows, key=lambda row: row.good_decades)
    if len(rows) < 2 or widest.good is None or widest.good_decades == 0:
        return ""
    if any(row.good_is_least for row in rows):
        return ""
    low, high = (words.rate(lr) for lr in widest.good)
    same = [row.label for row in rows if abs(row.good_decades - widest.good_decades) < 1e-3]
    if len(same) == len(rows):
        return ""
    verb = "is" if len(same) == 1 else "are"
    where = f" ({low} to {high})" if len(same) == 1 else ""
    return (
        f"{_some(same)} {verb} the easiest to set: good over "
        f"{widest.good_decades:.1f} decades of learning rates{where}."
    )


def _edges(history: History, rows: Sequence[Row]) -> list[str]:
    """Who did best at the end of its range of rates."""
    ends: dict[str, list[Row]] = {"lowest": [], "highest": []}
    for row in rows:
        tried = [rate.lr for rate in rates(history, row.name)]
        if len(tried) > 2 and row.lr in (tried[0], tried[-1]) and not math.isnan(row.loss):
            ends["lowest" if row.lr == tried[0] else "highest"].append(row)
    sides = {"lowest": "lower", "highest": "higher"}
    if sum(map(len, ends.values())) <= MANY:
        return [
            f"{row.label} did best at the {end} rate tried, {words.rate(row.lr)}: "
            f"a {sides[end]} one may be better still."
            for row in rows
            for end, own in ends.items()
            if row in own
        ]
    return [
        f"{_some([row.label for row in own])} did best at the {end} rate tried: "
        f"a {sides[end]} one may be better still."
        for end, own in ends.items()
        if own
    ]


def _divergence(history: History, told: Mapping[str, str]) -> list[str]:
    """Who diverged, if not told as a rate that is too large.

    Args:
        history: The study's.
        told: Contender → why it lost rates.
    """
    found = {name: text for name in history.contenders if (text := _diverged(history, name))}
    if len(found) <= MANY:
        known = {name for name, text in told.items() if TooHot.name in text}
        return [text for name, text in found.items() if not _is_known(history, name, known)]
    lost = sum(lane.lane in history.diverged for lane in history.lanes)
    return [
        f"{len(found)} of {len(history.contenders)} {words.noun(history.record)}s diverged at some "
        f"rate, {lost} of {len(history.lanes)} runs in all; the report shows at which."
    ]


def _is_known(history: History, name: str, told: Container[str]) -> bool:
    """Whether a contender diverged only where it was told that its rate is too large for that.

    The lowest of those rates is told of: if lanes did not diverge there, or at some rate not in
    every seed, that is not known.
    """
    too_large = problems(history, name).get(TooHot.name, [])
    known = {each.lr for each in too_large} if too_large and is_end(too_large[0].worst) else set()
    fresh = any(lane.lane in history.diverged for lane in history.of("final", name))
    rest = [
        each
        for each in rates(history, name)
        if each.diverged and (each.lr not in known or each.diverged < each.lanes)
    ]
    return name in told and not fresh and not rest


def _diverged(history: History, name: str) -> str:
    """At which rates a contender diverged; empty if at none."""
    tuned = rates(history, name)
    every = [words.rate(r.lr) for r in tuned if r.diverged == r.lanes]
    some = [words.rate(r.lr) for r in tuned if 0 < r.diverged < r.lanes]
    parts: list[str] = []
    if every:
        parts.append(f"at {words.listed(every)} in every seed")
    if some:
        parts.append(f"at {words.listed(some)} in some seeds")
    final = history.of("final", name)
    lost = sum(lane.lane in history.diverged for lane in final)
    if lost:
        parts.append(f"in {lost} of {len(final)} fresh seeds at its chosen rate")
    return f"{history.contenders[name]['label']} diverged {', '.join(parts)}." if parts else ""


def _pruned(history: History) -> str:
    """What pruning spared; empty if it stopped nothing."""
    if not history.stopped:
        return ""
    text = str(saving(history))
    return f"{text[:1].upper()}{text[1:]}; how those lanes would have ended is not known."
