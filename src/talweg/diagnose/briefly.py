"""Names of layers where there is little room."""

from collections.abc import Sequence

NAMED = 24
"""Characters of a layer's name that are shown."""


def brief(name: str, room: int = NAMED) -> str:
    """A layer's path that fits: its longest words are cut, its numbers stay.

    Args:
        name: The path.
        room: Characters.

    >>> brief("transformer.11.attention", 16), brief("layers.0")
    ('transf.11.attent', 'layers.0')
    """
    parts = name.split(".")
    while len(".".join(parts)) > room and max(map(len, parts)) > 3:
        longest = max(range(len(parts)), key=lambda place: len(parts[place]))
        parts[longest] = parts[longest][:-1]
    short = ".".join(parts)
    return short if len(short) <= room else f"…{short[1 - room :]}"


def shortened(names: Sequence[str], room: int) -> list[str]:
    """Names that fit: the first and the last ones, and an empty one for those between.

    >>> shortened("abcdefgh", 5)
    ['a', 'b', '', 'g', 'h']
    """
    if len(names) <= room:
        return list(names)
    last = (room - 1) // 2
    return [*names[: room - 1 - last], "", *names[len(names) - last :]]
