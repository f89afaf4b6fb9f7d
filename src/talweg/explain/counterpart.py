"""What an optimizer of another framework is to talweg: its settings, their names, the rule."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from talweg.core import Rule, UserError, choose
from talweg.rules import SGD, Momentum

Settings: TypeAlias = Mapping[str, Any]
"""A framework's names of settings → values."""

REQUIRED: Final = inspect.Parameter.empty
"""The default of a setting that has none."""


@dataclass(frozen=True)
class Counterpart:
    """An optimizer of another framework, and the rule that makes the same run.

    Args:
        rule: The rule, with what the framework has fixed.
        settings: Its settings by the framework's names, with their defaults or `REQUIRED`.
        of: Registered name of a rule → the settings that make the optimizer that rule.
        names: The framework's name of a setting → the rule's, or as many of the rule's as it has
            values; the same where it is missing.
        note: What differs from talweg's rule, in a sentence or two.
        refused: Setting that cannot be converted → why.
    """

    rule: Rule
    settings: Settings
    of: Mapping[str, Settings] = field(default_factory=dict[str, Settings])
    names: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict[str, Any])
    note: str = ""
    refused: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def called(self) -> dict[str, tuple[str, Any]]:
        """The rule's name of a setting → the framework's, with its default."""
        found: dict[str, tuple[str, Any]] = {}
        for name, default in self.settings.items():
            ours = self.names.get(name, name)
            if isinstance(ours, str):
                found[ours] = (name, default)
            else:
                pairs = enumerate(zip(ours, default, strict=True))
                found |= {one: (f"{name}[{place}]", value) for place, (one, value) in pairs}
        return found

    def fields(self, settings: Settings) -> dict[str, Any]:
        """What is set of the rule's own fields; None leaves a field as it is.

        Args:
            settings: All of the optimizer's settings.
        """
        named = ((self.names.get(name, name), value) for name, value in settings.items())
        specs = self.rule.specs
        return {ours: value for ours, value in named if ours in specs and value is not None}


@dataclass(frozen=True)
class Framework:
    """The optimizers of a framework.

    Args:
        name: What people call it, such as ``"Keras"``.
        module: Where its optimizers live, such as ``"keras.optimizers"``.
        optimizers: Those that talweg has a rule for.
        missing: Those that it has none for → why, or nothing where it is just not there yet.
        rule_of: The rule that an optimizer follows, from its name and all of its settings.
        idle: Settings that leave the run as it is.
        note: What holds for all of its optimizers.
    """

    name: str
    module: str
    optimizers: Mapping[str, Counterpart]
    missing: Mapping[str, str]
    rule_of: Callable[[str, Settings], Rule]
    idle: frozenset[str]
    note: str

    def convert(self, optimizer: str, given: Settings) -> Rule:
        """The rule that makes the same run.

        Args:
            optimizer: The optimizer's name in the framework.
            given: Its settings; the framework's defaults serve for the others.

        Raises:
            UserError: If there is no such optimizer or setting, or none like it in talweg.
        """
        path = f"{self.module}.{optimizer}"
        if optimizer in self.missing:
            why = self.missing[optimizer] or "talweg has no such rule yet"
            raise UserError(f"{path} has no counterpart in talweg: {why}")
        if optimizer not in self.optimizers:
            raise choose(f"{self.name} optimizer", optimizer, [*self.optimizers, *self.missing])
        known = self.optimizers[optimizer]
        settings = {**known.settings}
        for name, value in given.items():
            if name not in settings:
                raise choose(f"setting of {path}", name, settings)
            settings[name] = plain(value)
        for name, value in settings.items():
            if value is REQUIRED:
                raise UserError(f"{path} needs {name}")
            if name in known.refused and value and value != known.settings[name]:
                why = known.refused[name]
                raise UserError(f"{path}: {name}={value!r} cannot be converted: {why}")
            if name not in self.idle and (callable(value) or isinstance(value, Mapping)):
                raise UserError(
                    f"{path}: {name} must be a number, got a schedule; convert its first value "
                    "and let talweg follow the schedule"
                )
        try:
            return self.rule_of(optimizer, settings)
        except ValueError as error:
            said = ", ".join(f"{name}={value!r}" for name, value in given.items())
            raise UserError(f"{path}({said}): {error}") from error


def without_momentum(rule: Rule) -> Rule:
    """Plain descent for momentum that is 0."""
    if isinstance(rule, Momentum) and rule.momentum == 0:
        return SGD(rule.lr)
    return rule


def short(rule: Rule) -> str:
    """A rule as Python: the rate, and what differs from its class's defaults.

    >>> from talweg.rules import Adam
    >>> short(Adam(eps=1e-7, eps_hat=True))
    'Adam(lr=0.001, eps=1e-07, eps_hat=True)'
    """
    inner = getattr(rule, "rule", None)
    own = rule.specs if inner is None else getattr(rule, "own", {})
    said = [short(inner)] if isinstance(inner, Rule) else []
    for name, spec in own.items():
        value = getattr(rule, name)
        is_number_around = inner is not None and spec.metadata["kind"] == "hyper"
        if name == "lr" or is_number_around or value != spec.default:
            said.append(f"{name}={value!r}")
    return f"{type(rule).__name__}({', '.join(said)})"


def call(path: str, settings: Iterable[tuple[str, Any]]) -> str:
    """A call of an optimizer, as its user writes it."""
    return f"{path}({', '.join(f'{name}={value!r}' for name, value in settings)})"


def plain(value: Any) -> Any:
    """Numbers in place of arrays and tensors that hold just one."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value
