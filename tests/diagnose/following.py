"""A forward pass that is followed, and models to follow."""

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from talweg.diagnose.measures import Activity
from talweg.diagnose.trace import Trace


class Listening:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.activities: dict[str, list[Activity]] = {}
        self.grads: dict[str, list[Tensor]] = {}

    def activity(self, layer: str, activity: Activity) -> None:
        self.activities.setdefault(layer, []).append(activity)

    def backward(self, layer: str, grad: Tensor) -> None:
        self.grads.setdefault(layer, []).append(grad)


def raises(error: Exception) -> None:
    raise error


def followed(model: nn.Module, *inputs: Any, times: int = 1) -> tuple[Trace, Listening]:
    """A pass and its gradient."""
    torch.manual_seed(0)
    listening = Listening()
    trace = Trace(model, listening, raises)
    trace.attach()
    for _ in range(times):
        given = model(*inputs)
        loss = sum(value.square().sum() for value in flat(given))
        loss.backward()
    trace.detach()
    return trace, listening


def flat(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value.abs() if value.is_complex() else value] if value.requires_grad else []
    inside = value.values() if isinstance(value, dict) else value
    if isinstance(value, Sample):
        inside = [value.x]
    return [found for each in (inside or []) for found in flat(each)]


@dataclass
class Sample:
    """What a module may give."""

    note: str
    x: Tensor


Pair = namedtuple("Pair", ["mask", "x"])


class Lambda(nn.Module):
    """Layers and a forward pass over them."""

    def __init__(self, forward: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._as = forward

    def forward(self, *args: Any) -> Any:
        return self._as(self, *args)


class Unknown(nn.Module):
    """An activation that is nobody's class."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)
