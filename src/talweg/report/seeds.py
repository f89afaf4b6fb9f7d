"""The figure of every seed's score, with the mean and its interval."""

import math
from typing import Any

from talweg.report.drawing import Drawing
from talweg.report.figure import Figure, Panel, layout
from talweg.report.pieces import escape
from talweg.study import Row, views, words

SHOWN = 24


def seeds_figure(draw: Drawing) -> Figure:
    """One line per contender, best at the top."""
    scores = views.seed_scores(draw.study)
    ranked = [row for row in draw.study.ranking if row.name in scores]
    rows = ranked[:SHOWN]
    data: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        data += _traces(draw, row, scores[row.name], len(rows) - place)
    where = draw.study.ranked_on
    plot = layout(
        {"ticksuffix": draw.suffix, "title": {"text": f"{where} {draw.metric}"}},
        {
            "tickvals": list(range(len(rows), 0, -1)),
            "ticktext": [escape(row.label) for row in rows],
            "range": [0.4, len(rows) + 0.6],
            "fixedrange": True,
            "ticklabelstandoff": 8,
        },
        hovermode="closest",
    )
    ends = [end for row in rows for end in (*row.scores, row.low, row.high)]
    ranges = draw.score_views(
        ends, [(min(row.scores), row.score, max(row.scores)) for row in rows], patience=12
    )
    return Figure(
        key="seeds",
        title="Every seed" if rows == ranked else f"Every seed of the best {SHOWN}",
        panels=[Panel("", data, plot, 74 + 34 * max(1, len(rows)))],
        how_to_read=(
            "Each small symbol is one seed, the upright stroke the mean, the bar its 95% interval. "
            "× is a seed that diverged; it counts as the constant prediction."
        ),
        alternative=", ".join(f"{row.label} {words.score(row.score, draw.task)}" for row in rows),
        numbers=(
            [draw.noun, "Seed", "Score", "Diverged at step"],
            [
                [
                    row.label,
                    str(entry.seed),
                    words.score(entry.score, draw.task),
                    "" if entry.diverged is None else str(entry.diverged),
                ]
                for row in ranked
                for entry in scores[row.name]
            ],
        ),
        contenders=[row.name for row in rows],
        views={name: {"xaxis.range": patch["yaxis.range"]} for name, patch in ranges.items()},
        legend=False,
    )


def _traces(
    draw: Drawing, row: Row, scores: list[views.SeedScore], height: float
) -> list[dict[str, Any]]:
    mark = draw.marks[row.name]
    traces: list[dict[str, Any]] = []
    if math.isfinite(row.low):
        traces.append(
            draw.trace(
                row.name,
                "interval",
                x=[draw.factor * row.low, draw.factor * row.high],
                y=[height, height],
                mode="lines",
                line={"color": f"{mark.colour} 0.28", "width": 9},
                hoverinfo="skip",
            )
        )
    traces.append(
        draw.trace(
            row.name,
            "mean",
            x=[draw.factor * row.score],
            y=[height],
            mode="markers",
            marker={
                "symbol": "line-ns",
                "size": 11,
                "line": {"color": mark.colour, "width": 2.5},
                "color": mark.colour,
            },
            hovertemplate=(
                f"%{{fullData.name}}: mean %{{x:{draw.digits}}}{draw.suffix}<extra></extra>"
            ),
        )
    )
    traces.append(
        draw.trace(
            row.name,
            "line",
            x=[draw.factor * entry.score for entry in scores],
            y=[height + shift for shift in _shifts(scores)],
            mode="markers",
            marker={
                "symbol": [mark.symbol if s.diverged is None else "x-thin" for s in scores],
                "size": 10,
                "color": mark.colour,
                "line": {
                    "width": [1 if s.diverged is None else 2 for s in scores],
                    "color": ["--surface" if s.diverged is None else mark.colour for s in scores],
                },
                "opacity": 0.9,
            },
            customdata=[entry.seed for entry in scores],
            hovertemplate=(
                f"%{{fullData.name}}, seed %{{customdata}}: %{{x:{draw.digits}}}{draw.suffix}"
                "<extra></extra>"
            ),
        )
    )
    return traces


def _shifts(scores: list[views.SeedScore]) -> list[float]:
    """How far up or down each symbol goes so that equal scores do not hide one another."""
    seen: dict[float, int] = {}
    shifts: list[float] = []
    for entry in scores:
        count = seen[entry.score] = seen.get(entry.score, -1) + 1
        shifts.append(0.13 * ((count + 1) // 2) * (1 if count % 2 else -1))
    return shifts
