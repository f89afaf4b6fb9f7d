"""Comparisons beyond the rule: models, activations, schedules, batch sizes, on real data."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import talweg
from talweg import schedules
from talweg.report.page import page

QUICK: dict[str, Any] = {
    "rules": ["sgd", "adam"], "lrs": [0.01, 0.1], "seeds": 2, "tune_seeds": 1, "epochs": 2,
    "progress": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> talweg.Study:
    out = tmp_path_factory.mktemp("runs") / "iris"
    return talweg.compare(
        "mlp", "iris", hidden=8, activations=["relu", "soft_exponential"],
        batch_sizes=[1, 32, None], schedules=["constant", schedules.Cosine()], out=out, **QUICK,
    )  # fmt: skip


def test_every_combination_is_one_row(crossed: talweg.Study):
    assert len(crossed.ranking) == 2 * 2 * 3 * 2
    assert len({row.name for row in crossed.ranking}) == len(crossed.ranking)
    assert {row.rule for row in crossed.ranking} == {"sgd", "adam"}
    assert {row.levels["activation"] for row in crossed.ranking} == {"relu", "soft-exponential"}
    assert {row.levels["batch size"] for row in crossed.ranking} == {"1", "32", "full"}
    assert {row.levels["schedule"] for row in crossed.ranking} == {
        "constant", repr(schedules.Cosine()),
    }  # fmt: skip
    assert all(" · " in row.label for row in crossed.ranking)


def test_steps_and_epochs_are_counted_both_ways(crossed: talweg.Study):
    count = crossed.record["data"]["train"]
    for each in crossed.record["contenders"]:
        size = each["batch_size"]
        assert each["steps_per_epoch"] == -(-count // size)
        assert each["steps"] == 2 * each["steps_per_epoch"]
    assert {each["batch_size"] for each in crossed.record["contenders"]} == {1, 32, count}


def test_loading_the_study_and_its_report(crossed: talweg.Study):
    again = talweg.load(crossed.folder)
    assert again.ranking == crossed.ranking
    assert again.sentences == crossed.sentences
    text = page(again)
    assert "What decides" in text
    assert "soft-exponential" in text
    assert "full batch" in text
    frame = again.to_pandas()
    assert {"rule", "activation", "schedule", "batch_size", "model"} <= set(frame.columns)
    assert "levels" not in frame.columns


def test_a_combination_trains_as_it_would_alone(crossed: talweg.Study, tmp_path: Path):
    alone = talweg.compare(
        "mlp", "iris", hidden=8, activation="relu", batch_size=32, schedule="cosine",
        out=tmp_path / "alone", **QUICK,
    )  # fmt: skip
    wanted = {"activation": "relu", "batch size": "32"}
    together = {
        row.rule: row
        for row in crossed.ranking
        if wanted.items() <= row.levels.items() and row.levels["schedule"] != "constant"
    }
    for row in alone.ranking:
        assert row.lr == together[row.rule].lr
        assert row.scores == pytest.approx(together[row.rule].scores, abs=1e-6)


def test_the_winners_parameters_fit_its_model(crossed: talweg.Study):
    levels = crossed.ranking[0].levels
    model = talweg.models.mlp(4, 3, (8,), levels["activation"])
    model.load_state_dict(crossed.params(seed=1))
    about = json.loads((crossed.folder / "checkpoint" / "winner.json").read_text())
    assert about["levels"] == levels


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def test_models_of_ones_own_and_ready_ones(tmp_path: Path):
    study = talweg.compare(
        data="iris", models={"tiny": small, "ready": "linear"}, out=tmp_path / "run", **QUICK
    )
    assert {row.levels["model"] for row in study.ranking} == {"tiny", "ready"}
    parameters = {
        each["levels"]["model"]: each["parameters"] for each in study.record["contenders"]
    }
    assert parameters == {"tiny": 4 * 5 + 5 + 5 * 3 + 3, "ready": 4 * 3 + 3}
    first = {"tiny": "0.weight", "ready": "1.weight"}[study.ranking[0].levels["model"]]
    assert first in study.params(0)


def test_sizes_and_activation_are_for_those_models_that_take_them(tmp_path: Path):
    study = talweg.compare(
        data="iris", models=["linear", "mlp"], hidden=7, activation="tanh", out=tmp_path / "run",
        **QUICK,
    )  # fmt: skip
    assert {each["model"] for each in study.record["contenders"]} == {
        "linear 4-3", "mlp 4-7-3, tanh",
    }  # fmt: skip


def test_equal_steps_in_place_of_equal_epochs(tmp_path: Path):
    more = {key: value for key, value in QUICK.items() if key != "epochs"}
    study = talweg.compare(
        "mlp", "iris", hidden=8, steps=30, batch_sizes=[10, None], out=tmp_path / "run", **more
    )
    assert {each["steps"] for each in study.record["contenders"]} == {30}
    steps = {
        each["name"]: study.history.series(lane.lane, "validation", "loss").steps.tolist()
        for each in study.record["contenders"]
        for lane in study.history.of("final", each["name"])
        if lane.lane not in study.history.diverged
    }
    assert all(made == [*range(0, 31, 2)] for made in steps.values())
    text = page(study)
    assert "Loss by step" in text


def test_drop_last_leaves_the_incomplete_batch_out(tmp_path: Path):
    study = talweg.compare(
        "mlp", "iris", hidden=8, batch_size=32, drop_last=True, out=tmp_path / "run", **QUICK
    )
    assert study.record["contenders"][0]["steps_per_epoch"] == 90 // 32


def test_what_no_gradient_gets_through_is_told(tmp_path: Path):
    study = talweg.compare(
        "mlp", "iris", hidden=(8, 8), activations=["relu", "binary-step"], out=tmp_path / "run",
        **QUICK,
    )  # fmt: skip
    (told,) = [text for text in study.sentences if "trained through" in text]
    assert told == (
        "mlp 4-8-8-3, binary-step cannot be trained through: "
        "the gradient of 1.weight, 3.weight is 0."
    )


class Odd(nn.Module):
    """A head that starts at 0, a layer that nothing uses, and whatever else is given."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.body, self.unused, self.head = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 3)
        nn.init.zeros_(self.head.weight)
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.body(x))) * self.factor


class Vectors(nn.Module):
    """Parameters of one dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.randn(4)), nn.Parameter(torch.randn(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.w).sum(1, keepdim=True) * self.b


def test_odd_models_are_compared_like_others(tmp_path: Path):
    models = {
        "odd": lambda: Odd(), "broken": lambda: Odd(float("nan")), "vectors": lambda: Vectors(),
        "fine": small,
    }  # fmt: skip
    study = talweg.compare(data="iris", models=models, out=tmp_path / "run", **QUICK)
    assert len(study.ranking) == 8
    assert {each["model"] for each in study.record["contenders"]} == set(models)
    assert not any("trained through" in text for text in study.sentences)
    broken = [row for row in study.ranking if row.levels["model"] == "broken"]
    assert all(row.diverged == 1 for row in broken)


def test_only_what_varies_is_named(tmp_path: Path):
    study = talweg.compare(
        "mlp", "iris", hidden=8, schedules=["constant", "linear"],
        out=tmp_path / "run", **{**QUICK, "rules": "adam"},
    )  # fmt: skip
    assert {row.name for row in study.ranking} == {"constant", "linear"}
    assert {row.label for row in study.ranking} == {"constant", "linear"}
    assert {row.rule for row in study.ranking} == {"adam"}
    assert study.best.lr in (0.01, 0.1)


def test_numpys_numbers_and_generators_are_as_good(tmp_path: Path):
    study = talweg.compare(
        data="iris", models=(name for name in ("mlp", "maxout")), layers=np.int64(1), hidden=8,
        fractions=(np.float32(0.5), np.float32(0.25), np.float32(0.25)),
        schedules={"half": lambda start, step, _: start * 0.5 + 0 * step, "all": "constant"},
        out=tmp_path / "run", **QUICK,
    )  # fmt: skip
    assert {row.levels["schedule"] for row in study.ranking} == {"half", "all"}
    assert study.record["data"]["train"] == 74


def test_ctrl_c_between_engines_leaves_what_was_done(tmp_path: Path, monkeypatch):
    from talweg.lanes import Engine

    trained = Engine.train
    calls = []

    def train(self: Engine, *args: Any, **more: Any) -> Any:
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return trained(self, *args, **more)

    monkeypatch.setattr(Engine, "train", train)
    study = talweg.compare(
        "mlp", "iris", hidden=8, batch_sizes=[10, 32], out=tmp_path / "run", **QUICK
    )
    assert study.partial
    assert {row.levels["batch size"] for row in study.ranking} == {"10"}
    assert study.ranked_on == "validation"
    assert "Partial" in page(study)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": ["mlp", "mlp"]}, "model 'mlp' is given twice"),
        ({"models": []}, "models must hold at least one"),
        ({"models": ["mpl"]}, "did you mean 'mlp'"),
        ({"models": 3}, "models must be names"),
        ({"model": "linear", "models": ["mlp"]}, "give either model or models"),
        ({"activations": ["relu", "rleu"]}, "did you mean 'relu'"),
        ({"activations": ["relu", "relu"]}, "activation 'relu' is given twice"),
        ({"activations": ["leaky_relu", "leaky-relu"]}, "activation 'leaky-relu' is given twice"),
        ({"activations": [3]}, "an activation is a name"),
        ({"activations": ["relu"], "activation": "tanh"}, "either activation or activations"),
        ({"activations": ["relu"], "model": small}, "activation shapes a ready model"),
        ({"activations": ["relu"], "model": "linear"}, "linear has no activation"),
        ({"schedules": ["constant", "cosin"]}, "did you mean 'cosine'"),
        ({"schedules": ["cosine", "cosine"]}, "schedule 'cosine' is given twice"),
        ({"schedules": ["cosine"], "schedule": "linear"}, "either schedule or schedules"),
        ({"batch_sizes": [32, 32]}, "batch size '32' is given twice"),
        ({"batch_sizes": [90, None]}, "batch sizes 90 and full are the same on 90 samples"),
        ({"batch_sizes": [0]}, "batch_size must be a whole number of at least 1, got 0"),
        ({"batch_sizes": "1,2"}, "batch_sizes must be whole numbers or None"),
        ({"steps": 10}, "give either epochs or steps"),
        ({"steps": 0, "epochs": None}, "steps must be a whole number of at least 1"),
        ({"layers": 2, "model": small}, "layers shapes a ready model"),
        ({"models": ["linear", "mlp"], "activations": ["relu", "elu"]}, "cannot be crossed"),
        ({"drop_last": 1}, "drop_last must be"),
        ({"drop_last": True, "batch_size": 1000}, "drop_last"),
        ({"batch_size": 8, "batch_sizes": [8, 16]}, "give either batch_size or batch_sizes"),
        ({"activation": ""}, "unknown activation ''"),
        ({"models": ["linear", "softmax"], "layers": 2}, "none of the models takes layers"),
        ({"models": {"a\nb": small, "c": small}}, "a model's name must be printable"),
        ({"schedules": ["warm-up", "warm_up"]}, "are the same"),
        ({"schedules": ["cosine", schedules.Cosine()]}, "are the same"),
        (
            {"schedules": {"bad": lambda s, _, span: s / (span.steps - 4)}},
            "schedule 'bad' fails over 4 steps: float division",
        ),
        ({"hidden": "abc"}, "hidden must be whole numbers"),
        ({"fractions": (0.5, 0.5)}, "three positive numbers"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str, tmp_path: Path):
    arguments = {"model": "mlp", "data": "iris", **QUICK, "out": tmp_path / "run", **change}
    with pytest.raises(talweg.UserError, match=message):
        talweg.compare(**arguments)
    assert not (tmp_path / "run").exists()


def test_gradients_at_the_start_leave_the_model_as_it_was():
    from talweg.diagnose import a_layer, gradients_by_layer

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 6), nn.Linear(6, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x, y = torch.randn(20, 6), torch.randint(2, (20,))
    found = gradients_by_layer(model, nn.functional.cross_entropy, x, y)
    assert list(found) == ["0.weight", "2.weight", "3.weight"]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    nn.functional.cross_entropy(model(x), y).backward()
    grads = {
        n: p.grad.square().mean().sqrt().item() for n, p in model.named_parameters() if p.dim() > 1
    }
    assert found == pytest.approx(grads, rel=1e-5)
    assert a_layer(found) == pytest.approx((found["0.weight"] / found["3.weight"]) ** 0.5)
    assert a_layer({"0": 1.0, "1": 1.0}) is None
    assert a_layer({"0": 0.0, "1": 1.0, "2": 1.0}) is None
