"""What looks into the models of lanes while they are evaluated."""

import pytest
import torch
from torch import nn

import talweg
from talweg.diagnose import Probe, beginning
from talweg.diagnose.measures import OF_ACTIVITY, Activity
from talweg.diagnose.measures.measure import numbers
from talweg.lanes import Engine, Plan, Reading
from talweg.models import ModelSource

DATA = talweg.data.split(talweg.data.load("digits"))


class Shared(nn.Module):
    """One ReLU module for two layers, a function, and a residual path."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 12), nn.Linear(12, 12)
        self.third, self.last = nn.Linear(12, 12), nn.Linear(12, 10)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.relu(self.first(x))
        h = h + self.relu(self.second(h))
        return self.last(torch.sigmoid(self.third(h)))


def readings(strategy: str, probe: Probe, source: ModelSource) -> list[Reading]:
    engine = Engine(
        source,
        DATA.train,
        loss=None,
        batch_size=64,
        strategy=strategy,
        device="cpu",
        compiled=False,
        lane_counts=[3],
        lane_steps=None,
        say=lambda _: None,
    )
    found: list[Reading] = []
    rules = [talweg.rules.SGD(lr=lr) for lr in (0.01, 0.1, 0.5)]
    plan = Plan(
        rules, [0, 0, 1], 23, [], {"validation": DATA.validation}, read_every=5, probe=probe
    )
    engine.train(plan, found.append)
    return found


@pytest.fixture(scope="module")
def source() -> ModelSource:
    return talweg.models.source_of(Shared)


def begun(source: ModelSource):
    return beginning(
        source.build(0), nn.functional.cross_entropy, DATA.train.x[:64], DATA.train.y[:64]
    )


def test_layers_and_where_their_outputs_come_by(source):
    found = begun(source)
    assert [(layer.name, layer.activation) for layer in found.layers] == [
        ("first", "relu"), ("second", "relu"), ("third", "sigmoid"), ("last", "")
    ]  # fmt: skip
    assert [(site.module, site.is_given, site.call) for site in found.sites] == [
        ("relu", False, 0), ("relu", False, 1), ("last", True, 0)
    ]  # fmt: skip


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_what_a_probe_takes_of_lanes_is_what_each_lane_gives(source, strategy):
    probe = Probe(begun(source).sites)
    every = readings(strategy, probe, source)
    probed = [one for one in every if any(split == "layers" for split, _ in one.values)]
    assert sorted({one.step for one in probed}) == [0, 5, 10, 20]
    start = next(one for one in probed if one.step == 0 and 2 in one.lanes)
    model = source.build(1).eval()
    x = DATA.validation.x[:128]
    with torch.no_grad():
        first = model.relu(model.first(x))
        second = model.relu(model.second(first))
        third = torch.sigmoid(model.third(first + second))
    outputs = {"first": (first, "relu"), "second": (second, "relu"), "third": (third, "sigmoid")}
    checked = 0
    for layer, (values, activation) in outputs.items():
        light = [measure for measure in OF_ACTIVITY.values() if measure.tier == "light"]
        for name, expected in numbers(light, Activity(values, 1, activation)).items():
            column = start.values["layers", f"{name} {layer}"]
            assert column[start.lanes.index(2)] == pytest.approx(float(expected), abs=1e-6)
            checked += 1
    assert checked == 3 * 3 + 2 + 1


def test_readings_are_the_same_with_a_probe(source):
    plain = readings("stacked", None, source)
    probed = readings("stacked", Probe(begun(source).sites), source)
    for one, other in zip(plain, probed, strict=True):
        assert one.lanes == other.lanes
        assert {
            key: value for key, value in other.values.items() if key[0] != "layers"
        } == one.values
