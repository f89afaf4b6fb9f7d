"""A rule explained: an object to read in Python, to print, and to see in a terminal."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from talweg.core import Rule
from talweg.explain import facts
from talweg.explain.counterpart import short
from talweg.explain.facts import Elsewhere, Part, Setting, Theirs, shown
from talweg.rules import RULES, NamedRule, named
from talweg.transforms import Transform

WIDTH = 80
"""Columns of the text that ``str`` gives."""
GAP = 2
"""Columns between those of a table."""
ROOM = 16
"""Columns that what a setting does needs beside the others."""


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
        for place, part in enumerate(self.parts):
            if place:
                yield Text()
            yield from _about(part, width, alone=len(self.parts) == 1)
        yield _heading("Settings")
        yield from _settings(self.settings, width)
        if self.elsewhere or self.others:
            yield _heading("In other frameworks")
        for other in self.others:
            yield _lines(other, width)
        if self.elsewhere:
            yield from _names(self.settings, self.elsewhere, width)
            if any(one.differs for there in self.elsewhere for one in there.settings.values()):
                yield Text("* another value than talweg's", style="dim")
            yield _heading("There, with their defaults")
            yield from _same(self.elsewhere, width)


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
        facts.elsewhere(known.rule),
        facts.others(known.rule),
    )


def _title(rule: Rule) -> str:
    """``"WeightDecay(ClipNorm(Adam))"``."""
    name = type(rule).__name__
    return f"{name}({_title(rule.rule)})" if isinstance(rule, Transform) else name


def _in_small_letters(typed: str) -> str:
    """``"AdamW"``, as PyTorch spells it, is adamw."""
    name, bracket, options = typed.partition("(")
    return f"{name.lower()}{bracket}{options}" if name.strip().lower() in RULES else typed


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _lines(text: str, width: int, indent: str = "", hang: str = "") -> Text:
    """Text in lines that leave code whole."""
    lines = wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent + hang,
        break_on_hyphens=False,
    )
    return Text("\n".join(lines))


def _about(part: Part, width: int, alone: bool) -> Iterator[RenderableType]:
    summary = part.summary if alone else f"{part.name}: {part.summary}"
    yield _lines(summary, width)
    if part.formula:
        yield Text()
        for line in part.formula:
            formula = _lines(line, width, "    ", "  ")
            formula.stylize("cyan")
            yield formula
    for note in part.notes:
        yield Text()
        yield _lines(note, width)
    if part.source:
        yield Text()
        source = _lines(f"Source: {part.source}", width)
        source.stylize("dim")
        yield source


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(heading, overflow="fold", vertical="top")
    return table


def _columns(rows: Iterable[Sequence[str | Text]]) -> list[int]:
    """How wide columns are whose lines stay whole."""
    columns = zip(*rows, strict=True)
    return [
        max(cell_len(line) for cell in one for line in str(cell).split("\n")) for one in columns
    ]


def _settings(settings: Sequence[Setting], width: int) -> Iterator[RenderableType]:
    """A table, or one setting after the other where what they do has no room beside them."""
    changed = any(one.value != one.default for one in settings)
    headings = ["setting", "default", *(["here"] if changed else []), "allowed", "usual"]
    rows = [
        (
            _named(one),
            shown(one.default).replace(", ", ",\n"),
            *([_here(one)] if changed else []),
            one.allowed.replace(", ", "\n") if isinstance(one.default, str) else one.allowed,
            one.usual or "–",
        )
        for one in settings
    ]
    if width - sum(size + GAP for size in _columns([headings, *rows])) < ROOM:
        for one in settings:
            yield from _block(one, width)
        return
    table = _table(*headings, "what it does")
    for column in table.columns[:-1]:
        column.no_wrap = True
    for one, row in zip(settings, rows, strict=True):
        table.add_row(*row, one.does)
    yield table


def _named(one: Setting) -> Text:
    name = Text(one.name, style="bold")
    return name.append(f" ({one.symbol})" if one.symbol else "", style="not bold")


def _here(one: Setting) -> Text:
    return Text(shown(one.value) if one.value != one.default else "", style="bold")


def _block(one: Setting, width: int) -> Iterator[Text]:
    """A setting in lines of its own, with what it does below."""
    said = [f"default {shown(one.default)}"]
    said += [f"here {shown(one.value)}"] if one.value != one.default else []
    said += [f"allowed {one.allowed}", *([f"usually {one.usual}"] if one.usual else [])]
    lines = _lines(f"{_named(one)}: {'; '.join(said)}", width, hang="  ")
    lines.stylize("bold", 0, len(one.name))
    yield lines
    yield _lines(one.does, width, "    ")


def _names(
    settings: Iterable[Setting], elsewhere: Sequence[Elsewhere], width: int
) -> Iterator[RenderableType]:
    """A table, or one setting after the other where it has no room."""
    headings = ["setting", *(there.framework for there in elsewhere)]
    room = (width - max(len(one.name) for one in settings)) // len(elsewhere) - 2 * GAP
    rows: list[tuple[Text, ...]] = []
    for one in settings:
        cells = [there.settings.get(one.name) for there in elsewhere]
        if any(cell and (cell.name or cell.differs) for cell in cells):
            rows.append((Text(one.name, style="bold"), *(_cell(cell, room) for cell in cells)))
    if sum(size + GAP for size in _columns([headings, *rows])) - GAP > width:
        for name, *cells in rows:
            said = zip(headings[1:], cells, strict=True)
            whole = "; ".join(f"{there} {str(cell).replace(chr(10), '')}" for there, cell in said)
            lines = _lines(f"{name}: {whole}", width, hang="  ")
            lines.stylize("bold", 0, len(name))
            yield lines
        return
    table = _table(*headings)
    for row in rows:
        table.add_row(*row)
    yield table


def _cell(theirs: Theirs | None, room: int) -> Text:
    if theirs is None:
        return Text("–", style="dim")
    text = f"{theirs} *" if theirs.differs else str(theirs)
    if len(text) > room and (cut := text.rfind("_", 0, room) + 1):
        text = f"{text[:cut]}\n{text[cut:]}"
    return Text(text, style="bold" if theirs.differs else "" if theirs.name else "dim")


def _same(elsewhere: Sequence[Elsewhere], width: int) -> Iterator[RenderableType]:
    for there in elsewhere:
        if not there.has_form:
            yield _lines(f"No setting of {there.path} makes this form. The nearest:", width)
        yield _lines(f"{there.call} = {short(there.rule)}", width, hang="    ")
        if there.note:
            note = _lines(there.note, width, "    ")
            note.stylize("dim")
            yield note
    live = [there for there in elsewhere if there.framework != "optax"]
    example = live[-1].example + ", or talweg.convert(optimizer)" if live else elsewhere[0].example
    yield Text()
    yield _lines(f"Other settings: {example}", width, hang="    ")
