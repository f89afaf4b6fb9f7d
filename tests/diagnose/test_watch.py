"""`talweg.watch` beside training loops."""

import copy
import io
import pickle
import warnings

import pytest
import torch
from tests.diagnose.loops import mlp, trained
from torch import nn

import talweg
from talweg.core import UserError
from talweg.diagnose.health import Health


def bits(model: nn.Module) -> list[bytes]:
    return [value.detach().numpy().tobytes() for value in model.state_dict().values()]


@pytest.mark.parametrize("every", [1, 7, None])
def test_the_run_is_the_same_to_the_bit(every: int | None):
    ends = []
    for watched in (False, True):
        torch.manual_seed(3)
        model = nn.Sequential(
            nn.Linear(64, 32), nn.BatchNorm1d(32), nn.Dropout(0.3), nn.ReLU(), nn.Linear(32, 10)
        )
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        if watched:
            trained(model, optimizer, watched=lambda m, o: talweg.watch(m, o, every=every))
        else:
            trained(model, optimizer)
        ends.append((bits(model), torch.rand(1)))
    assert ends[0] == ends[1]


def test_a_healthy_run_has_no_findings_and_leaves_nothing_behind():
    torch.manual_seed(0)
    model = mlp(nn.ReLU)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    before = torch.autograd.backward
    health = trained(model, optimizer, 100, talweg.watch)
    assert health.findings == []
    assert health.steps == len(health.losses) == 100
    assert [layer.name for layer in health.setting.layers] == ["0", "2", "4"]
    assert [layer.activation for layer in health.setting.layers] == ["relu", "relu", ""]
    assert torch.autograd.backward is before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert trained(model, optimizer, 3) is None
    assert health.steps == 100


def test_six_sigmoid_layers_vanish_at_the_first():
    torch.manual_seed(0)
    model = mlp(nn.Sigmoid, depth=6)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    found = {one.name: one for one in trained(model, optimizer, 60, talweg.watch).findings}
    vanishing = found["vanishing gradient"]
    assert (vanishing.layer, vanishing.severity, vanishing.began) == ("0", "problem", 0)
    assert vanishing.evidence["a layer"] < 0.25
    assert vanishing.raised <= 50


def test_copies_and_files_of_a_watched_model_are_not_watched():
    model = mlp(nn.ReLU)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with talweg.watch(model, optimizer, every=1) as health:
        other = copy.deepcopy(model)
        torch.save(model, io.BytesIO())
        other(torch.randn(4, 64)).sum().backward()
    assert health.moments == []


def test_a_copy_or_a_file_of_what_is_known_is_of_that_moment():
    model = mlp(nn.ReLU)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    taken: list[Health] = []

    def listener(*_: object) -> None:
        if not taken:
            taken.extend([copy.deepcopy(health), pickle.loads(pickle.dumps(health))])

    with talweg.watch(model, optimizer, every=1) as health:
        health.listeners.append(listener)
        trained(model, optimizer, 5)
    for each in taken:
        assert (each.steps, len(each.moments), each.listeners) == (1, 1, [])
        assert 0 < each.seconds[1] < each.seconds[0] < health.seconds[0]
        assert each.findings == []
    assert pickle.loads(pickle.dumps(health)).rows() == health.rows()


def test_what_fails_beside_the_run_does_not_end_it(monkeypatch):
    model = mlp(nn.ReLU)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    watching = talweg.watch(model, optimizer, every=1)

    def fails(*_: object) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(watching._measured.taking, "activity", fails)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        health = trained(model, optimizer, 5, lambda *_: watching)
    assert "no room" in str(told[0].message)
    assert "no room" in health.notes[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"model": 3}, "model must be an nn.Module, got int"),
        ({"model": nn.ReLU()}, "no parameters that are trained"),
        ({"optimizer": "adam"}, "optimizer must be a torch.optim.Optimizer, got str"),
        ({"tier": "heavy"}, "unknown tier 'heavy'"),
        ({"every": 0}, "every must be a whole number of at least 1, got 0"),
        ({"silence": "dead unit"}, "did you mean 'dead units'"),
        ({"silence": 3}, "silence must be names of findings, got 3"),
        ({"silence": None}, "silence must be names of findings, got None"),
        ({"silence": [3]}, "unknown finding 3"),
        ({"silence": [["dead units"]]}, r"unknown finding \['dead units'\]"),
        ({"thresholds": {"dead units": {"shares": 1}}}, "did you mean 'share'"),
        ({"thresholds": {"dead units": {"share": -1}}}, "must be a number above 0, got -1"),
        ({"thresholds": 3}, "thresholds must be {finding: {threshold: value}}, got 3"),
        ({"thresholds": 0}, "thresholds must be {finding: {threshold: value}}, got 0"),
        (
            {"thresholds": {"dead units": 3}},
            "thresholds of 'dead units' must be {threshold: value}, got 3",
        ),
        ({"thresholds": {"dead units": {3: 3}}}, "unknown threshold of 'dead units' 3"),
    ],
)
def test_bad_arguments_are_told_in_a_line(arguments: dict, says: str):
    with pytest.raises(UserError, match=says):
        talweg.watch(**{"model": nn.Linear(1, 1), **arguments})


def test_one_name_silences_as_a_list_of_it_does():
    model = nn.Linear(1, 1)
    one, several = (talweg.watch(model, silence=each) for each in ("dead units", ["dead units"]))
    assert one._health.diagnoses == several._health.diagnoses
    assert "dead units" not in {each.name for each in one._health.diagnoses}


def test_another_models_optimizer_is_refused():
    other = torch.optim.SGD(nn.Linear(1, 1).parameters(), 0.1)
    with pytest.raises(UserError, match="holds none of the model's parameters"):
        talweg.watch(nn.Linear(1, 1), other)
