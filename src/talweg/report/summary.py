"""The top of the report in words: the verdict, the facts, and what else came of it."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from talweg.core import counted
from talweg.report.pieces import escape, listing, pairs
from talweg.report.protocol import length, of_each, rates_of_each
from talweg.study import Study, words


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


def _day(created: str) -> str:
    day = datetime.fromisoformat(created)
    return f"{day.day} {day:%B} {day.year}"


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
            ("Model", f"{words.models(record)}; {of_each(record, 'parameters')} parameters"),
            ("Data", ", ".join(parts)),
            (
                "Budget",
                f"{_combinations(record)} × {rates_of_each(record)} rates × "
                f"{counted(asked['tune_seeds'], 'seed')}, then "
                f"{counted(asked['seeds'], 'fresh seed')}; "
                f"{length(record)} each",
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


def _combinations(record: Mapping[str, Any]) -> str:
    """What is crossed, such as "7 rules × 3 batch sizes"."""
    factors = {"rule": record["factors"]["rule"]} | record["factors"]
    counts = [
        counted(len(levels), factor)
        for factor, levels in factors.items()
        if factor == "rule" or len(levels) > 1
    ]
    return " × ".join(counts)


def _runs(study: Study) -> str:
    every = len(study.record["lanes"])
    begun = len(study.metrics.column("lane").unique())
    return f"{every:,}" if begun == every else f"{begun:,} of {every:,}"


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


def conclusions(study: Study) -> str:
    """The sentences after the verdict, as HTML."""
    return listing(study.sentences[1:], "conclusions")
