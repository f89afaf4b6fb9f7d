"""Names with options, as typed on a command line: ``momentum(form=average, momentum=0.95)``."""

import re

from talweg.core.errors import UserError


def parse_call(text: str) -> tuple[str, dict[str, float | bool | str]]:
    """Splits ``name(option=value, …)`` into the name and its options.

    Raises:
        UserError: If the text is not of that form.

    >>> parse_call("momentum(form=average, momentum=0.95)")
    ('momentum', {'form': 'average', 'momentum': 0.95})
    >>> parse_call("adam")
    ('adam', {})
    """
    match = re.fullmatch(r"\s*([\w.-]+)\s*(?:\((.*)\))?\s*", text)
    if match is None:
        raise UserError(f"expected NAME or NAME(option=value, …), got {text!r}")
    name, inside = match.groups()
    options: dict[str, float | bool | str] = {}
    for part in filter(None, (piece.strip() for piece in (inside or "").split(","))):
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not key.isidentifier() or not value:
            raise UserError(f"expected option=value in {text!r}, got {part!r}")
        if key in options:
            raise UserError(f"{key} is given twice in {text!r}")
        options[key] = _value(value)
    return name, options


def split_calls(text: str) -> list[str]:
    """Splits a comma-separated list, leaving commas inside brackets alone.

    >>> split_calls("sgd, momentum(form=average, momentum=0.95)")
    ['sgd', 'momentum(form=average, momentum=0.95)']
    """
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def _value(text: str) -> float | bool | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    quoted = re.fullmatch(r"(['\"])(.*)\1", text)
    return quoted[2] if quoted else text
