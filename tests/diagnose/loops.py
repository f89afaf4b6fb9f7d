"""Small training loops that are watched."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import talweg

Watched = Callable[[nn.Module, Optimizer], AbstractContextManager[Any]]


def digits() -> tuple[Tensor, Tensor]:
    """Training inputs, standardised, and classes."""
    split = talweg.data.split(talweg.data.load("digits"))
    return split.train.x, split.train.y


def mlp(activation: Callable[[], nn.Module], depth: int = 2, width: int = 32) -> nn.Sequential:
    """64 inputs, 10 outputs."""
    sizes = [64, *[width] * depth]
    hidden = [
        layer
        for before, after in pairwise(sizes)
        for layer in (nn.Linear(before, after), activation())
    ]
    return nn.Sequential(*hidden, nn.Linear(width, 10))


def trained(
    model: nn.Module,
    optimizer: Optimizer,
    steps: int = 60,
    watched: Watched = lambda *_: nullcontext(),
    batch: int = 32,
) -> Any:
    """What the context gave, after steps on batches of the digits."""
    x, y = digits()
    draws = torch.Generator().manual_seed(0)
    with watched(model, optimizer) as health:
        for _ in range(steps):
            rows = torch.randint(len(x), (batch,), generator=draws)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return health
