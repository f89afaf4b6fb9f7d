"""Studies and watched runs as pages: each is one self-contained HTML file that opens offline."""

from talweg.diagnose.health import WRITERS as HEALTH_WRITERS
from talweg.report.health import write as write_health
from talweg.report.page import write
from talweg.study import WRITERS

__all__ = ["write", "write_health"]

WRITERS.add("html", write)
HEALTH_WRITERS.add("html", write_health)
