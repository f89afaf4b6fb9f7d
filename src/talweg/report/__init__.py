"""A study as one page: `write` makes a self-contained HTML file that opens offline."""

from talweg.report.page import write
from talweg.study import WRITERS

__all__ = ["write"]

WRITERS.add("html", write)
