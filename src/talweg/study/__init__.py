"""A study: one comparison of rules by a fair protocol, its statistics and its run folder."""

from talweg.study.compare import compare, run
from talweg.study.forecast import Forecast, forecast
from talweg.study.preparing import Prepared, prepare
from talweg.study.ranking import Row
from talweg.study.result import WRITERS, Study, load

__all__ = [
    "WRITERS",
    "Forecast",
    "Prepared",
    "Row",
    "Study",
    "compare",
    "forecast",
    "load",
    "prepare",
    "run",
]
