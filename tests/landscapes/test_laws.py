"""What holds for every landscape that has a name."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from tests.landscapes.oracles import ORACLES
from torch.func import grad_and_value, vmap

from talweg.landscapes import LANDSCAPES, LineFit, quadratic
from talweg.landscapes.functions import ackley, rastrigin, styblinski_tang


def points(landscape, count: int = 200) -> torch.Tensor:
    """Places all over its window, and its start."""
    low, high = (torch.tensor(corner, dtype=torch.float64) for corner in landscape.window)
    drawn = torch.rand(count, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return torch.cat(
        (torch.tensor([landscape.start], dtype=torch.float64), low + drawn * (high - low))
    )


@pytest.mark.parametrize("name", [name for name in LANDSCAPES if name != "quadratic"])
def test_it_is_the_definition(name):
    at = points(LANDSCAPES[name])
    wanted = [ORACLES[name](*point) for point in at.tolist()]
    torch.testing.assert_close(LANDSCAPES[name](at), torch.tensor(wanted, dtype=torch.float64))


@pytest.mark.parametrize("name", LANDSCAPES)
def test_its_minima_are_minima_and_nothing_is_lower(name):
    landscape = LANDSCAPES[name]
    minima = torch.tensor(landscape.minima, dtype=torch.float64)
    torch.testing.assert_close(
        landscape(minima),
        torch.full((len(minima),), landscape.least, dtype=torch.float64),
        atol=1e-12,
        rtol=0,
    )
    assert landscape.gradient(minima).norm(dim=-1).max() < 1e-9
    assert (landscape.distance(minima) == 0).all()
    assert (landscape(points(landscape, 20_000)) >= landscape.least - 1e-12).all()
    low, high = landscape.window
    for place in (landscape.start, *landscape.minima, *landscape.saddles):
        assert all(a < value < b for a, value, b in zip(low, place, high, strict=True))
    if name != "ackley":  # whose minimum is a point
        assert all((landscape.curvatures(minimum) > 0).all() for minimum in minima)


@pytest.mark.parametrize("name", LANDSCAPES)
def test_saddles_go_up_and_down(name):
    for place in LANDSCAPES[name].saddles:
        at = torch.tensor(place, dtype=torch.float64)
        assert LANDSCAPES[name].gradient(at).norm() == 0
        low, high = LANDSCAPES[name].curvatures(at)
        assert low < 0 < high


@pytest.mark.parametrize("name", LANDSCAPES)
def test_gradients_agree_with_differences_and_lanes_with_one(name):
    landscape = LANDSCAPES[name]
    at = points(landscape, 12).requires_grad_()
    assert torch.autograd.gradcheck(landscape, at)
    assert torch.autograd.gradgradcheck(landscape, at)
    slopes, values = vmap(grad_and_value(landscape))(at.detach())
    torch.testing.assert_close(slopes, landscape.gradient(at))
    torch.testing.assert_close(values, landscape(at.detach()))
    low = at.detach().float()
    torch.testing.assert_close(landscape(low), values.float(), rtol=1e-3, atol=1e-3)
    for other in (copy.deepcopy(landscape), pickle.loads(pickle.dumps(landscape))):
        assert torch.equal(other(at), landscape(at))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LANDSCAPES)
def test_it_is_finite_far_out_and_at_the_tiniest_steps(name, dtype):
    for size in (1e3, 1e-30, 0.0):
        at = torch.tensor([[1, 1], [-1, 1], [1, -1], [-1, -1]], dtype=dtype) * size
        assert LANDSCAPES[name](at).isfinite().all()
        assert LANDSCAPES[name].gradient(at).isfinite().all()


def test_all_compile_without_a_break():
    def all_of(at: torch.Tensor) -> torch.Tensor:
        return torch.stack([vmap(grad_and_value(one))(at)[0] for one in LANDSCAPES.values()])

    at = torch.randn(7, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(torch.compile(all_of, fullgraph=True)(at), all_of(at))


@pytest.mark.parametrize(
    ("function", "minimum", "least"),
    [
        (rastrigin, 0.0, 0.0),
        (ackley, 0.0, 0.0),
        (styblinski_tang, -2.9035340277711770, -39.166165703771415),
    ],
)
@pytest.mark.parametrize("dimensions", [1, 3, 10])
def test_any_number_of_dimensions(function, minimum, least, dimensions):
    at = torch.full((dimensions,), minimum, dtype=torch.float64)
    depth = least * (dimensions if function is styblinski_tang else 1)
    assert function(at).item() == pytest.approx(depth, abs=1e-9)
    drawn = torch.randn(500, dimensions, dtype=torch.float64) * 3
    assert (function(drawn) >= depth - 1e-9).all()


@pytest.mark.parametrize("turned", [False, True])
def test_a_bowl_has_the_curvatures_that_were_asked_for(turned):
    spectrum = (0.5, 2.0, 7.0, 40.0)
    bowl = quadratic(spectrum, turned)
    found = bowl.curvatures(torch.randn(4, dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor(spectrum, dtype=torch.float64))


def test_plain_descent_diverges_where_the_curvature_says():
    bowl = quadratic((1.0, 30.0), turned=True)
    for factor, goes_on in ((0.99, False), (1.01, True)):
        at = torch.tensor(bowl.start, dtype=torch.float64)
        for _ in range(2000):
            at = at - factor * (2 / 30) * bowl.gradient(at)
        assert (bowl(at) > 1e6) == goes_on


def test_noise_has_the_scale_that_was_asked_for_and_repeats():
    landscape = LANDSCAPES["ravine"]
    at = torch.zeros(20_000, 2, dtype=torch.float64)
    first, second = (
        landscape.gradient(at, 0.3, torch.Generator().manual_seed(5)) for _ in range(2)
    )
    assert torch.equal(first, second)
    assert first.std().item() == pytest.approx(0.3, rel=0.02)
    assert abs(first.mean().item()) < 0.01


def test_the_fitted_line_is_least_squares_and_batches_average_to_it():
    landscape = LANDSCAPES["line-fit"]
    line = landscape.function
    assert isinstance(line, LineFit)
    fitted = LinearRegression().fit(line.x[:, None].numpy(), line.y.numpy())
    assert landscape.minima[0] == pytest.approx((fitted.coef_[0], fitted.intercept_))
    at = torch.tensor([[0.1, -0.3], [1.0, 0.2]], dtype=torch.float64)
    batches = np.array_split(np.arange(len(line.x)), 13)
    parts = torch.stack([line.on(at, line.x[b], line.y[b]) * len(b) for b in batches])
    torch.testing.assert_close(parts.sum(0) / len(line.x), landscape(at))
    assert math.isclose(len(line.x), 442)
