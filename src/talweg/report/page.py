"""The page of a study: template, parts and figures put together and written at once."""

from pathlib import Path
from string import Template

from talweg.core import write_atomically
from talweg.report import protocol, summary
from talweg.report.effects import DECIDING
from talweg.report.figure import Figure, figure_html
from talweg.report.figures import figures
from talweg.report.frame import framed, part
from talweg.report.lost import lost_section
from talweg.report.marks import COLOURS, marks
from talweg.report.pieces import escape
from talweg.report.table import ranking_table
from talweg.study import Study, views, words

SECTIONS = ("Ranking", "Conclusions", "Figures", "Protocol", "Record")


def write(study: Study, path: Path) -> Path:
    """Writes the report of a study: one HTML file that needs nothing else, and no network.

    It appears whole or not at all, under a study in whatever state it was left.

    Args:
        study: The study.
        path: The file to write or replace; its folder must exist.

    Returns:
        The path.
    """
    text = page(study)
    write_atomically(path, lambda file: file.write(text.encode()))
    return path


def page(study: Study) -> str:
    """The report as text."""
    ranked = [row.name for row in study.ranking]
    names = views.names(study)
    looks = marks(names if len(names) <= COLOURS else dict.fromkeys([*ranked, *names]))
    labels = {name: study.history.contenders[name]["label"] for name in (*ranked, *names)}
    drawn = figures(study, looks, labels)

    def put(figure: Figure) -> str:
        return figure_html(figure, looks, labels)

    main = Template(part("page.html")).substitute(
        overline=escape(summary.overline(study)),
        headline=summary.headline(study),
        banner=summary.banner(study),
        facts=summary.facts(study),
        ranking=ranking_table(study, looks),
        nouns=escape(words.noun(study.record) + "s"),
        conclusions=summary.conclusions(study),
        lost=lost_section(study, looks),
        deciding="".join(put(figure) for figure in drawn if figure.key == DECIDING),
        figures="".join(put(figure) for figure in drawn if figure.key != DECIDING)
        or "<p>There is nothing to draw yet.</p>",
        protocol=protocol.protocol(study),
        notes=protocol.data_notes(study),
        asked=protocol.asked(study),
        log=protocol.log(study),
        surroundings=protocol.surroundings(study),
    )
    return framed(
        f"{study.record['name']}: talweg report",
        {name.lower(): name for name in SECTIONS},
        main,
        study.record["name"],
        drawn,
        list(labels)[COLOURS:],
    )
