"""Main effects and interactions: shares that are known, against a textbook's way to them."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats
from tests.study.made import Maker, contender, record

from talweg.study.deciding import deciding, headline
from talweg.study.effects import effects, has_failed
from talweg.study.history import History
from talweg.study.pairs import Pairs, interaction_p
from talweg.study.ranking import rank
from talweg.study.sentences import sentences
from talweg.study.statistics import holm

HALF_WAY = (
    "did not get half-way from the constant prediction (10.0%) to a good score (86.2%) at any rate."
)
RULES, SIZES = ("a", "b", "c"), ("1", "32")


def crossed(scores: np.ndarray, names=(RULES, SIZES), factors=("rule", "batch size")) -> History:
    """A study whose test scores are ``[level, level, …, seed]``."""
    about = record({})
    about["factors"] = {
        factor: {name: name.upper() for name in levels}
        for factor, levels in zip(factors, names, strict=True)
    }
    for levels in product(*names):
        name = "/".join(levels)
        more = {"levels": dict(zip(factors, levels, strict=True))}
        more["levels"].setdefault("rule", "a")
        about["contenders"].append(contender(name, [0.1], **more))
    maker = Maker(about)
    for entry, own in zip(about["contenders"], scores.reshape(-1, scores.shape[-1]), strict=True):
        maker.lane("tune", entry["name"], 0.1, 100, [0.1, float(own.mean())])
        for seed, score in enumerate(own):
            maker.lane("final", entry["name"], 0.1, seed, [0.1, float(score)])
    return maker.history()


def told(history: History) -> list[str]:
    rows = rank(history)
    return deciding(history, rows, effects(history, rows))


def noise(*shape: int, size: float = 0.004) -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape) * size


def test_additive_scores_have_no_interaction():
    main = np.array([0.9, 0.8, 0.7])[:, None, None] + np.array([0.0, 0.06])[None, :, None]
    history = crossed(main + np.linspace(-0.01, 0.01, 4))
    rule, size, both = effects(history, rank(history))
    assert (rule.factors, size.factors, both.factors) == (
        ("rule",), ("batch size",), ("rule", "batch size"),
    )  # fmt: skip
    # Σ over cells of the squared effects: 2·(0.1² + 0 + 0.1²) against 6·0.03².
    assert rule.share == pytest.approx(0.04 / (0.04 + 0.0054))
    assert size.share == pytest.approx(0.0054 / (0.04 + 0.0054))
    assert both.share == pytest.approx(0, abs=1e-12)


def test_shares_add_up_and_are_those_of_an_analysis_of_variance():
    scores = 0.8 + noise(3, 2, 5, size=0.03)
    scores[1, 1] += 0.08
    history = crossed(scores)
    found = {effect.factors: effect for effect in effects(history, rank(history))}
    assert sum(effect.share for effect in found.values()) == pytest.approx(1.0)
    # Sums of squares by regression on indicators of levels.
    rows = list(product(range(3), range(2)))
    y = np.array([scores[row].mean() for row in rows])

    def left(*places: int) -> float:
        columns = [[1.0] * len(rows)] + [
            [float(row[place] == level) for row in rows] for place in places for level in range(3)
        ]
        design = np.array(columns).T
        fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
        return float(((y - fitted) ** 2).sum())

    total = left()
    assert found["rule",].share == pytest.approx((total - left(0)) / total)
    assert found["batch size",].share == pytest.approx((total - left(1)) / total)
    assert found["rule", "batch size"].share == pytest.approx(left(0, 1) / total)


def test_effects_are_tested_by_pairs_and_pairs_of_pairs_over_seeds():
    scores = 0.8 + noise(2, 2, 5, size=0.03)
    history = crossed(scores, names=(("a", "b"), ("1", "32")))
    found = {effect.factors: effect.p for effect in effects(history, rank(history))}
    raw = {
        ("rule",): stats.ttest_rel(*scores.mean(1)).pvalue,
        ("batch size",): stats.ttest_rel(*scores.mean(0)).pvalue,
        ("rule", "batch size"): stats.ttest_1samp(
            scores[0, 0] - scores[0, 1] - scores[1, 0] + scores[1, 1], 0
        ).pvalue,
    }
    order = sorted(raw, key=raw.__getitem__)
    highest = 0.0
    for place, factors in enumerate(order):
        highest = max(highest, min(1.0, (3 - place) * raw[factors]))
        assert found[factors] == pytest.approx(highest), factors


@pytest.mark.parametrize("kind", ["alike", "one combination wider", "one level wider"])
def test_effects_are_seldom_found_where_there_are_none(kind: str):
    """Even where one combination scatters ten times as much, as one that fails does."""
    draws = np.random.default_rng(1)
    wide = np.ones((7, 3, 1))
    if kind != "alike":
        wide[0, 0 if kind == "one combination wider" else slice(None)] = 10
    wrong = 0
    for _ in range(150):
        scores = 0.5 + 0.01 * (wide * draws.normal(size=(7, 3, 5)) + draws.normal(size=5))
        ps = holm(
            [
                Pairs(scores.mean(1).tolist()).least_p,
                Pairs(scores.mean(0).tolist()).least_p,
                interaction_p(scores),
            ]
        )
        wrong += min(ps) < 0.05
    assert wrong / 150 < 0.11  # 5% promised, ± 0.035 by so few studies


def test_levels_are_averaged_over_the_rest_and_compared_by_seed():
    scores = np.array([[0.9, 0.7], [0.9, 0.7], [0.9, 0.7]])[..., None] + noise(3, 2, 4)
    history = crossed(scores)
    size = effects(history, rank(history))[0]
    assert size.factors == ("batch size",)
    best, worst = size.levels
    assert (best.name, worst.name, best.ties, best.count) == ("1", "32", (), 3)
    assert best.mean == pytest.approx(scores[:, 0].mean())
    means = scores[:, 0].mean(0)
    low, high = stats.t.interval(0.95, 3, means.mean(), stats.sem(means))
    assert (best.low, best.high) == pytest.approx((low, high))
    text = headline(history, rank(history), effects(history, rank(history)))
    assert text.startswith("The batch size decides most, ")
    assert "1 is best" in text
    rule = effects(history, rank(history))[1]
    assert not rule.is_sure
    assert len(rule.levels[0].ties) == 2


def test_an_interaction_is_told_where_it_is_largest():
    scores = np.full((3, 2, 4), 0.9) + noise(3, 2, 4)
    scores[2, 1] = 0.1 + noise(4)
    history = crossed(scores)
    rows = rank(history)
    both = next(effect for effect in effects(history, rows) if len(effect.factors) == 2)
    assert both.is_sure
    assert both.share == pytest.approx((2 / 3) * (1 / 2) / (5 / 6), abs=0.02)  # one odd cell of 3×2
    told = " ".join(deciding(history, rows, effects(history, rows)))
    first = headline(history, rows, effects(history, rows))
    assert first.startswith("Rule and batch size decide together, 40% of the variance between")
    assert ": C is " in first
    assert "with 32, but" in first
    assert first.partition(": ")[2] not in told
    assert f"32 with C {HALF_WAY}" in told
    assert [row.name for row in rows if has_failed(history, row)] == ["c/32"]


def test_a_level_that_fails_everywhere_is_told_once():
    scores = np.full((3, 2, 4), 0.9) + noise(3, 2, 4)
    scores[:, 1] = 0.1
    history = crossed(scores)
    told = deciding(history, rank(history), effects(history, rank(history)))
    failures = [text for text in told if "constant prediction" in text]
    assert failures == [f"32 {HALF_WAY}"]


def fading(factor: float) -> History:
    """The second model's gradient falls by a factor a layer, and it does not train."""
    scores = np.full((3, 2, 4), 0.9) + noise(3, 2, 4)
    scores[:, 1] = 0.1
    history = crossed(scores)
    for name, entry in history.contenders.items():
        falls = factor if name.endswith("32") else 0.9
        entry["gradients"] = {str(layer): falls ** (4 - layer) for layer in range(5)}
    return history


def test_why_a_contender_failed_is_told_by_its_gradient():
    (failure,) = [t for t in told(fading(0.45)) if "constant prediction" in t]
    assert "changes by a factor of 0.45 a layer on the way back" in failure
    assert "the first layer's is 0.04 of the last one's" in failure
    assert "0.9 a layer)" in failure


def test_why_a_contender_failed_is_told_by_its_finding_and_only_once():
    history = fading(0.1)
    text = "vanishing gradient (layer 0: the gradient falls by 0.1 a layer from 4 on"
    (failure,) = [t for t in sentences(history, rank(history)) if "vanishing" in t]
    assert f"constant prediction (10.0%) to a good score (86.2%) at any rate: {text}" in failure
    assert "changes by a factor" not in failure


def test_three_factors_leave_a_rest():
    scores = 0.5 + noise(2, 2, 2, 6, size=0.001)
    for place in product(range(2), repeat=3):
        scores[place] += 0.1 * (-1) ** sum(place)
    history = crossed(scores, names=(("a", "b"), ("1", "2"), ("x", "y")),
                      factors=("rule", "batch size", "model"))  # fmt: skip
    found = effects(history, rank(history))
    assert len(found) == 6
    assert sum(effect.share for effect in found) < 0.01
    assert "The rule decides" not in " ".join(told(history))
    assert headline(history, rank(history), found) == ""


def test_one_factor_a_part_or_no_seeds_tell_no_effects():
    scores = np.full((3, 1, 4), 0.9) + noise(3, 1, 4)
    one = crossed(scores, names=(RULES, ("32",)))
    assert effects(one, rank(one)) == []
    both = crossed(np.full((3, 2, 4), 0.9) + noise(3, 2, 4))
    assert effects(both, rank(both)[:-1]) == []
    single = crossed(np.full((3, 2, 1), 0.9) + noise(3, 2, 1))
    found = effects(single, rank(single))
    assert all(math.isnan(effect.p) and not effect.is_sure for effect in found)
    assert "one seed cannot tell" in told(single)[0]
    for value in (0.9, 0.35, 0.3, 1 / 3):  # equal but for rounding
        same = crossed(np.full((3, 2, 5), value))
        assert effects(same, rank(same)) == []


def test_sentences_of_many_contenders_stay_short():
    names = tuple(f"r{i}" for i in range(12)), SIZES
    scores = 0.9 + noise(12, 2, 5, size=0.01)
    scores[:, 1] -= np.linspace(0, 0.5, 12)[:, None]
    history = crossed(scores, names=names)
    assert all(len(text) < 500 for text in sentences(history, rank(history)))
