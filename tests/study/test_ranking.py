"""Rankings of studies made by hand."""

import math

import pytest
from tests.study.made import Maker, record

from talweg.study.ranking import rank, ranked_on
from talweg.study.sentences import sentences
from talweg.study.tuning import best_rate, near_best, rates


def three_rules() -> Maker:
    maker = Maker(record({"a": [0.1, 1.0, 10.0], "b": [0.1, 1.0, 10.0], "c": [0.1, 1.0, 10.0]}))
    for rule, scores in {"a": (0.7, 0.96, 0.95), "b": (0.9, 0.95, 0.2), "c": (0.5, 0.6, 0)}.items():
        for lr, score in zip((0.1, 1.0, 10.0), scores, strict=True):
            for seed in (0, 1):
                gone = rule == "c" and lr == 10.0
                maker.lane(
                    "tune", rule, lr, seed, [0.1] if gone else [0.1, score], 7 if gone else None
                )
    finals = {
        "a": (0.97, 0.96, 0.98, 0.97),
        "b": (0.96, 0.97, 0.97, 0.965),
        "c": (0.6, 0.61, 0.6, 0.62),
    }
    for rule, scores in finals.items():
        for seed, score in enumerate(scores):
            maker.lane("final", rule, 1.0, seed, [0.1, 0.85 if rule == "b" else 0.5, score])
    return maker


def test_rules_are_ranked_with_ties_and_gaps():
    rows = rank(three_rules().history())
    assert [(row.rule, row.rank) for row in rows] == [("a", 1), ("b", 1), ("c", 3)]
    a, b, c = rows
    assert a.score == pytest.approx(0.97)
    assert a.scores == (0.97, 0.96, 0.98, 0.97)
    assert a.low < a.score < a.high
    assert (a.ties, b.ties, c.ties) == (("B",), ("A",), ())
    assert c.gap == pytest.approx(0.6075 - 0.97)
    assert c.gap_low < c.gap < c.gap_high
    assert c.p < 0.001 < 0.05 < b.p
    assert math.isnan(a.p)


def test_time_to_target_is_the_first_reading_that_meets_it():
    a, b, c = rank(three_rules().history())
    assert (a.steps_to_target, a.epochs_to_target, a.reached) == (20, 2.0, 1.0)
    assert (b.steps_to_target, b.epochs_to_target) == (10, 1.0)
    assert (c.steps_to_target, c.reached) == (None, 0.0)


def test_a_target_that_is_equalled_but_for_rounding_is_reached():
    maker = three_rules()
    maker.record["target"] = 0.5 * (1 + 1e-12)
    a, *_ = rank(maker.history())
    assert (a.steps_to_target, a.reached) == (10, 1.0)


def test_lanes_that_have_not_finished_wait_until_none_has():
    maker = Maker(record({"a": [0.1, 1.0], "b": [0.1, 1.0]}))
    maker.lane("tune", "a", 0.1, 100, [0.1, 0.2, 0.5])
    maker.lane("tune", "b", 0.1, 100, [0.1, 0.2, 0.4])
    maker.lane("tune", "a", 1.0, 100, [0.1, 0.9])
    assert [rate.lr for rate in rates(maker.history(), "a")] == [0.1]
    assert [(row.rule, row.score) for row in rank(maker.history())] == [("a", 0.5), ("b", 0.4)]
    maker.steps = 30
    assert [row.score for row in rank(maker.history())] == [0.9, 0.4]


def test_a_contender_is_not_judged_by_the_rates_that_diverged_while_others_run():
    maker = Maker(record({"a": [0.1, 1.0], "b": [0.1, 1.0]}))
    for lr in (0.1, 1.0):
        maker.lane("tune", "a", lr, 100, [0.1, 0.2, 0.5])
    maker.lane("tune", "b", 0.1, 100, [0.1, 0.4])
    maker.lane("tune", "b", 1.0, 100, [0.1], diverged=3)
    assert [row.name for row in rank(maker.history())] == ["a"]
    maker.record["lanes"] = maker.record["lanes"][:0]
    maker.rows.clear()
    for rule in "ab":
        for lr in (0.1, 1.0):
            maker.lane("tune", rule, lr, 100, [0.1, 0.2, 0.5])
    for seed in (0, 1):
        maker.lane("final", "a", 0.1, seed, [0.1, 0.2, 0.6])
    maker.lane("final", "b", 0.1, 0, [0.1], diverged=3)
    maker.lane("final", "b", 0.1, 1, [0.1, 0.7])
    assert ranked_on(maker.history()) == "validation"
    maker.lane("final", "b", 0.1, 2, [0.1, 0.2, 0.7])
    assert ranked_on(maker.history()) == "test"


def test_rules_that_all_diverge_are_not_recommended():
    maker = Maker(record({"a": [0.1], "b": [0.1]}))
    for rule in ("a", "b"):
        maker.lane("tune", rule, 0.1, 100, [0.1], 3)
        for seed in range(3):
            maker.lane("final", rule, 0.1, seed, [0.1], 4)
    maker.steps = 20
    rows = rank(maker.history())
    assert [row.diverged for row in rows] == [1.0, 1.0]
    assert sentences(maker.history(), rows)[0].startswith("No rule is worth choosing: A diverged")


def test_a_score_that_is_not_finite_counts_as_diverged():
    about = {"metric": "rmse", "higher_is_better": False, "baseline": 9.0, "test_baseline": 8.0}
    maker = Maker(record({"a": [0.1], "b": [0.1]}, **about))
    for rule, error in (("a", 4.0), ("b", math.inf)):
        maker.lane("tune", rule, 0.1, 100, [9.0, 5.0])
        for seed in range(3):
            maker.lane("final", rule, 0.1, seed, [9.0, error + 0.1 * seed])
    history = maker.history()
    a, b = rank(history)
    assert (a.rule, a.diverged) == ("a", 0.0)
    assert b.scores == (8.0, 8.0, 8.0)
    assert b.diverged == 0.75
    assert b.p < 0.05
    assert history.diverged == {5: 10, 6: 10, 7: 10}
    assert any("B diverged" in sentence for sentence in sentences(history, [a, b]))


def test_good_rates_lie_around_the_best():
    maker = three_rules()
    # 95% of the way from 0.1 to 0.96 is 0.917.
    assert near_best(maker.history()) == pytest.approx(0.917)
    a, b, c = rank(maker.history())
    assert a.good == (1.0, 10.0)
    assert a.good_decades == pytest.approx(1.0)
    assert b.good == (1.0, 1.0)
    assert c.good is None


def test_a_rate_at_which_a_lane_diverged_is_not_chosen():
    maker = Maker(record({"a": [0.1, 1.0]}))
    maker.lane("tune", "a", 0.1, 0, [0.1, 0.5])
    maker.lane("tune", "a", 0.1, 1, [0.1, 0.5])
    maker.lane("tune", "a", 1.0, 0, [0.1, 0.99])
    maker.lane("tune", "a", 1.0, 1, [0.1], diverged=3)
    chosen = best_rate(maker.history(), "a")
    assert chosen is not None
    assert chosen.lr == 0.1
    assert [(r.lr, r.diverged, r.lanes) for r in rates(maker.history(), "a")] == [
        (0.1, 0, 2),
        (1.0, 1, 2),
    ]


def test_equal_scores_are_decided_by_the_loss():
    maker = Maker(record({"a": [0.1, 1.0]}))
    maker.lane("tune", "a", 0.1, 0, [0.1, 0.9])
    maker.lane("tune", "a", 1.0, 0, [0.1, 0.9])
    last = [i for i, r in enumerate(maker.rows) if r[4] == "loss"][-1]
    maker.rows[last] = (*maker.rows[last][:5], 0.05)
    chosen = best_rate(maker.history(), "a")
    assert chosen is not None
    assert chosen.lr == 1.0


def test_lower_is_better_for_errors():
    maker = Maker(
        record(
            {"a": [0.1], "b": [0.1]},
            metric="rmse",
            higher_is_better=False,
            baseline=9.0,
            test_baseline=9.0,
        )
    )
    maker.record["target"] = None
    for rule, error in (("a", 4.0), ("b", 2.0)):
        maker.lane("tune", rule, 0.1, 9, [9.0, error])
        for seed in range(3):
            maker.lane("final", rule, 0.1, seed, [9.0, error + 0.01 * seed * (1 + (rule == "a"))])
    b, a = rank(maker.history())
    assert (b.rule, a.rule, a.rank) == ("b", "a", 2)
    assert a.gap > 0


def test_a_final_lane_that_diverged_counts_as_the_constant_prediction():
    maker = Maker(record({"a": [0.1]}))
    maker.lane("tune", "a", 0.1, 9, [0.1, 0.9])
    maker.lane("final", "a", 0.1, 0, [0.1, 0.9])
    maker.lane("final", "a", 0.1, 1, [0.1, 0.8], diverged=14)
    (row,) = rank(maker.history())
    assert row.scores == (0.9, 0.1)
    assert row.diverged == pytest.approx(1 / 3)
    assert "diverged in 1 of 2 fresh seeds at its chosen rate" in " ".join(
        sentences(maker.history(), [row])
    )


def test_a_study_that_stopped_in_tuning_is_ranked_on_validation():
    maker = Maker(record({"a": [0.1], "b": [0.1], "late": [0.1]}))
    maker.lane("tune", "a", 0.1, 0, [0.1, 0.7])
    maker.lane("tune", "b", 0.1, 0, [0.1, 0.9])
    history = maker.history()
    assert ranked_on(history) == "validation"
    assert [row.rule for row in rank(history)] == ["b", "a"]


def test_final_lanes_that_are_still_training_do_not_rank_anything():
    maker = Maker(record({"a": [0.1], "b": [0.1]}))
    for rule in ("a", "b"):
        for seed in (8, 9):
            maker.lane("tune", rule, 0.1, seed, [0.1, 0.5, 0.9])
        for seed in range(3):
            maker.lane("final", rule, 0.1, seed, [0.1, 0.5])
    history = maker.history()
    assert ranked_on(history) == "validation"
    assert rank(history)[0].scores == (0.9, 0.9)


def test_intervals_end_at_the_bounds_of_the_metric():
    for bounds, ends in (((None, None), (0.11, 1.69)), ((0.2, 1.0), (0.2, 1.0))):
        maker = Maker(record({"a": [0.1]}, lowest=bounds[0], highest=bounds[1]))
        maker.lane("tune", "a", 0.1, 9, [0.1, 0.9])
        for seed, score in enumerate((0.8375, 0.9625)):
            maker.lane("final", "a", 0.1, seed, [0.1, score])
        (row,) = rank(maker.history())
        assert (row.score, row.low, row.high) == pytest.approx((0.9, *ends), abs=0.01)


def test_a_study_without_a_reading_says_so():
    maker = Maker(record({"a": [0.1]}))
    maker.lane("tune", "a", 0.1, 0, [0.1])
    history = maker.history()
    assert rank(history) == []
    assert "Nothing was measured" in sentences(history, [])[0]


def test_the_sentences_say_what_happened():
    history = three_rules().history()
    text = " ".join(sentences(history, rank(history)))
    assert "A and B tie; A at 1 has the best mean, 97.0% test accuracy" in text
    assert "A and B each beat C (A beats C by 36.3 points, p < 0.001)" in text
    assert "B reached 80.0% on validation first: after 1 epoch (10 steps)" in text
    assert "C did not get there" in text
    assert "A is the easiest to set: good over 1.0 decades of learning rates (1 to 10)" in text
    assert "C at 10: learning rate too large (at a rate of 10 it diverged at step 7)." in text
    assert "C diverged" not in text


def test_the_conclusions_say_what_the_seeds_can_tell():
    maker = Maker(record({"a": [0.1], "b": [0.1]}))
    for rule in ("a", "b"):
        maker.lane("tune", rule, 0.1, 9, [0.1, 0.9])
        for seed, score in enumerate((0.80, 0.90, 0.85)):
            maker.lane("final", rule, 0.1, seed, [0.1, score + (rule == "b") * 0.02 * (seed - 1)])
    # The difference has a standard deviation of 2 points; t is 4.303 for 2 degrees of freedom and
    # 2.201 for 11: 4.303·2/√3 and 2.201·2/√12.
    assert (
        "3 seeds tell two typical rules apart here from a difference of about 5.0 points on; "
        "12 seeds, of 1.3 points."
    ) in sentences(maker.history(), rank(maker.history()))


def test_a_best_rate_at_the_edge_of_the_grid_is_pointed_out():
    maker = Maker(record({"a": [0.1, 1.0, 10.0]}))
    for lr, score in ((0.1, 0.3), (1.0, 0.6), (10.0, 0.9)):
        maker.lane("tune", "a", lr, 0, [0.1, score])
    history = maker.history()
    assert "highest rate tried, 10: a higher one may be better" in " ".join(
        sentences(history, rank(history))
    )


def test_an_undefined_second_metric_is_no_divergence():
    """R² is not defined where the targets are equal; the root mean squared error decides."""
    about = {"metric": "rmse", "higher_is_better": False, "baseline": 9.0, "test_baseline": 9.0}
    maker = Maker(record({"a": [0.1]}, **about))
    maker.lane("tune", "a", 0.1, 100, [9.0, 4.0])
    maker.lane("final", "a", 0.1, 0, [9.0, 4.0])
    maker.rows += [(lane, 10, 1.0, "validation", "r2", math.nan) for lane in (0, 1)]
    history = maker.history()
    assert history.diverged == {}
    assert rank(history)[0].scores == (4.0,)


def test_where_nothing_beats_the_constant_prediction_no_rate_is_good_and_no_target_is_set():
    maker = three_rules()
    maker.record["task"] |= {"baseline": 0.99, "test_baseline": 0.99}
    history = maker.history()
    assert near_best(history) is None
    assert all(row.good is None for row in rank(history))


def test_the_time_to_target_is_when_half_of_the_seeds_are_there():
    maker = Maker(record({"a": [0.1]}))
    maker.lane("tune", "a", 0.1, 100, [0.1, 0.9, 0.9, 0.9])
    for seed, first in enumerate((1, 3, 2, 9)):
        maker.lane("final", "a", 0.1, seed, [0.1, *(0.9 if e >= first else 0.2 for e in (1, 2, 3))])
    assert rank(maker.history())[0].steps_to_target == 20
    maker.lane("final", "a", 0.1, 4, [0.1, 0.2, 0.2, 0.2])
    assert rank(maker.history())[0].steps_to_target == 30
    for seed in (5, 6):
        maker.lane("final", "a", 0.1, seed, [0.1, 0.2, 0.2, 0.2])
    assert rank(maker.history())[0].steps_to_target is None


def test_too_few_seeds_are_told_without_impossible_differences():
    """No two accuracies differ by more than 100 points."""
    maker = Maker(record({"a": [0.1], "b": [0.1], "c": [0.1]}, lowest=0.0, highest=1.0))
    for rule, scores in {"a": (0.9, 0.8), "b": (0.7, 0.95), "c": (0.85, 0.6)}.items():
        maker.lane("tune", rule, 0.1, 100, [0.1, 0.9])
        for seed, score in enumerate(scores):
            maker.lane("final", rule, 0.1, seed, [0.1, score])
    told = " ".join(sentences(maker.history(), rank(maker.history())))
    assert "2 seeds are too few to tell two typical rules apart here; 8 seeds do" in told
