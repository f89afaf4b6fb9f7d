"""Files that are there whole or not at all."""

import errno
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import IO

from talweg.core.errors import UserError


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes a file under a temporary name, flushes it to the disk and renames it.

    Args:
        path: The file to write or replace; a device or a pipe is written to as it is.
        write: Given the open binary file.
    """
    if _is_no_file(path):
        with path.open("wb") as file:
            write(file)
        return
    temporary = _beside(path)
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


def _is_no_file(path: Path) -> bool:
    """Whether something is there that a file must not replace."""
    return path.exists() and not path.is_file()


def _beside(path: Path) -> Path:
    """The temporary name of a file."""
    return path.with_name(f".{path.name}.{os.getpid()}")


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
    where = as_path("a file's place", path)
    with writing(where):
        write_atomically(where, lambda file: file.write(content))
    return where


def check_place(path: str | os.PathLike[str]) -> None:
    """Complains of a place that cannot be written, before there is anything to write.

    Args:
        path: The file that is to be written or replaced; it stays as it is.

    Raises:
        UserError: If it is no path, or cannot be written.
    """
    where = as_path("a file's place", path)
    with writing(where):
        if where.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not _is_no_file(where):
            _beside(where).touch()
            _beside(where).unlink()


def as_path(what: str, given: str | os.PathLike[str]) -> Path:
    """What a user gave for a path.

    Args:
        what: What it is the path of.
        given: What was given.

    Raises:
        UserError: If it is none.
    """
    if not isinstance(given, (str, os.PathLike)) or given == "":  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"{what} is a path, got {given!r}")
    return Path(given)


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Inside, a place that cannot be written is told as bad input is.

    Raises:
        UserError: Naming the place and what is wrong with it.
    """
    try:
        yield
    except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot write {str(path)!r}: {reason.lower()}") from error


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
