"""The page: one HTML file that needs nothing else, and no script."""

from importlib import resources
from pathlib import Path
from string import Template

from talweg.atlas import activations, schedules
from talweg.core import write_page


def write(path: str | Path = "atlas.html") -> Path:
    """Writes the atlas of activations and schedules.

    Args:
        path: The file to write or replace; its folder must exist.

    Returns:
        The path.

    Raises:
        UserError: If it cannot be written.
    """
    return write_page(path, page())


def page() -> str:
    """The atlas as text."""
    return Template(_file("talweg.atlas", "page.html")).substitute(
        style=_file("talweg.report", "style.css") + _file("talweg.atlas", "atlas.css"),
        activations=activations.sections(),
        schedules=schedules.section(),
    )


def _file(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
