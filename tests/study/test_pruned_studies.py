"""Studies with pruning, beside the same without it."""

import json

import pytest
from typer.testing import CliRunner

import talweg
from talweg.cli.main import app
from talweg.core import UserError
from talweg.lanes import Engine
from talweg.study import Study
from talweg.study.live import Display
from talweg.study.pruning import margin, saving, stages
from talweg.study.runner import Runner

DATA = ("digits", "iris", "wine", "breast_cancer", "diabetes")
SMALL = {
    "rules": ["sgd", "nesterov", "adam"],
    "epochs": 8,
    "seeds": 3,
    "hidden": 16,
    "progress": False,
}


def compared(tmp_path, prune: bool, **more) -> Study:
    name = f"{more.get('data')}-{more.get('split_seed')}-{prune}"
    return talweg.compare(out=tmp_path / name, prune=prune, **{**SMALL, **more})


@pytest.mark.parametrize("split_seed", range(2))
@pytest.mark.parametrize("data", DATA)
def test_the_winner_is_that_of_the_full_run(tmp_path, data: str, split_seed: int):
    """Ten repeats; benchmarks/pruning.py makes fifty at full length."""
    full, pruned = (
        compared(tmp_path, prune, data=data, split_seed=split_seed) for prune in (False, True)
    )
    first, now = full.ranking[0], pruned.ranking[0]
    assert now.label in (first.label, *first.ties)
    found = {row.name: row for row in pruned.ranking}
    same = [row for row in full.ranking if row.lr == found[row.name].lr]
    assert len(same) >= len(full.ranking) - 1
    for row in same:  # fresh seeds run whole
        assert found[row.name].score == pytest.approx(row.score, abs=0.02 * abs(row.score))
    spared = saving(pruned.history)
    assert spared.steps > 0.1 * spared.of_steps  # of iris, two of 30 samples stop few rates
    assert saving(full.history).stopped == 0


@pytest.mark.parametrize("more", [{}, {"strategy": "serial"}, {"batch_sizes": [16, None]}])
def test_what_is_read_before_a_stop_is_what_the_full_run_reads(tmp_path, monkeypatch, more):
    ticks: list[int] = []
    tick = Display.tick

    def counted(self: Display, lane_steps: int) -> None:
        ticks.append(lane_steps)
        tick(self, lane_steps)

    monkeypatch.setattr(Display, "tick", counted)
    asked = {"data": "iris", "rules": ["sgd", "adam"], "epochs": 8, **more}
    full, made = compared(tmp_path, False, **asked), sum(ticks)
    ticks.clear()
    study = compared(tmp_path, True, **asked)
    assert sum(ticks) == made  # the bar ends full
    history, whole = study.history, full.history
    assert history.lanes[: len(history.of("tune"))] == whole.of("tune")
    assert history.stopped.keys() <= {lane.lane for lane in history.of("tune")}
    for name, about in history.contenders.items():
        going = [
            lane.lr
            for lane in history.of("tune", name)
            if lane.lane not in history.stopped and lane.lane not in history.diverged
        ]
        lost = {lane.lr for lane in history.of("tune", name) if lane.lane in history.diverged}
        kept = stages(len(about["lrs"]))[-1][1]
        assert kept - len(lost) <= len(set(going) - lost)
        if not margin(study.record["task"], study.record["data"]["validation"]):
            assert len(set(going) - lost) <= kept
    for lane in history.of("tune"):
        until = history.stopped.get(lane.lane, 10**9)
        for metric in ("loss", "accuracy"):
            found = history.series(lane.lane, "validation", metric)
            expected = whole.series(lane.lane, "validation", metric)
            assert found
            assert expected
            before = expected.steps <= until
            assert found.steps.tolist() == expected.steps[before].tolist()
            if metric == "loss" and lane.lane not in whole.diverged:
                assert found.values == pytest.approx(expected.values[before], rel=1e-3)


def test_the_saving_is_told(tmp_path, capsys):
    study = compared(tmp_path, True, data="iris", progress=True)
    spared = saving(study.history)
    assert study.record["pruned"] == vars(spared)
    assert study.record["asked"]["prune"] is True
    assert str(spared) in study.record["log"]
    assert str(spared) in capsys.readouterr().err
    told = str(spared)[1:]
    assert any(told in sentence for sentence in study.sentences)
    page = study.report().read_text()
    assert told.partition("'")[0] in page
    assert "Of its rates there went on 3/4 after 1/8, 2/3 after 1/4, 1/2 after 1/2" in page
    assert "Stopped at step" in page


def test_nothing_is_stopped_where_there_is_no_reading_to_go_by(tmp_path):
    study = compared(tmp_path, True, data="iris", epochs=1)
    assert study.history.stopped == {}
    assert not any("runing" in sentence for sentence in study.sentences)


@pytest.mark.parametrize("after", [2, 9, 20])
def test_a_study_that_was_interrupted_loads(tmp_path, monkeypatch, after: int):
    read, count = Runner._read, [0]

    def interrupted(self, reading):
        read(self, reading)
        count[0] += 1
        if count[0] == after:
            raise KeyboardInterrupt

    monkeypatch.setattr(Runner, "_read", interrupted)
    study = talweg.load(compared(tmp_path, True, data="iris", epochs=16).folder)
    assert study.partial
    assert len(study.ranking) == len(SMALL["rules"])
    assert all(row.lr not in _stopped(study, row.name) for row in study.ranking)
    assert bool(study.history.stopped) == (after > 2)


def _stopped(study: Study, name: str) -> set[float]:
    return {
        lane.lr for lane in study.history.of("tune", name) if lane.lane in study.history.stopped
    }


def test_lanes_are_taken_by_numbers_that_fit_every_stage(tmp_path, monkeypatch):
    asked: list[dict[str, object]] = []
    begin = Engine.__init__

    def watched(self, *arguments, **more):
        asked.append(more)
        begin(self, *arguments, **more)

    monkeypatch.setattr(Engine, "__init__", watched)
    study = compared(tmp_path, True, data="iris")
    compared(tmp_path, False, data="iris")
    assert [more["lane_counts"] for more in asked] == [[54, 42, 36, 30, 9], [54, 9]]
    steps = study.record["contenders"][0]["steps"]
    assert [more["lane_steps"] for more in asked] == [(36 + 9) * steps, (54 + 9) * steps]


def test_bad_input():
    with pytest.raises(UserError, match="prune"):
        talweg.compare(prune="yes")  # pyright: ignore


def test_on_the_command_line(tmp_path):
    asked = ["compare", "iris", "--rules", "sgd,adam", "--epochs", "8", "--quiet", "--json"]
    result = CliRunner().invoke(app, [*asked, "--prune", "--out", str(tmp_path / "run")])
    found = json.loads(result.stdout)
    assert found["pruned"]["stopped"] > 0
    assert {type(row["good_is_least"]) for row in found["ranking"]} == {bool}
