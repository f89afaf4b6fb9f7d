"""Optimizers that take a matrix for what it is."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch.optim.optimizer import ParamsT

from talweg import rules
from talweg.core import Rule, Scalar, UserError
from talweg.optim.adaptive import MOMENTS, numbers_of
from talweg.optim.base import RuleOptimizer
from talweg.optim.course import Group


class Muon(RuleOptimizer, torch.optim.Muon):
    """`torch.optim.Muon`, for matrices only; the rule is `rules.Muon`.

    ``OfRule(model.parameters(), rules.Muon())`` takes all of a model's parameters, and those that
    are no matrices as Adam does.
    """

    names: ClassVar[Mapping[str, str]] = {"m": "momentum_buffer"}
    counts: ClassVar[bool] = False

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        for param in self.param_groups[-1]["params"]:
            if param.ndim != 2:
                self.param_groups.pop()
                shape = list(param.shape)
                raise UserError(f"Muon steps matrices, got a parameter of shape {shape}")

    def rule_of(self, group: Group) -> Rule:
        rule = rules.Muon(
            nesterov=bool(group["nesterov"]),
            adjust=group["adjust_lr_fn"] or "original",
            half=True,
            ns_steps=group["ns_steps"],
            ns_coefficients=tuple(group["ns_coefficients"]),
        )
        return rule.moved(**{n: group[n] for n in ("lr", "momentum", "eps", "weight_decay")})


class Adafactor(RuleOptimizer, torch.optim.Adafactor):
    """`torch.optim.Adafactor`; the rule is `rules.Adafactor`."""

    names: ClassVar[Mapping[str, str]] = {
        "r": "variance",
        "rows": "row_var",
        "columns": "col_var",
    }
    spoken: ClassVar[Mapping[str, str]] = {"power": "-beta2_decay", "clip": "d", "floor": "eps[1]"}

    def rule_of(self, group: Group) -> Rule:
        eps, floor = group["eps"]
        numbers = {"eps": eps} if eps is not None else {}
        return rules.Adafactor(machine_eps=eps is None).moved(
            **numbers,
            lr=group["lr"],
            power=-group["beta2_decay"],
            floor=floor,
            clip=group["d"],
            weight_decay=group["weight_decay"],
        )


class SOAP(RuleOptimizer):
    """SOAP; see `rules.SOAP`. The first step moves nothing.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, at least 0.
        betas: Shares of the mean gradient and the mean square kept, at least 0 and below 1.
        shampoo_beta: Share of the directions' spread kept, at least 0 and below 1; None for that
            of the mean square.
        eps: Keeps the quotient finite, at least 0.
        weight_decay: Decoupled: the share ``lr·weight_decay`` of a parameter is taken away.
        precondition_frequency: Steps between updates of the directions, at least 1.
        max_precond_dim: The largest dimension that is rotated, at least 1.
        correct_bias: Whether to correct for the start of both means at 0.
        maximize: Whether to climb.

    Source: Vyas et al. (2024), algorithm 3.
    """

    names: ClassVar[Mapping[str, str]] = MOMENTS
    spoken: ClassVar[Mapping[str, str]] = {"beta3": "shampoo_beta"}

    def __init__(
        self,
        params: ParamsT,
        lr: Scalar = 3e-3,
        betas: tuple[Scalar, Scalar] = (0.95, 0.95),
        shampoo_beta: Scalar | None = None,
        eps: Scalar = 1e-8,
        weight_decay: Scalar = 1e-2,
        precondition_frequency: int = 10,
        max_precond_dim: int = 10_000,
        *,
        correct_bias: bool = True,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "shampoo_beta": shampoo_beta,
            "eps": eps,
            "weight_decay": weight_decay,
            "precondition_frequency": precondition_frequency,
            "max_precond_dim": max_precond_dim,
            "correct_bias": correct_bias,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def rule_of(self, group: Group) -> Rule:
        rule = rules.SOAP(
            bias_correction=group["correct_bias"],
            frequency=group["precondition_frequency"],
            largest=group["max_precond_dim"],
        )
        numbers = numbers_of(group, "eps", "weight_decay")
        beta3 = group["shampoo_beta"]
        return rule.moved(**numbers, beta3=numbers["beta2"] if beta3 is None else beta3)
