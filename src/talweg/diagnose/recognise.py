"""What a forward pass is made of, told from outside: by classes, and by values."""

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from torch import Tensor, nn

from talweg.activations import ACTIVATIONS, Elementwise

FEW = 512
"""Values that are compared."""
ALIKE = 1e-3
"""How far a value may be off, as a share of the largest: of reduced precision as well."""


def activation_of(module: nn.Module) -> str:
    """The registered name of the activation that a module is; empty if it is none of them.

    >>> activation_of(nn.ReLU()), activation_of(nn.Linear(1, 1))
    ('relu', '')
    """
    if isinstance(module, nn.GELU):
        return "gelu" if module.approximate == "none" else "gelu-tanh"
    key = module.function if isinstance(module, Elementwise) else type(module)
    return _known().get(key, "")


def activation_between(before: Tensor, after: Tensor) -> str:
    """The registered name of the activation that makes one tensor of another; empty if none does.

    Told by a few of the values, which must lie on both sides of 0.

    Args:
        before: Its inputs.
        after: Its outputs.

    >>> import torch
    >>> x = torch.randn(8, 4)
    >>> activation_between(x, x.relu()), activation_between(x, 3 * x)
    ('relu', '')
    """
    if before.shape != after.shape or not before.is_floating_point():
        return ""
    every = max(before.numel() // FEW, 1)
    given, found = (
        each.detach().reshape(-1)[::every][:FEW].double().cpu() for each in (before, after)
    )
    if not (bool((given < 0).any()) and bool((given > 0).any()) and bool(found.isfinite().all())):
        return ""
    off = {name: float((f(given) - found).abs().max()) for name, f in _elementwise().items()}
    closest = min(off, key=lambda name: off[name])
    return closest if off[closest] <= ALIKE * float(found.abs().max()) else ""


@cache
def _known() -> dict[object, str]:
    """What an activation is known by, a module's class or a function → its name."""
    found: dict[object, str] = {
        nn.Mish: "mish",
        nn.Softsign: "softsign",
        nn.Hardsigmoid: "hard-sigmoid",
        nn.Hardswish: "hard-swish",
        nn.RReLU: "rrelu",
        nn.ReLU6: "relu6",
    }
    for name, entry in ACTIVATIONS.items():
        if not entry.is_layer and name != "identity":
            module = entry.make()
            found[module.function if isinstance(module, Elementwise) else type(module)] = name
    return found


@cache
def _elementwise() -> dict[str, nn.Module]:
    """Activations that draw nothing and learn nothing, and that training goes through."""
    made = {
        name: entry.make().double().eval()
        for name, entry in ACTIVATIONS.items()
        if not entry.is_layer and name not in ("identity", "rrelu", "binary-step")
    }
    return {name: module for name, module in made.items() if not list(module.parameters())}


def is_same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same numbers in memory, in whatever shape."""
    return one is other or (
        one.numel() == other.numel()
        and one.dtype == other.dtype
        and one.device == other.device
        and one.data_ptr() == other.data_ptr()
    )


def first_tensor(value: object) -> Tensor | None:
    """The first tensor of real numbers in what a module was given or gave; None if there is none.

    >>> import torch
    >>> first_tensor((None, {"mask": torch.ones(1).bool(), "x": torch.ones(2)}))
    tensor([1., 1.])
    """
    if isinstance(value, Tensor):
        return value if value.is_floating_point() else None
    inside: Any = ()
    if isinstance(value, Mapping):
        inside = cast(Mapping[object, object], value).values()
    elif isinstance(value, (tuple, list)):
        inside = cast(list[object], value)
    return next((found for each in inside if (found := first_tensor(each)) is not None), None)


def batch_size(given: object) -> int:
    """How many samples a model was given; 0 if that is not known.

    >>> import torch
    >>> batch_size(((), {"ids": torch.ones(5, 2).int()}))
    5
    """
    if isinstance(given, Tensor):
        return len(given) if given.dim() else 0
    inside: Any = ()
    if isinstance(given, Mapping):
        inside = cast(Mapping[object, object], given).values()
    elif isinstance(given, (tuple, list)):
        inside = cast(list[object], given)
    return next((size for each in inside if (size := batch_size(each))), 0)
