"""Schedules in a PyTorch training loop."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from talweg.core import UserError, is_finite, whole_number
from talweg.schedules.base import Schedule, Span
from talweg.schedules.table import schedule_of


class Scheduler(LRScheduler):
    """Any schedule as one of `torch.optim.lr_scheduler`: of the rate, and of other numbers.

    What it gives depends on the number of steps alone, so a scheduler that is made anew and loads
    the saved state goes on to the bit.

    Args:
        optimizer: Whose groups' numbers are set; where they stand is what the schedule starts from.
        schedule: Of ``"lr"``: a schedule, or its name.
        steps: How often `step` will be called in all.
        epoch_steps: Steps in an epoch, for schedules that go by epochs.
        others: Other numbers of the groups → their schedules.

    Raises:
        UserError: If a number is none of every group's, or a length is no positive whole number.

    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    >>> scheduler = Scheduler(optimizer, "linear(end=0)", steps=4)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates.append(optimizer.param_groups[0]["lr"])
    ...     optimizer.step(); scheduler.step()
    >>> rates
    [0.5, 0.375, 0.25, 0.125]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: str | Schedule,
        steps: int,
        epoch_steps: int = 1,
        others: Mapping[str, str | Schedule] | None = None,
    ) -> None:
        if not isinstance(optimizer, Optimizer):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"optimizer must be a torch optimizer, got {type(optimizer).__name__}")
        self._span = Span(
            whole_number("steps", steps, at_least=1),
            whole_number("epoch_steps", epoch_steps, at_least=1),
        )
        self._schedules = {n: schedule_of(s) for n, s in {"lr": schedule, **(others or {})}.items()}
        for name in self._schedules:
            for group in optimizer.param_groups:
                if not is_finite(group.get(name)):
                    raise UserError(f"{name} must be a number of every parameter group")
        self._starts = [
            {name: group[name] for name in self._schedules} for group in optimizer.param_groups
        ]
        super().__init__(optimizer)

    def get_lr(self) -> list[float | torch.Tensor]:
        """The rates of this step; the other numbers are set."""
        step = torch.tensor(float(self.last_epoch), dtype=torch.float64)
        rates: list[float | torch.Tensor] = []
        for group, start in zip(self.optimizer.param_groups, self._starts, strict=True):
            now = {
                name: float(schedule(start[name], step, self._span))
                for name, schedule in self._schedules.items()
            }
            rates.append(now.pop("lr"))
            group.update(now)
        return rates

    def state_dict(self) -> dict[str, Any]:
        """How many steps were made, and from where: plain numbers."""
        return {"last_epoch": self.last_epoch, "starts": [dict(start) for start in self._starts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where another one stopped."""
        self.last_epoch = state_dict["last_epoch"]
        self._starts = [dict(start) for start in state_dict["starts"]]
        self._last_lr = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate
