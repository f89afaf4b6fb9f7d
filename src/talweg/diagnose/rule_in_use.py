"""What an optimizer does, as far as a diagnosis goes by it."""

from collections.abc import Mapping
from typing import Any

from torch.optim.optimizer import Optimizer

from talweg.diagnose.moment import RuleInUse

ADAPTIVE = ("exp_avg_sq", "square_avg", "sum", "exp_inf", "exp_avg_var")
"""Keys of an optimizer's state that hold sizes of gradients, which steps are divided by."""


def rule_in_use(optimizer: Optimizer) -> RuleInUse:
    """The rule of an optimizer, of any class, by its settings and its state.

    Args:
        optimizer: It has made a step, so that its state is there.

    >>> from torch import nn, optim
    >>> rule_in_use(optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1, momentum=0.9))
    RuleInUse(name='SGD', is_adaptive=False, momentum=0.9)
    """
    group: Mapping[str, Any] = optimizer.param_groups[0]
    states = next(iter(optimizer.state.values()), {})
    momentum = group.get("momentum", (group.get("betas") or (0.0,))[0])
    return RuleInUse(
        type(optimizer).__name__,
        any(key in states for key in ADAPTIVE),
        float(momentum) if isinstance(momentum, (int, float)) else 0.0,
    )
