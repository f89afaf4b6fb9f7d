"""What a parameter group must satisfy; checked when it is added."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from talweg.core import Rule, UserError


def check_distinct(group: dict[str, Any]) -> None:
    """Complains of a parameter that is given twice, and makes a list of an iterator.

    Args:
        group: The group, before torch looks at it.

    Raises:
        UserError: In one line.
    """
    params = group.get("params")
    if params is None or isinstance(params, (Tensor, set, frozenset)):
        return  # torch complains of these
    group["params"] = params = list(params)
    if len({id(param) for param in params}) < len(params):
        raise UserError("a parameter is in a parameter group twice")


def check_group(group: dict[str, Any], rule: Rule, spoken: Mapping[str, str]) -> None:
    """Complains of a group that cannot be optimised.

    What torch allows is allowed: a rate, or an eps, of 0.

    Args:
        group: The group.
        rule: The rule that follows from it.
        spoken: The rule's name of a number → what the optimizer's user calls it.

    Raises:
        UserError: In one line.
    """
    for option in ("capturable", "differentiable"):
        if group.get(option):
            raise UserError(f"{option}=True is not supported by talweg's optimizers")
    for param in group["params"]:
        if not param.is_floating_point():
            raise UserError(
                f"parameters must be real floating-point tensors, got {param.dtype}; of a complex "
                f"one, optimise torch.view_as_real(parameter)"
            )
    values = rule.hypers
    for name, spec in rule.specs.items():
        value = values.get(name)
        if not isinstance(value, (int, float)):
            continue
        bounds = spec.metadata
        above, least, below = bounds["above"], bounds["at_least"], bounds["below"]
        if below == math.inf:
            above, least = -math.inf, max(above, least)
        if not (above < value and least <= value < below and math.isfinite(value)):
            limits = [f"above {above:g}"] if above > -math.inf else []
            limits += [f"of at least {least:g}"] if least > -math.inf else []
            limits += [f"below {below:g}"] if below < math.inf else []
            said = f"must be a number {' and '.join(limits)}, got {value}"
            raise UserError(f"{spoken.get(name, name)} {said}")
