"""What kind of task a target asks for, and how classes are numbered."""

import numpy as np
import pandas as pd
import pytest
import torch

from talweg.core import UserError
from talweg.data import load


def loaded(y, **options):
    return load((np.zeros((len(y), 1)), y), **options)


@pytest.mark.parametrize(
    ("y", "classes", "first"),
    [
        (["b", "a", "c"] * 4, ("a", "b", "c"), 1),
        (["10", "9", "100"] * 4, ("9", "10", "100"), 1),
        ([10, 9, 100] * 4, ("9", "10", "100"), 1),
        ([10.0, 9.0, np.nan, 100.0] * 4, ("9", "10", "100"), 1),
        ([-1, 1] * 4, ("-1", "1"), 0),
        ([True, False] * 4, ("False", "True"), 1),
        (np.array(["no", None, "yes"] * 4, dtype=object), ("no", "yes"), 0),
        (pd.Series(["lo", "hi"] * 4, dtype="category"), ("hi", "lo"), 1),
        (pd.Series([3, None, 1] * 4, dtype="Int64"), ("1", "3"), 1),
        (np.arange(30).repeat(10), tuple(str(number) for number in range(30)), 0),
        (torch.tensor([2, 0, 1] * 4), ("0", "1", "2"), 2),
        ([2**60 + 1, 2**60] * 4, (str(2**60), str(2**60 + 1)), 1),
    ],
)
def test_classes_are_found_and_sorted(y, classes, first):
    data = loaded(y)
    assert data.kind == "classification"
    assert data.classes == classes
    assert data.target[0] == first
    assert data.target.dtype == np.int64


@pytest.mark.parametrize(
    "y",
    [
        np.linspace(0, 1, 12),
        np.array([0.5, 1.5] * 6),  # few values, but not whole
        np.arange(12),  # whole, but as many as rows
        np.arange(1, 31).repeat(10),  # more than 20, and not numbered from 0
        np.arange(30).repeat(9),  # numbered from 0, but with few rows each
        pd.Series(pd.date_range("2024-01-01", periods=12)),
    ],
)
def test_numbers_are_regression(y):
    data = loaded(y)
    assert (data.kind, data.classes) == ("regression", ())
    assert data.target.dtype == np.float64


def test_guesses_are_told():
    (note,) = loaded([3, 4, 5] * 4).notes
    assert "holds 3 different whole numbers and was taken as classes" in note
    assert 'kind="regression"' in note
    (note,) = loaded(np.arange(1, 31).repeat(10)).notes
    assert "holds 30 different whole numbers and was taken as a number" in note
    assert 'kind="classification"' in note
    for plain in ([0, 1] * 4, ["a", "b", "c"] * 4, np.linspace(0, 1, 8), np.arange(300).repeat(3)):
        assert loaded(plain).notes == ()
    assert loaded([3, 4, 5] * 4, kind="regression").notes == ()


def test_the_kind_can_be_chosen():
    assert loaded([3, 4, 5] * 4, kind="regression").target.tolist() == [3, 4, 5] * 4
    assert loaded([True, False] * 4, kind="regression").target.tolist() == [1, 0] * 4
    assert loaded(["1.5", "2"] * 4, kind="regression").target.tolist() == [1.5, 2] * 4
    assert loaded([0.5, 1.5] * 4, kind="classification").classes == ("0.5", "1.5")
    assert len(loaded(np.arange(1, 31).repeat(10), kind="classification").classes) == 30


def test_rows_of_targets():
    several = loaded(np.arange(24.0).reshape(12, 2) / 7)
    assert (several.kind, several.target.shape) == ("regression", (12, 2))
    one_hot = loaded(np.eye(3)[[0, 2, 1, 0, 2, 1]])
    assert one_hot.target.tolist() == [0, 2, 1, 0, 2, 1]
    assert one_hot.notes == ("target 'target' is one-hot and was turned into 3 class numbers",)
    assert loaded(np.eye(3)[[0, 2, 1]], kind="regression").target.shape == (3, 3)
    gappy = np.arange(24.0).reshape(12, 2) / 7
    gappy[4, 1] = np.nan
    assert len(loaded(gappy)) == 11


@pytest.mark.parametrize(
    ("y", "kind", "said"),
    [
        (["a"] * 4, None, "'target' has the same value in every row .a.; there is nothing to l"),
        ([2.5] * 4, None, "the same value in every row .2.5."),
        ([7] * 4, "regression", "the same value in every row .7."),
        (np.ones((4, 2)), "regression", "is the same in every row"),
        ([None] * 4, None, "'target' is missing in every row"),
        ([np.nan] * 4, None, "'target' is missing in every row"),
        (["a", "b", "c", "d"], None, "4 different values in 4 rows; classes need two rows each"),
        (np.linspace(0, 1, 8), "classification", 'two rows each on average .kind="regression"'),
        (["1", "two"] * 4, "regression", "holds text such as 'two', which is not a number"),
        ([1.0, np.inf] * 4, None, "'target' holds 4 infinite values"),
        (np.array([1e200, 1.5] * 4), None, "'target' holds 4 infinite values .beyond"),
        (np.array([[0.5, np.inf]] * 4), None, "'target' holds 4 infinite values"),
        (np.arange(8.0).reshape(4, 2), "classification", r"shape \[4, 2\] must be one class per"),
        (np.zeros((4, 2, 2)), None, r"one value or one row of values per sample, got .*\[4, 2, 2"),
    ],
)
def test_targets_that_cannot_be_learned(y, kind, said):
    with pytest.raises(UserError, match=said):
        loaded(y, kind=kind)
