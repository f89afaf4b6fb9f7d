"""Any rule as an optimizer."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT

from talweg.core import Rule, UserError, check_promises, listing
from talweg.optim.base import RuleOptimizer
from talweg.optim.course import Group
from talweg.optim.lookahead import LookingAhead
from talweg.rules import RULES


@functools.cache
def _numbers_elsewhere() -> frozenset[str]:
    """What rules and optimizers call their numbers: in a group they are meant to have an effect."""
    kinds = [kind for kind in vars(torch.optim).values() if isinstance(kind, type)]
    told = {name for kind in kinds for name in inspect.signature(kind).parameters}
    told |= {name for known in RULES.values() for name in known.rule.settings}
    return frozenset(told - {"params", "foreach", "fused", "maximize"})


class OfRule(LookingAhead):
    """Any rule, or rules under transforms, on a model's parameters.

    Its step must work on each element by itself, unless the rule `is_per_tensor`.
    The rule's numbers are the hyperparameters of the parameter groups, under the rule's names.

    Args:
        params: Parameters, or groups of them.
        rule: The rule, such as a study's ``best``.

    A rule that looks ahead needs a closure at each step; `Nesterov` and `RMSpropNesterov` do
    without.

    Raises:
        UserError: If it is no rule.

    >>> import torch
    >>> from talweg import rules
    >>> layer = torch.nn.Linear(2, 1)
    >>> optimizer = OfRule(layer.parameters(), rules.Lion(lr=1e-3))
    >>> optimizer.param_groups[0]["lr"]
    0.001
    """

    def __init__(self, params: ParamsT, rule: Rule) -> None:
        if not isinstance(rule, Rule):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"rule must be a talweg.rules object, got {rule!r}")
        check_promises(rule)
        self.rule = rule
        self.carried = {name: name for name in rule.memory()}
        super().__init__(params, dict(rule.hypers))

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rule": self.rule, "carried": self.carried}

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Makes one step.

        Args:
            closure: Evaluates the model anew and returns the loss; needed if the rule looks ahead.

        Returns:
            What the closure returned.

        Raises:
            UserError: If the rule looks ahead and there is no closure.
        """
        if not self.rule.looks_ahead:
            return RuleOptimizer.step(self, closure)
        if closure is None:
            raise UserError(
                "a rule that looks ahead needs step(closure); without one there are "
                "optim.Nesterov and optim.RMSpropNesterov"
            )
        return super().step(closure)

    def add_param_group(self, param_group: Group) -> None:
        """Adds a group of parameters, with numbers of its own where it names them.

        Raises:
            UserError: If a number is out of range or not the rule's, or a parameter cannot be
                optimised.
        """
        for key in param_group if isinstance(param_group, dict) else ():  # pyright: ignore[reportUnnecessaryIsInstance]
            if key in _numbers_elsewhere() and key not in self.rule.hypers:
                advice = ": put transforms.WeightDecay around it" if key == "weight_decay" else ""
                own = listing(list(self.rule.hypers))
                raise UserError(f"{type(self.rule).__name__} has no {key} ({own}){advice}")
        super().add_param_group(param_group)

    def looking_rule_of(self, group: Group) -> Rule:
        return self.rule_of(group)

    def rule_of(self, group: Group) -> Rule:
        return self.rule.moved(**{name: group[name] for name in self.rule.hypers})
