"""Schedule-Free optimizers: the model holds one point while training and another afterwards."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

import torch
from torch.optim.optimizer import ParamsT

from talweg import rules
from talweg.core import Rule, Scalar, UserError
from talweg.optim.base import RuleOptimizer
from talweg.optim.course import Group


class ScheduleFree(RuleOptimizer):
    """An optimizer with two modes, as the authors' code has them.

    While it trains, the model holds ``y``, where gradients are taken; after `eval` it holds the
    average ``x``, which is to be evaluated and saved; `train` goes back. It starts in training.
    A model with batch normalisation needs some batches in training mode at ``x`` before it is
    evaluated, for its running statistics to be those of ``x``.
    """

    carried: Mapping[str, str] = {"peak": "lr_max", "weights": "weight_sum"}
    spoken: ClassVar[Mapping[str, str]] = {
        "warmup": "warmup_steps",
        "weight_power": "weight_lr_power",
    }

    @property
    def is_training(self) -> bool:
        """Whether the model holds the point of training."""
        return all(group["train_mode"] for group in self.param_groups)

    def eval(self) -> None:
        """Puts the average into the model; nothing if it is there."""
        self._switch(to_training=False)

    def train(self) -> None:
        """Puts the point of training back into the model; nothing if it is there."""
        self._switch(to_training=True)

    @contextmanager
    def evaluating(self) -> Generator[None]:
        """Within it the model holds the average; nothing if it is there."""
        with super().evaluating() if self.is_training else nullcontext():
            yield

    @torch.no_grad()
    def _switch(self, to_training: bool) -> None:
        for group in self.param_groups:
            if group["train_mode"] == to_training:
                continue
            group["train_mode"] = to_training
            momentum = self.rule_of(group).hypers["momentum"]
            share = 1 - momentum if to_training else 1 - 1 / momentum
            for param in group["params"]:
                z = self.state.get(param, {}).get("z")
                if z is not None:
                    param.copy_(param.to(z.dtype).lerp(z, float(share)))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Makes one step.

        Args:
            closure: Evaluates the model anew and returns the loss.

        Returns:
            What the closure returned.

        Raises:
            UserError: If the model holds the average.
        """
        if not self.is_training:
            raise UserError("the model holds the average: call optimizer.train() before a step")
        return super().step(closure)


class ScheduleFreeSGD(ScheduleFree):
    """Schedule-Free SGD; see `rules.ScheduleFreeSGD`, and `ScheduleFree` for its two modes.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, at least 0; constant.
        momentum: Share of the average where gradients are taken, above 0 and below 1.
        weight_decay: Times the parameter, added to the gradient.
        warmup_steps: Steps over which the rate rises, at least 0.
        r: Power of the step in an average's weight, at least 0.
        weight_lr_power: Power of the largest rate so far in an average's weight, at least 0.
        maximize: Whether to climb.

    Source: Defazio et al., "The road less scheduled" (2024).
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Scalar = 1.0,
        momentum: Scalar = 0.9,
        weight_decay: Scalar = 0.0,
        warmup_steps: Scalar = 0,
        r: Scalar = 0.0,
        weight_lr_power: Scalar = 2.0,
        *,
        maximize: bool = False,
    ) -> None:
        given = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "r": r}
        more = {"warmup_steps": warmup_steps, "weight_lr_power": weight_lr_power}
        super().__init__(params, given | more | {"maximize": maximize, "train_mode": True})

    def rule_of(self, group: Group) -> Rule:
        return rules.ScheduleFreeSGD().moved(**_numbers(group), momentum=group["momentum"])


class ScheduleFreeAdamW(ScheduleFree):
    """Schedule-Free AdamW; see `rules.ScheduleFreeAdamW`, and `ScheduleFree` for its two modes.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, at least 0; constant.
        betas: Share of the average where gradients are taken, above 0 and below 1, and share of
            the mean square kept, at least 0 and below 1.
        eps: Keeps the quotient finite, at least 0.
        weight_decay: Decoupled: times the parameter, added to the direction.
        warmup_steps: Steps over which the rate rises, at least 0.
        r: Power of the step in an average's weight, at least 0.
        weight_lr_power: Power of the largest rate so far in an average's weight, at least 0.
        maximize: Whether to climb.

    Source: Defazio et al., "The road less scheduled" (2024), algorithm 1.
    """

    names: ClassVar[Mapping[str, str]] = {"r": "exp_avg_sq"}
    spoken: ClassVar[Mapping[str, str]] = {**ScheduleFree.spoken, "momentum": "beta1"}

    def __init__(
        self,
        params: ParamsT,
        lr: Scalar = 2.5e-3,
        betas: tuple[Scalar, Scalar] = (0.9, 0.999),
        eps: Scalar = 1e-8,
        weight_decay: Scalar = 0.0,
        warmup_steps: Scalar = 0,
        r: Scalar = 0.0,
        weight_lr_power: Scalar = 2.0,
        *,
        maximize: bool = False,
    ) -> None:
        given = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "r": r}
        more = {"warmup_steps": warmup_steps, "weight_lr_power": weight_lr_power}
        super().__init__(params, given | more | {"maximize": maximize, "train_mode": True})

    def rule_of(self, group: Group) -> Rule:
        momentum, beta2 = group["betas"]
        rule = rules.ScheduleFreeAdamW().moved(momentum=momentum, beta2=beta2, eps=group["eps"])
        return rule.moved(**_numbers(group))


def _numbers(group: Group) -> dict[str, Scalar]:
    """What both have, by the names that the rules have for it."""
    numbers = {name: group[name] for name in ("lr", "weight_decay", "r")}
    renamed = {"warmup": group["warmup_steps"], "weight_power": group["weight_lr_power"]}
    return numbers | renamed
