"""Intervals and Holm's correction against independent computations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from talweg.study.statistics import holm, mean_interval


def test_the_interval_is_students():
    values = [0.91, 0.95, 0.93, 0.96]
    mean, low, high = mean_interval(values)
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (low, high) == pytest.approx(expected)
    assert mean == pytest.approx(0.9375)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(3.0, 2.0, size=(4000, 5))
    ends = [mean_interval(row)[1:] for row in draws]
    covered = np.mean([low <= 3.0 <= high for low, high in ends])
    assert covered == pytest.approx(0.95, abs=0.012)


def test_one_value_has_no_interval():
    mean, low, high = mean_interval([0.5])
    assert mean == 0.5
    assert math.isnan(low)
    assert math.isnan(high)


def test_holm_on_the_example_of_a_textbook():
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx([0.03, 0.04, 0.04, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_raw_values_and_bonferronis(p: list[float]):
    adjusted = holm(p)
    assert all(
        raw <= new <= min(1.0, raw * len(p)) + 1e-12 for raw, new in zip(p, adjusted, strict=True)
    )
    assert [adjusted[i] for i in np.argsort(p)] == sorted(adjusted)


def test_holm_leaves_unknown_values_out_of_the_family():
    adjusted = holm([0.02, math.nan, 0.04])
    assert adjusted[0] == pytest.approx(0.04)
    assert math.isnan(adjusted[1])
