"""What a model was given, so that it can be evaluated once more beside the run."""

import random
import threading
import warnings
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.amp.autocast_mode import is_autocast_available

from talweg.diagnose.wrappers import is_compiled, on_call, plain

Call: TypeAlias = tuple[nn.Module, tuple[Any, ...], dict[str, Any]]
"""A module, and the arguments of a call of it."""
FEW = 8
"""Calls that are remembered: a loss may be made of several."""


class Calls:
    """Remembers the last training calls of a model, or of its parts if it is called in parts.

    Args:
        model: The model.

    Attributes:
        kept: The calls that the last loss was made of, if they are kept.
        thread: The thread that called last; at first the one that begins to listen.
        is_cast_asked: Whether calls are asked what their operations are cast to: at first, and at
            measured steps.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._is_beside = False
        self._device = next((value.device.type for value in model.parameters()), "cpu")
        self._may_cast = is_autocast_available(self._device)
        self._autocast: torch.dtype | None = None
        self.is_cast_asked = True
        self.kept: list[Call] = []
        self.thread = threading.get_ident()
        self._calls: deque[Call] = deque(maxlen=FEW)
        self._of_parts = ExitStack()
        self._has_parts = False
        self._closing = ExitStack()

    def attach(self) -> None:
        """Remembers calls from now on."""
        self.thread = threading.get_ident()
        self._closing.callback(on_call(self._model, self._note).remove)
        inner = plain(self._model)
        if self._model is inner and not is_compiled(inner):
            for part in _parts(inner):
                self._of_parts.callback(on_call(part, self._note).remove)
                self._has_parts = True

    def detach(self) -> None:
        """Remembers none any more."""
        self._of_parts.close()
        self._closing.close()
        self._calls.clear()
        self.kept = []

    @contextmanager
    def looking(self) -> Generator[None]:
        """Inside, the model is called by those who look, and no call is remembered."""
        self._is_beside = True
        try:
            yield
        finally:
            self._is_beside = False

    @contextmanager
    def calling(self) -> Generator[None]:
        """As `looking`, with the autocast that the last call was made in that was asked."""
        cast = torch.autocast(self._device, self._autocast) if self._autocast else nullcontext()
        with self.looking(), cast:
            yield

    def forget(self) -> None:
        """They are over: a loss was differentiated that was made of them."""
        if not self._calls and not self.kept:
            return
        self.kept = []
        self._calls.clear()

    def keep(self) -> None:
        """They are over, and will be asked for at the end of the step."""
        kept = self.last
        self.forget()
        self.kept = kept

    @property
    def _is_whole(self) -> bool:
        return any(module is self._model for module, _, _ in self._calls)

    @property
    def last(self) -> list[Call]:
        """The calls since the last loss: of the model, or of its parts if it was not called."""
        whole = plain(self._model), self._is_whole
        return [
            (whole[0] if module is self._model else module, args, kwargs)
            for module, args, kwargs in self._calls
            if module is self._model or not whole[1]
        ]

    def _note(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        is_learned = self._model.training and torch.is_grad_enabled()
        if is_learned and not self._is_beside and not torch.compiler.is_compiling():
            if self._has_parts and module is self._model:
                self._of_parts.close()
                self._has_parts = False
            self.thread = threading.get_ident()
            if self.is_cast_asked and self._may_cast:
                self._autocast = autocast_of(self._device)
            self._calls.append((module, args, kwargs))


def autocast_of(device: str) -> torch.dtype | None:
    """What operations are cast to on a kind of device; None outside of autocast."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None


def _parts(model: nn.Module) -> list[nn.Module]:
    """The modules that a model calls, or others in its place: not lists of modules."""
    found: list[nn.Module] = []
    for part in model.children():
        is_list = isinstance(part, (nn.ModuleList, nn.ModuleDict))
        found += _parts(part) if is_list else [part]
    return found


@contextmanager
def aside(model: nn.Module) -> Generator[None]:
    """Inside, a model can be evaluated and nobody notices: no gradient, buffers and draws put back.

    What is compiled runs as it was written.

    Args:
        model: The model.
    """
    held = [(value, value.detach().clone()) for value in model.buffers()]
    drawn = random.getstate(), np.random.get_state()  # noqa: NPY002 - what models may draw from
    devices = list({value.device for value in model.parameters() if value.is_cuda})
    with ExitStack() as stack:
        stack.callback(random.setstate, drawn[0])
        stack.callback(np.random.set_state, drawn[1])
        stack.enter_context(torch.random.fork_rng(devices=devices))
        stack.enter_context(torch.no_grad())
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        if any(is_compiled(module) for module in model.modules()):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            yield
        finally:
            for value, before in held:
                # Not counted as a change: backward may still be to come.
                value.data.copy_(before)


def again(call: Call) -> Any:
    """Calls a module once more, with copies of what it was given."""
    module, args, kwargs = call
    return module(*_copied(args), **_copied(kwargs))


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if type(value) is dict:
        each = cast(Mapping[str, Any], value)
        return {key: _copied(inside) for key, inside in each.items()}
    if type(value) in (tuple, list):
        return type(value)(_copied(inside) for inside in value)
    return value
