"""The parts of the report in words: facts, protocol, data, machine."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from talweg.core import counted
from talweg.lanes.precision import PRECISIONS
from talweg.report.pieces import escape, listing, number_table, pairs
from talweg.report.table import metric_name
from talweg.study import Study, words
from talweg.study.pruning import CLOSE, RUNGS, margin


def headline(study: Study) -> str:
    """The verdict, as HTML; its interval is set more quietly, and all of it smaller if long."""
    name = study.record["name"]
    text = study.sentences[0] if study.sentences else f"{name}: nothing has been measured yet."
    quiet = re.sub(
        r"(\(95% interval[^()]*\)[.,;]?)", r'<span class="aside">\1</span>', escape(text)
    )
    return f'<h1 class="long">{quiet}</h1>' if len(text) > 180 else f"<h1>{quiet}</h1>"


def overline(study: Study) -> str:
    """The data set and the day, above the verdict."""
    return f"{study.record['name']} · {_day(study.record['created'])}"


def banner(study: Study) -> str:
    """A note on top of a study that did not reach its end, as HTML."""
    if not study.partial:
        return ""
    stopped = study.record["status"] != "running"
    when = "was stopped before its end" if stopped else "was still running or had been killed"
    text = (
        f"This study {when}. What follows is what was measured until then, ranked on "
        f"{study.ranked_on} scores; the order may change."
    )
    return f'<p class="banner" role="note"><strong>Partial.</strong> {escape(text)}</p>'


def facts(study: Study) -> str:
    """Model, data, budget and time, as HTML."""
    record = study.record
    data, asked = record["data"], record["asked"]
    shape: list[int] | dict[str, list[int]] = data["features"]
    parts = [f"{data[part]:,} {part}" for part in ("train", "validation", "test")]
    if isinstance(shape, dict):
        parts += [f"{name} of {_sides(own)}" for name, own in shape.items()]
    else:
        parts.append(f"{_sides(shape)} inputs")
    parts += [f"{len(data['classes'])} classes"] if data["classes"] else []
    return pairs(
        [
            ("Model", f"{words.models(record)}; {_each(record, 'parameters')} parameters"),
            ("Data", ", ".join(parts)),
            (
                "Budget",
                f"{_combinations(record)} × {_each_rates(record)} rates × "
                f"{counted(asked['tune_seeds'], 'seed')}, then "
                f"{counted(asked['seeds'], 'fresh seed')}; "
                f"{_length(record)} each",
            ),
            ("Runs", f"{_runs(study)}{_time(record['seconds'])}"),
        ]
    )


def _sides(shape: Sequence[int]) -> str:
    """The shape of a sample.

    >>> _sides([1, 8, 8]), _sides([])
    ('1×8×8', '1')
    """
    return "×".join(map(str, shape)) or "1"


def _runs(study: Study) -> str:
    every = len(study.record["lanes"])
    begun = len(study.metrics.column("lane").unique())
    return f"{every:,}" if begun == every else f"{begun:,} of {every:,}"


def conclusions(study: Study) -> str:
    """The sentences after the verdict, as HTML."""
    return listing(study.sentences[1:], "conclusions")


def protocol(study: Study) -> str:
    """How the comparison was made, as HTML."""
    record = study.record
    asked, task, noun = record["asked"], record["task"], words.noun(record)
    metric = metric_name(task["metric"])
    direction = "higher" if task["higher_is_better"] else "lower"
    paragraphs = [
        f"Equal budget: every {noun} got {_each_rates(record)} learning rates × "
        f"{counted(asked['tune_seeds'], 'tuning seed')}, each trained for {_length(record)}"
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


def _each(record: Mapping[str, Any], key: str) -> str:
    """A number of every contender, or the lowest and the highest."""
    return words.span(each[key] for each in record["contenders"])


def _each_rates(record: Mapping[str, Any]) -> str:
    return words.span(len(each["lrs"]) for each in record["contenders"])


def _combinations(record: Mapping[str, Any]) -> str:
    """What is crossed, such as "7 rules × 3 batch sizes"."""
    factors = {"rule": record["factors"]["rule"]} | record["factors"]
    counts = [
        counted(len(levels), factor)
        for factor, levels in factors.items()
        if factor == "rule" or len(levels) > 1
    ]
    return " × ".join(counts)


def _length(record: Mapping[str, Any]) -> str:
    asked = record["asked"]
    if asked["steps"] is not None:
        return counted(asked["steps"], "step")
    return counted(asked["epochs"], "epoch")


def _counted_both_ways(record: Mapping[str, Any]) -> str:
    """Epochs in steps or steps in epochs, with batches and schedule."""
    every = record["contenders"]
    epochs = words.span(round(each["steps"] / each["steps_per_epoch"], 2) for each in every)
    total = (
        f"{epochs} epochs"
        if record["asked"]["steps"] is not None
        else f"{_each(record, 'steps')} steps"
    )
    full = all(each["batch_size"] == record["data"]["train"] for each in every)
    batches = (
        "the whole training part as one batch"
        if full
        else f"batches of {_each(record, 'batch_size')}"
    )
    schedules = words.listed(list(record["factors"]["schedule"]))
    return (
        f" ({total}, {_each(record, 'steps_per_epoch')} an epoch, {batches}; "
        f"schedule of the rate: {schedules})"
    )


def _day(created: str) -> str:
    day = datetime.fromisoformat(created)
    return f"{day.day} {day:%B} {day.year}"


def _time(seconds: float | None) -> str:
    """How long it took, to be put after a number.

    >>> _time(24.1), _time(192), _time(3840), _time(None)
    (' in 24 s', ' in 3 min 12 s', ' in 1 h 4 min', '')
    """
    if seconds is None:
        return ""
    if seconds < 60:
        return f" in {seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f" in {minutes} min {rest} s"
    return f" in {minutes // 60} h {minutes % 60} min"
