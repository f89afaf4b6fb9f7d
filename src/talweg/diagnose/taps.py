"""Hooks on modules, which go with no copy of them."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from torch import nn


class Tap:
    """A hook of one module. In a copy of it, or a file, there is one of Python that does nothing.

    Args:
        module: Whose calls are told.
        tell: Told of them, as a hook is.
    """

    def __init__(self, module: nn.Module, tell: Callable[..., None]) -> None:
        self._module = module
        self._tell = tell

    def __call__(self, module: nn.Module, args: Any, other: Any) -> None:
        """A call."""
        if module is self._module:
            self._tell(module, args, other)

    def __deepcopy__(self, memo: object) -> Callable[..., None]:
        """What stands in its place in a copy."""
        return nullcontext().__exit__

    def __reduce__(self) -> Any:
        """What is written in its place."""
        return getattr, (nullcontext(), "__exit__")
