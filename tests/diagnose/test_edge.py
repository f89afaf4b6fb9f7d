"""The stability edge, beside the rates at which training parts."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import talweg
from talweg.diagnose.health import Health


class Valley(nn.Module):
    """A quadratic, as a model that gives its own loss."""

    def __init__(self, curvatures: list[float], size: float = 1.0) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.full((len(curvatures),), size, dtype=torch.float64))
        self.curvatures = torch.tensor(curvatures, dtype=torch.float64)

    def forward(self) -> Tensor:
        return (self.curvatures * self.place.square()).sum() / 2


def descent(make: Callable[..., Optimizer], lr: float, steps: int, size: float = 1.0) -> float:
    """The size of the place after some steps, as a multiple of that of the start."""
    model = Valley([0.5, 2.0, 7.0], size)
    optimizer = make(model.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        model().backward()
        optimizer.step()
        if not float(model.place.detach().norm()) < 1e20 * size:
            break
    return float(model.place.detach().norm()) / size


def told_edge(make: Callable[..., Optimizer], lr: float, steps: int, size: float = 1.0) -> float:
    """The edge that is told at the last step."""
    model = Valley([0.5, 2.0, 7.0], size)
    optimizer = make(model.parameters(), lr=lr)
    with talweg.watch(model, optimizer, tier="full", every=1) as health:
        for _ in range(steps):
            optimizer.zero_grad()
            model().backward()
            optimizer.step()
    edge = health.moments[-1].one("edge")
    assert edge is not None
    return edge


SGD = torch.optim.SGD
LINEAR: dict[str, Callable[..., Optimizer]] = {
    "SGD": SGD,
    "heavy ball": partial(SGD, momentum=0.9),
    "dampened": partial(SGD, momentum=0.8, dampening=0.5),
    "Nesterov": partial(SGD, momentum=0.9, nesterov=True),
    "velocity of talweg": partial(talweg.optim.Momentum, momentum=0.7),
    "average of talweg": partial(talweg.optim.Momentum, momentum=0.7, form="average"),
    "average and Nesterov": partial(
        talweg.optim.Momentum, momentum=0.7, form="average", nesterov=True
    ),
    "Nesterov of talweg": partial(talweg.optim.Nesterov, momentum=0.9),
}


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.usefixtures("thorough")
def test_on_a_quadratic_descent_parts_at_the_edge(name: str):
    make = LINEAR[name]
    edge = told_edge(make, 1e-3, 1)
    assert descent(make, 0.98 * edge, 1500) < 1 < descent(make, 1.02 * edge, 1500)


NEARLY_LINEAR: dict[str, Callable[..., Optimizer]] = {
    "Adam": partial(torch.optim.Adam, eps=1.0),
    "AdamW": partial(torch.optim.AdamW, eps=1.0, betas=(0.8, 0.9), weight_decay=0.0),
    "NAdam": partial(torch.optim.NAdam, eps=1.0, momentum_decay=0.0),
    "RMSprop": partial(torch.optim.RMSprop, eps=1.0),
    "RMSprop with momentum": partial(torch.optim.RMSprop, eps=1.0, momentum=0.9),
    "RMSpropNesterov": partial(talweg.optim.RMSpropNesterov, eps=1.0),
    "Adagrad": partial(torch.optim.Adagrad, eps=1.0),
}


@pytest.mark.parametrize("name", NEARLY_LINEAR)
@pytest.mark.usefixtures("thorough")
def test_adaptive_rules_part_at_the_edge_where_eps_is_most_of_what_divides(name: str):
    make = NEARLY_LINEAR[name]
    edge = told_edge(make, 1e-3, 100, 1e-30)
    below, above = (descent(make, times * edge, 2500, 1e-30) for times in (0.98, 1.02))
    assert below < 1 < above


def fitted() -> tuple[nn.Module, Tensor, Tensor]:
    """A small network at a minimum of its loss, and what it was fitted to."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    x = torch.randn(12, 2, dtype=torch.float64)
    y = (x[:, :1] * x[:, 1:]).sin()
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=4000, tolerance_grad=1e-12, tolerance_change=1e-16
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean() + 1e-3 * sum(
            value.square().sum() for value in model.parameters()
        )
        loss.backward()
        return loss

    optimizer.step(closure)
    return model, x, y


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.usefixtures("thorough")
def test_on_a_small_network_full_batch_descent_parts_at_the_edge(momentum: float):
    model, x, y = fitted()
    start = {name: value.clone() for name, value in model.state_dict().items()}

    def run(lr: float, steps: int) -> tuple[float, Health]:
        """By how much the loss is above that of the minimum, beside how much it was."""
        model.load_state_dict(start)
        optimizer = torch.optim.SGD(model.parameters(), lr, momentum=momentum)
        losses: list[float] = []

        def loss() -> Tensor:
            ridge = sum(value.square().sum() for value in model.parameters())
            return (model(x) - y).square().mean() + 1e-3 * ridge

        lowest = float(loss().detach())
        with torch.no_grad():
            for value in model.parameters():
                value += 1e-4
        with talweg.watch(model, optimizer, tier="full", every=10**6) as health:
            for _ in range(steps):
                optimizer.zero_grad()
                now = loss()
                losses.append(float(now.detach()) - lowest)
                now.backward()
                optimizer.step()
        return max(losses[-20:]) / losses[0], health

    _, health = run(1e-6, 1)
    edge = health.moments[0].one("edge")
    assert edge is not None
    assert run(0.98 * edge, 1500)[0] < 1
    assert run(1.02 * edge, 1500)[0] > 10
