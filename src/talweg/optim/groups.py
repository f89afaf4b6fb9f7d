"""Parameter groups for a model."""

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase  # pyright: ignore[reportPrivateUsage]

from talweg.core import UserError

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm, nn.RMSNorm)


def decay_groups(model: nn.Module, weight_decay: float = 1e-2) -> list[dict[str, Any]]:
    """A model's parameters in two groups: weights with decay, biases and norms without.

    Args:
        model: The model; parameters that need no gradient are left out, shared ones taken once.
        weight_decay: Of everything but biases, other vectors, and what belongs to a norm layer.

    Returns:
        The groups, for any optimizer; a group without parameters is left out.

    Raises:
        UserError: If it is no model.

    >>> layer = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    >>> [(len(group["params"]), group["weight_decay"]) for group in decay_groups(layer)]
    [(1, 0.01), (3, 0.0)]
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"model must be a torch module, got {type(model).__name__}")
    of_norms = {
        id(param)
        for module in model.modules()
        if isinstance(module, NORMS)
        for param in module.parameters(recurse=False)
    }
    trained = [param for param in model.parameters() if param.requires_grad]
    spared = [param for param in trained if param.dim() <= 1 or id(param) in of_norms]
    spared_ids = set(map(id, spared))
    decayed = [param for param in trained if id(param) not in spared_ids]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
