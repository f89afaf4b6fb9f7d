"""The ranking as a table: numbers to read, intervals to compare by eye, bars that join ties."""

import math
from collections.abc import Mapping, Sequence
from statistics import median

from talweg.report.marks import Mark
from talweg.report.pieces import escape
from talweg.report.scale import Scale, known
from talweg.study import Row, Study, words


def ranking_table(study: Study, marks: Mapping[str, Mark]) -> str:
    """The table, or a sentence if nothing was measured."""
    rows = study.ranking
    if not rows:
        return "<p>Nothing has been measured yet.</p>"
    scores, rates = _score_scale(rows), _rate_scale(study)
    bars = tie_bars(rows)
    body = "".join(
        _row(study, row, marks[row.name], scores, rates, bars[place])
        for place, row in enumerate(rows)
    )
    what = f"{len(rows)} {words.noun(study.record)}s"
    return (
        f'<div class="scroll"><table class="ranking" role="table" style="--bars:{len(bars[0])}">'
        f'<caption class="unseen">Ranking of {what}, best first</caption>'
        f'<thead role="rowgroup"><tr role="row">{_head(study, scores, rates)}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table></div>'
    )


def tie_bars(rows: Sequence[Row]) -> list[list[str]]:
    """For each row, what each bar beside the ranks does there.

    A bar joins neighbours that are all tied with one another. As ties are not transitive, bars may
    overlap; then they stand side by side.

    Returns:
        ``[row][bar]``, each ``""``, ``"first"``, ``"inner"`` or ``"last"``.
    """
    runs: list[tuple[int, int]] = []
    for first in range(len(rows)):
        last = first
        while last + 1 < len(rows) and all(
            rows[last + 1].label in rows[other].ties for other in range(first, last + 1)
        ):
            last += 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    columns: list[list[str]] = []
    for first, last in runs:
        column = next((c for c in columns if not any(c[first : last + 1])), None)
        if column is None:
            column = [""] * len(rows)
            columns.append(column)
        column[first : last + 1] = ["first", *["inner"] * (last - first - 1), "last"]
    return [[column[place] for column in columns] for place in range(len(rows))]


def _head(study: Study, scores: Scale, rates: Scale) -> str:
    task, target = study.record["task"], study.record["target"]
    metric = f"{study.ranked_on.capitalize()} {metric_name(task['metric'])}"
    reach = f"Epochs to {words.score(target, task)}" if target is not None else "Epochs to target"
    percent = 100 if words.is_share(task["metric"]) else 1
    score_ticks = [(f"{percent * tick:g}", scores.percent(tick)) for tick in scores.ticks(4)]
    exponents = [tick for tick in rates.ticks(4) if tick == round(tick)]
    rate_ticks = [(f"1e{tick:.0f}" if tick else "1", rates.percent(tick)) for tick in exponents]
    return "".join(
        (
            _header("Rank", "rank"),
            _header(words.noun(study.record).capitalize(), "rule"),
            _header(escape(metric), "score number"),
            _header("95% interval" + _axis(score_ticks), "picture"),
            _header("Behind the best", "gap number"),
            _header("Rate", "rate number"),
            _header("Good rates" + _axis(rate_ticks), "picture"),
            _header(escape(reach), "reach number"),
            _header("Diverged", "diverged number"),
        )
    )


def metric_name(metric: str) -> str:
    """A metric as it is written in text."""
    return {"rmse": "RMSE", "r2": "R²"}.get(metric, metric)


def _header(inside: str, kind: str) -> str:
    return f'<th scope="col" role="columnheader" class="{kind}">{inside}</th>'


def _axis(ticks: Sequence[tuple[str, float]]) -> str:
    labels = "".join(f'<i style="left:{place}%">{label}</i>' for label, place in ticks)
    return f'<span class="axis" aria-hidden="true">{labels}</span>'


def _row(
    study: Study, row: Row, mark: Mark, scores: Scale, rates: Scale, bars: Sequence[str]
) -> str:
    task = study.record["task"]
    others = words.listed(row.ties) if len(row.ties) <= 6 else f"{len(row.ties)} others"
    ties = f"<small>tied with {escape(others)}</small>" if row.ties else ""
    joined = "".join(f'<i class="{bar}"></i>' for bar in bars)
    interval = (
        f"{words.score(row.low, task, unit=False)} to {words.score(row.high, task, unit=False)}"
        if math.isfinite(row.low)
        else "one seed"
    )
    cells = (
        _cell("rank", "", f'<span class="ties" aria-hidden="true">{joined}</span>{row.rank}'),
        f'<th scope="row" role="rowheader" class="rule"><span class="named">'
        f"{mark.swatch}<span>{escape(row.label)}{ties}</span></span></th>",
        _cell("score number", "Score", f"{words.score(row.score, task)}<small>{interval}</small>"),
        _cell("picture score-picture", "", _interval_picture(row, scores, study.ranking[0])),
        _cell("gap number", "Behind the best", _gap(study, row)),
        _cell("rate number", "Rate", words.rate(row.lr)),
        _cell("picture rate-picture", "Good rates", _rate_picture(study, row, rates)),
        _cell("reach number", "Epochs to target", _reach(row)),
        _cell("diverged number", "Diverged", f"{100 * row.diverged:.0f}%"),
    )
    return (
        f'<tr role="row" data-contender="{escape(row.name)}" style="--hue:var({mark.colour})">'
        f"{''.join(cells)}</tr>"
    )


def _cell(kind: str, label: str, inside: str) -> str:
    return f'<td role="cell" class="{kind}" data-label="{label}">{inside}</td>'


def _gap(study: Study, row: Row) -> str:
    best, task = study.ranking[0], study.record["task"]
    if row is best:
        return '<span class="faint">best</span>'
    if math.isnan(row.p):
        return f"{words.difference(row.gap, task)}<small>one seed</small>"
    relation = "tied, " if best.label in row.ties else ""
    return (
        f"{words.difference(row.gap, task)}<small>{relation}{escape(words.p_value(row.p))}</small>"
    )


def _reach(row: Row) -> str:
    if row.epochs_to_target is None:
        share = f"<small>{100 * row.reached:.0f}% of seeds</small>" if row.reached else ""
        return f'<span class="faint">not reached</span>{share}'
    some = f"<small>{100 * row.reached:.0f}% of seeds</small>" if row.reached < 1 else ""
    return f"{row.epochs_to_target:.3g}<small>{row.steps_to_target:,.0f} steps</small>{some}"


def _score_scale(rows: Sequence[Row]) -> Scale:
    """Wide enough for all but those very far behind, which would hide the others."""
    gaps = [abs(row.gap) for row in rows[1:] if row.gap]
    limit = 8 * median(gaps) if gaps else 0.0
    near = [row for row in rows if abs(row.gap) <= limit] or rows[:1]
    ends = known([end for row in near for end in (row.low, row.high, row.score)])
    if not ends:
        return Scale(0.0, 1.0)
    low, high = min(ends), max(ends)
    air = 0.05 * abs(high) if high - low <= 1e-9 * abs(high) else 0.0
    return Scale(low - air, high + air)


def _rate_scale(study: Study) -> Scale:
    tried = [math.log10(lr) for each in study.record["contenders"] for lr in each["lrs"] if lr > 0]
    return Scale(min(tried), max(tried)) if tried else Scale(0.0, 1.0)


def _interval_picture(row: Row, scale: Scale, best: Row) -> str:
    """The mean and its interval, above a line at the best rule's mean; an arrow if far outside."""
    if not math.isfinite(row.score):
        return ""
    line = scale.percent(best.score)
    parts = [f'<path class="best-line" d="M{line} 0V100" vector-effect="non-scaling-stroke"/>']
    where = scale.percent(row.score)
    if not scale.low <= row.score <= scale.high:
        tip = "◂" if row.score < scale.low else "▸"
        side = "low" if row.score < scale.low else "high"
        return _picture(parts, f'<b class="off {side}">{tip}</b>')
    if math.isfinite(row.low):
        low, high = scale.percent(row.low), scale.percent(row.high)
        parts.append(f'<path class="interval" d="M{low} 50H{high}"/>')
    return _picture(parts, f'<b class="dot" style="left:{where}%"></b>')


def _rate_picture(study: Study, row: Row, scale: Scale) -> str:
    """The rates that were tried, those that are good, and the one that was chosen."""
    lrs = study.history.contenders[row.name]["lrs"]
    tried = [scale.percent(math.log10(lr)) for lr in lrs if lr > 0]
    parts = [f'<path class="tried" d="M{min(tried)} 50H{max(tried)}"/>'] if tried else []
    text = "no good range"
    if row.good:
        low, high = (scale.percent(math.log10(lr)) for lr in row.good)
        parts.append(f'<path class="good" d="M{low} 50H{high}"/>')
        first, last = (words.rate(lr) for lr in row.good)
        text = f"{first} to {last}" if first != last else f"{first} alone"
        if row.good_is_least:
            text = f"at least {first}" + (f" to {last}" if first != last else "")
    dot = f'<b class="dot" style="left:{scale.percent(math.log10(row.lr))}%"></b>'
    return f"{_picture(parts, dot)}<small>{text}</small>"


def _picture(parts: Sequence[str], over: str) -> str:
    return (
        '<span class="plot" aria-hidden="true"><svg viewBox="0 0 100 100" '
        f'preserveAspectRatio="none">{"".join(parts)}</svg>{over}</span>'
    )
