"""The views: what is averaged, over which lanes, and what is left out."""

import math

import numpy as np
import pyarrow as pa
import pytest
from tests.study.made import contender

from talweg.study import Study
from talweg.study.history import SCHEMA
from talweg.study.views import RatePoint, SeedScore, curves, seed_scores, sensitivity

ADAM, SGD = "adam", "sgd"


def record(lanes, rules=(ADAM, SGD), metric="accuracy", better="high"):
    return {
        "status": "complete",
        "task": {
            "metric": metric,
            "higher_is_better": better == "high",
            "lowest": None,
            "highest": None,
            "baseline": 0.1,
            "test_baseline": 0.1,
        },
        "target": None,
        "factors": {"rule": {name: name.upper() for name in rules}},
        "contenders": [contender(name, [0.1, 1.0], steps=10) for name in rules],
        "lanes": [
            {"lane": lane, "phase": phase, "contender": rule, "lr": lr, "seed": seed}
            for lane, (phase, rule, lr, seed) in enumerate(lanes)
        ],
    }


def study(tmp_path, lanes, readings, **more):
    """``readings``: ``(lane, epoch, split, metric, value)``."""
    rows = [(lane, round(10 * epoch), epoch, *rest) for lane, epoch, *rest in readings]
    columns = list(zip(*rows, strict=True)) if rows else [[]] * len(SCHEMA)
    table = pa.table(dict(zip(SCHEMA.names, columns, strict=True)), schema=SCHEMA)
    return Study(record(lanes, **more), table, tmp_path)


def scored(lane, *values, split="validation"):
    """A score and a loss at every epoch, as a study records them."""
    return [
        (lane, float(epoch), split, metric, value)
        for epoch, score in enumerate(values)
        for metric, value in (("accuracy", score), ("loss", 7.0))
    ]


def gone(lane, epoch):
    return [(lane, epoch, "train", "diverged", 1.0)]


FINAL = [("final", ADAM, 0.1, 0), ("final", ADAM, 0.1, 1), ("final", ADAM, 0.1, 2)]


def test_a_curve_is_mean_lowest_and_highest_over_the_seeds_that_are_left(tmp_path):
    readings = scored(0, 0.1, 0.5, 0.9) + scored(1, 0.2, 0.6, 0.7) + scored(2, 0.3) + gone(2, 0.5)
    curve = curves(study(tmp_path, FINAL, readings), "validation", "accuracy")[ADAM]
    assert curve.epochs.tolist() == [0, 1, 2]
    np.testing.assert_allclose(curve.mean, [0.2, 0.55, 0.8])
    np.testing.assert_allclose(curve.low, [0.1, 0.5, 0.7])
    np.testing.assert_allclose(curve.high, [0.3, 0.6, 0.9])
    assert curve.n.tolist() == [3, 2, 2]
    assert (curve.lr, curve.phase) == (0.1, "final")


def test_curves_keep_the_order_of_the_record_and_leave_out_rules_without_readings(tmp_path):
    lanes = [("final", SGD, 1.0, 0), ("final", ADAM, 0.1, 0), ("final", "lion", 0.1, 0)]
    readings = scored(0, 0.1, 0.2) + scored(1, 0.1, 0.3)
    found = curves(
        study(tmp_path, lanes, readings, rules=(ADAM, "lion", SGD)), "validation", "accuracy"
    )
    assert list(found) == [ADAM, SGD]
    assert curves(study(tmp_path, lanes, readings), "test", "accuracy") == {}


def test_splits_and_metrics_are_not_mixed(tmp_path):
    readings = [
        *scored(0, 0.1, 0.2),
        *scored(0, 0.5, 0.6, split="test"),
        (0, 1.0, "train", "loss", 1.5),
    ]
    one = study(tmp_path, FINAL, readings)
    assert curves(one, "test", "accuracy")[ADAM].mean.tolist() == [0.5, 0.6]
    assert curves(one, "train", "loss")[ADAM].mean.tolist() == [1.5]
    assert curves(one, "train", "loss")[ADAM].epochs.tolist() == [1.0]


def test_readings_that_are_no_numbers_are_skipped(tmp_path):
    readings = scored(0, 0.1, math.inf, 0.3) + scored(1, 0.3, 0.4, math.nan)
    curve = curves(study(tmp_path, FINAL, readings), "validation", "accuracy")[ADAM]
    np.testing.assert_allclose(curve.mean, [0.2, 0.4, 0.3])
    assert curve.n.tolist() == [2, 1, 1]


TUNE = [("tune", ADAM, lr, seed) for lr in (0.1, 1.0) for seed in (1000, 1001)]


@pytest.mark.parametrize(("better", "rate", "mean"), [("high", 1.0, 0.85), ("low", 0.1, 0.45)])
def test_without_final_lanes_a_curve_shows_the_tuning_lanes_at_the_best_rate(
    tmp_path, better, rate, mean
):
    readings = scored(0, 0.1, 0.4) + scored(1, 0.1, 0.5) + scored(2, 0.1, 0.8) + scored(3, 0.1, 0.9)
    metric = {"better": better, "metric": "accuracy"}
    curve = curves(study(tmp_path, TUNE, readings, **metric), "validation", "accuracy")[ADAM]
    assert (curve.lr, curve.phase) == (rate, "tune")
    assert curve.mean[-1] == pytest.approx(mean)


def test_sensitivity_takes_last_scores_and_counts_diverged_lanes_apart(tmp_path):
    readings = scored(0, 0.1, 0.4, 0.6) + scored(1, 0.1, 0.8)
    readings += scored(2, 0.1, 0.9) + scored(3, 0.1, 0.7) + gone(3, 1.2)
    points = sensitivity(study(tmp_path, TUNE, readings))
    assert list(points) == [ADAM]
    low, high = points[ADAM]
    assert low == RatePoint(0.1, pytest.approx(0.7), 0.6, 0.8, 2, 0.0)
    assert high == RatePoint(1.0, 0.9, 0.9, 0.9, 1, 0.5)


def test_a_rate_at_which_all_diverged_has_no_score(tmp_path):
    points = sensitivity(study(tmp_path, TUNE, scored(0, 0.1, 0.4) + gone(2, 0.1) + gone(3, 0.1)))
    assert [point.lr for point in points[ADAM]] == [0.1, 1.0]
    assert math.isnan(points[ADAM][1].mean)
    assert (points[ADAM][1].n, points[ADAM][1].diverged) == (0, 1.0)


def test_sensitivity_tells_rates_that_were_stopped(tmp_path):
    readings = scored(0, 0.1, 0.4, 0.6) + scored(2, 0.1, 0.3)
    readings.append((2, 1.0, "train", "stopped", 1.0))
    points = sensitivity(study(tmp_path, TUNE, readings))
    assert [(point.mean, point.stopped) for point in points[ADAM]] == [(0.6, None), (0.3, 10)]


def test_sensitivity_leaves_out_rates_that_have_not_begun(tmp_path):
    readings = scored(0, 0.1, 0.4) + scored(2, 0.1)
    points = sensitivity(study(tmp_path, TUNE, readings))
    assert [(point.lr, point.n) for point in points[ADAM]] == [(0.1, 1)]
    assert sensitivity(study(tmp_path, TUNE, [])) == {}


def test_seed_scores_are_those_of_the_ranking(tmp_path):
    lanes = [*TUNE, ("final", ADAM, 1.0, 0), ("final", ADAM, 1.0, 1)]
    readings = scored(0, 0.1, 0.4) + scored(2, 0.1, 0.9) + scored(4, 0.1, 0.8, split="test")
    readings += gone(5, 0.7)
    one = study(tmp_path, lanes, readings, rules=(ADAM,))
    assert one.ranked_on == "test"
    assert seed_scores(one)[ADAM] == [SeedScore(0, 0.8, None), SeedScore(1, 0.1, 7)]
    assert tuple(entry.score for entry in seed_scores(one)[ADAM]) == one.ranking[0].scores


def test_seed_scores_of_a_study_without_final_lanes_are_validation_scores(tmp_path):
    readings = scored(0, 0.1, 0.4) + scored(2, 0.1, 0.8) + scored(3, 0.1, 0.9)
    one = study(tmp_path, TUNE, readings, rules=(ADAM,))
    assert one.ranked_on == "validation"
    assert seed_scores(one)[ADAM] == [SeedScore(1000, 0.8, None), SeedScore(1001, 0.9, None)]
