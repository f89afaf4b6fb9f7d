"""talweg: train every update rule × learning rate × seed at once, and see which wins."""

from importlib.metadata import version

from talweg import (
    activations,
    data,
    landscapes,
    lanes,
    losses,
    models,
    optim,
    report,
    rules,
    schedules,
    transforms,
)
from talweg.core import UserError
from talweg.diagnose import Finding, Health, watch
from talweg.explain import Explanation, convert, explain
from talweg.race import Race, race
from talweg.rates import FoundRate, find_lr
from talweg.study import Study, compare, load

__version__ = version("talweg")
__all__ = [
    "Explanation",
    "Finding",
    "FoundRate",
    "Health",
    "Race",
    "Study",
    "UserError",
    "__version__",
    "activations",
    "compare",
    "convert",
    "data",
    "explain",
    "find_lr",
    "landscapes",
    "lanes",
    "load",
    "losses",
    "models",
    "optim",
    "race",
    "report",
    "rules",
    "schedules",
    "transforms",
    "watch",
]
