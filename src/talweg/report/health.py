"""The page of a watched run: verdict, findings, curves, and a heat map for each measure."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from string import Template

from talweg.core import write_page
from talweg.diagnose import Health, Outcome, verdict
from talweg.diagnose.demos import Demo
from talweg.report import health_words as words
from talweg.report.figure import Figure, figure_html
from talweg.report.frame import framed, part
from talweg.report.health_curves import curves
from talweg.report.health_maps import maps
from talweg.report.health_marks import Run
from talweg.report.pieces import escape

SECTIONS = {
    "findings": "Findings",
    "course": "Course",
    "maps": "Layers over time",
    "model": "Model",
}


def write(health: Health, path: str | os.PathLike[str]) -> Path:
    """Writes what is known of a watched run: one HTML file that needs nothing else, and no network.

    Args:
        health: What was measured and found.
        path: The file to write or replace; its folder must exist.

    Returns:
        The path.

    Raises:
        UserError: If it is no path, or cannot be written.
    """
    return write_page(path, page([Run(health)], "Health of a training run", verdict(health)))


def demo_page(demo: Demo, outcomes: Sequence[Outcome]) -> str:
    """A disease and its cure side by side, as text.

    Args:
        demo: The demo.
        outcomes: What became of it.
    """
    runs = [
        Run(
            one.health,
            demo.label(one.recipe),
            {"Test accuracy": f"{100 * one.accuracy:.1f}%"},
            one.recipe.code,
            demo.changed(one.recipe),
        )
        for one in outcomes
    ]
    return page(runs, f"talweg watch-demo {demo.name}", demo.summary)


def page(runs: Sequence[Run], overline: str, headline: str) -> str:
    """The page as text.

    Args:
        runs: One, or two that lie side by side.
        overline: What the page is.
        headline: What it comes to.
    """
    courses, layers = curves(runs), maps(runs)
    main = Template(part("health.html")).substitute(
        overline=escape(overline),
        headline=words.headline(headline),
        banner="".join(map(words.banner, runs)),
        facts=_beside(runs, lambda run: _verdict(run, len(runs)) + words.facts(run)),
        findings=_beside(runs, words.cards),
        course=_drawn(courses),
        maps=_drawn(layers, part("health_maps.html")),
        model=_beside(runs, words.layers_table),
    )
    return framed(
        f"{headline}: talweg",
        SECTIONS,
        main,
        "health",
        [*courses, *layers],
        style=part("health.css"),
    )


def _beside(runs: Sequence[Run], draw: Callable[[Run], str]) -> str:
    """Runs side by side, under their names; one as it is."""
    if len(runs) == 1:
        return draw(runs[0])
    inside = "".join(f"<div><h3>{escape(run.label)}</h3>{draw(run)}</div>" for run in runs)
    return f'<div class="beside">{inside}</div>'


def _verdict(run: Run, count: int) -> str:
    said = f'<p class="said">{escape(verdict(run.health))}</p>' if count > 1 else ""
    return words.code(run) + said


def _drawn(figures: Sequence[Figure], before: str = "") -> str:
    inside = "".join(figure_html(figure, {}, {}) for figure in figures)
    return before + inside if inside else "<p>There is nothing to draw: no step was measured.</p>"
