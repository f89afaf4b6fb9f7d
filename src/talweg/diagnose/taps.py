"""Hooks on modules, which go with no copy of them."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeAlias

from torch import nn

Tell: TypeAlias = Callable[[nn.Module, Any, Any], None]
"""Told of a call: the module, its ``args``, and its ``kwargs`` or what it gives."""


class Tap:
    """A hook of one module. In a copy of it, or a file, there is one of Python that does nothing.

    Args:
        module: Whose calls are told.
        tell: Told of them, as a hook is.
    """

    def __init__(self, module: nn.Module, tell: Tell) -> None:
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


class Pair:
    """Two hooks of one module, before and after its calls, that come and go many times.

    To put them back takes a small part of the time of torch's own functions, which make them.

    Args:
        module: Whose calls are told.
        before: Told of ``args`` and ``kwargs``.
        after: Told of ``args`` and what it gives.
    """

    def __init__(self, module: nn.Module, before: Tell, after: Tell) -> None:
        self._module = module
        self._hooks = Tap(module, before), Tap(module, after)
        handles = (
            module.register_forward_pre_hook(self._hooks[0], with_kwargs=True),
            module.register_forward_hook(self._hooks[1]),
        )
        self._keys = handles[0].id, handles[1].id
        self.remove()

    def put(self) -> None:
        """Tells of calls from now on."""
        own, (first, second) = self._module, self._keys
        own._forward_pre_hooks[first], own._forward_hooks[second] = self._hooks  # pyright: ignore[reportPrivateUsage]
        own._forward_pre_hooks_with_kwargs[first] = True  # pyright: ignore[reportPrivateUsage]

    def remove(self) -> None:
        """Tells of none."""
        own, (first, second) = self._module, self._keys
        own._forward_pre_hooks.pop(first, None)  # pyright: ignore[reportPrivateUsage]
        own._forward_pre_hooks_with_kwargs.pop(first, None)  # pyright: ignore[reportPrivateUsage]
        own._forward_hooks.pop(second, None)  # pyright: ignore[reportPrivateUsage]
