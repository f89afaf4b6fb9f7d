"""How the gradient's size changes from the output of a network to its input."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


def gradients_by_layer(
    module: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor
) -> dict[str, float]:
    """The root mean square of the loss's gradient in every weight, by name, the input's first.

    Weights are trainable parameters of at least two dimensions: biases and the scales of
    normalisation are left out. The module is left as it was, but for random numbers that it draws.

    Args:
        module: The model.
        loss: ``(output, target) ->`` a scalar.
        x: A batch of inputs ``[n, …]``.
        y: Their targets.

    >>> layers = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    >>> found = gradients_by_layer(
    ...     layers, nn.functional.cross_entropy, torch.randn(8, 3), torch.zeros(8).long())
    >>> list(found)
    ['0.weight', '2.weight']
    """
    named = {
        name: value
        for name, value in module.named_parameters()
        if value.requires_grad and value.dim() > 1
    }
    held = {name: value.clone() for name, value in module.named_buffers()}
    with torch.random.fork_rng(devices=[]):
        found = torch.autograd.grad(
            loss(module(x), y), list(named.values()), allow_unused=True, materialize_grads=True
        )
    for name, value in module.named_buffers():
        value.copy_(held[name])
    return {
        name: float(grad.double().square().mean().sqrt())
        for name, grad in zip(named, found, strict=True)
    }


def a_layer(gradients: Mapping[str, float]) -> float | None:
    """The factor by which the gradient changes a layer, on its way from the last to the first.

    The geometric mean over layers; under 1 it vanishes, over 1 it explodes. None for fewer than
    three weights, or where the last or the first has none.

    >>> a_layer({"0": 0.01, "1": 0.1, "2": 1.0})
    0.1
    """
    sizes = list(gradients.values())
    if len(sizes) < 3 or not sizes[0] > 0 or not sizes[-1] > 0:
        return None
    return (sizes[0] / sizes[-1]) ** (1 / (len(sizes) - 1))
