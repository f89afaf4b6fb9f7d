"""What a rule says of itself: its docstring and its fields."""

import inspect
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass
from typing import Any

from talweg.core import Rule
from talweg.transforms import Transform


@dataclass(frozen=True)
class Part:
    """A rule or a transform, as its docstring has it.

    Args:
        name: The class.
        summary: The first sentence.
        formula: The update, line by line; empty where the summary says all.
        notes: The paragraphs after it.
        source: Where it comes from.
        arguments: Name → what the docstring says of it.
    """

    name: str
    summary: str
    formula: tuple[str, ...]
    notes: tuple[str, ...]
    source: str
    arguments: Mapping[str, str]


@dataclass(frozen=True)
class Setting:
    """A hyperparameter or an option.

    Args:
        name: What it is called.
        symbol: Its letter in the formula, where that is another.
        default: Its class's default.
        value: What it is in the rule at hand.
        allowed: The values that are taken.
        usual: The values that are usual, where it is known.
        does: What it does.
    """

    name: str
    symbol: str
    default: Any
    value: Any
    allowed: str
    usual: str
    does: str


def parts(rule: Rule) -> tuple[Part, ...]:
    """The rule itself, then what is around it, from the inside out."""
    inner = parts(rule.rule) if isinstance(rule, Transform) else ()
    return (*inner, _part(type(rule)))


def settings(rule: Rule, said: Mapping[str, str]) -> tuple[Setting, ...]:
    """Every setting of a rule, and of what is around it.

    Args:
        rule: The rule.
        said: What docstrings say of the settings.
    """
    return tuple(
        _setting(rule, spec, said.get(name, ""))
        for name, spec in rule.specs.items()
        if spec.metadata["kind"] in ("hyper", "option")
    )


def shown(value: Any) -> str:
    """A value, as short as it can be typed."""
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return f"{value}"


def _part(kind: type[Rule]) -> Part:
    text = inspect.cleandoc(kind.__doc__ or "")
    if text.startswith(f"{kind.__name__}("):  # a dataclass without a docstring has this
        text = ""
    summary, formula, source = "", (), ""
    notes: list[str] = []
    arguments: dict[str, str] = {}
    for place, paragraph in enumerate(re.split(r"\n\s*\n", text)):
        if paragraph.startswith("Args:"):
            arguments = dict(_arguments(paragraph))
        elif paragraph.startswith("Source:"):
            source = _line(paragraph.removeprefix("Source:"))
        elif place == 0:
            summary = _line(paragraph)
        elif place == 1 and "←" in paragraph:
            formula = tuple(_formula(paragraph))
        elif not paragraph.startswith((">>>", "Raises:")):
            notes.append(_line(paragraph))
    return Part(kind.__name__, summary, formula, tuple(notes), source, arguments)


def _line(text: str) -> str:
    """Text without its line breaks and marks of code."""
    plain = re.sub(r"\*(\w[^*]*)\*", r"\1", text.replace("`", ""))
    return re.sub(r"\s+", " ", plain).strip()


def _formula(paragraph: str) -> Iterator[str]:
    """The lines of a formula; one that ends in mid-sentence goes on with the next."""
    whole = re.sub(r"(?<=\w)\n(?!``[^`]*[←=])", " ", paragraph)
    return (_line(line) for line in whole.splitlines())


def _arguments(paragraph: str) -> Iterator[tuple[str, str]]:
    for found in re.finditer(r"^    (\w+): (.*(?:\n {8}.*)*)", paragraph, re.MULTILINE):
        yield found[1], re.sub(r"\s+", " ", found[2])


def _setting(rule: Rule, spec: Field[Any], said: str) -> Setting:
    letter = re.match(r"``([^`\s\"]+)``[,:]", said)
    _, _, more = said.partition(". ")
    does = f"{spec.metadata['doc']}{'. ' if more else ''}{_line(more).removesuffix('.')}"
    return Setting(
        spec.name,
        letter[1] if letter else "",
        spec.default,
        rule.settings[spec.name],
        _allowed(spec),
        _usual(rule, spec),
        does,
    )


def _allowed(spec: Field[Any]) -> str:
    if spec.metadata["kind"] == "option":
        return _choices(spec.default, spec.metadata["choices"])
    above, least, below = (spec.metadata[key] for key in ("above", "at_least", "below"))
    bounds = [f"> {above:g}"] if above > -math.inf else []
    bounds += [f"≥ {least:g}"] if least > -math.inf else []
    bounds += [f"< {below:g}"] if below < math.inf else []
    return ", ".join(bounds)


def _choices(default: Any, choices: tuple[str, ...]) -> str:
    if choices or isinstance(default, bool):
        return ", ".join(choices or ("False", "True"))
    return f"{len(default)} numbers" if isinstance(default, tuple) else "1, 2, 3, …"


def _usual(rule: Rule, spec: Field[Any]) -> str:
    usual = rule.lr_range if spec.name == "lr" else spec.metadata.get("usual")
    return " – ".join(map(shown, map(float, usual))) if usual else ""
