"""The contract of an update rule.

A rule is a frozen dataclass: its fields are hyperparameters, its methods are pure functions of
tensors. The same methods serve one run with plain floats and a thousand lanes with a thousand
learning rates, because a hyperparameter is either a float or a tensor that broadcasts against the
parameters.

What depends on the step and the hyperparameters alone is computed by `Rule.scalars`, once a step,
in double precision and outside the elementwise kernel: inside it ``1 - beta2 ** t`` would be
computed once per parameter, and in float32 ``1 - 0.999`` has already lost four digits.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from talweg.core.fields import check, hyper, hyper_names, option_names

Scalar: TypeAlias = float | Tensor
Scalars: TypeAlias = Mapping[str, Any]
"""Name → float, or tensor that broadcasts against the parameters."""
State: TypeAlias = dict[str, Tensor]
"""Name → tensor shaped like the parameters."""


@dataclass(frozen=True)
class Rule(ABC):
    """An update rule; see the module's text for the contract.

    No method changes its inputs, branches on a tensor's value or reads a numeric field other than
    through `scalars`; fields that select a form (``form``, ``eps_inside``) are plain Python values.
    """

    lr: Scalar = hyper(1e-3, "learning rate", above=0)

    def __post_init__(self) -> None:
        check(self)

    @abstractmethod
    def init(self, params: Tensor) -> State:
        """The state before the first step: a dict of tensors shaped like ``params``."""

    @abstractmethod
    def scalars(self, t: Scalar) -> Scalars:
        """What `step`, `probe` and `output` need besides tensors, at step ``t`` (from 1).

        Args:
            t: The step, or many steps at once as a float64 tensor ``[T, 1, 1]``, which gives
                ``[T, lane, 1]``. A float to the power of an integer tensor is only float32.
        """

    @abstractmethod
    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        """One update: the new parameters and the new state.

        Args:
            params: Parameters, any shape.
            grad: The mini-batch mean gradient at ``probe(params, state, scalars)``.
            state: What `init` or the step before returned.
            scalars: ``self.scalars(t)`` for this step.
        """

    def probe(self, params: Tensor, state: State, scalars: Scalars) -> Tensor:
        """Where this step's gradient is to be evaluated; ``params`` itself by default."""
        return params

    def output(self, params: Tensor, state: State, scalars: Scalars) -> Tensor:
        """What to evaluate and save; ``params`` itself by default."""
        return params

    @property
    def looks_ahead(self) -> bool:
        """Whether the gradient is taken anywhere but at the parameters."""
        return False

    @property
    def lr_range(self) -> tuple[float, float]:
        """The learning rates between which this rule's good ones usually lie."""
        return (1e-5, 1e-1)

    @property
    def hypers(self) -> dict[str, Any]:
        """Numeric fields by name."""
        return {name: getattr(self, name) for name in hyper_names(type(self))}

    @property
    def options(self) -> dict[str, Any]:
        """Fields that select a form, by name."""
        return {name: getattr(self, name) for name in option_names(type(self))}

    @property
    def structure(self) -> tuple[Any, ...]:
        """What two lanes must share to run in one kernel: the class and its options."""
        return (type(self), *self.options.values())

    @property
    def settings(self) -> dict[str, Any]:
        """All fields by name, as plain values."""
        return {spec.name: getattr(self, spec.name) for spec in fields(self)}


def stack(rules: Sequence[Rule], device: torch.device | str = "cpu") -> Rule:
    """Many rules of one structure as one rule.

    Numeric fields become float64 tensors ``[lane, 1]``; those that all lanes share stay floats.

    >>> from talweg.rules import Momentum
    >>> both = stack([Momentum(lr=0.1), Momentum(lr=0.2)])
    >>> both.lr.flatten().tolist(), both.momentum
    ([0.1, 0.2], 0.9)
    """
    first = rules[0]
    assert all(rule.structure == first.structure for rule in rules), "rules of one structure only"
    columns: dict[str, Tensor] = {}
    for name in first.hypers:
        values = [float(getattr(rule, name)) for rule in rules]
        if len(set(values)) > 1:
            columns[name] = torch.tensor(values, dtype=torch.float64, device=device)[:, None]
    return replace(first, **columns)
