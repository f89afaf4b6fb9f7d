"""The figures of a report, in the order they are shown."""

from collections.abc import Mapping

from talweg.report.curves import loss_figure, score_figure
from talweg.report.drawing import Drawing
from talweg.report.figure import Figure
from talweg.report.marks import Mark
from talweg.report.rates import rates_figure
from talweg.report.seeds import seeds_figure
from talweg.study import Study


def figures(study: Study, marks: Mapping[str, Mark], labels: Mapping[str, str]) -> list[Figure]:
    """Those that have something to show.

    Args:
        study: The study.
        marks: Each rule's look.
        labels: Each rule's name for people.
    """
    draw = Drawing(study, marks, labels)
    every = [rates_figure(draw), loss_figure(draw), score_figure(draw), seeds_figure(draw)]
    return [figure for figure in every if figure.rules]
