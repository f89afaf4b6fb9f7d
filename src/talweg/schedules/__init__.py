"""Schedules: how a hyperparameter changes from step to step. Pure functions of the step.

`SCHEDULES` has them by name, with their usual settings; `Scheduler` takes one to a training loop of
PyTorch's.
"""

from talweg.schedules.base import Curve, RobbinsMonro, Schedule, Span
from talweg.schedules.cycles import Cyclic, OneCycle, WarmRestarts, WarmupStableDecay
from talweg.schedules.decays import (
    Constant,
    Cosine,
    Exponential,
    InverseTime,
    Linear,
    MultiStep,
    Polynomial,
    Step,
)
from talweg.schedules.plateau import ReduceOnPlateau
from talweg.schedules.scheduler import Scheduler
from talweg.schedules.table import SCHEDULES, schedule_of
from talweg.schedules.warmup import Joined, WarmUp

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Curve",
    "Cyclic",
    "Exponential",
    "InverseTime",
    "Joined",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Polynomial",
    "ReduceOnPlateau",
    "RobbinsMonro",
    "Schedule",
    "Scheduler",
    "Span",
    "Step",
    "WarmRestarts",
    "WarmUp",
    "WarmupStableDecay",
    "schedule_of",
]
