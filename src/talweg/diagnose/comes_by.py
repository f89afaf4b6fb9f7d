"""What a forward pass comes by."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from talweg.diagnose.between import applied
from talweg.diagnose.measures import Activity


@dataclass(frozen=True)
class Site:
    """Where what a layer's units give, after their activation, comes by in a forward pass.

    Attributes:
        layer: The layer.
        module: The module that is given it, or gives it.
        is_given: Whether it is the module's input, and not what it gives.
        is_applied: Whether the activation is to be applied to it yet.
        call: Which of the module's calls in a pass it is, from 0.
        dim: The dimension along which units lie.
        activation: The activation's registered name; empty if it is not known.
        view: The shape that a sample is brought to; empty if it has it.
    """

    layer: str
    module: str
    is_given: bool = False
    is_applied: bool = False
    call: int = 0
    dim: int = 1
    activation: str = ""
    view: tuple[int, ...] = ()

    def seen(self, values: Tensor) -> Tensor:
        """What the layer's units give, of the tensor that comes by."""
        viewed = values.reshape(len(values), *self.view) if self.view else values
        return applied(self.activation, viewed) if self.is_applied else viewed


class Listener(Protocol):
    """Who is told what comes by."""

    def activity(self, layer: str, activity: Activity) -> None:
        """Told of what a layer's units gave in a pass."""
        ...

    def backward(self, layer: str, grad: Tensor) -> None:
        """Told of the loss's gradient in a layer's outputs."""
        ...


@dataclass
class Last:
    """What a forward pass came by last.

    Attributes:
        layer: The last module with parameters; empty before the first.
        given: What it gave.
        node: Autograd's node of that.
        given_version: How often that had been changed in place by then.
        tensor: What the last module of any kind gave.
        version: How often that had been changed in place by then.
        is_counted: Whether what the layer's units gave after their activation was told.
        is_straight: Whether only linear modules came after the layer.
        is_met: Whether the module that was called last was given what is made of the layer's.
    """

    layer: str = ""
    given: Tensor | None = None
    node: Any = None
    given_version: int = 0
    tensor: Tensor | None = None
    version: int = 0
    is_counted: bool = True
    is_straight: bool = True
    is_met: bool = True
