"""Training runs on the bundled data: their models, data and optimizers."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from random import Random

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

import talweg

DATA = ("digits", "iris", "wine", "breast_cancer", "diabetes")
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "nearly linear": lambda: nn.LeakyReLU(0.8),
}
GAINS = {"relu": 2**0.5, "gelu": 1.5, "tanh": 5 / 3, "sigmoid": 1.0, "nearly linear": 1.1}
RATES = {"adam": (3e-4, 5e-3), "sgd": (3e-2, 0.2), "momentum": (5e-3, 3e-2)}
"""What is usual, from the least to the most."""
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Run:
    """A training run that is to be watched.

    Attributes:
        model: The model.
        optimizer: Its optimizer.
        data: A name in `DATA`.
        batch: Samples of a step.
        steps: How many.
        about: What it is, in words.
        disease: The finding that is expected; empty for a healthy run.
        layer: Where it is expected; empty for the whole model.
        onset: The step from which on it is there.
        plant: What is done right before that step.
        scale: What targets are multiplied by.
        shift: What is added to them.
        usual_lr: The rate that would do, where another is planted; 0 where none is.
        loss: None for the usual one of the data.
        given: What one of the inputs is in place of its value; None for as it is.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    data: str
    batch: int
    steps: int
    about: str
    disease: str = ""
    layer: str = ""
    onset: int = 0
    plant: Callable[[], None] = field(default=lambda: None)
    scale: float = 1.0
    shift: float = 0.0
    usual_lr: float = 0.0
    loss: Loss | None = None
    given: float | None = None

    def train(self, seed: int) -> list[float]:
        """Makes all steps; returns their losses."""
        x, y, _, usual = samples(self.data)
        draws, losses = torch.Generator().manual_seed(seed), list[float]()
        for step in range(self.steps):
            if step == self.onset:
                self.plant()
            rows = torch.randint(len(x), (self.batch,), generator=draws)
            inputs, target = x[rows], y[rows]
            if self.scale != 1:
                target = target * self.scale + self.shift
            if self.given is not None:
                inputs[-1, -1] = self.given
            self.optimizer.zero_grad()
            loss = (self.loss or usual)(self.model(inputs), target)
            loss.backward()
            self.optimizer.step()
            losses.append(float(loss.detach()))
        return losses


@cache
def samples(name: str) -> tuple[Tensor, Tensor, int, Loss]:
    """Inputs, targets, how many outputs a model needs, and the loss."""
    part = talweg.data.split(talweg.data.load(name)).train
    x, y = part.x, part.y
    assert isinstance(x, Tensor)
    if name == "diabetes":
        return x, y[:, None], 1, mse_loss
    if name == "breast_cancer":
        return x, y[:, None].float(), 1, binary_cross_entropy_with_logits
    return x, y, int(y.max()) + 1, cross_entropy


@cache
def constant(name: str) -> float:
    """The loss of the best constant prediction on a data set."""
    _, y, outputs, loss = samples(name)
    if outputs > 1:
        return float(loss(torch.bincount(y).log().expand(len(y), -1), y))
    if name == "diabetes":
        return float(y.var(correction=0))
    return float(loss(y.mean().logit().expand_as(y), y))


def drawn(layer: nn.Module, gain: float) -> None:
    """New weights from ``N(0, gain²/fan_in)``, biases at 0."""
    assert isinstance(layer, (nn.Linear, nn.Conv2d))
    with torch.no_grad():
        layer.weight.normal_(0, gain * layer.weight[0].numel() ** -0.5)
        if layer.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
            layer.bias.zero_()


def stack(
    sizes: list[int],
    activation: str,
    *,
    gain: float | None = None,
    norm: str = "",
    dropout: float = 0.0,
    skip: int = -1,
) -> nn.Sequential:
    """Linear layers with an activation after each but the last.

    Args:
        sizes: Of inputs, hidden layers and outputs.
        activation: In `ACTIVATIONS`.
        gain: Of all hidden layers but the first; 0 for PyTorch's own way of drawing weights, None
            for what suits the activation.
        norm: ``"batch"``, ``"layer"`` or none.
        dropout: A share.
        skip: The hidden layer that has no activation.
    """
    layers: list[nn.Module] = []
    for place in range(len(sizes) - 1):
        linear = nn.Linear(sizes[place], sizes[place + 1])
        if gain != 0:
            own = 1.0 if place in (0, len(sizes) - 2) else GAINS[activation]
            drawn(linear, own if gain is None or place in (0, len(sizes) - 2) else gain)
        layers.append(linear)
        if place == len(sizes) - 2:
            break
        if norm:
            units = sizes[place + 1]
            layers.append(nn.BatchNorm1d(units) if norm == "batch" else nn.LayerNorm(units))
        if place != skip:
            layers.append(ACTIVATIONS[activation]())
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


class Reader(nn.Module):
    """A plain recurrent network over the rows of an image, and a linear map of its last state."""

    def __init__(self, rows: int, inputs: int, units: int, outputs: int, kind: str) -> None:
        super().__init__()
        self.rows = nn.Unflatten(1, (rows, inputs))
        self.states = nn.RNN(inputs, units, nonlinearity=kind, batch_first=True)
        self.head = nn.Linear(units, outputs)
        nn.init.orthogonal_(self.states.weight_hh_l0)

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, rows·inputs]`` → ``[batch, outputs]``."""
        return self.head(self.states(self.rows(x))[0][:, -1])


def optimizer_of(model: nn.Module, rule: str, lr: float) -> torch.optim.Optimizer:
    """An optimizer of a rule in `RATES`."""
    if rule == "adam":
        return torch.optim.Adam(model.parameters(), lr)
    return torch.optim.SGD(model.parameters(), lr, momentum=0.9 if rule == "momentum" else 0.0)


def between(draw: Random, low: float, high: float) -> float:
    """A number that is as likely in one octave as in another."""
    return math.exp(draw.uniform(math.log(low), math.log(high)))


def linears(model: nn.Module) -> list[tuple[str, nn.Linear]]:
    """The linear layers of a model, by name."""
    return [(name, each) for name, each in model.named_modules() if isinstance(each, nn.Linear)]
