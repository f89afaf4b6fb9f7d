"""What a parameter group must satisfy; checked when it is added or loaded."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from talweg.core import Rule, UserError, a_number


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
    tensors = [param[-1] if isinstance(param, tuple) else param for param in params]  # by name
    if len(set(map(id, tensors))) < len(tensors):
        raise UserError("a parameter is in a parameter group twice")


def check_dense(grads: Sequence[Tensor]) -> None:
    """Complains of sparse gradients."""
    if set(map(attrgetter("layout"), grads)) - {torch.strided}:
        raise RuntimeError(
            "talweg's optimizers do not support sparse gradients: "
            "use torch.optim.SparseAdam, or an embedding with sparse=False"
        )


def check_loaded(saved: Mapping[str, Any], needed: Sequence[str], known: set[str]) -> None:
    """Complains of a parameter's loaded state that lacks something and is of another kind.

    Args:
        saved: The state.
        needed: The keys that the rule needs.
        known: All that the class can have.
    """
    missing = [key for key in needed if saved.get(key) is None]
    strange = [key for key in saved if key not in known and key not in needed]
    for key in needed:
        if saved.get(key) is not None and not isinstance(saved[key], Tensor):
            raise UserError(f"the state dict's {key!r} must be a tensor, got {saved[key]!r}")
    lost = [key for key in needed if key not in saved]
    if saved and lost and not strange:
        raise UserError(f"the state dict has no {lost[0]!r} for a parameter that has a state")
    if strange and not missing:
        raise UserError(f"the state dict has {strange[0]!r}: is it another optimizer's?")
    if saved and missing and strange:
        raise UserError(
            f"the state dict has {strange[0]!r} and no {missing[0]!r}: is it another optimizer's?"
        )


def check_group(
    kind: type[Any], group: dict[str, Any], rule_of: Callable[[dict[str, Any]], Rule]
) -> Rule:
    """The rule of a group; complains of a group that cannot be optimised.

    What torch allows is allowed: a rate, or an eps, of 0.

    Args:
        kind: The optimizer's class: its constructor's defaults say of how many numbers betas and
            step sizes are, its ``spoken`` what the user calls a number of the rule.
        group: The group, added or loaded.
        rule_of: Gives the rule that follows from the group.

    Raises:
        UserError: In one line.
    """
    for key, spec in inspect.signature(kind).parameters.items():
        usual = spec.default
        if isinstance(usual, tuple) and key in group:  # a loaded group may lack it
            given = group[key]
            if not isinstance(given, (tuple, list)) or len(given) != len(usual):
                raise UserError(f"{key} must be {len(usual)} numbers, got {given!r}")
    rule = rule_of(group)
    for option in ("capturable", "differentiable"):
        if group.get(option):
            raise UserError(f"{option}=True is not supported by talweg's optimizers")
    for param in group["params"]:
        if not param.is_floating_point():
            raise UserError(
                f"parameters must be real floating-point tensors, got {param.dtype}; of a complex "
                f"one, optimise torch.view_as_real(parameter)"
            )
    for name, value in rule.hypers.items():
        _check_number(kind.spoken.get(name, name), value, rule.specs[name].metadata)
    return rule


def _check_number(name: str, value: Any, bounds: Mapping[str, Any]) -> None:
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UserError(f"{name} must be a number, got {value!r}")
    value = float(value)
    above, least, below = bounds["above"], bounds["at_least"], bounds["below"]
    if below == math.inf:
        above, least = -math.inf, max(above, least)
    if not (above < value and least <= value < below and math.isfinite(value)):
        raise UserError(f"{name} must be {a_number(above, least, below)}, got {value}")
