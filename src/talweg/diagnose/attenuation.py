"""How the gradient's size changes from the output of a network to its input."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from talweg.data.inputs import X, call

NUDGE = 1e-3
"""What weights are moved by, as a share of their size, to see whether a gradient stays 0."""


def gradients_by_layer(
    module: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], x: X, y: Tensor
) -> dict[str, float | None]:
    """The root mean square of the loss's gradient in every weight, by name, the input's first.

    Weights are trainable parameters of at least two dimensions that the output depends on: biases
    and the scales of normalisation are left out. The module is left as it was.

    Args:
        module: The model.
        loss: ``(output, target) ->`` a scalar.
        x: A batch of inputs ``[n, …]``.
        y: Their targets.

    Returns:
        None for a gradient that is not finite; nothing at all for a model without weights, or
        whose gradient cannot be taken.

    >>> layers = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    >>> found = gradients_by_layer(
    ...     layers, nn.functional.cross_entropy, torch.randn(8, 3), torch.zeros(8).long())
    >>> list(found)
    ['0.weight', '2.weight']
    """
    named = weights(module)
    if not named:
        return {}
    held = {name: value.clone() for name, value in module.named_buffers()}
    try:
        with torch.random.fork_rng(devices=[]):
            grads = torch.autograd.grad(
                loss(call(module, x.clone()), y), list(named.values()), allow_unused=True
            )
    except (RuntimeError, ArithmeticError):
        return {}
    finally:
        with torch.no_grad():
            for name, value in module.named_buffers():
                value.copy_(held[name])
    return sizes(list(named), grads)


def sizes(names: Sequence[str], grads: Sequence[Tensor | None]) -> dict[str, float | None]:
    """The root mean square of each gradient that there is; None for one that is not finite.

    Args:
        names: What they are the gradients of.
        grads: The gradients.

    >>> sizes(["a", "b", "c"], [torch.tensor([3.0, -3.0]), None, torch.tensor(torch.inf)])
    {'a': 3.0, 'c': None}
    """
    found = {
        name: float((grad.to_dense() if grad.is_sparse else grad).double().square().mean().sqrt())
        for name, grad in zip(names, grads, strict=True)
        if grad is not None
    }
    return {name: size if math.isfinite(size) else None for name, size in found.items()}


def blocked_layers(
    module: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], x: X, y: Tensor
) -> list[str]:
    """Weights that the output depends on and whose gradient is 0, wherever the others stand.

    Weights are nudged first, so that a layer that starts at 0 does not count. Arguments as those
    of `gradients_by_layer`; the module's parameters are changed.
    """
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in weights(module).values():
            size = float(value.double().square().mean().sqrt()) or 1.0
            value += NUDGE * size * torch.randn(value.shape, generator=draw).to(value)
    return [name for name, size in gradients_by_layer(module, loss, x, y).items() if size == 0]


def a_layer(gradients: Mapping[str, float | None]) -> float | None:
    """The factor by which the gradient changes a layer, on its way from the last to the first.

    The geometric mean over layers; under 1 it vanishes, over 1 it explodes. None for fewer than
    three weights, or where the last or the first has no finite one above 0.

    >>> a_layer({"0": 0.01, "1": 0.1, "2": 1.0})
    0.1
    """
    found = list(gradients.values())
    if len(found) < 3:
        return None
    first, last = found[0], found[-1]
    return (first / last) ** (1 / (len(found) - 1)) if first and last else None


def weights(module: nn.Module) -> dict[str, nn.Parameter]:
    """The trainable parameters of a model that multiply, by name."""
    return {
        name: value
        for name, value in module.named_parameters()
        if value.requires_grad and value.dim() > 1
    }
