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
from talweg.study.ranking import rank
from talweg.study.sentences import sentences

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


def test_shares_add_up_and_the_f_test_is_the_textbooks():
    scores = 0.8 + noise(3, 2, 5, size=0.03)
    scores[1, 1] += 0.08
    history = crossed(scores)
    found = {effect.factors: effect for effect in effects(history, rank(history))}
    assert sum(effect.share for effect in found.values()) == pytest.approx(1.0)

    # Two-way analysis of variance in randomised blocks, by regression on indicators.
    rows = list(product(range(3), range(2), range(5)))
    y = np.array([scores[row] for row in rows])

    def left(*terms) -> tuple[float, int]:
        groups = [list(map(term, rows)) for term in ((lambda _row: 0), lambda row: row[2], *terms)]
        columns = [
            [float(entry == level) for entry in group] for group in groups for level in {*group}
        ]
        design = np.array(columns).T
        fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
        return float(((y - fitted) ** 2).sum()), len(y) - int(np.linalg.matrix_rank(design))

    one, other, cell = (lambda row: row[0]), (lambda row: row[1]), (lambda row: row[:2])
    full, freedom = left(one, other, cell)
    raw = {}
    for factors, terms in {
        ("rule",): (other,), ("batch size",): (one,), ("rule", "batch size"): (one, other),
    }.items():  # fmt: skip
        without, more = left(*terms)
        wider, fewer = (full, freedom) if len(factors) == 2 else left(one, other)
        difference, degrees = without - wider, more - fewer
        f = difference / degrees / (full / freedom)
        raw[factors] = float(stats.f.sf(f, degrees, freedom))
    order = sorted(raw, key=raw.__getitem__)
    adjusted, highest = {}, 0.0
    for place, factors in enumerate(order):
        highest = max(highest, min(1.0, (3 - place) * raw[factors]))
        adjusted[factors] = highest
    for factors, effect in found.items():
        assert effect.p == pytest.approx(adjusted[factors]), factors


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
    text = headline(history, rank(history))
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
    told = " ".join(deciding(history, rows))
    first = headline(history, rows)
    assert first.startswith("Rule and batch size decide together, 40% of the variance between")
    assert ": C is " in first
    assert "with 32, but" in first
    assert first.partition(": ")[2] not in told
    assert f"32 with C/32 {HALF_WAY}" in told
    assert [row.name for row in rows if has_failed(history, row)] == ["c/32"]


def test_a_level_that_fails_everywhere_is_told_once():
    scores = np.full((3, 2, 4), 0.9) + noise(3, 2, 4)
    scores[:, 1] = 0.1
    told = deciding(history := crossed(scores), rank(history))
    failures = [text for text in told if "constant prediction" in text]
    assert failures == [f"32 {HALF_WAY}"]


def test_why_a_contender_failed_is_told_by_its_gradient():
    scores = np.full((3, 2, 4), 0.9) + noise(3, 2, 4)
    scores[:, 1] = 0.1
    history = crossed(scores)
    for name, entry in history.contenders.items():
        falls = 0.1 if name.endswith("32") else 0.9
        entry["gradients"] = {str(layer): falls ** (4 - layer) for layer in range(5)}
    (failure,) = [t for t in deciding(history, rank(history)) if "constant prediction" in t]
    assert "changes by a factor of 0.1 a layer on the way back" in failure
    assert "the first layer's is 0.0001 of the last one's" in failure
    assert "0.9 a layer)" in failure


def test_three_factors_leave_a_rest():
    scores = 0.5 + noise(2, 2, 2, 6, size=0.001)
    for place in product(range(2), repeat=3):
        scores[place] += 0.1 * (-1) ** sum(place)
    history = crossed(scores, names=(("a", "b"), ("1", "2"), ("x", "y")),
                      factors=("rule", "batch size", "model"))  # fmt: skip
    found = effects(history, rank(history))
    assert len(found) == 6
    assert sum(effect.share for effect in found) < 0.01
    told = deciding(history, rank(history))[0]
    assert told.startswith("No choice explains a share") or "from more of them together" in told


def test_one_factor_a_part_or_no_seeds_tell_no_effects():
    scores = np.full((3, 1, 4), 0.9) + noise(3, 1, 4)
    one = crossed(scores, names=(RULES, ("32",)))
    assert effects(one, rank(one)) == []
    both = crossed(np.full((3, 2, 4), 0.9) + noise(3, 2, 4))
    assert effects(both, rank(both)[:-1]) == []
    single = crossed(np.full((3, 2, 1), 0.9) + noise(3, 2, 1))
    found = effects(single, rank(single))
    assert all(math.isnan(effect.p) and not effect.is_sure for effect in found)
    same = crossed(np.full((3, 2, 4), 0.9))
    assert effects(same, rank(same)) == []


def test_sentences_of_many_contenders_stay_short():
    names = tuple(f"r{i}" for i in range(12)), SIZES
    scores = 0.9 + noise(12, 2, 5, size=0.01)
    scores[:, 1] -= np.linspace(0, 0.5, 12)[:, None]
    history = crossed(scores, names=names)
    assert all(len(text) < 500 for text in sentences(history, rank(history)))
