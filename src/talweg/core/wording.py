"""Words for notes and messages."""

import math
from collections.abc import Sequence


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun.

    >>> counted(1, "row"), counted(3000, "row"), counted(2, "class", "classes")
    ('1 row', '3,000 rows', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def a_number(above: float = -math.inf, at_least: float = -math.inf, below: float = math.inf) -> str:
    """What a number within bounds is called.

    >>> a_number(), a_number(above=0), a_number(at_least=0, below=1)
    ('a number', 'a positive number', 'a number of at least 0 and below 1')
    """
    bounds = [f"above {above:g}"] if above > -math.inf else []
    bounds += [f"of at least {at_least:g}"] if at_least > -math.inf else []
    bounds += [f"below {below:g}"] if below < math.inf else []
    words = f"a number {' and '.join(bounds)}".rstrip()
    return "a positive number" if words == "a number above 0" else words


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
