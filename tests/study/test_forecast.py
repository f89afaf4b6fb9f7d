"""What a comparison says of itself before it runs."""

from pathlib import Path

import pytest

from talweg import study
from talweg.core import UserError

SMALL = {"rules": ["sgd", "adam"], "lrs": [0.01, 0.1, 1.0], "hidden": 8, "epochs": 2}


def test_a_forecast_counts_lanes_and_steps_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    asked = SMALL | {"batch_sizes": [16, None], "seeds": 3, "tune_seeds": 2}
    expected = study.forecast(study.prepare("mlp", "wine", memory="1G", **asked))
    assert (expected.contenders, expected.rates) == (4, 3)
    assert [part.batch_size for part in expected.parts] == [16, 106]
    for part in expected.parts:
        assert (part.tuned, part.fresh) == (2 * 3 * 2, 2 * 3)
        assert part.steps == (14 if part.batch_size == 16 else 2)
        assert part.allowed == 1_000_000_000
        assert 0 < part.peak < part.allowed
        assert part.each.gradients == part.each.parameters == 4 * part.parameters
        assert part.each.state == 2 * part.each.parameters  # Adam's, the larger of the two
        assert 0 < part.seconds[0] < part.seconds[1]
    told = str(expected)
    assert "tuning: 4 contenders × 3 rates × 2 seeds: 24 lanes" in told
    assert "time: about" in told
    assert not list(tmp_path.iterdir())


def test_a_comparison_that_was_forecast_runs_as_if_it_were_not(tmp_path: Path):
    def run(told: bool) -> list[study.Row]:
        prepared = study.prepare("mlp", "wine", seeds=2, tune_seeds=1, **SMALL)
        if told:
            study.forecast(prepared)
        return study.run(prepared, tmp_path / str(told), progress=False).ranking

    assert run(told=True) == run(told=False)


def test_pruning_that_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path):
    asked = SMALL | {"prune": True, "progress": False, "out": tmp_path / "run"}
    prepared = study.prepare("mlp", "wine", **SMALL)
    team = prepared.teams[0]
    peak = team.engine.packs(prepared.plans(team)[0]).peak
    with pytest.raises(UserError, match="pruning keeps 12 lanes at once, which take"):
        study.compare("mlp", "wine", memory=peak - 1000, **asked)
    assert not list(tmp_path.iterdir())
