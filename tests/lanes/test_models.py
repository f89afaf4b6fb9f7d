"""Models of many kinds in lanes: buffers, plain attributes, noise, ties, and what cannot stack."""

import copy
from collections.abc import Callable

import pytest
import torch
from tests.lanes.common import STEPS, STRATEGIES, loop, needs_compiler, small, start
from torch import Tensor, nn, optim

from talweg import lanes, rules


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.norm(self.first(x))))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_batch_norm_keeps_running_statistics_per_lane(strategy: str, data: tuple[Tensor, Tensor]):
    rates = (0.3, 0.01)
    run = lanes.train(
        Normed, data, [rules.SGD(lr=lr) for lr in rates], steps=STEPS, batch_size=None,
        strategy=strategy,
    )  # fmt: skip
    assert run.strategy == ("serial" if strategy == "serial" else "stacked")
    for lane, lr in enumerate(rates):
        model = start(Normed, 0)
        expected = loop(model, optim.SGD(model.parameters(), lr=lr), data)
        torch.testing.assert_close(run.losses[lane], expected, rtol=0, atol=2e-4)
        for name, value in model.state_dict().items():
            torch.testing.assert_close(run.params(lane)[name], value, rtol=0, atol=2e-3)
        fresh = Normed()
        fresh.load_state_dict(run.params(lane))


class Centred(nn.Module):
    """Puts a new tensor in the place of its buffer, as layers written in the 2010s do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first(x))
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * hidden.mean(0)
        return self.last(hidden - self.mean.detach())


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_buffers_that_are_assigned_anew_are_kept(compiled: bool, data: tuple[Tensor, Tensor]):
    run = lanes.train(
        Centred, data, [rules.SGD(lr=0.1)] * 2, steps=STEPS, batch_size=None, compile=compiled
    )
    assert run.strategy == "stacked"
    model = start(Centred, 0)
    expected = loop(model, optim.SGD(model.parameters(), lr=0.1), data)
    torch.testing.assert_close(run.losses[1], expected, rtol=0, atol=2e-4)
    torch.testing.assert_close(run.params(1)["mean"], model.mean.detach(), rtol=0, atol=2e-4)


class Permuted(nn.Module):
    """Draws something in its constructor that is neither a parameter nor a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.order = torch.randperm(6)
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x[:, self.order])


class Counting(nn.Module):
    """Keeps a Python number from call to call."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(6, 3), 0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        return self.layer(x) / (1 + 0.01 * self.calls)


@pytest.mark.parametrize(("make", "strategy"), [(Permuted, "auto"), (Counting, "serial")])
def test_what_a_module_keeps_in_plain_attributes_is_its_lanes_own(
    make: Callable[[], nn.Module], strategy: str, data: tuple[Tensor, Tensor]
):
    run = lanes.train(
        make, data, [rules.SGD(lr=0.1)] * 3, seeds=[0, 3, 3], steps=STEPS, batch_size=None,
        strategy=strategy,
    )  # fmt: skip
    assert run.strategy == "serial"
    for lane, seed in enumerate((0, 3, 3)):
        model = start(make, seed)
        expected = loop(model, optim.SGD(model.parameters(), lr=0.1), data)
        torch.testing.assert_close(run.losses[lane], expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_state_dicts_load_into_a_new_module(strategy: str, data: tuple[Tensor, Tensor]):
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.last = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
            self.b.weight = self.a.weight
            self.register_buffer("scale", torch.ones(6), persistent=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(torch.tanh(self.b(torch.tanh(self.a(x * self.scale)))))

    run = lanes.train(Shared, data, ["adam"], steps=5, strategy=strategy)
    model = Shared()
    model.load_state_dict(run.params(0))
    assert torch.equal(model.a.weight, run.params(0)["b.weight"])
    assert "scale" not in run.params(0)


def test_dropout_draws_its_own_noise_and_repeats(data: tuple[Tensor, Tensor]):
    def noisy() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 3))

    def once() -> Tensor:
        return lanes.train(noisy, data, [rules.SGD(lr=1e-9)] * 2, steps=20).losses

    first = once()
    torch.manual_seed(123)
    assert torch.equal(first, once())
    assert not torch.equal(first[0], first[1])


class Branching(nn.Module):
    """A Python decision on a value: it cannot be stacked."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        out = self.layer(x)
        return out * 2 if out.mean().item() > 0 else out


def test_a_model_that_cannot_be_stacked_runs_one_lane_after_another(data: tuple[Tensor, Tensor]):
    run = lanes.train(Branching, data, [rules.SGD(lr=0.1)], steps=STEPS, batch_size=None)
    assert run.strategy == "serial"
    assert "cannot be stacked" in run.notes[0]
    assert ".item()" in run.notes[0]
    model = start(Branching, 0)
    expected = loop(model, optim.SGD(model.parameters(), lr=0.1), data)
    torch.testing.assert_close(run.losses[0], expected, rtol=0, atol=2e-4)
    with pytest.raises(ValueError, match=r"cannot be stacked .*use strategy='auto'"):
        lanes.train(Branching, data, ["sgd"], steps=1, strategy="stacked")


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_attention_is_stacked(compiled: bool, data: tuple[Tensor, Tensor]):
    def attentive() -> nn.Module:
        layer = nn.TransformerEncoderLayer(2, 2, 8, dropout=0.0, batch_first=True)
        return nn.Sequential(nn.Unflatten(1, (3, 2)), layer, nn.Flatten(), nn.Linear(6, 3))

    run = lanes.train(
        attentive, data, ["sgd", "adam"], steps=STEPS, batch_size=None, compile=compiled,
        evaluate={"all": data}, strategy="stacked",
    )  # fmt: skip
    model = start(attentive, 0)
    expected = loop(model, optim.SGD(model.parameters(), lr=0.01), data)
    torch.testing.assert_close(run.losses[0], expected, rtol=0, atol=2e-4)


def test_tied_and_frozen_parameters(data: tuple[Tensor, Tensor]):
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
            self.b.weight = self.a.weight
            self.c.bias.requires_grad_(False)

        def forward(self, x: Tensor) -> Tensor:
            return self.c(torch.tanh(self.b(torch.tanh(self.a(x)))))

    model = start(Tied, 0)
    frozen = model.c.bias.clone()
    trained = [p for p in model.parameters() if p.requires_grad]
    expected = loop(model, optim.SGD(trained, lr=0.2), data)
    for strategy in ("stacked", "serial"):
        run = lanes.train(
            Tied, data, [rules.SGD(lr=0.2)], steps=STEPS, batch_size=None, strategy=strategy
        )
        torch.testing.assert_close(run.losses[0], expected, rtol=0, atol=2e-4)
        assert torch.equal(run.params(0)["c.bias"], frozen)


def test_a_module_is_reinitialised_for_each_seed(data: tuple[Tensor, Tensor]):
    model = small()
    kept = copy.deepcopy(model.state_dict())
    run = lanes.train(model, data, ["sgd", "sgd"], seeds=[0, 1], steps=0)
    assert not torch.equal(run.params(0)["0.weight"], run.params(1)["0.weight"])
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())
