"""What a forward pass is made of, told from outside: by classes, and by values."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from talweg.activations import ACTIVATIONS, Elementwise

_functorch: Any = getattr(torch._C, "_functorch", None)  # pyright: ignore[reportPrivateUsage]
_is_wrapped: Any = getattr(_functorch, "is_functorch_wrapped_tensor", lambda _: False)
FEW = 512
"""Values that are compared."""
ALIKE = 1e-3
"""How far a value may be off, as a share of the largest; in reduced precision more."""


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
    off = {name: float((f(given) - found).abs().max()) for name, f in elementwise().items()}
    closest = min(off, key=lambda name: off[name])
    alike = max(ALIKE, 2 * torch.finfo(before.dtype).eps)
    return closest if off[closest] <= alike * float(found.abs().max()) else ""


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
def elementwise() -> dict[str, nn.Module]:
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


def first_tensor(value: object, *, or_batched: bool = False) -> Tensor | None:
    """The first tensor of real numbers in what a module was given or gave; None if there is none.

    Args:
        value: What a module was given or gave.
        or_batched: Whether those of `torch.func`, such as `vmap` makes, count.

    >>> import torch
    >>> first_tensor((None, {"mask": torch.ones(1).bool(), "x": torch.ones(2)}))
    tensor([1., 1.])
    """
    first: Any = value
    while type(first) is tuple and first:
        first = first[0]
    if type(first) is Tensor and first.is_floating_point() and _is_plain(first, or_batched):
        return first
    return next(tensors(value, or_batched=or_batched), None)


def tensors(value: object, *, or_batched: bool = False) -> Iterator[Tensor]:
    """The tensors of real numbers in a value: in tuples, lists, mappings and dataclasses.

    Those that hold no numbers of their own are left out: of `torch.func`, fake, nested, sparse.

    Args:
        value: What a module was given or gave.
        or_batched: Whether those of `torch.func` count all the same.
    """
    if isinstance(value, Tensor):
        if value.is_floating_point() and _is_plain(value, or_batched):
            yield value
        return
    inside: Any = ()
    if isinstance(value, Mapping):
        inside = cast(Mapping[object, object], value).values()
    elif isinstance(value, (tuple, list)):
        inside = cast(list[object], value)
    elif is_dataclass(value) and not isinstance(value, type):
        inside = [getattr(value, field.name, None) for field in fields(value)]
    for each in inside:
        yield from tensors(each, or_batched=or_batched)


def _is_plain(value: Tensor, or_batched: bool) -> bool:
    if type(value) not in (Tensor, nn.Parameter):
        return False
    if value.layout != torch.strided or value.is_nested or value.is_meta:
        return False
    return or_batched or not _is_wrapped(value)


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
