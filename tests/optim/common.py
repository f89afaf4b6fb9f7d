"""A small real network, its data, and optimizers run on it."""

import copy
import math

import torch
from torch import nn


def network(dtype: torch.dtype = torch.float32) -> nn.Module:
    """Convolution, normalisation and two layers, one of them large."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 8, 3, padding=1, bias=False),  # before a norm its gradient is noise
            nn.BatchNorm2d(8, affine=False),  # near 1 a float32 is only good to 6e-8 a step
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(512, 70),
            nn.Tanh(),
            nn.Linear(70, 3),
        ).to(dtype)


def samples(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(32, 64, generator=generator, dtype=torch.float64)
    y = (x[:, :3].cumsum(1) + x[:, 3:6]).argmax(1)
    return x.to(dtype), y


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, sign: int = 1) -> None:
    x, y = samples(next(model.parameters()).dtype)
    for _ in range(steps):
        optimizer.zero_grad()
        (sign * nn.functional.cross_entropy(model(x), y)).backward()
        optimizer.step()


def apart(one: nn.Module, other: nn.Module) -> float:
    """The largest difference of two models' parameters, beside the parameter's size or 1."""
    worst = 0.0
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        gap = (a - b).abs() / b.abs().clamp(min=1)
        worst = max(worst, gap.max().item())
    return math.inf if math.isnan(worst) else worst


def twins(dtype: torch.dtype = torch.float32) -> tuple[nn.Module, nn.Module]:
    model = network(dtype)
    return model, copy.deepcopy(model)
