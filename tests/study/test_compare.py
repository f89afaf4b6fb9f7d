"""`talweg.compare` from end to end on real data."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.datasets import load_wine
from torch import Tensor, nn

import talweg
from talweg import rules
from talweg.study.history import SCHEMA

QUICK = {"rules": ["sgd", "adam"], "lrs": [0.01, 0.1], "seeds": 2, "epochs": 4, "progress": False}


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> talweg.Study:
    out = tmp_path_factory.mktemp("runs") / "wine"
    return talweg.compare("mlp", "wine", out=out, **QUICK)


def test_the_ranking_has_one_row_per_rule_with_sensible_scores(wine: talweg.Study):
    assert sorted(row.rule for row in wine.ranking) == ["adam", "sgd"]
    assert not wine.partial
    assert wine.ranked_on == "test"
    for row in wine.ranking:
        assert 0.8 < row.score <= 1.0
        assert len(row.scores) == 2
        assert row.lr in (0.01, 0.1)
        assert not math.isnan(row.low)
    assert wine.sentences
    assert "adam" in repr(wine).lower()


def test_the_folder_holds_what_any_tool_reads(wine: talweg.Study):
    record = json.loads((wine.folder / "study.json").read_text())
    assert record["status"] == "complete"
    assert len(record["lanes"]) == 2 * 2 * 2 + 2 * 2
    assert record["asked"]["epochs"] == 4
    assert record["data"]["train"] == len(load_wine().target) * 6 // 10
    parts = sorted((wine.folder / "metrics").glob("*.parquet"))
    assert parts
    assert all(pq.read_schema(part).names == SCHEMA.names for part in parts)
    page = (wine.folder / "report.html").read_text()
    assert "wine" in page
    assert "Adam" in page


def test_loading_gives_the_same_ranking(wine: talweg.Study):
    again = talweg.load(wine.folder)
    assert again.ranking == wine.ranking
    assert again.sentences == wine.sentences


def test_every_rule_gets_the_same_budget_and_fresh_seeds(wine: talweg.Study):
    lanes = wine.history.lanes
    for rule in ("sgd", "adam"):
        tuned = [lane for lane in lanes if lane.phase == "tune" and lane.contender == rule]
        assert sorted((lane.lr, lane.seed) for lane in tuned) == [
            (0.01, 1000), (0.01, 1001), (0.1, 1000), (0.1, 1001),
        ]  # fmt: skip
        final = [lane for lane in lanes if lane.phase == "final" and lane.contender == rule]
        assert [lane.seed for lane in final] == [0, 1]


def test_the_winner_comes_with_its_parameters(wine: talweg.Study):
    best = wine.best
    assert isinstance(best, rules.SGD | rules.Adam)
    assert best.lr == wine.ranking[0].lr
    params = wine.params(seed=1)
    model = talweg.models.mlp(13, 3)
    model.load_state_dict(params)
    with pytest.raises(talweg.UserError, match="seed must be one of 0, 1, got 7"):
        wine.params(seed=7)


def test_pandas(wine: talweg.Study):
    frame = wine.to_pandas()
    assert list(frame["rule"]) == [row.rule for row in wine.ranking]


def test_the_same_call_gives_the_same_numbers(wine: talweg.Study, tmp_path: Path):
    again = talweg.compare("mlp", "wine", out=tmp_path / "again", **QUICK)
    assert [row.scores for row in again.ranking] == [row.scores for row in wine.ranking]
    assert again.metrics.sort_by([(n, "ascending") for n in SCHEMA.names[:5]]).equals(
        wine.metrics.sort_by([(n, "ascending") for n in SCHEMA.names[:5]])
    )


def test_test_scores_are_those_of_the_saved_parameters(wine: talweg.Study):
    winner = wine.ranking[0]
    splits = talweg.data.split(talweg.data.load("wine"), seed=0)
    model = talweg.models.mlp(13, 3)
    for seed in (0, 1):
        model.load_state_dict(wine.params(seed))
        right = (model(splits.test.x).argmax(1) == splits.test.y).float().mean().item()
        assert winner.scores[seed] == pytest.approx(right)


def test_regression_reports_errors_in_the_targets_own_unit(tmp_path: Path):
    study = talweg.compare("mlp", "diabetes", out=tmp_path / "run", **QUICK)
    task = study.record["task"]
    assert (task["metric"], task["higher_is_better"]) == ("rmse", False)
    assert 60 < task["baseline"] < 90
    assert 45 < study.ranking[0].score < 75
    assert study.ranking[0].score <= study.ranking[1].score
    names = set(study.metrics.column("metric").to_pylist())
    assert {"loss", "rmse", "r2"} <= names


def table_with_gaps(path: Path) -> Path:
    """Prices of flats: two columns of text, one of numbers with gaps, one constant."""
    draws = np.random.default_rng(0)
    lines = ["area,district,heating,country,price"]
    for _ in range(240):
        area = draws.uniform(20, 150)
        district = draws.choice(["north", "south", "old town"])
        heating = draws.choice(["gas", "wood", ""])
        bonus = {"north": 0, "south": 40, "old town": 120}[district]
        price = 3 * area + bonus + draws.normal(0, 5)
        shown = "" if draws.random() < 0.1 else f"{area:.1f}"
        lines.append(f"{shown},{district},{heating},home,{price:.2f}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_csv_with_text_and_gaps(tmp_path: Path):
    data = table_with_gaps(tmp_path / "flats.csv")
    arguments = {**QUICK, "epochs": 15}
    study = talweg.compare("mlp", data, target="price", out=tmp_path / "run", **arguments)
    best = study.ranking[0]
    assert best.score < 0.5 * study.record["task"]["baseline"]
    notes = " ".join(study.record["data"]["notes"])
    assert "country" in notes
    assert "missing" in notes


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(30, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def test_a_batch_norm_model_of_ones_own(tmp_path: Path):
    study = talweg.compare(Normed, "breast_cancer", out=tmp_path / "run", **QUICK)
    assert study.ranking[0].score > 0.9
    Normed().load_state_dict(study.params())


def test_arrays_a_schedule_and_rates_by_rule(tmp_path: Path):
    draws = np.random.default_rng(0)
    x = draws.normal(size=(120, 5)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    study = talweg.compare(
        "mlp", (x, y), rules=[rules.Adam(beta1=0.8), "momentum(form=average)"],
        lrs={"adam(beta1=0.8)": [0.01], "momentum(form=average)": [0.5]}, seeds=2, tune_seeds=1,
        epochs=3, schedule="linear", hidden=(8,), reach=0.6, out=tmp_path / "run", progress=False,
    )  # fmt: skip
    labels = {row.label for row in study.ranking}
    assert labels == {"Adam (beta1=0.8)", "Momentum (form=average)"}
    assert study.record["asked"]["schedules"] == ["linear"]
    assert study.record["target"] == 0.6
    assert study.rule(study.ranking[0]) in (
        rules.Adam(lr=0.01, beta1=0.8),
        rules.Momentum(lr=0.5, form="average"),
    )


def test_serial_and_stacked_agree(tmp_path: Path):
    stacked = talweg.compare("mlp", "iris", out=tmp_path / "a", strategy="stacked", **QUICK)
    serial = talweg.compare("mlp", "iris", out=tmp_path / "b", strategy="serial", **QUICK)
    for one, other in zip(stacked.ranking, serial.ranking, strict=True):
        assert one.rule == other.rule
        assert one.loss == pytest.approx(other.loss, abs=1e-4)


def test_a_rule_that_always_diverges_comes_last(tmp_path: Path):
    study = talweg.compare(
        "mlp", "wine", rules=["sgd", "adam"], lrs={"sgd": [1e30, 1e35], "adam": [0.01, 0.1]},
        seeds=2, epochs=3, out=tmp_path / "run", progress=False,
    )  # fmt: skip
    first, last = study.ranking
    assert (first.rule, last.rule) == ("adam", "sgd")
    assert last.diverged == 1.0
    assert last.scores == (study.record["task"]["test_baseline"],) * 2
    assert any("SGD diverged at 1e+30 and 1e+35 in every seed" in s for s in study.sentences)


def test_seeds_are_used_in_one_phase_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules["talweg.study.compare"], "TUNE_SEEDS_FROM", 1)
    study = talweg.compare("mlp", "iris", out=tmp_path / "run", **QUICK | {"seeds": 3})
    tuned = {lane.seed for lane in study.history.of("tune")}
    assert tuned == {3, 4}


def test_numbers_and_names_may_come_singly_and_from_numpy(tmp_path: Path):
    study = talweg.compare(
        "mlp", "iris", rules="adam, momentum(form=average)", lrs=np.float64(0.01),
        seeds=np.int64(2), tune_seeds=1, epochs=np.int32(2), hidden=np.int64(16),
        batch_size=np.int64(32), out=tmp_path / "run", progress=False,
    )  # fmt: skip
    assert study.history.contenders["adam"]["model"] == "mlp 4-16-3, relu"
    assert [rule["lrs"] for rule in study.record["contenders"]] == [[0.01], [0.01]]
    one = talweg.compare(
        "mlp", "iris", rules=rules.Adam(beta1=np.float32(0.5)), lrs={"adam(beta1=0.5)": 0.01},
        seeds=2, epochs=2, out=tmp_path / "one", progress=False,
    )  # fmt: skip
    assert one.best == rules.Adam(lr=0.01, beta1=0.5)
    assert one.sentences[0].startswith("Adam (beta1=0.5) at 0.01 has ")


def test_a_rule_of_ones_own_can_win(tmp_path: Path):
    class Signed(rules.SGD):
        def step(self, params, grad, state, scalars):
            return params - scalars["lr"] * grad.sign(), state

    study = talweg.compare(
        "mlp", "wine", rules=["sgd", Signed()], lrs={"sgd": 1e-6, "signed": 0.01}, seeds=3,
        epochs=4, out=tmp_path / "run", progress=False,
    )  # fmt: skip
    assert study.best == Signed(lr=0.01)
    with pytest.raises(talweg.UserError, match="signed is not one of talweg's rules"):
        _ = talweg.load(study.folder).best


def test_a_folder_that_is_there_and_empty_is_filled(tmp_path: Path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    study = talweg.compare("mlp", "iris", out=tmp_path / "link", **QUICK)
    assert talweg.load(tmp_path / "there").ranking == study.ranking
    with pytest.raises(talweg.UserError, match=r"cannot write the report to .*no such file"):
        study.report(tmp_path / "nowhere" / "report.html")


def test_the_constant_prediction_is_scored_on_each_part(tmp_path: Path):
    study = talweg.compare("mlp", "iris", out=tmp_path / "run", **QUICK)
    assert study.record["task"]["test_baseline"] == 1 / 3
    assert study.record["task"]["baseline"] == 1 / 3


def test_errors_too_large_for_single_precision_are_measured(tmp_path: Path):
    x = np.random.default_rng(0).normal(size=(60, 2))
    study = talweg.compare(
        "mlp", (x, x[:, 0] * 1e30), rules=["sgd"], lrs=[0.001, 0.01], seeds=2, epochs=2,
        metric="rmse", out=tmp_path / "run", progress=False,
    )  # fmt: skip
    assert 1e28 < study.ranking[0].score < 1e31


def test_ctrl_c_keeps_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from talweg.study import runner

    count = 0
    read = runner.Runner._read

    def interrupted(self: runner.Runner, reading: object) -> None:
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        read(self, reading)

    monkeypatch.setattr(runner.Runner, "_read", interrupted)
    study = talweg.compare("mlp", "wine", out=tmp_path / "run", **QUICK)
    assert study.partial
    assert study.record["status"] == "interrupted"
    assert study.ranked_on == "validation"
    assert len(study.ranking) == 2
    assert talweg.load(tmp_path / "run").ranking == study.ranking
    with pytest.raises(talweg.UserError, match="has no checkpoint"):
        study.params()


def bad_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(13, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": "digts"}, "unknown data set 'digts'; did you mean 'digits'"),
        ({"rules": ["adma"]}, "unknown rule 'adma'; did you mean 'adam'"),
        ({"rules": []}, "at least one rule"),
        ({"rules": ["adam", "adam"]}, "rule 'adam' is given twice"),
        ({"lrs": [-1.0]}, "lr must be a positive number, got -1.0"),
        ({"lrs": []}, "at least one learning rate"),
        ({"lrs": [0.1, 0.1]}, "lrs must be distinct"),
        ({"lrs": {"sgd": [0.1]}}, "every rule must get the same number of learning rates"),
        ({"lrs": {"sdg": [0.1]}}, "did you mean 'sgd'"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"seeds": 2.5}, "seeds must be a whole number of at least 1, got 2.5"),
        ({"batch_size": -4}, "batch_size must be a whole number of at least 1, got -4"),
        ({"hidden": [0]}, "hidden must be whole numbers of at least 1, got 0"),
        ({"activation": "rleu"}, "did you mean 'relu'"),
        ({"schedule": "cosin"}, "unknown schedule 'cosin'"),
        ({"metric": "rmse"}, "rmse is no metric for classification"),
        ({"loss": "mean-squared-error"}, "is no loss for classification"),
        ({"model": "mpl"}, "did you mean 'mlp'"),
        ({"model": lambda: nn.Linear(13, 2)}, "returns 2 values per sample, but the target has 3"),
        ({"target": 0.9}, "pass reach=0.9"),
        ({"reach": math.nan}, "reach must be a finite number, got nan"),
        ({"rules": ["adam(lr=0.5)"]}, "given as lrs, not within a rule"),
        ({"rules": ["rmsprop", rules.RMSProp(), "sgd"]}, "rule 'rmsprop' is given twice"),
        (
            {"rules": ["rmsprop-nesterov", "rmsprop(momentum=0.9, nesterov=true)"]},
            "are the same rule",
        ),
        ({"metric": 5}, "a metric is a name or a Metric, got int"),
        ({"schedule": 5}, "a schedule is a name or a callable, got int"),
        ({"out": 5}, "out must be a path, got int"),
        ({"split_seed": -1}, "split_seed must be a whole number of at least 0"),
        ({"batch_size": 15, "model": bad_norm}, "leave one of the 106 samples"),
        ({"device": "meta"}, "device 'meta' cannot be used here"),
        ({"data": (np.full((9, 2), np.nan), [0, 1, 2] * 3)}, "missing values"),
        ({"data": (torch.zeros(30, 2), torch.ones(30).long())}, "same value in every row"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    change: dict[str, object], message: str, tmp_path: Path
):
    arguments = {"model": "mlp", "data": "wine", **QUICK, "out": tmp_path / "run", **change}
    with pytest.raises(talweg.UserError, match=message) as error:
        talweg.compare(**arguments)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_training_batches_are_augmented_and_the_study_says_by_what(tmp_path: Path):
    def jittered(x: Tensor) -> Tensor:
        sizes.append(len(x))
        return x + 0.5 * torch.randn_like(x)

    sizes: list[int] = []
    plain, study, again = (
        talweg.compare("mlp", "wine", out=tmp_path / str(run), augment=augment, **QUICK)
        for run, augment in enumerate((None, jittered, jittered))
    )
    train, seeds, batches = study.record["data"]["train"], 2 + 2, 2
    assert sum(sizes) == 2 * (seeds * QUICK["epochs"] * train + 8)  # 8 beforehand, to try it
    assert len(sizes) == 2 * (seeds * QUICK["epochs"] * batches + 1)
    assert study.record["asked"]["augment"] == "jittered"
    assert plain.record["asked"]["augment"] is None
    assert [row.scores for row in again.ranking] == [row.scores for row in study.ranking]
    losses = [each.metrics.column("value").to_pylist() for each in (plain, study, again)]
    assert losses[0] != losses[1] == losses[2]
    told = "Augmentation: jittered changed every training batch"
    assert told in (study.folder / "report.html").read_text()
    assert "Augmentation" not in (plain.folder / "report.html").read_text()


def test_a_function_that_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(talweg.UserError, match=r"augment \(<lambda>\) must give what it gets"):
        talweg.compare("mlp", "wine", out=tmp_path / "run", augment=lambda x: x[:1], **QUICK)
    assert not (tmp_path / "run").exists()


def test_the_study_says_in_what_precision(tmp_path: Path):
    plain, study = (
        talweg.compare("mlp", "wine", out=tmp_path / str(precision), precision=precision, **QUICK)
        for precision in (None, "bf16")
    )
    assert [each.record["asked"]["precision"] for each in (plain, study)] == [None, "bf16"]
    told = "products in bfloat16, sums and updates in float32"
    assert told in study.record["log"]
    page = (study.folder / "report.html").read_text()
    assert f"Precision (bf16): {told}." in page
    assert "Precision (" not in (plain.folder / "report.html").read_text()
    losses = [each.metrics.column("value").to_pylist() for each in (plain, study)]
    assert losses[0] != losses[1]
    with pytest.raises(talweg.UserError, match="unknown precision 'fp16'; did you mean 'bf16'"):
        talweg.compare("mlp", "wine", out=tmp_path / "run", precision="fp16", **QUICK)
    assert not (tmp_path / "run").exists()
