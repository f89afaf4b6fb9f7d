"""Files that are there whole or not at all."""

import os
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import IO

from talweg.core.errors import UserError


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes a file under a temporary name, flushes it to the disk and renames it.

    Args:
        path: The file to write or replace.
        write: Given the open binary file.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_page(path: str | os.PathLike[str], text: str) -> Path:
    """`write_file` of text."""
    return write_file(path, text.encode())


def write_file(path: str | os.PathLike[str], content: bytes) -> Path:
    """Writes a file where a user wants it.

    Args:
        path: The file to write or replace; its folder must exist.
        content: What it holds.

    Returns:
        The path.

    Raises:
        UserError: If it is no path, or cannot be written.
    """
    if not isinstance(path, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"a file's place is a path, got {path!r}")
    where = Path(path)
    try:
        write_atomically(where, lambda file: file.write(content))
    except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot write {str(where)!r}: {reason.lower()}") from error
    return where


PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body {{ margin: 0 auto; max-width: 1080px; background: #fcfbf8; }}</style>
</head>
<body>{body}</body>
</html>
"""


def page_around(title: str, body: str) -> str:
    """A picture as a page.

    Args:
        title: What a tab shows; plain text.
        body: HTML.
    """
    return PAGE.format(title=escape(title), body=body)
