"""A study: one comparison of rules by a fair protocol, its statistics and its run folder."""

from talweg.study.compare import compare
from talweg.study.ranking import Row
from talweg.study.result import WRITERS, Study, load

__all__ = ["WRITERS", "Row", "Study", "compare", "load"]
