"""Healthy runs of kinds that were once called ill."""

import pytest
import torch
from tests.diagnose.tiny import adam, batches
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, cross_entropy

import talweg
from talweg.diagnose import Health
from talweg.diagnose.between import uses_of
from talweg.diagnose.start import constant_loss


class Residual(nn.Module):
    """A path of two layers beside one of none."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.n, self.a, self.b = norm, nn.Linear(12, 12), nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(self.a(self.n(x)).relu())


class Adapted(nn.Module):
    """A frozen layer with an adapter of rank 2, whose second factor starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = nn.Linear(12, 12).requires_grad_(False)
        self.a, self.b = nn.Linear(12, 2, bias=False), nn.Linear(2, 12, bias=False)
        nn.init.zeros_(self.b.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.whole(x) + self.b(self.a(x))


def watched(model: nn.Module, steps: int = 60) -> Health:
    optimizer = adam(model)
    with talweg.watch(model, optimizer) as health:
        for x, y in batches(steps):
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            optimizer.step()
    return health


def problems(health: Health) -> set[str]:
    return {one.name for one in health.findings if one.severity == "problem"}


@pytest.mark.parametrize("norm", [nn.Identity, lambda: nn.LayerNorm(12)])
def test_sums_of_paths_are_no_layers_without_activation(norm):
    torch.manual_seed(0)
    stem = nn.Linear(12, 12)
    blocks = [Residual(norm()) for _ in range(3)]
    assert "no activation" not in problems(watched(nn.Sequential(stem, *blocks, nn.Linear(12, 4))))


def test_but_two_layers_beside_a_sum_are():
    torch.manual_seed(0)
    model = nn.Sequential(Residual(nn.Identity()), nn.Linear(12, 12), nn.Linear(12, 4))
    (found,) = [one for one in watched(model).findings if one.name == "no activation"]
    assert found.layer == "2"


def test_adapters_that_start_at_0_have_no_gradient_at_first():
    torch.manual_seed(0)
    model = nn.Sequential(Adapted(), nn.ReLU(), Adapted(), nn.ReLU(), nn.Linear(12, 4))
    assert "vanishing gradient" not in problems(watched(model))


def test_few_samples_do_not_show_whether_units_are_dead():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 4))
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    x, y = torch.randn(400, 12), torch.randint(4, (400,))
    with talweg.watch(model, optimizer, every=5) as health:
        for row in range(200):
            optimizer.zero_grad()
            cross_entropy(model(x[row : row + 1]), y[row : row + 1]).backward()
            optimizer.step()
    steps = [moment.step for moment in health.moments if moment.of("dead")]
    assert steps == list(range(155, 200, 5))  # 32 samples
    assert health.findings == []


def test_where_no_gradient_arrives_it_is_not_the_rate_that_is_too_small():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    optimizer = adam(model)
    with talweg.watch(model, optimizer) as health:
        for step, (x, y) in enumerate(batches(150)):
            if step == 40:
                with torch.no_grad():
                    model[2].bias.fill_(-100)
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            optimizer.step()
    found = {one.name for one in health.findings}
    assert {"dead units", "vanishing gradient"} <= found
    assert "learning rate too small" not in found


def test_predictions_may_be_sure():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())
    with torch.no_grad():
        model[2].weight.mul_(100)
    optimizer = adam(model)
    with talweg.watch(model, optimizer) as health:
        for x, y in batches(60):
            optimizer.zero_grad()
            binary_cross_entropy(model(x), (y > 1).float()[:, None]).backward()
            optimizer.step()
    assert max(moment.of("saturated").get("2", 0.0) for moment in health.moments) > 0.5
    assert {"saturation", "off-centre"}.isdisjoint({one.name for one in health.findings})


def test_a_few_samples_do_not_show_how_often_classes_are():
    z = torch.zeros(4, 1000, requires_grad=True)
    loss = cross_entropy(z, torch.arange(4))
    loss.backward()
    assert z.grad is not None
    assert constant_loss(z, z.grad, loss) == pytest.approx(loss.item())


def test_a_loss_that_is_not_finite_is_none_that_is_known():
    z = torch.ones(8, 4)
    assert constant_loss(z, torch.full_like(z, torch.inf), torch.tensor(torch.inf)) is None


def test_a_loss_that_is_made_of_no_weights_is_used_by_none():
    assert uses_of(torch.ones(())) == {}
