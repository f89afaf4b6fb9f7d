"""How a study was made, in words: protocol, settings, data, arguments, machine."""

import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from talweg.core import counted
from talweg.lanes.precision import PRECISIONS
from talweg.report.pieces import escape, listing, number_table, pairs
from talweg.report.table import metric_name
from talweg.study import Study, words
from talweg.study.pruning import CLOSE, RUNGS, margin


def protocol(study: Study) -> str:
    """How the comparison was made, as HTML."""
    record = study.record
    asked, task, noun = record["asked"], record["task"], words.noun(record)
    metric = metric_name(task["metric"])
    direction = "higher" if task["higher_is_better"] else "lower"
    paragraphs = [
        f"Equal budget: every {noun} got {rates_of_each(record)} learning rates × "
        f"{counted(asked['tune_seeds'], 'tuning seed')}, each trained for {length(record)}"
        f"{_counted_both_ways(record)}.",
        *([_pruning(record)] if asked.get("prune") else []),
        *([_augmentation(asked["augment"])] if asked.get("augment") else []),
        *([_precision(asked["precision"])] if asked.get("precision") else []),
        f"Choice: the rate with the best mean validation {metric} at the end ({direction} is "
        f"better); a rate at which a seed diverged is out. It was trained again on "
        f"{counted(asked['seeds'], 'fresh seed')}, and the score is taken on the test part, which "
        "nothing before has seen.",
        f"Pairs: runs with one seed share initialisation and batch order, so {noun}s are compared "
        f"seed by seed, with moderated paired t-tests over all pairs of {noun}s and Holm’s "
        "correction. Those that are not significantly different at 5% are tied. A run that "
        "diverged counts as the "
        f"constant prediction ({words.score(task['test_baseline'], task)}).",
        "The 95% intervals cover initialisation and batch order on this one split of the data. "
        "They do not cover another split, other data or another choice of rates.",
    ]
    text = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
    return text + _settings(study)


def _counted_both_ways(record: Mapping[str, Any]) -> str:
    """Epochs in steps or steps in epochs, with batches and schedule."""
    every = record["contenders"]
    epochs = words.span(round(each["steps"] / each["steps_per_epoch"], 2) for each in every)
    total = (
        f"{epochs} epochs"
        if record["asked"]["steps"] is not None
        else f"{of_each(record, 'steps')} steps"
    )
    full = all(each["batch_size"] == record["data"]["train"] for each in every)
    batches = (
        "the whole training part as one batch"
        if full
        else f"batches of {of_each(record, 'batch_size')}"
    )
    schedules = words.listed(list(record["factors"]["schedule"]))
    return (
        f" ({total}, {of_each(record, 'steps_per_epoch')} an epoch, {batches}; "
        f"schedule of the rate: {schedules})"
    )


def _pruning(record: Mapping[str, Any]) -> str:
    went_on = ", ".join(
        f"{Fraction(kept).limit_denominator(9)} after {Fraction(begin).limit_denominator(9)}"
        for begin, kept in RUNGS
    )
    close = ""
    if margin(record["task"], record["data"]["validation"]):
        close = f", and those that were behind these by {CLOSE} validation samples or fewer"
    return (
        "Pruning: in tuning, rates that were behind others of the same contender were stopped, as "
        f"many of each. Of its rates there went on {went_on} of the steps{close}. The score of "
        "a rate that was stopped is known up to there only: it is not chosen, and does not count "
        "as good."
    )


def _augmentation(name: str) -> str:
    return (
        f"Augmentation: {name} changed every training batch, once for each seed and step, so that "
        "runs with one seed learned from the same. Validation and test part stayed as they are."
    )


def _precision(name: str) -> str:
    return f"Precision ({name}): {PRECISIONS[name]}."


def _settings(study: Study) -> str:
    chosen = {row.name: words.rate(row.lr) for row in study.ranking}
    rows = [
        [
            each["label"],
            each["model"],
            f"{each['batch_size']:,}",
            f"{each['steps_per_epoch']:,}",
            f"{each['steps']:,}",
            each["levels"]["schedule"],
            chosen.get(each["name"], "–"),
            ", ".join(words.rate(lr) for lr in each["lrs"]),
            ", ".join(f"{key} {_value(x)}" for key, x in each["settings"].items() if key != "lr")
            or "–",
        ]
        for each in study.record["contenders"]
    ]
    headers = [
        words.noun(study.record).capitalize(),
        "Model",
        "Batch size",
        "Steps an epoch",
        "Steps",
        "Schedule",
        "Chosen rate",
        "Rates tried",
        "Other settings",
    ]
    return number_table("Settings", headers, rows, texts=len(headers))


def data_notes(study: Study) -> str:
    """What was noticed about the data, as HTML."""
    return listing(study.record["data"]["notes"]) or "<p>Nothing was changed or left out.</p>"


def log(study: Study) -> str:
    """What the engine said, as HTML."""
    return listing(study.record["log"]) or "<p>The log is empty.</p>"


def asked(study: Study) -> str:
    """Every argument of the comparison, as HTML."""
    record = study.record
    task = {
        "loss": record["task"]["loss"],
        "metric": metric_name(record["task"]["metric"]),
        "score to reach": words.score(record["target"], record["task"]),
    }
    return pairs((key, _value(value)) for key, value in {**record["asked"], **task}.items())


def surroundings(study: Study) -> str:
    """Machine, versions, time and place, as HTML."""
    record = study.record
    rows = {**record["machine"], **record["versions"], "started": record["created"]}
    return pairs((key, _value(value)) for key, value in rows.items())


def _value(value: Any) -> str:
    """A value of the record as text.

    >>> _value([128, 128]), _value(None), _value(True), _value(0.9)
    ('128, 128', 'none', 'yes', '0.9')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value)
    if isinstance(value, dict):
        return json.dumps(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def of_each(record: Mapping[str, Any], key: str) -> str:
    """A number of every contender, or the lowest and the highest."""
    return words.span(each[key] for each in record["contenders"])


def rates_of_each(record: Mapping[str, Any]) -> str:
    """How many rates every contender has, or the fewest and the most."""
    return words.span(len(each["lrs"]) for each in record["contenders"])


def length(record: Mapping[str, Any]) -> str:
    """How long a run is, in steps or in epochs, as it was asked for."""
    asked = record["asked"]
    if asked["steps"] is not None:
        return counted(asked["steps"], "step")
    return counted(asked["epochs"], "epoch")
