"""What a transform is: a rule around a rule."""

from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, Self

from torch import Tensor

from talweg.core import Rule, Scalar, Scalars, State, UserError


@dataclass(frozen=True)
class Transform(Rule):
    """A rule that changes what goes into another rule or comes out of it.

    Its settings are those of the rule inside and its own, under one roof: ``changed(lr=…)``
    reaches the rule inside. What a transform does not define is the inner rule's. Scalars and
    states of its own carry its name, as in ``"clip.limit"``, so that none meets another's.

    Args:
        rule: The rule inside.
    """

    rule: Rule = field(metadata={"kind": "rule"})

    def __post_init__(self) -> None:
        if not isinstance(self.rule, Rule):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"rule must be a talweg.rules object, got {self.rule!r}")
        for name in self.own.keys() & self.rule.specs.keys():
            raise UserError(
                f"{type(self).__name__} cannot go around {type(self.rule).__name__}, "
                f"which has its own {name}"
            )
        super().__post_init__()

    @property
    def own(self) -> dict[str, Field[Any]]:
        """The transform's own fields by name, without the rule inside."""
        return {spec.name: spec for spec in fields(self) if spec.metadata["kind"] != "rule"}

    @property
    def specs(self) -> dict[str, Field[Any]]:
        return self.rule.specs | self.own

    @property
    def settings(self) -> dict[str, Any]:
        return self.rule.settings | {name: getattr(self, name) for name in self.own}

    @property
    def structure(self) -> tuple[Any, ...]:
        own = tuple(getattr(self, n) for n, s in self.own.items() if s.metadata["kind"] == "option")
        return (type(self), *own, self.rule.structure)

    def changed(self, **settings: Any) -> Self:
        mine, inner = self._split(settings)
        return replace(self, rule=self.rule.changed(**inner), **mine)

    def moved(self, **values: Scalar) -> Self:
        mine, inner = self._split(values)
        return self._with({**mine, "rule": self.rule.moved(**inner)})

    def _split(self, settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        mine = {name: value for name, value in settings.items() if name in self.own}
        return mine, {name: value for name, value in settings.items() if name not in mine}

    def at(self, t: int) -> Rule:
        inner = self.rule.at(t)
        return self if inner is self.rule else self._with({"rule": inner})

    def init(self, params: Tensor) -> State:
        return self.rule.init(params)

    def scalars(self, t: Scalar) -> Scalars:
        return self.rule.scalars(t)

    def memory(self) -> Scalars:
        return self.rule.memory()

    def recall(self, scalars: Scalars, memory: Scalars) -> tuple[Scalars, Scalars]:
        return self.rule.recall(scalars, memory)

    def inward(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, Tensor]:
        """The parameters and the gradient that the rule inside gets: these by default."""
        return params, grad

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        return self.rule.step(*self.inward(params, grad, state, scalars), state, scalars)

    def sums(self, params: Tensor, grad: Tensor, state: State, scalars: Scalars) -> Scalars:
        return self.rule.sums(*self.inward(params, grad, state, scalars), state, scalars)

    def probe(self, params: Tensor, state: State, scalars: Scalars) -> Tensor:
        return self.rule.probe(params, state, scalars)

    def output(self, params: Tensor, state: State, scalars: Scalars) -> Tensor:
        return self.rule.output(params, state, scalars)

    @property
    def looks_ahead(self) -> bool:
        return self.rule.looks_ahead

    @property
    def is_per_tensor(self) -> bool:
        return self.rule.is_per_tensor

    @property
    def gathers(self) -> bool:
        return self.rule.gathers

    @property
    def common(self) -> tuple[str, ...]:
        return self.rule.common

    @property
    def lr_range(self) -> tuple[float, float]:
        return self.rule.lr_range
