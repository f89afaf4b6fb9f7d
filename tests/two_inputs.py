"""A model of one input, and the same of two."""

import torch
from torch import Tensor, nn


class Joined(nn.Module):
    """One tensor, as all inputs side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2)).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Two(Joined):
    """The same of two tensors."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.layers(torch.cat([a, b], 1))
