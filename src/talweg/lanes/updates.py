"""The update of a group of lanes whose rules share one structure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from talweg.core import Rule, stack
from talweg.lanes.compiling import Compiled
from talweg.schedules import Schedule, Span

Update = Callable[..., Tensor]


def _ignore(line: str) -> None:
    """Compiling an update can only fail where compiling the gradients has failed before."""


def _make_update(rule: Rule) -> Update:
    """A function that steps buffers in place; it reads no numeric field of ``rule``."""

    def update(
        at: Tensor | None,
        params: Tensor,
        grad: Tensor,
        state: dict[str, Tensor],
        now: dict[str, Tensor],
        then: dict[str, Tensor],
    ) -> Tensor:
        new_params, new_state = rule.step(params, grad, state, now)
        probe = None if at is None else rule.probe(new_params, new_state, then)
        params.copy_(new_params)
        for name, value in new_state.items():
            state[name].copy_(value)
        if at is not None and probe is not None:
            at.copy_(probe)
        # 0·x is NaN just where x is not finite: one pass for the update and its check.
        return (new_params * 0).sum(1)

    return update


_compiled: dict[tuple[Any, ...], Compiled] = {}


def update_for(rule: Rule, compiled: bool) -> Update:
    """The update function for a rule's structure; compiled once per process and structure."""
    if not compiled:
        return _make_update(rule)
    if rule.structure not in _compiled:
        _compiled[rule.structure] = Compiled(_make_update(rule), dynamic=True, say=_ignore)
    return _compiled[rule.structure]


class Group:
    """Lanes of one structure: contiguous rows of the engine's buffers, and their own state.

    Args:
        lanes: Their numbers.
        rules: One rule per lane.
        schedules: Hyperparameter name → schedule.
        span: How long the run is.
        at: Rows ``[lane, parameter]`` where gradients are taken; the parameters themselves unless
            the rule looks ahead.
        compiled: Whether to compile the update.
    """

    def __init__(
        self,
        lanes: Sequence[int],
        rules: Sequence[Rule],
        schedules: Mapping[str, Schedule],
        span: Span,
        at: Tensor,
        compiled: bool,
    ) -> None:
        self.lanes = list(lanes)
        self._rules = list(rules)
        self._schedules = schedules
        self._span = span
        self._rule = stack(rules, at.device)
        self._update = update_for(self._rule, compiled)
        self._now: list[dict[str, Tensor]] = []
        self._first = 0
        self.params = at.clone() if self._rule.looks_ahead else at
        self.state = self._rule.init(at)

    def prepare(self, first: int, count: int, at: Tensor) -> None:
        """Computes the scalars of steps ``first … first + count``, and where to begin.

        They are computed in double precision for all these steps at once and then cast.
        """
        steps = torch.arange(first, first + count + 1, device=at.device, dtype=torch.float64)
        steps = steps.view(-1, 1, 1)
        scheduled = {
            name: schedule(getattr(self._rule, name), steps, self._span)
            for name, schedule in self._schedules.items()
            if name in self._rule.hypers
        }
        scalars = replace(self._rule, **scheduled).scalars(steps + 1)
        shape = (count + 1, len(self.lanes), 1)
        columns = {
            name: torch.as_tensor(value, dtype=torch.float64, device=at.device)
            .expand(shape)
            .to(at.dtype)
            .contiguous()
            for name, value in scalars.items()
        }
        self._now = [
            {name: column[i] for name, column in columns.items()} for i in range(count + 1)
        ]
        self._first = first
        if self._rule.looks_ahead:
            at.copy_(self._rule.probe(self.params, self.state, self._now[0]))

    def step(self, step: int, rows: slice, at: Tensor, grad: Tensor) -> Tensor:
        """One update in place of some of the group's rows.

        Args:
            step: Which, from 0; `prepare` has been called for it.
            rows: Rows of the group.
            at: These rows' place in the engine's buffers, ``[row, parameter]``.
            grad: Their gradients.

        Returns:
            ``[row]``, NaN where a parameter is not finite.
        """
        now, then = (
            {name: column[rows] for name, column in columns.items()}
            for columns in self._now[step - self._first : step - self._first + 2]
        )
        state = {name: value[rows] for name, value in self.state.items()}
        if self._rule.looks_ahead:
            return self._update(at, self.params[rows], grad, state, now, then)
        return self._update(None, at, grad, state, now, then)

    def output(self) -> Tensor:
        """What to evaluate and save, ``[lane, parameter]``."""
        scalars = self._now[0] if self._now else {}
        return self._rule.output(self.params, self.state, scalars)

    def keep(self, rows: Sequence[int], at: Tensor) -> "Group":
        """The group of the given rows only, with ``at`` as its new place in the buffers."""
        index = torch.tensor(rows, dtype=torch.long, device=at.device)
        params = self.params[index]
        state = {name: value[index] for name, value in self.state.items()}
        at.copy_(params)
        kept = Group(
            [self.lanes[row] for row in rows],
            [self._rules[row] for row in rows],
            self._schedules,
            self._span,
            at,
            compiled=isinstance(self._update, Compiled),
        )
        kept.state = state
        return kept
