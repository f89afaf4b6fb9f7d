"""Small pieces of HTML, with every text escaped once, here."""

import json
import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

__all__ = ["escape", "json_block", "listing", "number_table", "pairs", "plain"]


def pairs(entries: Iterable[tuple[str, str]]) -> str:
    """A description list of plain texts; entries without a text are left out."""
    inside = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>"
        for name, text in entries
        if text
    )
    return f'<dl class="pairs">{inside}</dl>'


def listing(lines: Iterable[str], kind: str = "") -> str:
    """An unordered list of plain texts."""
    inside = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<ul class="{kind}">{inside}</ul>' if inside else ""


def number_table(
    caption: str, headers: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1
) -> str:
    """A table of plain texts that scrolls inside its own box.

    Args:
        caption: What the table holds, for screen readers.
        headers: One per column.
        rows: Cells; the first of each row is its header.
        texts: How many columns, from the left, hold words and not numbers.
    """
    kinds = ["" if column < texts else ' class="number"' for column in range(len(headers))]
    head = "".join(
        f'<th scope="col"{kind}>{escape(text)}</th>'
        for text, kind in zip(headers, kinds, strict=True)
    )
    body = "".join(
        f'<tr><th scope="row"{kinds[0]}>{escape(row[0])}</th>'
        + "".join(
            f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row[1:], kinds[1:], strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table class="numbers"><caption class="unseen">{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def json_block(value: Any) -> str:
    """JSON that can stand inside a script element, whatever the texts in it say."""
    text = json.dumps(plain(value), allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def plain(value: Any) -> Any:
    """The same value with numbers that JSON has no word for as None."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
