"""Prodigy, which finds its rate."""

from collections.abc import Mapping
from typing import ClassVar

from torch.optim.optimizer import ParamsT

from talweg import rules
from talweg.core import Rule, Scalar, UserError
from talweg.optim.adaptive import MOMENTS, numbers_of
from talweg.optim.base import RuleOptimizer
from talweg.optim.course import Group


class Prodigy(RuleOptimizer):
    """Prodigy; see `rules.Prodigy`. One estimate of the rate for all of a model's parameters.

    Args:
        params: Parameters, or groups of them.
        lr: Factor of the estimated rate, at least 0; 1, with any schedule.
        betas: Shares of the mean gradient and the mean square kept, at least 0 and below 1.
        eps: Keeps the quotient finite, at least 0.
        weight_decay: Decoupled: the share ``d·lr·weight_decay`` of a parameter is taken away.
        d0: The first estimate, at least 0.
        d_coef: Factor of the estimate, at least 0.
        use_bias_correction: Whether to correct for the start of both means at 0.
        safeguard_warmup: Whether ``lr`` is left out of the estimate's denominator.
        maximize: Whether to climb.

    Source: Mishchenko and Defazio (2023), algorithm 4; the authors' ``prodigyopt``.
    """

    names: ClassVar[Mapping[str, str]] = {**MOMENTS, "start": "p0", "n": "d_numerator"}
    spoken: ClassVar[Mapping[str, str]] = {"growth": "d_coef"}

    def __init__(
        self,
        params: ParamsT,
        lr: Scalar = 1.0,
        betas: tuple[Scalar, Scalar] = (0.9, 0.999),
        eps: Scalar = 1e-8,
        weight_decay: Scalar = 0.0,
        d0: Scalar = 1e-6,
        d_coef: Scalar = 1.0,
        *,
        use_bias_correction: bool = False,
        safeguard_warmup: bool = False,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "d0": d0,
            "d_coef": d_coef,
            "use_bias_correction": use_bias_correction,
            "safeguard_warmup": safeguard_warmup,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def rule_of(self, group: Group) -> Rule:
        rule = rules.Prodigy(
            bias_correction=group["use_bias_correction"],
            safeguard_warmup=group["safeguard_warmup"],
        )
        numbers = numbers_of(group, "eps", "weight_decay", "d0")
        return rule.moved(**numbers, growth=group["d_coef"])

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        first, new = (self.param_groups[place]["d0"] for place in (0, -1))
        if not new > 0 or new != first:
            self.param_groups.pop()
            raise UserError(f"d0 must be positive and the same for all groups, got {new!r}")

    @property
    def estimate(self) -> float:
        """The rate that was found so far, without ``lr``; at first ``d0``."""
        held = (state["grown"] for state in self.state.values() if "grown" in state)
        return float(self.param_groups[0]["d0"]) * next((one.item() for one in held), 1.0)
