"""A forward pass, followed through a model's modules."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from talweg.diagnose.measures import Activity
from talweg.diagnose.moment import Layer
from talweg.diagnose.recognise import activation_between, activation_of, first_tensor, is_same
from talweg.diagnose.taps import Tap

CHANNELS_FIRST = (
    nn.modules.conv._ConvNd,  # pyright: ignore[reportPrivateUsage]
    nn.modules.batchnorm._NormBase,  # pyright: ignore[reportPrivateUsage]
    nn.GroupNorm,
)
MULTIPLYING = (nn.Linear, nn.modules.conv._ConvNd)  # pyright: ignore[reportPrivateUsage]
"""Linear maps, of which two in a row are one."""
RECURRENT = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}
"""The activation that a recurrent layer's outputs went through."""


class Listener(Protocol):
    """Who is told what comes by."""

    def activity(self, layer: str, activity: Activity) -> None:
        """Told of what a layer's units gave in a pass."""
        ...

    def backward(self, layer: str, grad: Tensor) -> None:
        """Told of the loss's gradient in a layer's outputs."""
        ...


@dataclass
class _Last:
    """What a forward pass came by last.

    Attributes:
        layer: The last module with parameters; empty before the first.
        given: What it gave.
        tensor: What the last module of any kind gave.
        version: How often that had been changed in place by then.
        is_counted: Whether what the layer's units gave after their activation was told.
    """

    layer: str = ""
    given: Tensor | None = None
    tensor: Tensor | None = None
    version: int = 0
    is_counted: bool = True


class Trace:
    """Follows forward passes through a model: which layers there are, and what their units give.

    A layer is a module with parameters of its own. What its units give is what the activation
    after it gives: a module, or a function that is recognised by its values in the first pass. A
    model of modules that are not known is followed through their inputs and outputs. Passes that
    nothing is learned from, in evaluation or without gradients, are not followed.

    Args:
        model: The model.
        listener: Told what comes by.
        fail: Told if that cannot be done.

    Attributes:
        seconds: The time it took.
        outputs: What the last layer gave in the last pass that is followed.
    """

    def __init__(
        self, model: nn.Module, listener: Listener, fail: Callable[[Exception], None]
    ) -> None:
        self._model = model
        self._listener = listener
        self._fail = fail
        self._modules = {
            called(name, model): module
            for name, module in model.named_modules()
            if is_followed(module)
        }
        self._functions: dict[tuple[str, str], str] = {}
        self._found: dict[str, Layer] = {}
        self._last = _Last()
        self._first = ""
        self._handles: list[RemovableHandle] = []
        self._is_aside = False
        self.seconds = 0.0
        self.outputs: Tensor | None = None

    @property
    def layers(self) -> list[Layer]:
        """The layers that were come by, in the order of the first pass."""
        return list(self._found.values())

    def attach(self) -> None:
        """Follows passes from now on."""
        if not self._handles:
            for name, module in self._modules.items():
                before, after = self._hooks(name)
                self._handles += [
                    module.register_forward_pre_hook(before, with_kwargs=True),
                    module.register_forward_hook(after),
                ]

    def detach(self) -> None:
        """Follows them no more."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._last, self.outputs = _Last(), None

    @contextmanager
    def attached(self) -> Generator[None]:
        """Follows a pass that is made inside, in whatever mode."""
        self._is_aside, self._first = True, ""
        self.attach()
        try:
            yield
        finally:
            self.detach()
            self._is_aside = False

    def _hooks(self, name: str) -> tuple[Callable[..., None], Callable[..., None]]:
        def before(module: nn.Module, args: Any, kwargs: Any) -> None:
            self._beside(self._enter, name, module, args if args else kwargs)

        def after(module: nn.Module, _: Any, given: Any) -> None:
            self._beside(self._leave, name, module, given)

        return Tap(self._modules[name], before), Tap(self._modules[name], after)

    def _beside(
        self, do: Callable[[str, nn.Module, Tensor], None], name: str, module: nn.Module, given: Any
    ) -> None:
        is_learned = self._model.training and torch.is_grad_enabled()
        if not (is_learned or self._is_aside) or torch.compiler.is_compiling():
            return
        began = time.perf_counter()
        try:
            found = first_tensor(given)
            if found is not None:
                do(name, module, found)
            elif do == self._leave:
                self._last.is_counted = True
        except Exception as error:
            self._fail(error)
        self.seconds += time.perf_counter() - began

    def _enter(self, name: str, module: nn.Module, given: Tensor) -> None:
        """A module is called."""
        if not self._first or name == self._first:
            self._first, self._last = name, _Last()
        last = self._last
        if last.is_counted or last.tensor is None:
            return
        is_layer = _has_parameters(module)
        if not is_same(given, last.tensor) or last.tensor._version != last.version:
            function = self._between(name, given)
            if function or is_layer:
                self._count(given, function)
        elif is_layer and name not in self._found:
            before = self._modules[last.layer]
            if isinstance(before, MULTIPLYING) and isinstance(module, MULTIPLYING):
                self._found[name] = Layer(name, "", straight_from=last.layer)

    def _leave(self, name: str, module: nn.Module, given: Tensor) -> None:
        """A module has given something."""
        last = self._last
        activation = activation_of(module)
        if activation:
            if not last.is_counted:
                self._count(given, activation)
        elif not last.is_counted and self._is_own(module, given):
            self._count(given, self._between(name, given))
        elif _has_parameters(module):
            self._note(name, module, given)
            last.layer, last.given, last.is_counted = name, given, False
            if isinstance(module, nn.RNNBase):
                self._count(given, RECURRENT.get(module.mode, ""))
            if given.requires_grad:
                given.register_hook(self._backward_hook(name))
                self.outputs = given.detach()
        last.tensor, last.version = given, given._version

    def _between(self, name: str, given: Tensor) -> str:
        """The activation that made a tensor of what the last layer gave."""
        key = (self._last.layer, name)
        if key not in self._functions:
            assert self._last.given is not None
            self._functions[key] = activation_between(self._last.given, given)
        return self._functions[key]

    def _is_own(self, module: nn.Module, given: Tensor) -> bool:
        """Whether a module is a user's activation: torch's own are known, or are no activation."""
        before = self._last.tensor
        return (
            not type(module).__module__.startswith("torch.nn.")
            and not any(True for _ in module.parameters())
            and before is not None
            and before.shape == given.shape
            and not is_same(given, before)
        )

    def _backward_hook(self, name: str) -> Callable[[Tensor], None]:
        def hook(grad: Tensor) -> None:
            began = time.perf_counter()
            try:
                self._listener.backward(name, grad.detach())
            except Exception as error:
                self._fail(error)
            self.seconds += time.perf_counter() - began

        return hook

    def _note(self, name: str, module: nn.Module, given: Tensor) -> None:
        """Notes a layer, when it is come by for the first time."""
        known = self._found.get(name)
        if known is None or not known.kind:
            straight = known.straight_from if known else ""
            self._found[name] = replace(_layer(name, module, given), straight_from=straight)

    def _count(self, values: Tensor, activation: str) -> None:
        last = self._last
        layer = self._found[last.layer]
        if activation and not layer.activation:
            self._found[last.layer] = replace(layer, activation=activation)
        last.is_counted = True
        if values.dim() > 1 and values.numel():
            dim = 1 if isinstance(self._modules[last.layer], CHANNELS_FIRST) else values.dim() - 1
            self._listener.activity(last.layer, Activity(values.detach(), dim, activation))


def called(name: str, model: nn.Module) -> str:
    """What a module is called: its path, or its class where it is the whole model."""
    return name or type(model).__name__


def is_followed(module: nn.Module) -> bool:
    """Whether a module does something of its own, and is not only what holds others."""
    return _has_parameters(module) or not any(True for _ in module.children())


def _has_parameters(module: nn.Module) -> bool:
    return any(value is not None for value in module._parameters.values())  # pyright: ignore[reportPrivateUsage, reportUnnecessaryComparison]


def _layer(name: str, module: nn.Module, given: Tensor) -> Layer:
    own = {key: value for key, value in module.named_parameters(recurse=False) if value.dim() > 1}
    first = next(iter(own), "")
    dim = 1 if isinstance(module, CHANNELS_FIRST) and given.dim() > 1 else -1
    return Layer(
        name,
        type(module).__name__,
        weight=first,
        units=given.shape[dim] if given.dim() else 1,
        inputs=own[first].shape[1] if first else 0,
    )
