"""A model before its first step: one pass there and back tells all that is told of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import talweg
from talweg.diagnose import beginning, gradients_by_layer
from talweg.study import teams


class Changing(nn.Module):
    """Changes its input in place; one weight is used twice, and one never."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(6, 6)
        self.never = nn.Linear(6, 6)
        self.last = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x += 1
        return self.last(self.twice(self.twice(x).relu()))


def frozen() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3))
    model[0].requires_grad_(False)
    return model


def lost() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 3))
    with torch.no_grad():
        model[0].weight[0, 0] = torch.inf
    return model


MODELS: dict[str, Callable[[], nn.Module]] = {
    "dropout": lambda: nn.Sequential(nn.Linear(6, 9), nn.Dropout(), nn.ReLU(), nn.Linear(9, 3)),
    "batch norm": lambda: nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Linear(9, 3)),
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)
    ),
    "changing": Changing,
    "frozen": frozen,
    "not finite": lost,
}


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_a_pass_of_their_own(name: str):
    torch.manual_seed(0)
    x, y, model = torch.randn(20, 6), torch.randint(3, (20,)), MODELS[name]()
    before = x.clone()
    wanted = gradients_by_layer(model, nn.functional.cross_entropy, x, y)
    found = beginning(model, nn.functional.cross_entropy, x, y)
    assert wanted
    assert found.gradients == wanted
    assert torch.equal(x, before)


class Cut(nn.Module):
    """No gradient comes to its first layer; its last one starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x.new_zeros(()) * self.first(x).relu() + 1)


def zeros() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    nn.init.zeros_(model[2].weight)
    return model


@pytest.mark.parametrize(
    ("model", "looked", "blocked"),
    [("mlp", 0, []), (zeros, 1, []), (Cut, 1, ["first.weight"])],
)
def test_blocked_weights_are_looked_for_where_a_gradient_is_0(
    model: object, looked: int, blocked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    calls, look = [], teams.blocked_layers

    def counted(*given):
        calls.append(given)
        return look(*given)

    monkeypatch.setattr(teams, "blocked_layers", counted)
    study = talweg.compare(
        model, "iris", rules=["sgd"], lrs=[0.1], steps=2, epochs=None, seeds=1, tune_seeds=1,
        out=tmp_path / "run", progress=False,
    )  # fmt: skip
    assert len(calls) == looked
    (contender,) = study.record["contenders"]
    assert contender["blocked"] == blocked
