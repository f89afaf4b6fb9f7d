"""What a parameter group does at each step as long as nothing about it changes."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from operator import is_
from typing import Any

import torch
from torch import Tensor

from talweg.core import Rule
from talweg.optim.cohort import Cohort, State
from talweg.optim.whole import Whole

Group = dict[str, Any]

_FIXED = (bool, int, float, str, type(None))
MEMBERSHIPS = 16
"""Sets of parameters with a gradient that a group remembers."""


class Column:
    """One number of each of some parameters' states, together in one tensor.

    Each parameter's number is a view of it, so that all are read and written at once; but numbers
    that processes share stay where they are.

    Args:
        key: The key in a parameter's state.
        dtype: What the numbers are kept in.
        count: How many parameters.
    """

    def __init__(self, key: str, dtype: torch.dtype, count: int) -> None:
        self._key = key
        self._flat = torch.zeros(count, dtype=dtype)
        self._views = list(self._flat.unbind())
        self._shared: list[Tensor] = []

    def read(self, states: Sequence[State]) -> list[float]:
        """The numbers; where the states hold others than the views, those are taken over."""
        held = [state[self._key] for state in states]
        self._shared = []
        if not all(map(is_, held, self._views)):
            if any(isinstance(one, Tensor) and one.is_shared() for one in held):
                self._shared = held
                return [float(one) for one in held]
            self._flat.copy_(torch.tensor([float(one) for one in held], dtype=self._flat.dtype))
            for view, state in zip(self._views, states, strict=True):
                state[self._key] = view
        return self._flat.tolist()

    def add(self, value: float) -> None:
        """Adds to all the numbers."""
        for one in self._shared or [self._flat]:
            one += value

    def write(self, value: float, places: Sequence[int] | None) -> None:
        """Sets the numbers at some places, or at all of them where these are None."""
        if self._shared:
            for place in range(len(self._shared)) if places is None else places:
                self._shared[place].fill_(value)
        elif places is None:
            self._flat.fill_(value)
        else:
            self._flat[list(places)] = value


class Course:
    """A group's rule, and its parameters by what they share.

    Attributes:
        rule: The rule, once the group was followed.
        has_states: Whether the rule keeps any.
    """

    rule: Rule
    has_states: bool

    def __init__(self) -> None:
        self._settings: Group | None = None
        self._params: list[Tensor] = []
        self._is_fixed = False
        self._forget()

    def _forget(self) -> None:
        self._cohorts: dict[Hashable, Cohort | Whole] = {}
        self._form: Hashable = None
        self._last: Cohort | Whole | None = None
        self._columns: list[Column] = []
        self._columned: list[Tensor] = []

    def is_of(self, settings: Group, params: Sequence[Tensor]) -> bool:
        """Whether the group still has the numbers that the rule was made from, and its members."""
        try:
            return self._is_fixed and settings == self._settings and _are_same(self._params, params)
        except (RuntimeError, ValueError):  # an array has come that cannot be compared
            return False

    def follow(self, settings: Group, params: Sequence[Tensor], rule: Rule) -> None:
        """Goes over to other numbers; for a rule of another structure or other members, anew.

        Args:
            settings: The group's hyperparameters.
            params: Its parameters.
            rule: What follows from them.
        """
        if (
            self._settings is None
            or self.rule.structure != rule.structure
            or not _are_same(self._params, params)
        ):
            self._forget()
            states = rule.init(torch.empty(0)).values()
            self.has_states = bool(states)
            self._is_whole = (
                rule.is_per_tensor
                or rule.gathers
                or any(state.dtype != torch.float32 for state in states)  # a count, a mask
            )
        self.rule = rule
        # A list may be changed in place, an array too.
        self._settings = {k: list(v) if isinstance(v, list) else v for k, v in settings.items()}
        self._params = list(params)
        self._is_fixed = all(isinstance(value, _FIXED) for value in _leaves(settings))

    def cohort(
        self, params: Sequence[Tensor], names: Mapping[str, str], rule: Rule
    ) -> "Cohort | Whole":
        """These parameters as one cohort.

        Args:
            params: Some of the group's.
            names: The rule's name of a state → its key in a parameter's state.
            rule: The form of the group's rule that steps them.
        """
        form = None if rule is self.rule else rule.structure
        if self._last is None or form != self._form or not _are_same(self._last.params, params):
            key = form, tuple(map(id, params))
            if key not in self._cohorts:
                if len(self._cohorts) >= MEMBERSHIPS:
                    self._cohorts.clear()
                kind = Whole if self._is_whole else Cohort
                self._cohorts[key] = kind(rule, params, names)
            self._last, self._form = self._cohorts[key], form
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
