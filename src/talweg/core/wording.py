"""Words for notes and messages."""

from collections.abc import Sequence


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun.

    >>> counted(1, "row"), counted(3000, "row"), counted(2, "class", "classes")
    ('1 row', '3,000 rows', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listing(names: Sequence[object], limit: int = 5) -> str:
    """The first few of many names.

    >>> listing("abcdefg", limit=3)
    'a, b, c, …'
    """
    shown = ", ".join(str(name) for name in names[:limit])
    return f"{shown}, …" if len(names) > limit else shown


def first_line(error: BaseException, limit: int = 200) -> str:
    r"""The first line of an error's text, or its class if it has none.

    >>> first_line(ValueError("bad\nvery bad")), first_line(KeyError())
    ('bad', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0][:limit]
