"""Hyperparameters that follow schedules, each lane its own."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from talweg.core import Rule, Scalar
from talweg.schedules import Curve, Schedule, Span


class Scheduled:
    """Which lanes of a group follow which schedules.

    Args:
        rule: The lanes' rules in one.
        schedules: Hyperparameter name → schedule, for each lane.
        span: How long the run is.
        device: Where to compute.
    """

    def __init__(
        self,
        rule: Rule,
        schedules: Sequence[Mapping[str, Schedule]],
        span: Span,
        device: torch.device,
    ) -> None:
        self._lanes = len(schedules)
        self._span = span
        followed = {name for own in schedules for name in own}
        self._starts = {
            name: torch.as_tensor(start, dtype=torch.float64, device=device).view(-1, 1)
            for name, start in rule.hypers.items()
            if name in followed
        }
        self._followers = {
            name: [
                (schedule, torch.tensor(lanes, device=device))
                for schedule, lanes in _grouped(own.get(name) for own in schedules)
            ]
            for name in self._starts
        }

    def values(self, steps: Tensor) -> dict[str, Scalar]:
        """The hyperparameters that any lane has a schedule for.

        Args:
            steps: Counted from 0, ``[step, 1, 1]``.

        Returns:
            Values that broadcast to ``[step, lane, 1]``; lanes without a schedule keep theirs.
        """
        return {name: self._value(name, steps) for name in self._starts}

    def _value(self, name: str, steps: Tensor) -> Scalar:
        start, followers = self._starts[name], self._followers[name]
        schedule, lanes = followers[0]
        if len(lanes) == self._lanes:
            return schedule(start, steps, self._span)
        values = start.expand(len(steps), self._lanes, 1).clone()
        for schedule, lanes in followers:
            own = start[lanes] if len(start) > 1 else start
            values[:, lanes] = torch.as_tensor(
                schedule(own, steps, self._span), dtype=torch.float64, device=steps.device
            )
        return values


def _grouped(schedules: Iterable[Schedule | None]) -> list[tuple[Schedule, list[int]]]:
    """Each distinct schedule with the lanes that follow it."""
    groups: list[tuple[Schedule, list[int]]] = []
    for lane, schedule in enumerate(schedules):
        if schedule is None:
            continue
        for other, lanes in groups:
            if schedule is other or (isinstance(schedule, Curve) and schedule == other):
                lanes.append(lane)
                break
        else:
            groups.append((schedule, [lane]))
    return groups


def needs_length(schedule: Schedule) -> bool:
    """Whether a schedule's values depend on how long the run is, or an epoch."""
    steps = torch.cat([torch.arange(2000.0), torch.logspace(3.4, 8, 200).round()])
    steps = steps.double().view(-1, 1, 1)
    start = torch.ones(1, 1, dtype=torch.float64)
    short, long = (
        torch.as_tensor(schedule(start, steps, Span(length, length)), dtype=torch.float64)
        for length in (1_000, 1_000_000)
    )
    return not torch.allclose(short, long, rtol=0, atol=0, equal_nan=True)
