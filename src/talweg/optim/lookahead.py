"""Rules whose gradient belongs at a look-ahead point."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch.optim.optimizer import ParamsT

from talweg import rules
from talweg.core import Rule, Scalar
from talweg.optim.base import RuleOptimizer, decayed, put_back
from talweg.optim.course import Group


class LookingAhead(RuleOptimizer):
    """An optimizer that takes the gradient at the look-ahead point ``p + a·v``.

    With a closure a step moves the model there, evaluates the closure and leaves ``p`` in the
    model. Without one the model holds the look-ahead point all along, as with torch's
    ``SGD(nesterov=True)``, and gradients come from there by themselves. Keep to one of the two:
    with weight decay, which is taken where the model is, they part.
    """

    @abstractmethod
    def looking_rule_of(self, group: Group) -> Rule:
        """The rule in the form that holds ``p`` itself and probes ahead."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Makes one step.

        Args:
            closure: Evaluates the model at the look-ahead point, where this method has put it,
                and returns the loss.

        Returns:
            What the closure returned.
        """
        if closure is None:
            return super().step()
        before = self._placed(self.looking_rule_of, "probe")
        try:
            with torch.enable_grad():
                loss = closure()
        finally:
            put_back(before)
        self._update(self.looking_rule_of)
        return loss


class Nesterov(LookingAhead):
    """Nesterov's accelerated gradient; see `rules.Nesterov`.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, at least 0.
        momentum: Share of the velocity that is kept, at least 0 and below 1.
        weight_decay: Coupled: added to the gradient, times the parameter.
        maximize: Whether to climb.

    Source: Goodfellow, Bengio, Courville (2016), algorithm 8.3.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Scalar = 1e-2,
        momentum: Scalar = 0.9,
        *,
        weight_decay: Scalar = 0.0,
        maximize: bool = False,
    ) -> None:
        given = {"lr": lr, "momentum": momentum}
        super().__init__(params, given | {"weight_decay": weight_decay, "maximize": maximize})

    def rule_of(self, group: Group) -> Rule:
        rule = rules.Momentum(nesterov=True)
        return decayed(rule.moved(lr=group["lr"], momentum=group["momentum"]), group)

    def looking_rule_of(self, group: Group) -> Rule:
        rule = rules.Nesterov()
        return decayed(rule.moved(lr=group["lr"], momentum=group["momentum"]), group)


class RMSpropNesterov(LookingAhead):
    """RMSProp with Nesterov momentum; see `rules.RMSProp`.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, at least 0.
        alpha: Share of the squared average that is kept, at least 0 and below 1.
        momentum: Share of the velocity that is kept, at least 0 and below 1.
        eps: Keeps the quotient finite, at least 0.
        eps_inside: Whether ``eps`` is added under the root.
        centered: Whether the average is centred by the mean gradient.
        weight_decay: Coupled: added to the gradient, times the parameter.
        maximize: Whether to climb.

    Source: Goodfellow, Bengio, Courville (2016), algorithm 8.6.
    """

    spoken: ClassVar[Mapping[str, str]] = {"rho": "alpha"}

    def __init__(
        self,
        params: ParamsT,
        lr: Scalar = 1e-3,
        alpha: Scalar = 0.9,
        momentum: Scalar = 0.9,
        eps: Scalar = 1e-8,
        eps_inside: bool = False,
        *,
        centered: bool = False,
        weight_decay: Scalar = 0.0,
        maximize: bool = False,
    ) -> None:
        given = {"lr": lr, "alpha": alpha, "momentum": momentum, "eps": eps}
        forms = {"eps_inside": eps_inside, "centered": centered, "maximize": maximize}
        super().__init__(params, given | forms | {"weight_decay": weight_decay})

    def rule_of(self, group: Group) -> Rule:
        return self._rule(group, stored=True)

    def looking_rule_of(self, group: Group) -> Rule:
        return self._rule(group, stored=False)

    def _rule(self, group: Group, stored: bool) -> Rule:
        forms = {"eps_inside": group["eps_inside"], "centered": group["centered"]}
        rule = rules.RMSProp(**forms, momentum=0.5, nesterov=True, stored=stored)
        numbers = {name: group[name] for name in ("lr", "momentum", "eps")}
        return decayed(rule.moved(**numbers, rho=group["alpha"]), group)
