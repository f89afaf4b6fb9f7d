"""Diagnoses, each on a small run with its disease and on one without."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
import torch
from tests.diagnose.loops import digits, mlp
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import talweg
from talweg.diagnose import DIAGNOSES, Health
from talweg.diagnose.findings import Finding, persisting
from talweg.diagnose.graph import THROUGH_TIME, TIME_STEPS
from talweg.diagnose.moment import WHOLE

ONSET = 47
WITHIN = 50


@dataclass
class Planted:
    """A run with a disease.

    Attributes:
        model: On the digits.
        layer: Where the disease is.
        onset: The step from which on it is there.
        plant: What is done right before that step.
        lr: Of SGD.
        tighter: A threshold at which it is no longer seen.
    """

    model: nn.Module
    layer: str
    onset: int = 0
    plant: Callable[["Planted", torch.optim.Optimizer], None] = lambda *_: None
    lr: float = 0.05
    tighter: dict[str, float] = field(default_factory=dict[str, float])


def in_place(change: Callable[[nn.Module], Any]) -> Callable[[Planted, Any], None]:
    """Changes the planted layer."""

    def plant(planted: Planted, _: Any) -> None:
        with torch.no_grad():
            change(planted.model.get_submodule(planted.layer))

    return plant


def scaled(model: nn.Sequential, by: float) -> nn.Sequential:
    """All layers but the first and the last with weights of that size, in units of 1/√inputs."""
    with torch.no_grad():
        for layer in [each for each in model if isinstance(each, nn.Linear)][1:-1]:
            layer.weight.normal_(0, by * layer.in_features**-0.5)
    return model


def hotter(_: Planted, optimizer: torch.optim.Optimizer) -> None:
    optimizer.param_groups[0]["lr"] = 20.0


def dead() -> Planted:
    kill = in_place(lambda layer: layer.bias[:24].fill_(-50.0))
    return Planted(mlp(nn.ReLU, 3), "2", ONSET, kill, tighter={"share": 0.99, "some": 0.98})


def saturated() -> Planted:
    grow = in_place(lambda layer: layer.weight.normal_(0, 4.0))
    return Planted(mlp(nn.Tanh, 3), "2", ONSET, grow, tighter={"some": 1.0})


def off_centre() -> Planted:
    shift = in_place(lambda layer: layer.bias.add_(20.0))
    return Planted(mlp(nn.ReLU, 3), "2", ONSET, shift, 0.001, {"deviations": 1e3})


def no_activation() -> Planted:
    layers = list(mlp(nn.ReLU, 3))
    return Planted(nn.Sequential(*layers[:3], *layers[4:]), "3")


def not_finite() -> Planted:
    return Planted(
        mlp(nn.ReLU), "2", ONSET, in_place(lambda layer: layer.weight[0].fill_(torch.nan))
    )


def wrong_start() -> Planted:
    model = mlp(nn.ReLU)
    with torch.no_grad():
        model[-1].weight.mul_(200.0)  # pyright: ignore
    return Planted(model, WHOLE, tighter={"times": 1e3, "some": 1e3})


PLANTED: dict[str, Callable[[], Planted]] = {
    "vanishing gradient": lambda: Planted(mlp(nn.Sigmoid, 6), "0", tighter={"total": 1e-12}),
    "exploding gradient": lambda: Planted(
        scaled(mlp(nn.ReLU, 8), 5.0), "0", lr=1e-12, tighter={"total": 1e12}
    ),
    "dead units": dead,
    "saturation": saturated,
    "off-centre": off_centre,
    "no activation": no_activation,
    "learning rate too large": lambda: Planted(mlp(nn.ReLU), WHOLE, ONSET, hotter),
    "learning rate too small": lambda: Planted(
        mlp(nn.ReLU), WHOLE, lr=1e-4, tighter={"ratio": 1e-7, "mean": 1e-7}
    ),
    "wrong start": wrong_start,
    "not finite": not_finite,
}
ELSEWHERE = {"gradient noise"}
"""Findings whose disease is in the tests of the costly measurements."""


def watched(planted: Planted, steps: int, **more: Any) -> Health:
    """The health of a planted run."""
    x, y = digits()
    draws = torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(planted.model.parameters(), planted.lr)
    with talweg.watch(planted.model, optimizer, **more) as health:
        for step in range(steps):
            if step == planted.onset:
                planted.plant(planted, optimizer)
            rows = torch.randint(len(x), (32,), generator=draws)
            optimizer.zero_grad()
            cross_entropy(planted.model(x[rows]), y[rows]).backward()
            optimizer.step()
    return health


@cache
def health_of(name: str) -> tuple[Health, Planted]:
    torch.manual_seed(0)
    planted = PLANTED[name]()
    return watched(planted, planted.onset + 62), planted


@cache
def healthy() -> Health:
    torch.manual_seed(0)
    return watched(Planted(mlp(nn.ReLU, 3), WHOLE, lr=0.1), 120)


def told(found: Sequence[Finding], name: str) -> dict[str, Finding]:
    """Findings of a name, by layer."""
    return {one.layer: one for one in found if one.name == name}


def test_every_diagnosis_has_a_planted_disease():
    assert set(PLANTED) == set(DIAGNOSES) - ELSEWHERE


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_disease_is_found_in_its_layer_and_soon(name: str):
    health, planted = health_of(name)
    finding = told(health.findings, name)[planted.layer]
    assert finding.severity == ("warning" if name == "off-centre" else "problem")
    assert 0 <= finding.raised - planted.onset <= WITHIN
    assert finding.text
    assert finding.meaning
    assert finding.remedies


@pytest.mark.parametrize("name", PLANTED)
def test_a_healthy_run_does_not_have_it(name: str):
    found = told(healthy().findings, name)
    assert [one for one in found.values() if one.severity == "problem"] == []


@pytest.mark.parametrize("name", [name for name in PLANTED if PLANTED[name]().tighter])
def test_with_another_threshold_it_is_not_found(name: str):
    health, planted = health_of(name)
    own = DIAGNOSES[name]
    assert planted.layer in told(persisting([own], health.moments, health.setting), name)
    moved = own.with_thresholds(planted.tighter)
    assert planted.layer not in told(persisting([moved], health.moments, health.setting), name)


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_silenced_is_not_told(name: str):
    torch.manual_seed(0)
    planted = PLANTED[name]()
    assert told(watched(planted, planted.onset + 62, silence=[name]).findings, name) == {}


@pytest.mark.parametrize("name", PLANTED)
def test_the_same_is_found_once_a_run_is_over(name: str):
    health, _ = health_of(name)
    again = persisting(list(DIAGNOSES.values()), health.moments, health.setting)
    assert again == health.findings


class Reader(nn.Module):
    """A plain recurrent network over rows of 4 pixels."""

    def __init__(self, gain: float, kind: str) -> None:
        super().__init__()
        self.states = nn.RNN(4, 32, nonlinearity=kind, batch_first=True)
        self.head = nn.Linear(32, 10)
        with torch.no_grad():
            nn.init.orthogonal_(self.states.weight_hh_l0).mul_(gain)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.states(x.unflatten(1, (16, 4)))[0][:, -1])


@pytest.mark.parametrize(
    ("gain", "kind", "name"),
    [
        (0.2, "tanh", "vanishing gradient"),
        (4.0, "relu", "exploding gradient"),
        (1.0, "tanh", None),
    ],
)
def test_gradients_through_time(gain: float, kind: str, name: str | None):
    torch.manual_seed(0)
    health = watched(Planted(Reader(gain, kind), "states", lr=1e-9), 41)
    first = health.moments[0]
    assert first.of(TIME_STEPS) == {"states": 16}
    total = first.of(THROUGH_TIME)["states"]
    assert (total < 1e-6) == (name == "vanishing gradient")
    both = {"vanishing gradient", "exploding gradient"}
    found = {(one.name, one.layer) for one in health.findings if one.name in both}
    assert found == ({(name, "states")} if name else set())


def test_a_loss_that_leaps_is_looked_at_between_measured_steps():
    torch.manual_seed(0)

    def plant(planted: Planted, _: Any) -> None:
        scaled(planted.model, 10.0)  # pyright: ignore[reportArgumentType]

    planted = Planted(mlp(nn.ReLU, 8), "0", ONSET, plant)
    health = watched(planted, 60)
    found = told(health.findings, "exploding gradient")["0"]
    assert (found.began, found.raised) == (ONSET, ONSET)
    assert ONSET in [moment.step for moment in health.moments]
