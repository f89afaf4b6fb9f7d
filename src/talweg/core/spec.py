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
    for part in split_calls(inside or ""):
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
    >>> split_calls("warm-up(then=step(every=0.5, factor=0.2)), cosine")
    ['warm-up(then=step(every=0.5, factor=0.2))', 'cosine']
    """
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


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
