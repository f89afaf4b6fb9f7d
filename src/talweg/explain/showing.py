"""The pieces of an explanation on a screen of any width."""

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from talweg.explain.counterpart import short
from talweg.explain.elsewhere import Elsewhere, Theirs
from talweg.explain.facts import Part, Setting, shown

GAP = 2
"""Columns between those of a table."""
ROOM = 16
"""Columns that what a setting does needs beside the others."""


def heading(text: str) -> Text:
    """A line above what follows."""
    return Text(f"\n{text}", style="bold")


def lines(text: str, width: int, indent: str = "", hang: str = "") -> Text:
    """Text in lines that leave code whole."""
    wrapped = wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent + hang,
        break_on_hyphens=False,
    )
    return Text("\n".join(wrapped))


def about(parts: Sequence[Part], width: int) -> Iterator[RenderableType]:
    """A rule and what is around it, from the inside out."""
    for place, part in enumerate(parts):
        if place:
            yield Text()
        yield from _about(part, width, alone=len(parts) == 1)


def _about(part: Part, width: int, alone: bool) -> Iterator[RenderableType]:
    summary = part.summary if alone else f"{part.name}: {part.summary}"
    yield lines(summary, width)
    if part.formula:
        yield Text()
        for line in part.formula:
            formula = lines(line, width, "    ", "  ")
            formula.stylize("cyan")
            yield formula
    for note in part.notes:
        yield Text()
        yield lines(note, width)
    if part.source:
        yield Text()
        source = lines(f"Source: {part.source}", width)
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


def settings(known: Sequence[Setting], width: int) -> Iterator[RenderableType]:
    """A table, or one setting after the other where what they do has no room beside them."""
    changed = any(one.value != one.default for one in known)
    headings = ["setting", "default", *(["here"] if changed else []), "allowed", "usual"]
    rows = [
        (
            _named(one),
            shown(one.default).replace(", ", ",\n"),
            *([_here(one)] if changed else []),
            one.allowed.replace(", ", "\n") if isinstance(one.default, str) else one.allowed,
            one.usual or "–",
        )
        for one in known
    ]
    if width - sum(size + GAP for size in _columns([headings, *rows])) < ROOM:
        for one in known:
            yield from _block(one, width)
        return
    table = _table(*headings, "what it does")
    for column in table.columns[:-1]:
        column.no_wrap = True
    for one, row in zip(known, rows, strict=True):
        table.add_row(*row, one.does)
    yield table


def frameworks(
    known: Sequence[Setting], elsewhere: Sequence[Elsewhere], width: int
) -> Iterator[RenderableType]:
    """What other frameworks call a rule's settings, and what makes the rule there."""
    yield from _names(known, elsewhere, width)
    if any(one.differs for there in elsewhere for one in there.settings.values()):
        yield Text("* another value than talweg's", style="dim")
    yield heading("There, with their defaults")
    yield from _same(elsewhere, width)


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
    line = lines(f"{_named(one)}: {'; '.join(said)}", width, hang="  ")
    line.stylize("bold", 0, len(one.name))
    yield line
    yield lines(one.does, width, "    ")


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
            line = lines(f"{name}: {whole}", width, hang="  ")
            line.stylize("bold", 0, len(name))
            yield line
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
            yield lines(f"No setting of {there.path} makes this form. The nearest:", width)
        yield lines(f"{there.call} = {short(there.rule)}", width, hang="    ")
        if there.note:
            note = lines(there.note, width, "    ")
            note.stylize("dim")
            yield note
    live = [there for there in elsewhere if there.framework != "optax"]
    example = live[-1].example + ", or talweg.convert(optimizer)" if live else elsewhere[0].example
    yield Text()
    yield lines(f"Other settings: {example}", width, hang="    ")
