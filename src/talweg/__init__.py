"""talweg: train every update rule × learning rate × seed at once, and see which wins."""

from importlib.metadata import version

from talweg import data, lanes, models, optim, report, rules, transforms
from talweg.core import UserError
from talweg.explain import Explanation, convert, explain
from talweg.study import Study, compare, load

__version__ = version("talweg")
__all__ = [
    "Explanation",
    "Study",
    "UserError",
    "__version__",
    "compare",
    "convert",
    "data",
    "explain",
    "lanes",
    "load",
    "models",
    "optim",
    "report",
    "rules",
    "transforms",
]
