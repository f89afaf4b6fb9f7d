"""Small real runs that show each disease and, beside it, the cure: one thing changed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from talweg.core import Registry
from talweg.data import load, split
from talweg.diagnose.health import Health
from talweg.diagnose.watch import watch

STEPS = 600
BATCH = 64
INPUTS, WIDTH, CLASSES = 64, 64, 10


@dataclass(frozen=True)
class Recipe:
    """How a network for the digits is made and trained.

    Args:
        activation: After each hidden layer.
        depth: Hidden layers.
        rule: The optimizer.
        settings: Its settings.
        start: What draws the first weights; None for PyTorch's own way.
        draws: Its settings.
    """

    activation: type[nn.Module] = nn.ReLU
    depth: int = 2
    rule: Callable[..., Optimizer] = torch.optim.Adam
    settings: Mapping[str, float] = field(default_factory=lambda: {"lr": 1e-3})
    start: Callable[..., Tensor] | None = None
    draws: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def code(self) -> list[str]:
        """The recipe as code, in lines that each say one thing.

        >>> Recipe().code[-1]
        'torch.optim.Adam(model.parameters(), lr=0.001)'
        """
        lines = [
            f"nn.Linear({INPUTS}, {WIDTH}), nn.{self.activation.__name__}()  # × {self.depth}",
            f"nn.Linear({WIDTH}, {CLASSES})",
        ]
        if self.start is not None:
            lines.append(f"nn.init.{self.start.__name__}(layer.weight{_arguments(self.draws)})")
        made = getattr(self.rule, "__name__", "")
        return [*lines, f"torch.optim.{made}(model.parameters(){_arguments(self.settings)})"]

    def model(self) -> nn.Sequential:
        """A network; it draws from torch's own stream."""
        layers: list[nn.Module] = []
        for before in [INPUTS, *[WIDTH] * (self.depth - 1)]:
            layers += [nn.Linear(before, WIDTH), self.activation()]
        model = nn.Sequential(*layers, nn.Linear(WIDTH, CLASSES))
        for layer in model:
            if self.start is not None and isinstance(layer, nn.Linear):
                self.start(layer.weight, **self.draws)
        return model


def _arguments(settings: Mapping[str, Any]) -> str:
    shown = (
        f"{value:g}" if isinstance(value, float) else repr(value) for value in settings.values()
    )
    return "".join(f", {name}={text}" for name, text in zip(settings, shown, strict=True))


@dataclass(frozen=True)
class Outcome:
    """What became of a recipe.

    Attributes:
        recipe: As it was trained.
        health: What was measured and found.
        accuracy: The share of the test samples that it gets right.
    """

    recipe: Recipe
    health: Health
    accuracy: float


@dataclass(frozen=True)
class Demo:
    """A disease and its cure.

    Args:
        name: What it is asked for by.
        finding: The finding that the disease shows; empty for none.
        summary: What is wrong, in a sentence.
        ill: The recipe that has the disease.
        cure: The same with one thing changed; None where nothing needs one.
    """

    name: str
    finding: str
    summary: str
    ill: Recipe
    cure: Recipe | None = None

    def changed(self, recipe: Recipe) -> list[str]:
        """The lines of a recipe's code that the other does not have."""
        others = [line for one in self.recipes if one is not recipe for line in one.code]
        return [line for line in recipe.code if others and line not in others]

    @property
    def recipes(self) -> list[Recipe]:
        """What is run: the disease, and the cure if it needs one."""
        return [self.ill, *([self.cure] if self.cure else [])]

    def label(self, recipe: Recipe) -> str:
        """What a recipe is called beside the other."""
        if self.cure is None:
            return "The run"
        return "The disease" if recipe is self.ill else "The cure"


def trained(recipe: Recipe, live: bool = False, seed: int = 0) -> Outcome:
    """Trains a network on the digits by a recipe, and watches it.

    Args:
        recipe: The recipe.
        live: Whether a panel shows it meanwhile.
        seed: Of the first weights and the batches.
    """
    parts = split(load("digits"))
    x, y = parts.train.x, parts.train.y
    assert isinstance(x, Tensor)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = recipe.model()
    optimizer = recipe.rule(model.parameters(), **recipe.settings)
    draws = torch.Generator().manual_seed(seed)
    with watch(model, optimizer, live=live) as health:
        for _ in range(STEPS):
            rows = torch.randint(len(x), (BATCH,), generator=draws)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        right = model(parts.test.x).argmax(1) == parts.test.y
    return Outcome(recipe, health, float(right.double().mean()))


SGD = torch.optim.SGD
DEMOS: Registry[Demo] = Registry("demo")
"""Every demo, by name."""
for _each in (
    Demo(
        "vanishing",
        "vanishing gradient",
        "Six sigmoid layers: each multiplies the gradient by a slope of at most 1/4.",
        Recipe(nn.Sigmoid, 6, SGD, {"lr": 0.1}),
        Recipe(nn.Tanh, 6, SGD, {"lr": 0.1}),
    ),
    Demo(
        "exploding",
        "exploding gradient",
        "Eight layers whose weights start too large: each multiplies the gradient by about 2.",
        Recipe(nn.LeakyReLU, 8, start=nn.init.normal_, draws={"std": 0.4}),
        Recipe(nn.LeakyReLU, 8, start=nn.init.kaiming_normal_),
    ),
    Demo(
        "dead",
        "dead units",
        "The first steps are so large that most ReLU units end where they give 0 on every sample.",
        Recipe(depth=3, settings={"lr": 0.1}),
        Recipe(depth=3, settings={"lr": 1e-3}),
    ),
    Demo(
        "saturated",
        "saturation",
        "Weights start so large that most tanh outputs lie at −1 or 1, where the slope is 0.",
        Recipe(nn.Tanh, 2, SGD, {"lr": 0.1}, nn.init.normal_, {"std": 1.0}),
        Recipe(nn.Tanh, 2, SGD, {"lr": 0.1}, nn.init.xavier_normal_),
    ),
    Demo(
        "off-centre",
        "off-centre",
        "A sigmoid gives only positive numbers: the weights behind it rise or fall together.",
        Recipe(nn.Sigmoid, 2, SGD, {"lr": 0.1}),
        Recipe(nn.Tanh, 2, SGD, {"lr": 0.1}),
    ),
    Demo(
        "too-hot",
        "learning rate too large",
        "Steps overshoot, each farther than the one before, until numbers are lost.",
        Recipe(nn.LeakyReLU, 2, SGD, {"lr": 0.5, "momentum": 0.9}),
        Recipe(nn.LeakyReLU, 2, SGD, {"lr": 0.02, "momentum": 0.9}),
    ),
    Demo(
        "too-cold",
        "learning rate too small",
        "Updates are a hundred-thousandth of the weights: hardly anything is learned.",
        Recipe(settings={"lr": 1e-6}),
        Recipe(settings={"lr": 1e-3}),
    ),
    Demo("healthy", "", "A run with nothing wrong: gradients of one size, units alive.", Recipe()),
):
    DEMOS.add(_each.name, _each)
