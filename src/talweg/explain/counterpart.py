"""What an optimizer of another framework is to talweg: its settings, their names, the rule."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from typing import Any, Final, TypeAlias

from talweg.core import Rule, UserError, choose
from talweg.rules import SGD, Momentum
from talweg.transforms import Transform

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
            values; the same where it is missing, and with a minus where the sign is another.
        note: What differs from talweg's rule, in a sentence or two.
        refused: Setting that cannot be converted → why.
    """

    rule: Rule
    settings: Settings
    of: Mapping[str, Settings] = field(default_factory=dict[str, Settings])
    names: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict[str, Any])
    note: str = ""
    refused: Mapping[str, str] = field(default_factory=dict[str, str])

    def called(self, given: Settings) -> dict[str, tuple[str, Any]]:
        """The rule's name of a setting → the framework's, with what it is.

        Args:
            given: Settings that are not at their defaults.
        """
        found: dict[str, tuple[str, Any]] = {}
        for name, value in {**self.settings, **given}.items():
            ours = self.names.get(name, name)
            if name in self.refused:
                continue
            if isinstance(ours, str):
                found[ours.removeprefix("-")] = (name, value)
            else:
                pairs = enumerate(zip(ours, value, strict=True))
                found |= {one: (f"{name}[{place}]", part) for place, (one, part) in pairs}
        return found

    def fields(self, settings: Settings) -> dict[str, Any]:
        """What is set of the rule's own fields; None leaves a field as it is.

        Args:
            settings: All of the optimizer's settings.
        """
        named = ((self.names.get(name, name), value) for name, value in settings.items())
        specs = self.rule.specs
        return {ours: value for ours, value in named if ours in specs and value is not None}


def maker(
    shared: Settings, names: Mapping[str, str], refused: Mapping[str, str]
) -> Callable[..., Counterpart]:
    """What makes the counterparts of a framework, with what all of its optimizers have.

    Args:
        shared: Settings that every optimizer has.
        names: As of `Counterpart`.
        refused: As of `Counterpart`.
    """

    def made(
        rule: Rule,
        settings: Settings,
        of: Mapping[str, Settings],
        note: str = "",
        own_refused: Mapping[str, str] | None = None,
    ) -> Counterpart:
        why = {**refused, **(own_refused or {})}
        return Counterpart(rule, {**shared, **settings}, of, names, note, why)

    return made


@dataclass(frozen=True)
class Framework:
    """The optimizers of a framework.

    Args:
        name: What people call it, such as ``"Keras"``.
        module: Where its optimizers live, such as ``"keras.optimizers"``.
        rate: What its optimizers call the learning rate.
        counterparts: Gives those that talweg has a rule for; asked once, when they are needed.
        missing: Those that it has none for → why, or nothing where it is just not there yet.
        rule_of: The rule that an optimizer follows, from its name and all of its settings.
        idle: Settings that leave the run as it is.
        note: What holds for all of its optimizers.
        neutral: Setting → values that leave the run as it is, beside the default.
        around: Transform → the settings that put it around a rule, as far as there are such.
    """

    name: str
    module: str
    rate: str
    counterparts: Callable[[], Mapping[str, Counterpart]]
    missing: Mapping[str, str]
    rule_of: Callable[[str, Settings], Rule]
    idle: frozenset[str]
    note: str
    neutral: Mapping[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]])
    around: Callable[[Transform], Settings] = lambda _: {}

    @cached_property
    def optimizers(self) -> Mapping[str, Counterpart]:
        """Those that talweg has a rule for, by their names."""
        return self.counterparts()

    def convert(self, optimizer: str, given: Settings) -> Rule:
        """The rule that makes the same run.

        Args:
            optimizer: The optimizer's name in the framework, with or without its module.
            given: Its settings; the framework's defaults serve for the others.

        Raises:
            UserError: If there is no such optimizer or setting, or none like it in talweg.
        """
        optimizer = optimizer.removeprefix("tf.").removeprefix(f"{self.module}.")
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
            if name not in self.idle:
                self._check(path, known, name, settings[name])
        if settings[self.rate] is REQUIRED:
            raise UserError(f"{path} needs {self.rate}")
        try:
            return self.rule_of(optimizer, settings)
        except ValueError as error:
            said = ", ".join(f"{name}={value!r}" for name, value in given.items())
            raise UserError(f"{path}({said}): {error}") from error

    def _check(self, path: str, known: Counterpart, name: str, value: Any) -> None:
        """Complains of a value that cannot be converted, or is of another kind than the default."""
        default = known.settings[name]
        if any(_equal(value, one) for one in (default, *self.neutral.get(name, ()))):
            return
        if name in known.refused:
            why = known.refused[name]
            raise UserError(f"{path}: {name}={value!r} cannot be converted: {why}")
        if callable(value) or isinstance(value, Mapping):
            raise UserError(
                f"{path}: {name} must be a number, got a schedule; convert its first value "
                "and let talweg follow the schedule"
            )
        if wanted := _unlike(default, value):
            raise UserError(f"{path}: {name} must be {wanted}, got {value!r}")


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are the same; a truth value and a number are not, nor are arrays."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        pairs = zip(one, other, strict=False)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return len(one) == len(other) and all(_equal(*pair) for pair in pairs)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return isinstance(one, bool) == isinstance(other, bool) and (one == other) is True


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real)


def _unlike(default: Any, value: Any) -> str:
    """What a value has to be to stand in a default's place, where it is not."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "True or False"
    if isinstance(default, tuple):
        places: tuple[Any, ...] = default
        if isinstance(value, tuple) and len(value) == len(places):  # pyright: ignore[reportUnknownArgumentType]
            pairs = zip(places, value, strict=True)  # pyright: ignore[reportUnknownArgumentType]
            if all(_is_number(one) or (one is None and usual is None) for usual, one in pairs):
                return ""
        return f"{len(places)} numbers"
    return "a number" if default is not None and not _is_number(value) else ""


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
    if isinstance(value, (tuple, list)):
        return tuple(map(plain, value))  # pyright: ignore[reportUnknownArgumentType]
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value
