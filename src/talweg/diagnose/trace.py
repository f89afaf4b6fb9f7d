"""A forward pass, followed through a model's modules."""

import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from talweg.diagnose.between import Source, applied, function_between, uses_of
from talweg.diagnose.comes_by import Last, Listener, Site
from talweg.diagnose.layers import (
    called,
    has_parameters,
    is_followed,
    is_linear,
    is_straight,
    layer_of,
    units_of,
)
from talweg.diagnose.measures import Activity
from talweg.diagnose.moment import Layer
from talweg.diagnose.recognise import activation_between, activation_of, first_tensor, is_same
from talweg.diagnose.taps import Pair
from talweg.diagnose.wrappers import is_script

RECURRENT = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}
"""The activation that a recurrent layer's outputs went through."""


class Trace:
    """Follows forward passes through a model: which layers there are, and what their units give.

    A layer is a module with parameters of its own. What its units give is what the activation
    after it gives: a module, or a function that is recognised in the first pass, by its values or
    by autograd's graph. A model of modules that are not known is followed through their inputs and
    outputs. Passes that nothing is learned from, in evaluation or without gradients, are not
    followed; nor is what checkpoints compute once more in the backward pass, unless it is the first
    time that gradients are taken of it.

    Args:
        model: The model.
        listener: Told what comes by.
        fail: Told if that cannot be done.

    Attributes:
        seconds: The time it took.
        is_back: Whether a gradient was taken since passes are followed.
        outputs: What the last layer gave in the pass whose gradient was taken first.
        sites: Layer → where what its units give comes by.
    """

    def __init__(
        self, model: nn.Module, listener: Listener, fail: Callable[[Exception], None]
    ) -> None:
        self._model = model
        self._listener = listener
        self._fail = fail
        self._modules: dict[str, nn.Module] = {}
        self._order: dict[str, None] = {}
        self._functions: dict[tuple[str, str], tuple[str, Source]] = {}
        self._found: dict[str, Layer] = {}
        self._last = Last()
        self._first = ""
        self._straight: dict[str, Any] = {}
        self._pairs: list[Pair] = []
        self._is_attached = False
        self._handles: list[RemovableHandle] = []
        self._is_aside = False
        self._followed: set[str] = set()
        self._calls: Counter[str] = Counter()
        self.sites: dict[str, Site] = {}
        self.is_back = False
        self.seconds = 0.0
        self.outputs: Tensor | None = None

    @property
    def layers(self) -> list[Layer]:
        """The layers that were come by, in the order of the first pass."""
        return [self._found[name] for name in self._order if name in self._found]

    @property
    def was_called(self) -> bool:
        """Whether any module was called while passes were followed."""
        return bool(self._order)

    def refresh(self) -> None:
        """Looks up the model's modules once more: they are others than before."""
        self.detach()
        self._modules = {
            called(name, self._model): module
            for name, module in self._model.named_modules()
            if is_followed(module) and not is_script(module)
        }
        self._pairs = [
            Pair(
                module,
                partial(self._beside, self._enter, name),
                partial(self._beside, self._leave, name),
            )
            for name, module in self._modules.items()
        ]

    def attach(self) -> None:
        """Follows passes from now on."""
        if self._is_attached:
            return
        if not self._pairs:
            self.refresh()
        self._followed.clear()
        self.outputs, self.is_back, self._is_attached = None, False, True
        for pair in self._pairs:
            pair.put()

    def look_back(self, loss: Tensor) -> None:
        """Layers are one linear map only where nothing else is made of what the first one gives.

        Args:
            loss: What was made of the pass, with its graph.
        """
        if not self._straight:
            return
        uses = uses_of(loss)
        for name, node in self._straight.items():
            if uses[node] > 1:
                self._found[name] = replace(self._found[name], straight_from="")
        self._straight.clear()

    def detach(self) -> None:
        """Follows them no more."""
        for each in (*self._pairs, *self._handles):
            each.remove()
        self._handles.clear()
        self._last, self._is_attached = Last(), False

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

    def _beside(
        self,
        do: Callable[[str, nn.Module, Any, Any], None],
        name: str,
        module: nn.Module,
        args: Any,
        other: Any,
    ) -> None:
        if torch.compiler.is_compiling():
            return
        self._order.setdefault(name)
        if torch.jit.is_tracing():  # pyright: ignore[reportPrivateImportUsage]
            return
        if not self._is_aside:
            if not (self._model.training and torch.is_grad_enabled()):
                return
            if name in self._followed and _is_in_backward():
                return
        began = time.perf_counter()
        try:
            do(name, module, args, other)
        except Exception as error:
            self._fail(error)
        if not self._is_aside:
            self.seconds += time.perf_counter() - began

    def _enter(self, name: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        """A module is called."""
        given = first_tensor((args, kwargs))
        if not self._first or name == self._first:
            self._first, self._last = name, Last()
            self._calls.clear()
        self._calls[name] += 1
        last = self._last
        last.is_met = True
        if last.is_counted or last.tensor is None or last.given is None or given is None:
            return
        is_layer = has_parameters(module) and not activation_of(module)
        if is_same(given, last.tensor) and last.tensor._version == last.version:
            if is_layer and last.is_straight and name not in self._found:
                before = self._modules[last.layer]
                if is_straight(before, module):
                    self._found[name] = Layer(name, "", straight_from=last.layer)
                    self._straight[name] = last.node
            return
        last.is_straight = False
        key = last.layer, name
        is_changed = last.given._version != last.given_version
        if key not in self._functions:
            self._functions[key] = function_between(last.given, last.node, is_changed, given)
        function, source = self._functions[key]
        last.is_met = source != "apart"
        if source in ("after", "before", "apply") and (function or is_layer):
            values = {"after": given, "before": last.given}.get(source)
            where = name if source == "after" else last.layer
            site = Site(last.layer, where, source == "after", is_applied=source == "apply")
            self._count(applied(function, last.given) if values is None else values, function, site)

    def _leave(self, name: str, module: nn.Module, _: Any, output: Any) -> None:
        """A module has given something."""
        given, last = first_tensor(output), self._last
        if given is None:
            self._last = Last() if has_parameters(module) else last
            return
        activation = activation_of(module)
        if activation:
            if not last.is_counted and last.is_met:
                self._count(given, activation, Site(last.layer, name))
        elif has_parameters(module):
            self._note(name, module, given)
            self._last = last = Last(name, given, given.grad_fn, given._version, is_counted=False)
            if isinstance(module, nn.RNNBase):
                self._count(given, RECURRENT.get(module.mode, ""), Site(name, name))
            if given.requires_grad and not self._is_aside:
                self._followed.add(name)
                self._handles.append(given.register_hook(self._backward_hook(name)))
                if not self.is_back:
                    self.outputs = given.detach()
        elif last.is_met and not last.is_counted and not is_linear(module):
            self._unknown(name, last, given)
        if last.is_met:
            last.tensor, last.version = given, given._version

    def _unknown(self, name: str, last: Last, given: Tensor) -> None:
        """A module without parameters that is not known has given something."""
        assert last.given is not None
        assert last.tensor is not None
        if is_same(given, last.tensor) and given._version == last.version:
            return
        key = last.layer, f"{name}()"
        if key not in self._functions:
            self._functions[key] = activation_between(last.given, given), "after"
        function, _ = self._functions[key]
        if function:
            self._count(given, function, Site(last.layer, name))
        last.is_straight = False

    def _backward_hook(self, name: str) -> Callable[[Tensor], None]:
        def hook(grad: Tensor) -> None:
            began = time.perf_counter()
            self.is_back = True
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
            self._found[name] = replace(layer_of(name, module, given), straight_from=straight)

    def _count(self, values: Tensor, activation: str, site: Site) -> None:
        last = self._last
        layer, given = self._found[last.layer], last.given
        assert given is not None
        if activation and not layer.activation:
            self._found[last.layer] = replace(layer, activation=activation)
        last.is_counted = True
        view: tuple[int, ...] = ()
        is_whole = values.is_contiguous() and values.numel() == given.numel()
        if values.shape != given.shape and is_whole:
            view = tuple(given.shape[1:])
            values = values.reshape(given.shape)
        if values.shape == given.shape:
            dim = units_of(self._modules[last.layer], values)
        else:
            dim = next((d for d, size in enumerate(values.shape) if size == layer.units), -1)
        if values.dim() > 1 and values.numel() and dim >= 0:
            if last.layer not in self.sites:
                call = self._calls[site.module] - 1
                found = replace(site, call=call, dim=dim, activation=activation, view=view)
                self.sites[last.layer] = found
            self._listener.activity(last.layer, Activity(values.detach(), dim, activation))


def _is_in_backward() -> bool:
    """Whether autograd runs, which calls what checkpoints compute once more."""
    task = getattr(torch._C, "_current_graph_task_id", None)  # pyright: ignore[reportPrivateUsage]
    return task is not None and task() != -1
