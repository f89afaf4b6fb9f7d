"""Hooks on modules, which go with no copy of them."""

from collections.abc import Callable
from typing import Any

from torch import nn


class Tap:
    """A hook of one module. A copy of the module, or a file that it is written to, has none.

    Args:
        module: Whose calls are told.
        tell: Told of them, as a hook is.
    """

    def __init__(self, module: nn.Module, tell: Callable[..., None]) -> None:
        self._module = module
        self._tell = tell

    def __call__(self, module: nn.Module, *given: Any) -> None:
        """A call."""
        if module is self._module:
            self._tell(module, *given)

    def __deepcopy__(self, memo: object) -> "Tap":
        """What stands in its place in a copy."""
        return _silent()

    def __reduce__(self) -> Any:
        """What is written in its place."""
        return _silent, ()


def _silent() -> Tap:
    return Tap(nn.Module(), _nothing)


def _nothing(*_: object) -> None: ...
