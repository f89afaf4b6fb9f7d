"""Parameters that a rule steps tensor by tensor, because it needs more than single elements."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter, is_
from typing import Any

import torch
from torch import Tensor

from talweg.core import Rule, Scalars, UserError
from talweg.core import State as RuleState
from talweg.optim.cohort import State
from talweg.optim.kernels import Compiling, exact_dtype, step_in_place
from talweg.optim.layout import here
from talweg.optim.whole_kernels import WholeKernel, kernel_of

_SHAPE = attrgetter("shape")
_MARKS = (_SHAPE, attrgetter("dtype"), attrgetter("device"))


def states_of(rule: Rule, param: Tensor) -> RuleState:
    """The states that a rule has for such a parameter, with shapes and dtypes and no memory."""
    exact = exact_dtype(param.dtype)
    return rule.init(torch.empty_like(here(param).detach(), dtype=exact, device="meta"))


def add_up(totals: dict[str, Tensor], shares: Mapping[str, Tensor]) -> None:
    """Adds shares to totals, in place, on the device of the first."""
    for name, share in shares.items():
        before = totals.get(name)
        totals[name] = share if before is None else before + share.to(before)


class Whole:
    """What `Cohort` is, for rules that need whole tensors: a step of each by itself.

    It is compiled where it can be written as passes over a tensor; the first step waits for the
    compiler, because a compiled sum is rounded otherwise than PyTorch's.

    Args:
        rule: A rule of the structure that steps them.
        params: The parameters.
        names: The rule's name of a state → its key in a parameter's state.
    """

    def __init__(self, rule: Rule, params: Sequence[Tensor], names: Mapping[str, str]) -> None:
        self.params = list(params)
        self._rule = rule
        self._names = names
        self._states: list[State] = []
        self._keys: list[dict[str, str]] = []
        self._own: list[RuleState] = []
        self._kernels: list[WholeKernel | None] = []
        self._marks: list[Any] = []

    def holds(self, states: Sequence[State]) -> bool:
        """Whether parameters and states are what they were when they were arranged."""
        if len(states) != len(self._states) or not all(map(is_, states, self._states)):
            return False
        try:
            return self._found(states) == self._marks
        except (AttributeError, KeyError):  # a state was taken away, or is no tensor any more
            return False

    def _found(self, states: Sequence[State]) -> list[Any]:
        rows = zip(states, self._keys, strict=True)
        held = [state[key] for state, keys in rows for key in keys.values()]
        tensors = self.params + held
        return [
            Compiling.wanted is False,
            list(map(id, held)),
            *(list(map(one, tensors)) for one in _MARKS),
        ]

    def arrange(self, states: Sequence[State]) -> None:
        """Looks at the states and puts them where and in what they are stepped.

        Raises:
            UserError: If a state has another shape than the rule keeps, or a parameter is sharded.
        """
        self._states, self._keys, self._own, self._kernels = [], [], [], []
        for param, state in zip(self.params, states, strict=True):
            if here(param) is not param:
                raise UserError("a rule that needs whole tensors cannot step sharded parameters")
            kept = states_of(self._rule, param)
            keys = {name: self._names.get(name, name) for name in kept}
            for name, key in keys.items():
                held, usual = state[key], kept[name]
                if held.shape != usual.shape:
                    raise UserError(
                        f"state {key!r} has shape {list(held.shape)}, its parameter "
                        f"{list(param.shape)}: was it loaded from another model?"
                    )
                state[key] = held.to(param.device, usual.dtype)
            self._keys.append(keys)
            self._own.append({name: state[key] for name, key in keys.items()})
            self._kernels.append(kernel_of(self._rule, param))
        self._states = list(states)
        self._marks = self._found(states)

    def sums(self, grads: Sequence[Tensor], scalars: Scalars) -> dict[str, Tensor]:
        """What the rule gathers, of these parameters.

        Args:
            grads: The gradient of each parameter.
            scalars: What the rule's step needs besides tensors.
        """
        totals: dict[str, Tensor] = {}
        for param, grad, state in self._with(grads):
            exact = exact_dtype(param.dtype)
            add_up(totals, self._rule.sums(param.to(exact), grad.to(exact), state, scalars))
        return totals

    def step(self, grads: Sequence[Tensor], scalars: Mapping[str, Any]) -> None:
        """Steps every parameter.

        Args:
            grads: The gradient of each parameter.
            scalars: What the rule's step needs besides tensors, with what was gathered.
        """
        rows = zip(self._with(grads), self._kernels, strict=True)
        for (param, grad, state), kernel in rows:
            if kernel is None or not kernel.step(param, grad, state, scalars):
                step_in_place(self._rule, param, grad, state, scalars)

    def _with(self, grads: Sequence[Tensor]) -> Iterable[tuple[Tensor, Tensor, RuleState]]:
        if list(map(_SHAPE, grads)) != list(map(_SHAPE, self.params)):
            raise UserError("a gradient has not the size of its parameter")
        return zip(self.params, grads, self._own, strict=True)
