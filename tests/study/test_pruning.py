"""Which rates pruning stops, and what a study makes of those that were stopped."""

import itertools
import math
import random

import pytest
from tests.study.made import Maker, record

from talweg.lanes import Reading
from talweg.study.history import Lane
from talweg.study.pruning import LEAST, RUNGS, Pruner, margin, saving, share_made, stages, weakest
from talweg.study.ranking import rank
from talweg.study.sentences import sentences
from talweg.study.tuning import Rate, best_rate, rates

SEEDS = (1000, 1001)


@pytest.mark.parametrize("count", range(1, 30))
def test_fewer_rates_go_on_from_rung_to_rung_and_never_too_few(count: int):
    kept = [number for _, number in stages(count)]
    assert kept[0] == count
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] >= min(LEAST, count)
    for (_, share), number in zip(RUNGS, kept[1:], strict=True):
        assert number >= share * count - 1e-9
    steps = 800
    made = sum(
        [number for begin, number in stages(count) if step >= begin * steps][-1]
        for step in range(steps)
    )
    assert share_made(count) == pytest.approx(made / (steps * count))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_weakest_are_those_that_most_others_are_preferred_to(sign: int):
    draws = random.Random(3)
    for _ in range(200):
        found: list[Rate] = []
        for place in range(draws.randint(1, 9)):
            gone = draws.choice([0, 0, 0, 1, 2])
            score = math.nan if gone else draws.choice([0.5, 0.7, 0.9])
            loss = math.nan if gone else draws.choice([0.1, 0.2])
            found.append(Rate(10.0**-place, score, loss, gone, 2))
        draws.shuffle(found)

        def beats(one: Rate, other: Rate) -> bool:
            if one.diverged != other.diverged:
                return one.diverged < other.diverged
            if not one.diverged and one.score != other.score:
                return sign * one.score > sign * other.score
            if not one.diverged and one.loss != other.loss:
                return one.loss < other.loss
            return one.lr < other.lr

        kept = draws.randint(0, len(found))
        ahead = {one.lr: sum(beats(other, one) for other in found) for one in found}
        stopped = {lr for lr, number in ahead.items() if number >= kept}
        assert {rate.lr for rate in weakest(found, kept, sign)} == stopped
        last = [one.score for one in found if ahead[one.lr] == kept - 1]
        for close in (0.1, 0.2, 0.3):
            near = {one.lr for one in found if last and abs(one.score - last[0]) < close + 1e-9}
            assert {rate.lr for rate in weakest(found, kept, sign, close)} == stopped - near


def test_two_validation_samples_are_close_where_the_score_counts_samples():
    assert margin({"metric": "accuracy"}, 30) == 2 / 30
    assert margin({"metric": "rmse"}, 30) == margin({"metric": "r2"}, 30) == 0


def made_pruner(steps: int = 80, margin: float = 0) -> tuple[Pruner, dict[int, tuple[str, int]]]:
    """Two contenders of 9 rates; lane → contender and place of its rate, the best one first."""
    lanes, places = [], {}
    for number, (name, place, seed) in enumerate(itertools.product("ab", range(9), SEEDS)):
        lanes.append(Lane(number, "tune", name, 10.0**place, seed))
        places[number] = name, place
    return Pruner(lanes, steps, "accuracy", 1, margin), places


def scored(lanes: dict[int, tuple[str, int]], step: int) -> Reading:
    """All of ``a`` are better than all of ``b``; the seeds of a rate are far apart."""
    scores = [
        (0.9 if name == "a" else 0.4) - place / 100 + (lane % 2) / 5
        for lane, (name, place) in lanes.items()
    ]
    values = {("validation", "accuracy"): scores, ("validation", "loss"): [1.0] * len(scores)}
    return Reading(tuple(lanes), step, 0.0, values)


def test_rates_compete_within_their_contender_and_go_with_all_their_seeds():
    pruner, lanes = made_pruner()
    going = dict(lanes)
    for step, kept in ((5, 9), (10, 7), (15, 7), (20, 6), (40, 5), (70, 5)):
        pruner.read(scored(going, step))
        for lane in pruner.stop(step):
            del going[lane]
        assert sorted(going.values()) == sorted(
            (name, place) for name in "ab" for place in range(kept) for _ in SEEDS
        )


def test_rates_close_to_the_last_that_goes_on_go_on_until_they_fall_behind():
    pruner, lanes = made_pruner(margin=0.01)
    pruner.read(scored(lanes, 10))
    assert {lanes[lane][1] for lane in pruner.stop(10)} == {8}  # 7 is a hundredth behind 6
    behind = scored({lane: place for lane, place in lanes.items() if place[1] < 8}, 12)
    scores = behind.values["validation", "accuracy"]
    for row, lane in enumerate(behind.lanes):
        scores[row] -= 0.1 * (lanes[lane][1] == 7)
    pruner.read(behind)
    assert {lanes[lane][1] for lane in pruner.stop(12)} == {7}


def test_a_seed_that_diverged_counts_as_the_worst():
    pruner, lanes = made_pruner()
    first = Reading((0,), 3, 0.0, {("train", "diverged"): [1.0]})  # of the best rate of a
    pruner.read(first)
    living = {lane: place for lane, place in lanes.items() if lane != 0}
    pruner.read(scored(living, 10))
    chosen = pruner.stop(10)
    assert sorted(lanes[lane] for lane in chosen) == [
        ("a", 0), ("a", 8), ("a", 8), ("b", 7), ("b", 7), ("b", 8), ("b", 8)
    ]  # fmt: skip
    assert 0 not in chosen


def test_a_score_that_is_not_finite_counts_as_diverged_and_its_lane_is_stopped():
    pruner, lanes = made_pruner()
    reading = scored(lanes, 10)
    reading.values["validation", "loss"][0] = math.inf
    pruner.read(reading)
    assert {0, 1} < set(pruner.stop(10))


def test_several_rungs_may_be_passed_at_one_reading():
    pruner, lanes = made_pruner()
    pruner.read(scored(lanes, 40))
    assert len(pruner.stop(40)) == 2 * len(SEEDS) * (9 - 5)


def pruned(finish: bool = True) -> Maker:
    """Four rates of one rule: the lowest was stopped while it led, the highest far behind."""
    maker = Maker(record({"a": [0.01, 0.1, 1.0, 10.0], "b": [0.01, 0.1, 1.0, 10.0]}))
    maker.steps = 30
    for rule in "ab":
        for seed in SEEDS:
            maker.lane("tune", rule, 0.01, seed, [0.1, 0.95], stopped=10)
            maker.lane("tune", rule, 0.1, seed, [0.1, 0.6, 0.8, 0.9] if finish else [0.1, 0.6])
            maker.lane("tune", rule, 1.0, seed, [0.1, 0.5, 0.7, 0.88] if finish else [0.1, 0.5])
            maker.lane("tune", rule, 10.0, seed, [0.1, 0.2], stopped=10)
    return maker


def test_a_stopped_rate_is_not_chosen_and_is_not_called_good():
    maker = pruned()
    for rule, seed in itertools.product("ab", range(3)):
        maker.lane("final", rule, 0.1, seed, [0.1, 0.6, 0.8, 0.9 + seed / 100])
    history = maker.history()
    chosen = best_rate(history, "a")
    assert chosen
    assert (chosen.lr, chosen.score, chosen.stopped) == (0.1, 0.9, None)
    assert [rate.stopped for rate in rates(history, "a")] == [10, None, None, 10]
    row = rank(history)[0]
    assert (row.good, row.good_is_least) == ((0.1, 1.0), True)
    assert row.diverged == 0
    assert vars(saving(history)) == {"stopped": 8, "lanes": 16, "steps": 160, "of_steps": 480}
    text = " ".join(sentences(history, rank(history)))
    assert "Pruning stopped 8 of 16 tuning lanes early: 33% of tuning's steps" in text
    assert "easiest" not in text
    assert "lowest rate" not in text


def test_if_all_that_went_on_diverged_the_best_that_was_stopped_is_chosen():
    maker = Maker(record({"a": [0.01, 0.1, 1.0]}))
    maker.steps = 30
    for seed in SEEDS:
        maker.lane("tune", "a", 0.01, seed, [0.1, 0.9], stopped=10)
        maker.lane("tune", "a", 0.1, seed, [0.1, 0.2, 0.3], stopped=20)
        maker.lane("tune", "a", 1.0, seed, [0.1, 0.8, 0.8], diverged=25)
    history = maker.history()
    chosen = best_rate(history, "a")
    assert chosen
    assert (chosen.lr, chosen.stopped) == (0.1, 20)
    assert rank(history)[0].score == pytest.approx(0.3)


def test_before_a_rate_has_finished_those_that_go_on_are_ranked():
    history = pruned(finish=False).history()
    chosen = best_rate(history, "a")
    assert chosen
    assert chosen.lr == 0.1
    maker = pruned(finish=False)
    for seed in SEEDS:  # b's engine has finished, a's has not
        maker.lane("tune", "b", 0.5, seed, [0.1, 0.4, 0.4, 0.4])
    maker.record["contenders"][1]["lrs"].append(0.5)
    history = maker.history()
    assert best_rate(history, "a") is None
    assert [row.name for row in rank(history)] == ["b"]
