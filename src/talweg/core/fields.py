"""Hyperparameters and options: dataclass fields that know their range."""

import math
from dataclasses import Field, field, fields
from typing import Any

from torch import Tensor

from talweg.core.errors import UserError, choose, is_finite
from talweg.core.wording import a_number


def hyper(
    default: float,
    doc: str,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    below: float = math.inf,
    usual: tuple[float, float] | None = None,
) -> Any:
    """A numeric field of a rule: a float, or a tensor with one value per lane.

    Args:
        default: The value used when none is given.
        doc: What it does, for tables and ``explain``.
        above: It must be greater than this.
        at_least: It must be at least this.
        below: It must be smaller than this.
        usual: Between which values people use it, where the literature says so.
    """
    bounds = {"above": above, "at_least": at_least, "below": below}
    return field(default=default, metadata={"kind": "hyper", "doc": doc, "usual": usual, **bounds})


def option(
    default: str | bool | int | tuple[float, ...], doc: str, choices: tuple[str, ...] = ()
) -> Any:
    """A field that selects a form of the update; lanes that differ in it form separate groups.

    Args:
        default: One of the choices, a bool, a count of at least 1, or some numbers.
        doc: What it does, for tables and ``explain``.
        choices: What it can be, if it is a word.
    """
    return field(default=default, metadata={"kind": "option", "doc": doc, "choices": choices})


def check(owner: object) -> None:
    """Checks every field of a rule against its range; numbers become Python's own.

    Raises:
        UserError: Naming the field, what is allowed and what was given.
    """
    for spec in fields(owner):  # type: ignore[arg-type]
        value = getattr(owner, spec.name)
        if spec.metadata["kind"] == "option":
            _check_option(spec, value)
        elif spec.metadata["kind"] == "hyper" and not isinstance(value, Tensor):
            _check_number(spec, value)
            if type(value) not in (int, float):  # a NumPy number
                object.__setattr__(owner, spec.name, float(value))


def _check_option(spec: Field[Any], value: object) -> None:
    if isinstance(spec.default, bool):
        check_flag(spec.name, value)
    elif isinstance(spec.default, int):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"{spec.name} must be a whole number of at least 1, got {value!r}")
    elif isinstance(spec.default, tuple):
        if not _is_like(spec.default, value):
            raise UserError(f"{spec.name} must be {len(spec.default)} numbers, got {value!r}")
    elif value not in spec.metadata["choices"]:
        raise choose(spec.name, str(value), spec.metadata["choices"])


def _is_like(usual: tuple[float, ...], value: object) -> bool:
    """Whether a value is as many finite numbers."""
    return isinstance(value, tuple) and len(value) == len(usual) and all(map(is_finite, value))


def _check_number(spec: Field[Any], value: Any) -> None:
    bounds = {key: spec.metadata[key] for key in ("above", "at_least", "below")}
    check_number(spec.name, value, **bounds)


def check_flag(name: str, value: object) -> None:
    """Complains of anything but true or false.

    Raises:
        UserError: Naming it and what was given.
    """
    if not isinstance(value, bool):
        raise UserError(f"{name} must be true or false, got {value!r}")


def check_number(
    name: str,
    value: object,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    below: float = math.inf,
) -> None:
    """Complains of anything but a finite number within bounds.

    Args:
        name: What it is called.
        value: What was given.
        above: It must be greater than this.
        at_least: It must be at least this.
        below: It must be smaller than this.

    Raises:
        UserError: Naming it, what is allowed and what was given.
    """
    if not (is_finite(value) and above < value < below and value >= at_least):
        raise UserError(f"{name} must be {a_number(above, at_least, below)}, got {value!r}")
