"""Named collections: what the command line offers, documentation lists and the laws test."""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from talweg.core.errors import choose

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Things by name, in the order they were added.

    Args:
        what: What one entry is, such as ``"rule"``; it appears in error messages.
        more: Where a user finds the full list, such as ``"talweg list rules"``.
    """

    def __init__(self, what: str, more: str = "") -> None:
        self.what = what
        self._more = more
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> T:
        """Adds an entry under a new name and returns it."""
        assert name not in self._entries, f"{self.what} {name!r} is registered twice"
        self._entries[name] = entry
        return entry

    def __getitem__(self, name: str) -> T:
        """The entry of that name, or a UserError that names the nearest one.

        ``_`` is as good as ``-``.
        """
        if isinstance(name, str) and name not in self._entries:  # pyright: ignore[reportUnnecessaryIsInstance]
            name = name.replace("_", "-")
        if name not in self._entries:
            raise choose(self.what, name, self._entries, self._more)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
