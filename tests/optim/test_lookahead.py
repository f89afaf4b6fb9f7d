"""Gradients at the look-ahead point, with a closure and without."""

import numpy as np
import pytest
import torch
from tests.optim.common import apart, samples, twins
from torch import nn

from talweg import optim

MADE = {
    "Nesterov": lambda params: optim.Nesterov(params, lr=0.02, momentum=0.8),
    "RMSpropNesterov": lambda params: optim.RMSpropNesterov(params, lr=2e-3, momentum=0.8),
    "RMSpropNesterov centred": lambda params: optim.RMSpropNesterov(
        params, lr=2e-3, momentum=0.8, centered=True, eps_inside=True
    ),
}


def closure_of(model: nn.Module, optimizer: torch.optim.Optimizer):
    x, y = samples(torch.float64)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize("name", MADE)
def test_a_closure_is_evaluated_at_the_look_ahead_point(name):
    model, _ = twins(torch.float64)
    optimizer = MADE[name](model.parameters())
    closure = closure_of(model, optimizer)
    optimizer.step(closure)
    weight = next(model.parameters())
    seen = []

    def looking() -> torch.Tensor:
        seen.append(weight.detach().clone())
        return closure()

    before = weight.detach().clone()
    velocity = optimizer.state[weight]["v"].clone()
    optimizer.step(looking)
    assert torch.allclose(seen[0], before + 0.8 * velocity, rtol=1e-12)
    velocity_now = optimizer.state[weight]["v"]
    assert torch.allclose(weight, before + velocity_now, rtol=1e-12)


@pytest.mark.parametrize("name", MADE)
def test_with_and_without_a_closure_are_one_path_seen_from_two_points(name):
    """Without one the model holds the look-ahead points of the path that it has with one."""
    exact, stored = twins(torch.float64)
    one, other = MADE[name](exact.parameters()), MADE[name](stored.parameters())
    first, second = closure_of(exact, one), closure_of(stored, other)
    for _ in range(25):
        one.step(first)
        second()
        other.step()
    with torch.no_grad():
        for param in exact.parameters():
            param += 0.8 * one.state[param]["v"]
    assert apart(exact, stored) < 1e-12


def test_nesterov_on_a_quadratic_by_hand():
    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    curvature = torch.tensor([1.0, 10.0], dtype=torch.float64)
    optimizer = optim.Nesterov([weight], lr=0.05, momentum=0.9)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = 0.5 * (curvature * weight**2).sum()
        loss.backward()
        return loss

    p, v = np.array([1.0, -2.0]), np.zeros(2)
    for _ in range(30):
        optimizer.step(closure)
        v = 0.9 * v - 0.05 * np.array([1.0, 10.0]) * (p + 0.9 * v)
        p = p + v
    assert np.allclose(weight.detach().numpy(), p, rtol=0, atol=1e-14)


def test_without_a_closure_nesterov_is_torchs():
    ours, theirs = twins(torch.float64)
    one = optim.Nesterov(ours.parameters(), lr=0.02, momentum=0.8)
    other = torch.optim.SGD(theirs.parameters(), lr=0.02, momentum=0.8, nesterov=True)
    first, second = closure_of(ours, one), closure_of(theirs, other)
    for _ in range(25):
        first()
        one.step()
        second()
        other.step()
    assert apart(ours, theirs) < 1e-12


@pytest.mark.parametrize("name", MADE)
def test_a_closure_that_fails_leaves_the_parameters_where_they_were(name):
    model, _ = twins(torch.float64)
    optimizer = MADE[name](model.parameters())
    optimizer.step(closure_of(model, optimizer))
    before = [param.detach().clone() for param in model.parameters()]

    def failing() -> torch.Tensor:
        raise OSError("no more data")

    with pytest.raises(OSError, match="no more data"):
        optimizer.step(failing)
    for param, value in zip(model.parameters(), before, strict=True):
        assert torch.equal(param, value)
