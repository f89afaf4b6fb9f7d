"""The result of a comparison on the screen, or as values for JSON."""

import math
from typing import Any

from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from talweg.core import counted
from talweg.study import Row, Study, words
from talweg.study.effects import Effect, effects

BEST, WORST = 12, 3
"""Rows of a long ranking that are shown from its top and its end."""


def as_values(study: Study) -> dict[str, Any]:
    """The result of a study as plain values for JSON; what is not known is None."""
    rows = [{key: _known(value) for key, value in vars(row).items()} for row in study.ranking]
    return {
        "status": study.record["status"],
        "ranked_on": study.ranked_on,
        "metric": study.record["task"]["metric"],
        "higher_is_better": study.record["task"]["higher_is_better"],
        "baseline": study.record["task"]["baseline"],
        "test_baseline": study.record["task"]["test_baseline"],
        "target": study.record["target"],
        "ranking": rows,
        "effects": [
            {
                "factors": list(effect.factors),
                "share": effect.share,
                "p": _known(effect.p),
                "levels": [
                    {key: _known(value) for key, value in vars(level).items()}
                    for level in effect.levels
                ],
            }
            for effect in effects(study.history, study.ranking)
        ],
        "pruned": study.record.get("pruned"),
        "sentences": study.sentences,
        "folder": str(study.folder),
        "report": str(study.folder / "report.html"),
        "seconds": study.record["seconds"],
    }


def _known(value: Any) -> Any:
    """The value, or None for a number that is none."""
    return None if value != value else value


def show(study: Study, console: Console) -> None:
    """Prints the ranking, what it means, and where the report lies."""
    data = study.record["data"]
    console.print()
    title = Text(study.record["name"], style="bold")
    title.append(
        f" · {words.models(study.record)} · "
        f"{data['train']} train, {data['validation']} validation, {data['test']} test",
        style="dim",
    )
    console.print(title)
    if study.partial:
        console.print(
            Text(f"Stopped early ({study.record['status']}): a partial ranking.", style="yellow")
        )
    if len(study.record["factors"]["batch size"]) > 1:
        console.print(Text(words.lengths(study.record), style="dim"))
    deciding = effects(study.history, study.ranking)
    if deciding:
        console.print(_deciding(study, deciding))
        console.print()
    if study.ranking:
        console.print(_fitting_table(study, console))
    for sentence in study.sentences:
        console.print(Text("· " + sentence))
    console.print()
    console.print(
        Text(f"{_duration(study.record['seconds'])} · report ", style="dim")
        + Text(str(study.folder / "report.html"), style="bold")
    )


def _fitting_table(study: Study, console: Console) -> Table:
    """The ranking, without as many of its last columns as the screen has no room for."""
    unbounded = console.options.update(max_width=1000)
    tables = [_table(study, without) for without in range(6)]
    for table in tables:
        if Measurement.get(console, unbounded, table).maximum <= console.width:
            return table
    return tables[-1]


def _table(study: Study, without: int) -> Table:
    """The ranking without its last columns."""
    rows, task = study.ranking, study.record["task"]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    share = words.is_share(task["metric"])
    target = words.score(study.record["target"], task)
    both = len(study.record["factors"]["batch size"]) > 1
    headings: list[tuple[str, JustifyMethod]] = [
        ("", "left"),
        (words.noun(study.record), "left"),
        ("rate", "right"),
        (f"{study.ranked_on}\n{task['metric']}", "right"),
        ("95%\ninterval", "center"),
        ("to\nbest", "right"),
        (f"epochs\nto\n{target}", "right"),
        *([("steps\nto\nthere", "right")] if both else []),
        ("good\nrates", "left"),
        ("lanes\nlost", "right"),
    ]
    shown = len(headings) - without
    for heading, side in headings[:shown]:
        table.add_column(heading, justify=side, no_wrap=True, vertical="bottom", min_width=1)
    left_out = len(rows) - BEST - WORST
    for place, row in enumerate(rows):
        if left_out > 1 and BEST <= place < BEST + left_out:
            if place == BEST:
                table.add_row("", Text(f"… {left_out} more, in the report", style="dim"))
            continue
        first = row.rank == 1
        low, high = (words.score(end, task, unit=False) for end in (row.low, row.high))
        cells = (
            Text(str(row.rank), style="bold green" if first else "dim"),
            Text(row.label, style="bold" if first else ""),
            words.rate(row.lr),
            Text(words.score(row.score, task), style="bold" if first else ""),
            "–" if math.isnan(row.low) else f"{low}–{high}",
            _gap(row, rows[0], share),
            "–" if row.epochs_to_target is None else f"{row.epochs_to_target:.3g}",
            *([_steps(row)] if both else []),
            _range(row),
            f"{100 * row.diverged:.0f}%" if row.diverged else "",
        )
        table.add_row(*cells[:shown])
    return table


def _steps(row: Row) -> str:
    return "–" if row.steps_to_target is None else f"{row.steps_to_target:,.0f}"


def _deciding(study: Study, found: list[Effect]) -> Table:
    """Each choice with its share of the variance, its best level and its worst."""
    task = study.record["task"]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in ("what decides", "of the\nvariance", "best", "worst"):
        side: JustifyMethod = "right" if heading.startswith("of") else "left"
        table.add_column(heading, justify=side, vertical="bottom")
    for effect in found:
        ends = ["", ""]
        if effect.levels:
            best, worst = effect.levels[0], effect.levels[-1]
            ends = [f"{end.label}, {words.score(end.mean, task)}" for end in (best, worst)]
            ends[0] += f" ({counted(len(best.ties), 'tie')})" if best.ties else ""
        style = "" if effect.is_sure else "dim"
        share = f"{100 * effect.share:.1f}%" + ("" if effect.is_sure else " ?")
        table.add_row(Text(" × ".join(effect.factors), style=style), share, *ends, style=style)
    return table


def _gap(row: Row, best: Row, share: bool) -> Text:
    if row is best:
        return Text("")
    sign = "−" if row.gap < 0 else "+"
    gap = sign + (f"{100 * abs(row.gap):.1f}" if share else words.number(abs(row.gap), 3))
    if row.label in best.ties and not math.isnan(row.p):
        return Text(f"tie {gap}", style="dim")
    return Text(gap)


def _range(row: Row) -> str:
    if row.good is None:
        return "–"
    low, high = (words.rate(lr) for lr in row.good)
    least = "≥ " if row.good_is_least else ""
    return least + (low if low == high else f"{low}–{high}")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unfinished"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
