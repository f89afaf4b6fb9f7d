"""The update of a group of lanes whose rules share one structure."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from talweg.core import Rule, stack
from talweg.lanes.compiling import Compiler
from talweg.lanes.plan import Lane
from talweg.lanes.scheduled import Scheduled
from talweg.schedules import Span
from talweg.transforms import on_rows

Update = Callable[..., None]


def _make_update(rule: Rule) -> Update:
    """A function that steps buffers in place; it reads no numeric field of ``rule``."""

    def update(
        at: Tensor | None,
        params: Tensor,
        grad: Tensor,
        state: dict[str, Tensor],
        now: dict[str, Tensor],
        then: dict[str, Tensor],
    ) -> None:
        new_params, new_state = rule.step(params, grad, state, now)
        probe = None if at is None else rule.probe(new_params, new_state, then)
        params.copy_(new_params)
        for name, value in new_state.items():
            state[name].copy_(value)
        if at is not None and probe is not None:
            at.copy_(probe)

    return update


class Group:
    """Lanes of one structure: contiguous rows of the engine's buffers, and their own state.

    Args:
        members: What they are.
        span: How long the run is.
        shapes: Of the parameter tensors that lie in a row.
        at: Rows ``[lane, parameter]`` where gradients are taken; the parameters themselves unless
            the rule looks ahead.
        compiler: What may compile the update.
    """

    def __init__(
        self,
        members: Sequence[Lane],
        span: Span,
        shapes: Sequence[torch.Size],
        at: Tensor,
        compiler: Compiler,
    ) -> None:
        self._span = span
        self._shapes = shapes
        self._compiler = compiler
        self._take(members, at.device)
        self._first = 0
        self._columns: dict[str, Tensor] = {}
        self._prepared = 0
        self.params = at.clone() if self._rule.looks_ahead else at
        self.state = self._rule.init(at)
        self._memory = {
            name: torch.as_tensor(value, dtype=torch.float64, device=at.device)
            .expand(len(members), 1)
            .clone()
            for name, value in self._rule.memory().items()
        }

    def prepare(self, first: int, count: int, at: Tensor) -> None:
        """Computes the scalars of steps ``first … first + count``, and where to begin.

        They are computed in double precision for all these steps at once and then cast.
        """
        steps = torch.arange(first, first + count + 1, device=at.device, dtype=torch.float64)
        steps = steps.view(-1, 1, 1)
        scalars = self._rule.moved(**self._scheduled.values(steps)).scalars(steps + 1)
        shape = (count + 1, len(self.lanes), 1)
        exact = {
            name: torch.as_tensor(value, dtype=torch.float64, device=at.device).expand(shape)
            for name, value in scalars.items()
        }
        if self._memory:
            exact = self._recalled(exact, count)
        columns = {name: column.to(at.dtype).contiguous() for name, column in exact.items()}
        self._columns, self._prepared, self._first = columns, count, first
        if self._rule.looks_ahead:
            now = {name: column[0] for name, column in columns.items()}
            at.copy_(self._rule.probe(self.params, self.state, now))

    def _recalled(self, columns: dict[str, Tensor], count: int) -> dict[str, Tensor]:
        """The scalars completed by what is carried from step to step, ``count`` steps of it."""
        memory, complete = self._memory, []
        for i in range(count + 1):
            now = {name: column[i] for name, column in columns.items()}
            now, memory = self._rule.recall(now, memory)
            complete.append(now)
            if i == count - 1:
                self._memory = dict(memory)
        return {name: torch.stack([now[name] for now in complete]) for name in complete[0]}

    def stepper(self, rows: slice, at: Tensor) -> Callable[[int, Tensor], None]:
        """What updates some of the group's rows in place.

        Args:
            rows: Rows of the group.
            at: These rows' place in the engine's buffers, ``[row, parameter]``.

        Returns:
            A function of a step, counted from the first that `prepare` was called for, and of the
            rows' gradients there.
        """
        state = {name: value[rows] for name, value in self.state.items()}
        params, moved = (self.params[rows], at) if self._rule.looks_ahead else (at, None)
        by_name = {name: column[:, rows].unbind() for name, column in self._columns.items()}
        scalars = [
            {name: column[i] for name, column in by_name.items()} for i in range(self._prepared + 1)
        ]

        def step(i: int, grad: Tensor) -> None:
            update = self._update(self._first + i + 1)
            update(moved, params, grad, state, scalars[i], scalars[i + 1])

        return step

    def _update(self, t: int) -> Update:
        """The update of step ``t``, counted from 1."""
        rule = self._rule.at(t)
        kind = None if rule is self._rule else rule.structure
        if kind not in self._updates:
            self._updates[kind] = self._compiler(
                _make_update(rule), dynamic=True, key=rule.structure
            )
        return self._updates[kind]

    def output(self) -> Tensor:
        """What to evaluate and save, ``[lane, parameter]``."""
        if not self._columns:  # before the first step
            return self.params
        scalars = {name: column[-1] for name, column in self._columns.items()}
        return self._rule.output(self.params, self.state, scalars)

    def keep(self, rows: Sequence[int], at: Tensor) -> None:
        """Leaves the given rows only, ascending, with ``at`` as their new place in the buffers."""
        count = len(rows)
        self._take([self._members[row] for row in rows], at.device)
        self.params = moved_up(self.params, rows, count) if self._rule.looks_ahead else at
        self.state = {name: moved_up(value, rows, count) for name, value in self.state.items()}
        index = torch.tensor(rows, dtype=torch.long, device=at.device)
        self._columns = {name: column[:, index] for name, column in self._columns.items()}
        self._memory = {name: value[index] for name, value in self._memory.items()}

    def _take(self, members: Sequence[Lane], device: torch.device) -> None:
        self.lanes = [lane.number for lane in members]
        self._members = members
        self._rule = on_rows(stack([lane.rule for lane in members], device), self._shapes)
        followed = [lane.schedules for lane in members]
        self._scheduled = Scheduled(self._rule, followed, self._span, device)
        self._updates: dict[object, Update] = {}


def moved_up(values: Tensor, rows: Sequence[int], count: int) -> Tensor:
    """Rows ``[row, …]`` together, in place; the first of ``count``, the rest like the first.

    Args:
        values: All rows.
        rows: Which of them, ascending.
        count: How many to give, at least those.
    """
    first = rows[0] if rows else 0
    if first + count <= len(values) and list(rows) == list(range(first, first + len(rows))):
        values = values[first:]  # nothing has to move
    else:
        for new, old in enumerate(rows):
            if new != old:
                values[new].copy_(values[old])
    values[len(rows) : count] = values[:1]
    return values[:count]
