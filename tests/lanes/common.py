"""A small model, where it starts, and the plain PyTorch loop that lanes are held against."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn, optim

from talweg.core import missing_compiler

STRATEGIES = ("stacked", "serial", "auto")
STEPS = 80
needs_compiler = pytest.mark.skipif(
    bool(missing_compiler()), reason=f"cannot compile here: {missing_compiler()}"
)


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))


def start(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def loop(model: nn.Module, optimizer: optim.Optimizer, data: tuple[Tensor, Tensor]) -> Tensor:
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(data[0]), data[1])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses)
