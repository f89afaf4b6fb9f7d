"""A rule explained: an object to read in Python, to print, and to see in a terminal."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from talweg.core import Rule
from talweg.explain import facts, showing
from talweg.explain.elsewhere import Elsewhere, elsewhere, others
from talweg.explain.facts import Part, Setting
from talweg.rules import RULES, NamedRule, named
from talweg.transforms import Transform

WIDTH = 80
"""Columns of the text that ``str`` gives."""


@dataclass(frozen=True, repr=False)
class Explanation:
    """What a rule is, what each setting does, and what other frameworks call it.

    Printed it is the whole text; in a terminal, `rich` shows it in the terminal's width.

    Args:
        name: What is typed, such as ``"adam"``.
        label: What is shown, such as ``"Adam"``.
        rule: The rule.
        parts: The rule and what is around it, from the inside out: summary, formula, source.
        settings: Every hyperparameter and option.
        lr_range: Between which learning rates its good ones usually lie.
        elsewhere: The rule in other frameworks.
        others: What goes by its name there and is not the same.
    """

    name: str
    label: str
    rule: Rule
    parts: tuple[Part, ...]
    settings: tuple[Setting, ...]
    lr_range: tuple[float, float]
    elsewhere: tuple[Elsewhere, ...]
    others: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One sentence for the rule, and one for each transform around it."""
        return " ".join(part.summary for part in self.parts)

    @property
    def formula(self) -> str:
        """The update, line by line."""
        return "\n".join(line for part in self.parts for line in part.formula)

    @property
    def source(self) -> str:
        """Where the rule and what is around it come from."""
        return " ".join(part.source for part in self.parts if part.source)

    def text(self, width: int = WIDTH) -> str:
        """The text without colours.

        Args:
            width: Its columns.
        """
        page = io.StringIO()
        Console(file=page, width=width, color_system=None, highlight=False).print(self)
        return "\n".join(line.rstrip() for line in page.getvalue().splitlines())

    def __str__(self) -> str:
        """The text without colours, in 80 columns."""
        return self.text()

    def __repr__(self) -> str:
        """The same, so that a notebook shows it."""
        return self.text()

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """What `rich` prints."""
        width = options.max_width
        yield Text(self.label, style="bold")
        yield from showing.about(self.parts, width)
        yield showing.heading("Settings")
        yield from showing.settings(self.settings, width)
        if self.elsewhere or self.others:
            yield showing.heading("In other frameworks")
        for other in self.others:
            yield showing.lines(other, width)
        if self.elsewhere:
            yield from showing.frameworks(self.settings, self.elsewhere, width)


def explain(rule: str | Rule | NamedRule) -> Explanation:
    """Explains a rule: the formula, what each setting does, what other frameworks make of it.

    Args:
        rule: A name, a name with options such as ``"momentum(form=average)"``, or a rule.

    Raises:
        UserError: If the name or an option is unknown or a value out of range.

    >>> about = explain("sgd")
    >>> about.formula
    'p ← p − lr·g'
    >>> about.settings[0].usual
    '0.001 – 10'
    """
    known = named(_in_small_letters(rule) if isinstance(rule, str) else rule)
    parts = facts.parts(known.rule)
    said = {name: text for part in parts for name, text in part.arguments.items()}
    return Explanation(
        known.name,
        known.label if known.name.partition("(")[0] in RULES else _title(known.rule),
        known.rule,
        parts,
        facts.settings(known.rule, said),
        known.rule.lr_range,
        elsewhere(known.rule),
        others(known.rule),
    )


def _title(rule: Rule) -> str:
    """``"WeightDecay(ClipNorm(Adam))"``."""
    name = type(rule).__name__
    return f"{name}({_title(rule.rule)})" if isinstance(rule, Transform) else name


def _in_small_letters(typed: str) -> str:
    """``"AdamW"``, as PyTorch spells it, is adamw."""
    name, bracket, options = typed.partition("(")
    return f"{name.lower()}{bracket}{options}" if name.strip().lower() in RULES else typed
