"""Descent with and without momentum, and rules with a rate per coordinate before Adam."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch.optim.optimizer import ParamsT

from talweg import rules
from talweg.core import Rule, Scalar
from talweg.optim.base import RuleOptimizer, decayed
from talweg.optim.course import Group


class SGD(RuleOptimizer, torch.optim.SGD):
    """`torch.optim.SGD`: descent, with heavy-ball or Nesterov momentum.

    The rule is `rules.SGD`, or `rules.Momentum` with ``form="accumulate"``. ``dampening`` leaves
    the first gradient whole. See `Nesterov` for the gradient at the look-ahead point itself.
    """

    names: ClassVar[Mapping[str, str]] = {"m": "momentum_buffer"}
    counts = False

    def rule_of(self, group: Group) -> Rule:
        lr, momentum = group["lr"], group["momentum"]
        if momentum == 0:
            return decayed(rules.SGD().moved(lr=lr), group)
        rule = rules.Momentum(form="accumulate", nesterov=group["nesterov"])
        return decayed(rule.moved(lr=lr, momentum=momentum, dampening=group["dampening"]), group)


class Momentum(RuleOptimizer):
    """Descent with momentum in any of its three forms; see `rules.Momentum`.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, at least 0.
        momentum: Share of the velocity that is kept, at least 0 and below 1.
        form: ``"velocity"``, ``"accumulate"`` (torch's) or ``"average"``.
        nesterov: Whether the new parameters take the velocity once more, as in torch and Keras.
        dampening: Share of every gradient but the first that is left out of the velocity.
        weight_decay: Coupled: added to the gradient, times the parameter.
        maximize: Whether to climb.

    Source: Goodfellow, Bengio, Courville (2016), algorithm 8.2.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Scalar = 1e-2,
        momentum: Scalar = 0.9,
        form: str = "velocity",
        nesterov: bool = False,
        *,
        dampening: Scalar = 0.0,
        weight_decay: Scalar = 0.0,
        maximize: bool = False,
    ) -> None:
        given = {"lr": lr, "momentum": momentum, "form": form, "nesterov": nesterov}
        more = {"dampening": dampening, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, given | more)

    def rule_of(self, group: Group) -> Rule:
        rule = rules.Momentum(form=group["form"], nesterov=group["nesterov"])
        numbers = {name: group[name] for name in ("lr", "momentum", "dampening")}
        return decayed(rule.moved(**numbers), group)


class Adagrad(RuleOptimizer, torch.optim.Adagrad):
    """`torch.optim.Adagrad`; the rule is `rules.AdaGrad`."""

    names: ClassVar[Mapping[str, str]] = {"r": "sum"}
    spoken: ClassVar[Mapping[str, str]] = {"initial": "initial_accumulator_value"}

    def rule_of(self, group: Group) -> Rule:
        numbers = {name: group[name] for name in ("lr", "eps", "lr_decay")}
        initial = self.defaults["initial_accumulator_value"]  # torch looks at no group's
        return decayed(rules.AdaGrad().moved(**numbers, initial=initial), group)


class RMSprop(RuleOptimizer, torch.optim.RMSprop):
    """`torch.optim.RMSprop`; the rule is `rules.RMSProp` with ``form="accumulate"``.

    Where rounding takes the centred mean square below 0, torch gives NaN and this class 0.
    """

    names: ClassVar[Mapping[str, str]] = {
        "r": "square_avg",
        "c": "grad_avg",
        "m": "momentum_buffer",
    }
    spoken: ClassVar[Mapping[str, str]] = {"rho": "alpha"}

    def rule_of(self, group: Group) -> Rule:
        rule = rules.RMSProp(centered=group["centered"], form="accumulate")
        numbers = {name: group[name] for name in ("lr", "eps", "momentum")}
        return decayed(rule.moved(**numbers, rho=group["alpha"]), group)


class Adadelta(RuleOptimizer, torch.optim.Adadelta):
    """`torch.optim.Adadelta`; the rule is `rules.AdaDelta`."""

    names: ClassVar[Mapping[str, str]] = {"r": "square_avg", "u": "acc_delta"}

    def rule_of(self, group: Group) -> Rule:
        numbers = {name: group[name] for name in ("lr", "rho", "eps")}
        return decayed(rules.AdaDelta().moved(**numbers), group)


class Rprop(RuleOptimizer, torch.optim.Rprop):
    """`torch.optim.Rprop`; the rule is `rules.Rprop`. For full batches."""

    names: ClassVar[Mapping[str, str]] = {"g": "prev", "s": "step_size"}

    def rule_of(self, group: Group) -> Rule:
        (minus, plus), (least, most) = group["etas"], group["step_sizes"]
        return rules.Rprop().moved(
            lr=group["lr"], eta_minus=minus, eta_plus=plus, step_min=least, step_max=most
        )


class ASGD(RuleOptimizer, torch.optim.ASGD):
    """`torch.optim.ASGD`; the rule is `rules.ASGD`. The average is in ``state[p]["ax"]``."""

    names: ClassVar[Mapping[str, str]] = {"x": "ax"}
    carried: Mapping[str, str] = {"rate": "eta", "mu": "mu"}

    def rule_of(self, group: Group) -> Rule:
        numbers = {name: group[name] for name in ("lr", "lambd", "alpha", "t0")}
        return decayed(rules.ASGD().moved(**numbers), group)
