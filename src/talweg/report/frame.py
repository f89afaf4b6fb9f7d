"""What every page with figures stands in: its head, the way around it, its data and scripts."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template

from plotly.offline import get_plotlyjs

from talweg.report.figure import Figure, figure_json
from talweg.report.pieces import escape, json_block


def framed(
    title: str,
    sections: Mapping[str, str],
    main: str,
    name: str,
    figures: Sequence[Figure],
    quiet: Sequence[str] = (),
    style: str = "",
) -> str:
    """A page that needs nothing else, and no network.

    Args:
        title: What a tab shows; plain text.
        sections: The id of a section → its name, for those who look for it.
        main: HTML.
        name: What files that are saved from it are called by.
        figures: Those whose places are in ``main``.
        quiet: Contenders that are hidden at first.
        style: CSS besides that of all pages.
    """
    scripts = {"plotly": get_plotlyjs(), "theme": part("theme.js"), "report": part("report.js")}
    links = [f'<a href="#{key}">{escape(text)}</a>' for key, text in sections.items()]
    return Template(part("frame.html")).substitute(
        title=escape(title),
        policy=_policy(list(scripts.values())),
        style=part("style.css") + style,
        sections="\n    ".join(links),
        main=main,
        payload=json_block(
            {
                "name": name,
                "figures": [figure_json(figure) for figure in figures],
                "quiet": list(quiet),
            }
        ),
        **scripts,
    )


def part(name: str) -> str:
    """A file of this room as text."""
    return resources.files("talweg.report").joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: list[str]) -> str:
    """A content security policy: these scripts alone run, and nothing is fetched from anywhere."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
