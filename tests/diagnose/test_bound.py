"""What a layer lets through of a gradient at most, beside what it does."""

import pytest
import torch
from tests.diagnose.loops import mlp, trained
from torch import nn

import talweg
from talweg.diagnose.measures.bound import norm


@pytest.mark.parametrize("shape", [(7, 5), (128, 128), (3, 200), (1, 1)])
def test_the_norm_of_a_linear_layer_is_its_largest_singular_value(shape: tuple[int, int]):
    torch.manual_seed(0)
    layer = nn.Linear(*shape)
    exact = float(torch.linalg.matrix_norm(layer.weight.detach(), 2))
    starts: dict[str, torch.Tensor] = {}
    assert norm(layer, "layer", starts) == pytest.approx(exact, rel=0.01)
    assert norm(layer, "layer", starts) == pytest.approx(exact, rel=0.001)


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (1, 1), (4, 4)])
def test_the_norm_of_a_convolution_is_bounded(size: int, stride: int):
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, size, stride, padding=size // 2)
    place = torch.zeros(1, 2, 8, 8)
    whole = torch.autograd.functional.jacobian(layer, place).flatten(4).flatten(0, 3)
    exact = float(torch.linalg.matrix_norm(whole, 2))
    found = norm(layer, "layer", {})
    assert found is not None
    assert exact <= 1.01 * found
    assert found <= 1.01 * exact * size
    if size == stride:
        assert found == pytest.approx(exact, rel=0.01)


def test_other_layers_have_no_norm():
    assert norm(nn.LayerNorm(3), "layer", {}) is None
    assert norm(nn.Conv2d(2, 2, 1, groups=2), "layer", {}) is None


def full(model, optimizer):
    return talweg.watch(model, optimizer, tier="full")


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU])
def test_no_layer_lets_through_more_than_its_bound(activation: type[nn.Module]):
    torch.manual_seed(0)
    model = mlp(activation, depth=4)
    health = trained(model, torch.optim.SGD(model.parameters(), 0.1), 61, full)
    for step in (0, -1):
        moment = health.moments[step]
        bound, found = moment.of("bound"), moment.of("attenuation")
        assert list(bound) == list(found) == ["0", "2", "4", "6"]
        assert all(found[name] <= 1.01 * bound[name] for name in bound)
        norms = moment.of("backward norm")
        assert found["4"] == pytest.approx(norms["4"] / norms["6"])


def test_sigmoid_layers_of_one_unit_let_a_quarter_of_their_weight_through_at_most():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 1), nn.Sigmoid(), nn.Linear(1, 10))
    first = nn.Sequential(nn.Linear(64, 1), nn.Sigmoid(), nn.Linear(1, 1), nn.Sigmoid(), model[2])
    weight = float(first[2].weight.detach())
    health = trained(first, torch.optim.SGD(first.parameters(), 0.0), 1, full)
    assert health.moments[0].of("bound")["0"] == pytest.approx(abs(weight) / 4, rel=1e-4)


def test_a_vanishing_gradient_is_told_with_its_bound():
    torch.manual_seed(0)
    model = mlp(nn.Sigmoid, depth=6)
    found = trained(model, torch.optim.SGD(model.parameters(), 0.1), 45, full).findings
    vanishing = next(one for one in found if one.name == "vanishing gradient")
    assert vanishing.evidence["a layer"] < vanishing.evidence["bound a layer"] < 1
    assert "with these weights" in vanishing.text
