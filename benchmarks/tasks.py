"""The tasks that lanes are timed on: small models of every kind, with data made on the spot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from talweg.rules import RULES, STANDARD


class Recurrent(nn.Module):
    """An LSTM over 12 steps, read off at the last."""

    def __init__(self, inputs: int = 8, hidden: int = 32, outputs: int = 10) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class Attention(nn.Module):
    """One encoder layer over 16 tokens of width 32, averaged."""

    def __init__(self, width: int = 32, outputs: int = 10) -> None:
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.0, batch_first=True)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.embed(x)).mean(1))


def mlp(*sizes: int) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def cnn(side: int, channels: Sequence[int], norm: bool = False) -> nn.Module:
    """Convolutions of 3 × 3, each followed by a ReLU and a pooling of 2 × 2, then a linear map."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise([1, *channels]):
        layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
        layers += [nn.BatchNorm2d(outputs)] if norm else []
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        side //= 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * side**2, 10))


@dataclass(frozen=True)
class Task:
    """A model, what it learns from, and how many lanes learn it.

    Args:
        name: As the table has it.
        build: Makes the model.
        shape: Of a sample.
        batch: Samples per batch.
        lanes: How many.
        asked: How many times faster than the plain loop it should be.
        widths: Of an MLP's layers, for the same in JAX; empty for other models.
        asked_jax: How many times faster than JAX.
        rules: Names, dealt out to the lanes.
    """

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    batch: int
    lanes: int
    asked: float
    widths: tuple[int, ...] = ()
    asked_jax: float = 0.0
    rules: tuple[str, ...] = ("adam",)

    def data(self) -> tuple[Tensor, Tensor]:
        """1,437 samples, as many as digits has to train on, of ten classes."""
        draw = torch.Generator().manual_seed(0)
        x = torch.randn(1437, *self.shape, generator=draw)
        return x, torch.randint(10, (1437,), generator=draw)

    def lane_rules(self) -> list[object]:
        """A rule per lane, at rates from a hundredth to the usual."""
        names = [self.rules[i % len(self.rules)] for i in range(self.lanes)]
        return [
            RULES[name].with_lr(1e-3 * 10 ** (-2 * i / self.lanes)) for i, name in enumerate(names)
        ]


def _mlp(name: str, widths: tuple[int, ...], batch: int, lanes: int, *asked: float) -> Task:
    return Task(name, lambda: mlp(*widths), (64,), batch, lanes, asked[0], widths, asked[1])


SMALL = (64, 32, 32, 10)
TASKS = (
    _mlp("MLP 64-128-128-10, batch 64", (64, 128, 128, 10), 64, 64, 10, 1.5),
    _mlp("MLP 64-32-32-10, batch 32", SMALL, 32, 256, 45, 2),
    Task("the same, all rules", lambda: mlp(*SMALL), (64,), 32, 256, 0, rules=STANDARD),
    Task("CNN 8×8, batch 32", lambda: cnn(8, (8, 16)), (1, 8, 8), 32, 32, 5),
    Task("CNN 16×16, batch norm", lambda: cnn(16, (8, 16), norm=True), (1, 16, 16), 32, 16, 2.5),
    Task("transformer layer, 16 tokens", Attention, (16, 8), 32, 32, 3),
    Task("LSTM, 12 steps", Recurrent, (12, 8), 32, 32, 4),
    Task("CNN 28×28", lambda: cnn(28, (16, 32)), (1, 28, 28), 32, 32, 1),
)
