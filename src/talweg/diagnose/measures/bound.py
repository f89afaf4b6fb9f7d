"""How much of a gradient a layer can let through at most."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from talweg.activations import ACTIVATIONS
from talweg.diagnose.measures.curvature import largest
from talweg.diagnose.moment import Layer

PRODUCTS, TOLERANCE = 12, 1e-2
"""Products with a weight and its transpose that its norm may take."""
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def bounds(
    layers: Sequence[Layer], modules: Mapping[str, nn.Module], starts: dict[str, Tensor]
) -> dict[str, float]:
    """What a layer lets through at most: ``max|f′| · ‖W‖₂``, to 1%, by layer.

    With ``f`` the activation of the layer and ``W`` the weight of the next: the norm of the loss's
    gradient in what the layer gives, divided by that in what the next one gives, is no larger,
    where nothing else is between that enlarges it.

    Args:
        layers: In the order of a forward pass.
        modules: By path.
        starts: Where each norm was found last; written too.

    Returns:
        Nothing of layers whose activation is not known, and before what is not a linear layer or
        a convolution.

    Source: Pascanu, Mikolov & Bengio (2013), section 2.1; for convolutions Tsuzuku, Sato &
    Sugiyama, "Lipschitz-margin training" (2018), corollary 1.
    """
    found: dict[str, float] = {}
    for layer, after in pairwise(layers):
        slope = steepest(layer, after)
        module = modules.get(after.name)
        if slope is not None and module is not None and layer.weight:
            size = norm(module, after.name, starts)
            if size is not None:
                found[layer.name] = slope * size
    return found


def steepest(layer: Layer, after: Layer) -> float | None:
    """The largest ``|f′|`` of what is between two layers; None if that is not known."""
    if layer.activation in ACTIVATIONS:
        return ACTIVATIONS[layer.activation].properties.max_slope
    return 1.0 if after.straight_from == layer.name else None


def norm(module: nn.Module, name: str, starts: dict[str, Tensor]) -> float | None:
    """The largest factor by which a layer changes the length of what it is given, or a bound of it.

    Args:
        module: The layer.
        name: What it is called.
        starts: Name → the vector with which it was found last; written too.

    Returns:
        None for other layers than linear ones and convolutions, and if it is not finite.

    >>> layer = nn.Linear(2, 2)
    >>> with torch.no_grad():
    ...     _ = layer.weight.copy_(torch.tensor([[0.0, 3.0], [1.0, 0.0]]))
    >>> round(norm(layer, "0", {}), 3)
    3.0
    """
    if isinstance(module, nn.Linear):
        overlap = 1
    elif isinstance(module, CONVOLUTIONS) and module.groups == 1:
        overlap = math.prod(
            -(-size // stride)
            for size, stride in zip(module.kernel_size, module.stride, strict=True)
        )
    else:
        return None
    weight = module.weight.detach().flatten(1)
    weight = weight if weight.dtype == torch.float64 else weight.float()
    start = starts.get(name)
    if start is None:
        draws = torch.Generator().manual_seed(0)
        start = torch.randn(len(weight), generator=draws).to(weight)
    found = largest(lambda vector: weight @ (vector @ weight), start, PRODUCTS, TOLERANCE)
    if not math.isfinite(found.value):
        return None
    starts[name] = found.vector
    return math.sqrt(max(found.value, 0.0) * overlap)


def attenuation(
    norms: Mapping[str, float], names: Sequence[str], layers: Sequence[Layer]
) -> dict[str, float]:
    """The factor by which the gradient changes from what the next layer gives to what one does."""
    after = {layer.name: following.name for layer, following in pairwise(layers)}
    return {
        name: norms[name] / norms[after[name]]
        for name in names
        if name in norms and norms.get(after[name], 0) > 0
    }
