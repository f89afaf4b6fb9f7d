"""The lanes engine: many training runs in one tensor program.

`train` is the door. Inside, a `Squad` holds the lanes that step together in flat buffers
``[lane, parameter]``, a `Group` the lanes of one rule's structure, and `Gradients` is how losses
and gradients are computed: `Stacked` by one vmapped program, or one module at a time.
"""

from talweg.lanes.asked import schedules_of
from talweg.lanes.augment import Augment, augmentation_of
from talweg.lanes.engine import Engine
from talweg.lanes.evaluate import Reading
from talweg.lanes.interrupts import one_interrupt
from talweg.lanes.memory import Footprint
from talweg.lanes.plan import Plan, Result
from talweg.lanes.rehearsal import Pace, pace_of
from talweg.lanes.train import Run, train

__all__ = [
    "Augment",
    "Engine",
    "Footprint",
    "Pace",
    "Plan",
    "Reading",
    "Result",
    "Run",
    "augmentation_of",
    "one_interrupt",
    "pace_of",
    "schedules_of",
    "train",
]
