"""Models in what compiles them or spreads them over processes."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from talweg.diagnose.taps import Tap

WRAPPERS = ("_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module")
"""What torch's wrappers call the module that they hold."""


def plain(model: nn.Module) -> nn.Module:
    """A model without what compiles it or spreads it over processes.

    >>> model = nn.Linear(1, 1)
    >>> plain(nn.DataParallel(model)) is model
    True
    """
    while True:
        inner = _as_written(model)
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def plain_name(name: str) -> str:
    """A module's or parameter's name without the names of such wrappers.

    >>> plain_name("net._orig_mod.0.weight")
    'net.0.weight'
    """
    if not any(wrapper in name for wrapper in WRAPPERS):
        return name
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def is_compiled(module: nn.Module) -> bool:
    """Whether a module itself is compiled."""
    return _as_written(module) is not None or own_call(module) is not None


def _as_written(module: nn.Module) -> nn.Module | None:
    """What a module holds that compiles it; not by its attribute, which others may hand on."""
    held = module._modules  # pyright: ignore[reportPrivateUsage]
    return held["_orig_mod"] if "_orig_mod" in held else None  # noqa: SIM401 - TorchScript has none


def own_call(module: nn.Module) -> Callable[..., Any] | None:
    """What is called in a module's place after ``module.compile()``; None before."""
    return getattr(module, "_compiled_call_impl", None)


class _Compiled:
    """What is called in the place of a module that was compiled in place: it tells first.

    Hooks of such a module would be compiled with it. Nothing of it is copied or written: the
    module leaves what it compiled out of copies and files.
    """

    def __init__(self, module: nn.Module, tell: Callable[..., None]) -> None:
        self._module = module
        self._call = own_call(module)
        self._tell = tell
        module._compiled_call_impl = self  # pyright: ignore[reportPrivateUsage]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._tell(self._module, args, kwargs)
        assert self._call is not None
        return self._call(*args, **kwargs)

    def remove(self) -> None:
        """Puts back what was there."""
        if own_call(self._module) is self:
            self._module._compiled_call_impl = self._call  # pyright: ignore[reportPrivateUsage]


def is_script(module: nn.Module) -> bool:
    """Whether a module is in TorchScript, which takes no hooks."""
    return isinstance(module, torch.jit.ScriptModule)


def on_call(module: nn.Module, tell: Callable[..., None]) -> "RemovableHandle | _Compiled":
    """Tells of a module's calls, also where it is compiled: the module, ``args``, ``kwargs``.

    Nothing is told of one in TorchScript.
    """
    if is_script(module):
        return RemovableHandle(OrderedDict())
    if own_call(module) is not None:
        return _Compiled(module, tell)
    return module.register_forward_pre_hook(Tap(module, tell), with_kwargs=True, prepend=True)
