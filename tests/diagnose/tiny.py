"""A tiny model, its batches, a loop that is watched, and all numbers as bits."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import talweg
from talweg.diagnose.health import Health

STEPS = 7


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 4))


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), 1e-2)


def batches(steps: int = STEPS) -> Iterator[tuple[Tensor, Tensor]]:
    draws = torch.Generator().manual_seed(5)
    for _ in range(steps):
        yield torch.randn(16, 12, generator=draws), torch.randint(4, (16,), generator=draws)


def trained(
    model: nn.Module, optimizer: Any = None, steps: int = 4, own: Any = None, **how: Any
) -> Health:
    """Watched at every step; the optimizer is told unless another is to be found."""
    own = own or optimizer or adam(model)
    with talweg.watch(model, optimizer, every=1, **how) as health:
        for x, y in batches(steps):
            own.zero_grad()
            cross_entropy(model(x), y).backward()
            own.step()
    return health


def of(health: Health, measure: str) -> list[dict[str, float]]:
    return [dict(moment.of(measure)) for moment in health.moments if moment.of("lr")]


def bits(*values: Any) -> list[bytes]:
    """All numbers in memory: of modules and optimizers too."""
    found: list[bytes] = []
    for value in values:
        if isinstance(value, (nn.Module, torch.optim.Optimizer)):
            found += bits(value.state_dict())
        elif isinstance(value, dict):
            found += bits(*value.values())
        elif isinstance(value, (list, tuple)):
            found += bits(*value)
        elif isinstance(value, Tensor):
            found.append(
                value.detach().to_dense().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
            )
        else:
            found.append(repr(value).encode())
    return found
