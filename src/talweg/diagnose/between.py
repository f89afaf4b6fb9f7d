"""What lies between two layers and is no module: told by values, and by autograd's graph."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from talweg.diagnose.recognise import activation_between, elementwise

Source: TypeAlias = Literal["after", "before", "apply", "unseen", "apart"]
"""Where a layer's units are seen: in what the next module is given, in what the layer itself gave
(changed in place meanwhile), in the activation applied to that once more, or nowhere, as what the
next module is given is made of it in another way, or not made of it."""

ACTIVATIONS_BY_NODE = {
    "ReluBackward0": "relu",
    "SigmoidBackward0": "sigmoid",
    "TanhBackward0": "tanh",
    "GeluBackward0": "gelu",
    "SiluBackward0": "silu",
    "MishBackward0": "mish",
    "LeakyReluBackward0": "leaky-relu",
    "PreluKernelBackward0": "prelu",
    "RreluWithNoiseBackward0": "rrelu",
    "EluBackward0": "elu",
    "HardtanhBackward0": "hard-tanh",
    "HardsigmoidBackward0": "hard-sigmoid",
    "HardswishBackward0": "hard-swish",
    "SoftplusBackward0": "softplus",
}
"""What autograd calls the activations that are functions of torch."""
SHAPING = (
    *(
        "View",
        "ReshapeAlias",
        "UnsafeView",
        "Alias",
        "Transpose",
        "Permute",
        "Squeeze",
        "Unsqueeze",
    ),
    *("Clone", "ToCopy", "NativeDropout", "MaxPool", "AdaptiveMaxPool", "MulBackward0"),
)
"""What may stand before or behind an activation without changing which units are dead."""
ELEMENTWISE = ("Where", "Mul", "Pow", "Maximum", "Clamp", "Exp", "Div", "Abs", "Sub", "Neg", "Rsub")
"""What functions that are not known are made of; sums, products and norms mix units."""
FAR = 64
"""Nodes of the graph that are looked at."""


def function_between(
    before: Tensor, node: Any, is_changed: bool, after: Tensor
) -> tuple[str, Source]:
    """The activation between what a layer gave and what the next one is given, and where it shows.

    Args:
        before: What the layer gave.
        node: Its node in autograd's graph, as it was then.
        is_changed: Whether it has been changed in place since.
        after: What the next layer is given.

    >>> x = torch.randn(8, 4, requires_grad=True) * 1
    >>> function_between(x, x.grad_fn, False, x.tanh().view(4, 8))
    ('tanh', 'apply')
    """
    is_alike = before.shape == after.shape
    way = way_between(node, after.grad_fn)
    names = [_activation_of(each) for each in way or ()]
    if names and names[-1] and not any(names[:-1]) and is_alike:
        return names[-1], "after"
    known = "" if is_changed else activation_between(before, after)
    if known:
        return known, "after"
    if way is None:
        return "", "apart"
    if not any(names):
        return "", "after" if is_alike and _are(way, ELEMENTWISE) else "unseen"
    place = next(place for place, name in enumerate(names) if name)
    if not _are(way[:place], SHAPING):
        return "", "unseen"
    name = names[place]
    if is_changed:
        return name, "before"
    return (name, "apply") if name in elementwise() else ("", "unseen")


def way_between(start: Any, end: Any) -> list[Any] | None:
    """The nodes from one of autograd's graph (without it) to a later one; None if there is no way.

    Args:
        start: The earlier node.
        end: The later one.
    """
    if start is None or end is None:
        return None
    ways: list[list[Any]] = [[end]]
    seen = {end}
    while ways and len(seen) < FAR:
        way = ways.pop(0)
        for before, _ in way[-1].next_functions:
            if before is start:
                return way[::-1]
            if before is not None and before not in seen:
                seen.add(before)
                ways.append([*way, before])
    return None


def uses_of(loss: Tensor) -> Counter[Any]:
    """How often each node of a loss's graph is used by others.

    >>> x = torch.ones(1, requires_grad=True) * 2
    >>> uses_of((x + x.exp()).sum())[x.grad_fn]
    2
    """
    uses: Counter[Any] = Counter()
    todo: list[Any] = [] if loss.grad_fn is None else [loss.grad_fn]
    while todo:
        for before, _ in todo.pop().next_functions:
            if before is not None:
                uses[before] += 1
                if uses[before] == 1:
                    todo.append(before)
    return uses


def applied(name: str, given: Tensor) -> Tensor:
    """An activation of values, beside the run."""
    with torch.no_grad():
        return elementwise()[name](given.detach())


def _are(way: Iterable[Any], kinds: tuple[str, ...]) -> bool:
    return all(node.name().startswith(kinds) for node in way)


def _activation_of(node: Any) -> str:
    name = ACTIVATIONS_BY_NODE.get(node.name(), "")
    if name == "gelu" and getattr(node, "_saved_approximate", "none") == "tanh":
        return "gelu-tanh"
    if name == "hard-tanh" and getattr(node, "_saved_min_val", None) == 0:
        return "relu6" if getattr(node, "_saved_max_val", None) == 6 else ""
    if name == "elu" and getattr(node, "_saved_scale", 1) != 1:
        return "selu"
    if node.name() == "ClampMinBackward0" and getattr(node, "_saved_min", None) == 0:
        return "relu"
    return name
