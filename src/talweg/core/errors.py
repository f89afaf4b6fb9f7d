"""Messages for people: what was wrong, what is allowed, what was given, the nearest choice."""

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TypeGuard


class UserError(ValueError):
    """Input that cannot be used, told in one line; the command line prints it and exits with 2."""


def nearest(given: str, allowed: Iterable[str]) -> str | None:
    """The allowed word closest to what was given, or None if nothing is close.

    >>> nearest("adma", ["adam", "adamax", "sgd"])
    'adam'
    """
    words = list(allowed)
    by_lower = {word.lower(): word for word in words}
    found = difflib.get_close_matches(given.lower(), list(by_lower), n=5, cutoff=0.5)
    swapped = [word for word in found if sorted(word) == sorted(given.lower())]
    return by_lower[(swapped or found)[0]] if found else None


def choose(what: str, given: object, allowed: Iterable[str], more: str = "") -> UserError:
    """The error for a name that is not among the allowed ones.

    Args:
        what: What the name stands for, such as ``"rule"``.
        given: What was given for a name.
        allowed: The names that would have been accepted.
        more: Where to find out more, such as a command; shown in brackets.

    >>> str(choose("rule", "adma", ["adam", "sgd"]))
    "unknown rule 'adma'; did you mean 'adam'? (allowed: adam, sgd)"
    """
    words = list(allowed)
    if not words:
        return UserError(f"unknown {what} {given!r}: there is none")
    close = nearest(given, words) if isinstance(given, str) else None
    question = f"; did you mean {close!r}?" if close else ""
    return UserError(
        f"unknown {what} {given!r}{question} ({more or 'allowed: ' + ', '.join(words)})"
    )


def is_finite(value: object) -> TypeGuard[float]:
    """Whether it is a finite number; booleans are not numbers.

    >>> is_finite(0.5), is_finite(float("nan")), is_finite(True), is_finite("1")
    (True, False, False, False)
    """
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def whole_number(name: str, value: object, at_least: int = 1) -> int:
    """``value`` as an int of at least ``at_least``.

    Raises:
        UserError: If it is anything else; booleans are not numbers.

    >>> whole_number("epochs", 20)
    20
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < at_least:
        raise UserError(f"{name} must be a whole number of at least {at_least}, got {value!r}")
    number = int(value)
    if number >= 2**64:
        raise UserError(f"{name} must be below 2**64, got {number}")
    return number
