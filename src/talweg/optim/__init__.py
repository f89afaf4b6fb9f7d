"""Every rule as a `torch.optim.Optimizer`: torch's names, signatures, defaults and state keys.

A class that torch has inherits from torch's, for all but the step. The step is the rule's own,
compiled as soon as that pays; see `use_compiler`. ``foreach`` and ``fused`` are taken and have no
effect.
"""

from talweg.optim.adaptive import (
    LAMB,
    AdaBelief,
    Adam,
    Adamax,
    AdamW,
    Adan,
    AMSGrad,
    Lion,
    NAdam,
    RAdam,
    Yogi,
)
from talweg.optim.base import RuleOptimizer
from talweg.optim.classic import ASGD, SGD, Adadelta, Adagrad, Momentum, RMSprop, Rprop
from talweg.optim.groups import decay_groups
from talweg.optim.kernels import use_compiler
from talweg.optim.lookahead import Nesterov, RMSpropNesterov
from talweg.optim.matrices import SOAP, Adafactor, Muon
from talweg.optim.of_rule import OfRule
from talweg.optim.prodigy import Prodigy
from talweg.optim.schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD

__all__ = [
    "ASGD",
    "LAMB",
    "SGD",
    "SOAP",
    "AMSGrad",
    "AdaBelief",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Adan",
    "Lion",
    "Momentum",
    "Muon",
    "NAdam",
    "Nesterov",
    "OfRule",
    "Prodigy",
    "RAdam",
    "RMSprop",
    "RMSpropNesterov",
    "Rprop",
    "RuleOptimizer",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Yogi",
    "decay_groups",
    "use_compiler",
]
