"""What a parameter group does at each step as long as nothing about it changes."""

from collections.abc import Iterator, Mapping, Sequence
from operator import is_
from typing import Any

import torch
from torch import Tensor

from talweg.core import Rule
from talweg.optim.cohort import Cohort, State

Group = dict[str, Any]

MEMBERSHIPS = 16
"""Sets of parameters with a gradient that a group remembers."""


class Column:
    """One number of each of some parameters' states, together in one tensor.

    Each parameter's number is a view of it, so that all are read and written at once.

    Args:
        key: The key in a parameter's state.
        dtype: What the numbers are kept in.
        count: How many parameters.
    """

    def __init__(self, key: str, dtype: torch.dtype, count: int) -> None:
        self._key = key
        self._flat = torch.zeros(count, dtype=dtype)
        self._views = list(self._flat.unbind())

    def read(self, states: Sequence[State]) -> list[float]:
        """The numbers; where the states hold others than the views, those are taken over."""
        held = [state[self._key] for state in states]
        if not all(map(is_, held, self._views)):
            self._flat.copy_(torch.tensor([float(one) for one in held], dtype=self._flat.dtype))
            for view, state in zip(self._views, states, strict=True):
                state[self._key] = view
        return self._flat.tolist()

    def add(self, value: float) -> None:
        """Adds to all the numbers."""
        self._flat += value

    def write(self, value: float, places: Sequence[int]) -> None:
        """Sets the numbers at some places, or at all of them where none is named."""
        if places:
            self._flat[list(places)] = value
        else:
            self._flat.fill_(value)


class Course:
    """A group's rule, and its parameters by what they share.

    Args:
        settings: The group's hyperparameters.
        params: Its parameters.
        rule: What follows from them.
        before: The course that it replaces, whose memory serves on where the rule's structure is
            the same.

    Attributes:
        rule: The rule.
        states: The rule's names of its states.
    """

    def __init__(
        self,
        settings: Group,
        params: Sequence[Tensor],
        rule: Rule,
        before: "Course | None",
    ) -> None:
        self._settings = settings
        self._params = list(params)
        self._is_fixed = not any(isinstance(value, Tensor) for value in _leaves(settings))
        self.rule = rule
        if before is not None and (
            before.rule.structure != rule.structure or not _are_same(before._params, params)
        ):
            before = None
        self.states = before.states if before else tuple(rule.init(torch.empty(0)))
        self._cohorts: dict[tuple[int, ...], Cohort] = before._cohorts if before else {}
        self._last: Cohort | None = before._last if before else None
        self._columns: list[Column] = before._columns if before else []
        self._columned: list[Tensor] = before._columned if before else []

    def follows(self, settings: Group, params: Sequence[Tensor]) -> bool:
        """Whether the group still has the numbers that the rule was made from, and its members."""
        return self._is_fixed and settings == self._settings and _are_same(self._params, params)

    def cohort(self, params: Sequence[Tensor], names: Mapping[str, str]) -> Cohort:
        """These parameters as one cohort."""
        if self._last is None or not _are_same(self._last.params, params):
            key = tuple(map(id, params))
            if key not in self._cohorts:
                if len(self._cohorts) >= MEMBERSHIPS:
                    self._cohorts.clear()
                self._cohorts[key] = Cohort(self.rule, params, names)
            self._last = self._cohorts[key]
        return self._last

    def columns(
        self, params: Sequence[Tensor], keys: Mapping[str, torch.dtype]
    ) -> Sequence[Column]:
        """The numbers under some keys of these parameters' states."""
        if not self._columns or not _are_same(self._columned, params):
            self._columned = list(params)
            self._columns = [Column(key, dtype, len(params)) for key, dtype in keys.items()]
        return self._columns


def _are_same(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return len(some) == len(others) and all(map(is_, some, others))


def _leaves(settings: Group) -> Iterator[Any]:
    for value in settings.values():
        yield from value if isinstance(value, (tuple, list)) else (value,)
