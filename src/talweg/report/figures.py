"""The figures of a report, in the order they are shown."""

from collections.abc import Mapping

from talweg.report.curves import loss_figure, score_figure
from talweg.report.drawing import Drawing
from talweg.report.effects import effects_figure
from talweg.report.figure import Figure
from talweg.report.marks import Mark
from talweg.report.rates import rates_figure
from talweg.report.seeds import seeds_figure
from talweg.study import Study


def figures(study: Study, marks: Mapping[str, Mark], labels: Mapping[str, str]) -> list[Figure]:
    """Those that have something to show.

    Args:
        study: The study.
        marks: Each contender's look.
        labels: Each contender's name for people.
    """
    draw = Drawing(study, marks, labels)
    every = [rates_figure(draw), loss_figure(draw), score_figure(draw), seeds_figure(draw)]
    deciding = effects_figure(draw)
    return [*([deciding] if deciding else []), *(figure for figure in every if figure.contenders)]
