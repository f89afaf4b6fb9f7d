"""Adam and what came after."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch.optim.optimizer import ParamsT

from talweg import rules
from talweg.core import Rule, Scalar
from talweg.optim.base import RuleOptimizer, decayed
from talweg.optim.course import Group

MOMENTS: Mapping[str, str] = {"m": "exp_avg", "r": "exp_avg_sq"}
"""What torch calls the mean gradient and the mean square."""


def numbers_of(group: Group, *more: str) -> dict[str, Scalar]:
    """Rate, betas and other numbers of a group, by the names that rules have for them."""
    betas = {f"beta{i}": beta for i, beta in enumerate(group["betas"], start=1)}
    return betas | {name: group[name] for name in ("lr", *more)}


class Adam(RuleOptimizer, torch.optim.Adam):
    """`torch.optim.Adam`; the rule is `rules.Adam`."""

    names: ClassVar[Mapping[str, str]] = {**MOMENTS, "x": "max_exp_avg_sq"}

    def rule_of(self, group: Group) -> Rule:
        rule = rules.Adam(amsgrad=group["amsgrad"]).moved(**numbers_of(group, "eps"))
        return decayed(rule, group, group["decoupled_weight_decay"])


class AdamW(Adam, torch.optim.AdamW):
    """`torch.optim.AdamW`: `Adam` with decoupled weight decay."""


class AMSGrad(Adam):
    """`Adam` with the largest mean square so far: ``Adam(amsgrad=True)``.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, at least 0.
        betas: Shares of the mean gradient and the mean square kept, at least 0 and below 1.
        eps: Keeps the quotient finite, at least 0.
        weight_decay: Coupled: added to the gradient, times the parameter.
        maximize: Whether to climb.

    Source: Reddi, Kale, Kumar, "On the convergence of Adam and beyond" (2018).
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Scalar = 1e-3,
        betas: tuple[Scalar, Scalar] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad=True, maximize=maximize)

    def rule_of(self, group: Group) -> Rule:
        return super().rule_of(group | {"amsgrad": True})  # also after Adam's state was loaded


class Adamax(RuleOptimizer, torch.optim.Adamax):
    """`torch.optim.Adamax`; the rule is `rules.AdaMax`."""

    names: ClassVar[Mapping[str, str]] = {"m": "exp_avg", "u": "exp_inf"}

    def rule_of(self, group: Group) -> Rule:
        return decayed(rules.AdaMax().moved(**numbers_of(group, "eps")), group)


class NAdam(RuleOptimizer, torch.optim.NAdam):
    """`torch.optim.NAdam`; the rule is `rules.NAdam`.

    torch keeps the product of momenta in the default dtype, this class in float64.
    """

    names: ClassVar[Mapping[str, str]] = MOMENTS
    spoken: ClassVar[Mapping[str, str]] = {"psi": "momentum_decay"}
    carried: Mapping[str, str] = {"product": "mu_product"}

    def rule_of(self, group: Group) -> Rule:
        rule = rules.NAdam().moved(**numbers_of(group, "eps"), psi=group["momentum_decay"])
        return decayed(rule, group, group["decoupled_weight_decay"])


class RAdam(RuleOptimizer, torch.optim.RAdam):
    """`torch.optim.RAdam`; the rule is `rules.RAdam`."""

    names: ClassVar[Mapping[str, str]] = MOMENTS

    def rule_of(self, group: Group) -> Rule:
        rule = rules.RAdam().moved(**numbers_of(group, "eps"))
        return decayed(rule, group, group["decoupled_weight_decay"])


class AdaBelief(RuleOptimizer):
    """AdaBelief; see `rules.AdaBelief`.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, at least 0.
        betas: Shares of the mean gradient and the mean square kept, at least 0 and below 1.
        eps: Keeps the quotient finite, at least 0.
        weight_decay: Decoupled: the share ``lr·weight_decay`` of a parameter is taken away.
        maximize: Whether to climb.

    Source: Zhuang et al. (2020), algorithm 2.
    """

    names: ClassVar[Mapping[str, str]] = {"m": "exp_avg", "s": "exp_avg_var"}

    def __init__(
        self,
        params: ParamsT,
        lr: Scalar = 1e-3,
        betas: tuple[Scalar, Scalar] = (0.9, 0.999),
        eps: Scalar = 1e-16,
        weight_decay: Scalar = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        given = {"lr": lr, "betas": betas, "eps": eps}
        super().__init__(params, given | {"weight_decay": weight_decay, "maximize": maximize})

    def rule_of(self, group: Group) -> Rule:
        rule = rules.AdaBelief().moved(**numbers_of(group, "eps"))
        return decayed(rule, group, decoupled=True)


class Adan(RuleOptimizer):
    """Adan; see `rules.Adan`.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, at least 0.
        betas: Shares of the mean gradient, the mean difference and the mean square kept, each at
            least 0 and below 1.
        eps: Keeps the quotient finite, at least 0.
        weight_decay: Decoupled: the share ``lr·weight_decay`` of a parameter is taken away.
        maximize: Whether to climb.

    Source: Xie et al. (2022), algorithm 1.
    """

    names: ClassVar[Mapping[str, str]] = {
        "m": "exp_avg",
        "v": "exp_avg_diff",
        "n": "exp_avg_sq",
        "g": "previous_grad",
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Scalar = 1e-3,
        betas: tuple[Scalar, Scalar, Scalar] = (0.98, 0.92, 0.99),
        eps: Scalar = 1e-8,
        weight_decay: Scalar = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        given = {"lr": lr, "betas": betas, "eps": eps}
        super().__init__(params, given | {"weight_decay": weight_decay, "maximize": maximize})

    def rule_of(self, group: Group) -> Rule:
        return decayed(rules.Adan().moved(**numbers_of(group, "eps")), group, decoupled=True)


class Yogi(RuleOptimizer):
    """Yogi; see `rules.Yogi`.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, at least 0.
        betas: Shares of the mean gradient and the mean square kept, at least 0 and below 1.
        eps: Keeps the quotient finite, at least 0.
        weight_decay: Coupled: added to the gradient, times the parameter.
        initial_accumulator_value: Where the mean square starts, at least 0.
        maximize: Whether to climb.

    Source: Zaheer et al. (2018), algorithm 2.
    """

    names: ClassVar[Mapping[str, str]] = MOMENTS
    spoken: ClassVar[Mapping[str, str]] = {"initial": "initial_accumulator_value"}

    def __init__(
        self,
        params: ParamsT,
        lr: Scalar = 1e-2,
        betas: tuple[Scalar, Scalar] = (0.9, 0.999),
        eps: Scalar = 1e-3,
        weight_decay: Scalar = 0.0,
        *,
        initial_accumulator_value: Scalar = 1e-6,
        maximize: bool = False,
    ) -> None:
        given = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        more = {"initial_accumulator_value": initial_accumulator_value, "maximize": maximize}
        super().__init__(params, given | more)

    def rule_of(self, group: Group) -> Rule:
        numbers = numbers_of(group, "eps") | {"initial": group["initial_accumulator_value"]}
        return decayed(rules.Yogi().moved(**numbers), group)


class LAMB(RuleOptimizer):
    """LAMB; see `rules.LAMB`.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, at least 0: the share of its length that a tensor moves by.
        betas: Shares of the mean gradient and the mean square kept, at least 0 and below 1.
        eps: Keeps the quotient finite, at least 0.
        weight_decay: Times the parameter, added to the direction.
        bias_correction: Whether both averages are corrected for their start at 0.
        maximize: Whether to climb.

    Source: You et al. (2020), algorithm 2.
    """

    names: ClassVar[Mapping[str, str]] = MOMENTS

    def __init__(
        self,
        params: ParamsT,
        lr: Scalar = 1e-3,
        betas: tuple[Scalar, Scalar] = (0.9, 0.999),
        eps: Scalar = 1e-6,
        weight_decay: Scalar = 0.0,
        *,
        bias_correction: bool = True,
        maximize: bool = False,
    ) -> None:
        given = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        more = {"bias_correction": bias_correction, "maximize": maximize}
        super().__init__(params, given | more)

    def rule_of(self, group: Group) -> Rule:
        rule = rules.LAMB(bias_correction=group["bias_correction"])
        return rule.moved(**numbers_of(group, "eps", "weight_decay"))


class Lion(RuleOptimizer):
    """Lion; see `rules.Lion`.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, at least 0: by how much every coordinate moves.
        betas: Shares of the mean gradient in the step, and kept, at least 0 and below 1.
        weight_decay: Decoupled: the share ``lr·weight_decay`` of a parameter is taken away.
        maximize: Whether to climb.

    Source: Chen et al. (2023), algorithm 2.
    """

    names: ClassVar[Mapping[str, str]] = {"m": "exp_avg"}

    def __init__(
        self,
        params: ParamsT,
        lr: Scalar = 1e-4,
        betas: tuple[Scalar, Scalar] = (0.9, 0.99),
        weight_decay: Scalar = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        given = {"lr": lr, "betas": betas, "weight_decay": weight_decay}
        super().__init__(params, given | {"maximize": maximize})

    def rule_of(self, group: Group) -> Rule:
        return decayed(rules.Lion().moved(**numbers_of(group)), group, decoupled=True)
