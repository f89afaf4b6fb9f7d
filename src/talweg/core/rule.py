"""The contract of an update rule.

A rule is a frozen dataclass: its fields are hyperparameters, its methods are pure functions of
tensors. The same methods serve one run with plain floats and a thousand lanes with a thousand
learning rates, because a hyperparameter is either a float or a tensor that broadcasts against the
parameters.

What depends on the step and the hyperparameters alone is computed by `Rule.scalars`, once a step,
in double precision (unless a number comes as a tensor of less) and outside the elementwise kernel:
inside it ``1 - beta2 ** t`` would be computed once per parameter, and in float32 ``1 - 0.999`` has
already lost four digits.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields, replace
from typing import Any, Self, TypeAlias

import torch
from torch import Tensor

from talweg.core.fields import check

Scalar: TypeAlias = float | Tensor
Scalars: TypeAlias = Mapping[str, Any]
"""Name → float, or tensor that broadcasts against the parameters."""
State: TypeAlias = dict[str, Tensor]
"""Name → tensor shaped like the parameters; of a rule that `is_per_tensor`, of any shape."""


def switch(condition: bool | Tensor, then: Scalar, otherwise: Scalar) -> Scalar:
    """One of two numbers, or of each tensor's entries, in double precision."""
    if not isinstance(condition, Tensor):
        return then if condition else otherwise
    pair = (torch.as_tensor(x, dtype=torch.float64) for x in (then, otherwise))
    return torch.where(condition, *(x.to(condition.device) for x in pair))


def largest(*values: Scalar) -> Scalar:
    """The largest of some numbers, or entry by entry where one of them is a tensor."""
    first, *rest = values
    for value in rest:
        larger = value > first
        first = switch(larger, value, first)
    return first


def shares(**kept: Scalar) -> Scalars:
    """What a running mean keeps of itself and takes of what is new, under two names each.

    >>> shares(b1=0.75, rho=0.5)
    {'b1': 0.75, '1-b1': 0.25, 'rho': 0.5, '1-rho': 0.5}
    """
    pairs: dict[str, Scalar] = {}
    for name, share in kept.items():
        pairs[name], pairs[f"1-{name}"] = share, 1 - share
    return pairs


@dataclass(frozen=True)
class Rule(ABC):
    """An update rule; see the module's text for the contract.

    `step` works on each element by itself, unless the rule `is_per_tensor` or `gathers`. No method
    changes its inputs or branches on a tensor's value, and `step`, `probe`, `output` and `sums`
    read no numeric field other than through `scalars`; fields that select a form (``form``,
    ``eps_inside``) are plain Python values.
    """

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

    def memory(self) -> Scalars:
        """What the scalars carry from step to step, before the first: nothing by default."""
        return {}

    def recall(self, scalars: Scalars, memory: Scalars) -> tuple[Scalars, Scalars]:
        """Completes a step's scalars by what is carried; returns them and what to carry on.

        For rules whose scalars have no closed form in the step, such as a running product of a
        momentum that changes; in double precision, once a step.

        Args:
            scalars: ``self.scalars(t)``.
            memory: What `memory` or the step before returned.
        """
        return scalars, memory

    @abstractmethod
    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        """One update: the new parameters and the new state.

        Args:
            params: Parameters, any shape.
            grad: The mini-batch mean gradient at ``probe(params, state, scalars)``.
            state: What `init` or the step before returned.
            scalars: ``self.scalars(t)`` for this step, completed by `recall`.
        """

    def at(self, t: int) -> "Rule":
        """The rule in the form that it has at step ``t`` (from 1); itself by default.

        For rules some of whose steps do more than others; all forms share states and scalars.
        """
        return self

    def probe(self, params: Tensor, state: State, scalars: Scalars) -> Tensor:
        """Where this step's gradient is to be evaluated; ``params`` itself by default."""
        return params

    def output(self, params: Tensor, state: State, scalars: Scalars) -> Tensor:
        """What to evaluate and save; ``params`` itself by default."""
        return params

    def sums(self, params: Tensor, grad: Tensor, state: State, scalars: Scalars) -> Scalars:
        """What `step` needs summed over all of a model's parameters: these parameters' share.

        The sums, tensors ``[]``, come to `step` among its scalars, under the names given here.
        The arguments are those of `step`. Nothing by default.
        """
        return {}

    @property
    def gathers(self) -> bool:
        """Whether the rule has `sums`."""
        return False

    @property
    def common(self) -> tuple[str, ...]:
        """States of one number that all of a model's parameters share, of a rule that `gathers`."""
        return ()

    @property
    def looks_ahead(self) -> bool:
        """Whether the gradient is taken anywhere but at the parameters."""
        return False

    @property
    def is_per_tensor(self) -> bool:
        """Whether `init`, `step` and the others get each parameter tensor by itself, as it is.

        Such a rule may look at the shape, never has a dimension of lanes, and gets scalars of
        one element.
        """
        return False

    @property
    def lr_range(self) -> tuple[float, float]:
        """The learning rates between which this rule's good ones usually lie."""
        return (1e-5, 1e-1)

    @property
    def specs(self) -> dict[str, Field[Any]]:
        """The fields that can be set, by name; their metadata holds kind, range and description."""
        return {spec.name: spec for spec in fields(self)}

    @property
    def settings(self) -> dict[str, Any]:
        """All fields that can be set by name, as plain values."""
        return {name: getattr(self, name) for name in self.specs}

    @property
    def hypers(self) -> dict[str, Any]:
        """Numeric fields by name."""
        return self._settings_of("hyper")

    @property
    def options(self) -> dict[str, Any]:
        """Fields that select a form, by name."""
        return self._settings_of("option")

    def _settings_of(self, kind: str) -> dict[str, Any]:
        settings = self.settings
        specs = self.specs.items()
        return {name: settings[name] for name, spec in specs if spec.metadata["kind"] == kind}

    @property
    def structure(self) -> tuple[Any, ...]:
        """What two lanes must share to run in one kernel: the class and its options."""
        return (type(self), *self.options.values())

    def changed(self, **settings: Any) -> Self:
        """A copy with other settings.

        Args:
            settings: Names out of `settings`, with their new values.

        Raises:
            UserError: If a value is out of range.
        """
        return replace(self, **settings)

    def moved(self, **values: Scalar) -> Self:
        """A copy with other numbers, unchecked: what a schedule gives, or torch allows, may be 0.

        Args:
            values: Names out of `hypers`, with their new values.
        """
        return self._with(values)

    def _with(self, values: Mapping[str, Any]) -> Self:
        copy = object.__new__(type(self))
        vars(copy).update(vars(self) | dict(values))
        return copy


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
        values = [float(rule.hypers[name]) for rule in rules]
        if len(set(values)) > 1:
            columns[name] = torch.tensor(values, dtype=torch.float64, device=device)[:, None]
    return first.moved(**columns)
