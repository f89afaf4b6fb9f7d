"""Named collections: what the command line offers, documentation lists and the laws test."""

from collections.abc import Callable, Iterator, Mapping
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
        self._makers: dict[str, Callable[[], T]] = {}

    def add(self, name: str, entry: T) -> T:
        """Adds an entry under a new name and returns it."""
        self.add_made(name, lambda: entry)
        return entry

    def add_made(self, name: str, make: Callable[[], T]) -> None:
        """Adds an entry that is made when somebody asks for it, because that takes time."""
        assert name not in self._makers, f"{self.what} {name!r} is registered twice"
        self._makers[name] = make

    def __getitem__(self, name: str) -> T:
        """The entry of that name, or a UserError that names the nearest one.

        ``_`` is as good as ``-``.
        """
        is_name = isinstance(name, str)  # pyright: ignore[reportUnnecessaryIsInstance]
        if is_name and name not in self._makers:
            name = name.replace("_", "-")
        if not is_name or name not in self._makers:
            raise choose(self.what, name, self._makers, self._more)
        if name not in self._entries:
            self._entries[name] = self._makers[name]()
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)
