"""Measurements, each beside a slow twin in NumPy."""

import numpy as np
import pytest
import torch
from torch import Tensor

from talweg.activations import ACTIVATIONS
from talweg.diagnose.measures import OF_ACTIVITY, OF_STEP, Activity, Step
from talweg.diagnose.measures.measure import numbers
from talweg.diagnose.measures.saturated import FLAT
from talweg.diagnose.taking import Taking


def units(values: Tensor, dim: int) -> list[np.ndarray]:
    """What each unit gave, one after the other."""
    moved = values.movedim(dim, 0).double().numpy()
    return [moved[unit].reshape(-1) for unit in range(len(moved))]


def slow_mean(values: Tensor, dim: int, _: str) -> float:
    return float(np.mean(np.concatenate(units(values, dim))))


def slow_deviation(values: Tensor, dim: int, _: str) -> float:
    return float(np.std(np.concatenate(units(values, dim))))


def slow_sparsity(values: Tensor, dim: int, _: str) -> float:
    every = np.concatenate(units(values, dim))
    return sum(value == 0 for value in every) / len(every)


def slow_dead(values: Tensor, dim: int, activation: str) -> float | None:
    if activation not in ("relu", "relu6", ""):
        return None
    every = units(values, dim)
    return sum(all(value == 0 for value in unit) for unit in every) / len(every)


def slow_saturated(values: Tensor, dim: int, activation: str) -> float | None:
    """By the inverse of the activation, looked up in a table."""
    if activation not in ("sigmoid", "tanh"):
        return None
    every = np.concatenate(units(values, dim))
    slopes = every * (1 - every) * 4 if activation == "sigmoid" else 1 - every**2
    return float(np.mean(slopes < FLAT))


OF_ACTIVITY_TWINS = {
    "mean": slow_mean,
    "deviation": slow_deviation,
    "sparsity": slow_sparsity,
    "dead": slow_dead,
    "saturated": slow_saturated,
}


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu", ""])
@pytest.mark.parametrize(("shape", "dim"), [((9, 5), 1), ((4, 5, 3, 2), 1), ((4, 7, 5), 2)])
@pytest.mark.parametrize("name", OF_ACTIVITY)
def test_of_activity_equals_its_twin(name: str, shape: tuple[int, ...], dim: int, activation: str):
    draws = torch.Generator().manual_seed(1)
    inputs = 3 * torch.randn(shape, generator=draws)
    inputs.select(dim, 2).fill_(-1.0)
    function = ACTIVATIONS[activation or "relu"].make()
    values = function(inputs)
    found = numbers(list(OF_ACTIVITY.values()), Activity(values, dim, activation)).get(name)
    expected = OF_ACTIVITY_TWINS[name](values, dim, activation)
    assert (found is None) == (expected is None)
    if found is not None:
        assert float(found) == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_several_passes_are_as_one_of_all_samples(dtype: torch.dtype, activation: str):
    draws = torch.Generator().manual_seed(3)
    taking = Taking()
    every = ACTIVATIONS[activation].make()(3 * torch.randn(40, 6, generator=draws)).to(dtype)
    for _ in range(2):
        for values in every.split([8, 32]):
            taking.activity("0", Activity(values, 1, activation))
        found = taking.finish()
        assert ("dead" in found) == (activation == "relu")
    for name, of_layers in found.items():
        expected = OF_ACTIVITY_TWINS[name](every, 1, activation)
        close = max(1e-5, 4 * torch.finfo(dtype).eps)
        assert of_layers == {"0": pytest.approx(expected, rel=close)}


def test_a_unit_is_dead_if_it_is_so_in_every_pass():
    taking = Taking()
    first, second = torch.zeros(16, 3), torch.zeros(16, 3)
    first[0, 0], second[2, 1] = 1.0, 2.0
    for values in (first, second):
        taking.activity("0", Activity(values, 1, "relu"))
    assert taking.finish()["dead"] == {"0": pytest.approx(1 / 3)}


@pytest.mark.parametrize("activation", ["relu", ""])
def test_units_that_give_nan_are_not_dead(activation: str):
    values = torch.zeros(40, 4)
    values[3, 1] = values[:, 2] = torch.nan
    taking = Taking()
    for _ in range(2):
        taking.activity("0", Activity(values, 1, activation))
        found = taking.finish()
    assert found["dead"] == {"0": 0.5}
    assert found["sparsity"] == {"0": pytest.approx(1 - 41 / 160)}


def slow_rms(values: Tensor) -> float:
    return float(np.sqrt(np.mean(values.double().numpy() ** 2)))


def slow_one_signed(grad: Tensor) -> float:
    rows = [row for row in grad.flatten(1).numpy() if any(row != 0)]
    return sum(bool((row >= 0).all() or (row <= 0).all()) for row in rows) / max(len(rows), 1)


OF_STEP_TWINS = {
    "gradient rms": lambda _before, grad, _after: slow_rms(grad),
    "weight rms": lambda before, _grad, _after: slow_rms(before),
    "update ratio": lambda before, _grad, after: slow_rms(after - before) / slow_rms(before),
    "one-signed": lambda _before, grad, _after: slow_one_signed(grad),
}


@pytest.mark.parametrize("name", OF_STEP)
def test_of_step_equals_its_twin(name: str):
    draws = torch.Generator().manual_seed(2)
    shapes = [(4, 3), (2, 3, 2, 2), (1, 5)]
    before, grads, moved = (
        [torch.randn(shape, generator=draws) for shape in shapes] for _ in range(3)
    )
    grads[0][1] = grads[0][1].abs()
    grads[0][2] = 0
    after = [one + 1e-2 * other for one, other in zip(before, moved, strict=True)]
    taking, names = Taking(), ["a", "b", "c"]
    taking.is_full = True
    taking.step(names, Step(grads, before, after))
    expected = [OF_STEP_TWINS[name](*each) for each in zip(before, grads, after, strict=True)]
    assert taking.finish()[name] == pytest.approx(dict(zip(names, expected, strict=True)), rel=1e-5)


def test_the_update_of_a_weight_of_zeros_has_no_ratio():
    taking, zeros, ones = Taking(), torch.zeros(2, 2), torch.ones(2, 2)
    taking.step(["still", "moved"], Step([ones, ones], [zeros, zeros], [zeros, ones]))
    ratios = taking.finish()["update ratio"]
    assert np.isnan(ratios["still"])
    assert ratios["moved"] == np.inf


def test_every_measurement_has_a_twin():
    assert set(OF_ACTIVITY) == set(OF_ACTIVITY_TWINS)
    assert set(OF_STEP) == set(OF_STEP_TWINS)
