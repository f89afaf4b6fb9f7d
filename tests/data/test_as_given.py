"""Data for training on everything: pairs as they are given, tables prepared."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import TensorDataset

from talweg.core import UserError
from talweg.data import Samples, as_samples, everything, load

X = np.arange(24.0).reshape(8, 3) * 100
Y = np.array([5, 7] * 4)


def test_samples_are_returned_as_they_are():
    samples = Samples(torch.zeros(2, 1, dtype=torch.float64), torch.zeros(2))
    assert as_samples(samples) is samples


@pytest.mark.parametrize(
    "source",
    [
        (X, Y),
        (X.tolist(), Y.tolist()),
        (torch.tensor(X), torch.tensor(Y)),
        (torch.tensor(X, requires_grad=True), torch.tensor(Y, dtype=torch.int32)),
        (X.astype(np.int64), Y.astype(np.uint8)),
        TensorDataset(torch.tensor(X), torch.tensor(Y)),
    ],
)
def test_pairs_keep_their_values(source):
    samples = as_samples(source)
    assert samples.x.dtype in (torch.float32, torch.float64)
    assert samples.y.dtype == torch.int64
    np.testing.assert_array_equal(samples.x, X)
    assert samples.y.tolist() == Y.tolist()
    assert not samples.x.requires_grad


@pytest.mark.parametrize("shape", [(8,), (8, 1), (8, 3)])
def test_real_targets_keep_values_and_shape(shape):
    y = np.arange(np.prod(shape)).reshape(shape) / 8 + 100
    samples = as_samples((X, y))
    assert samples.y.dtype == torch.float64
    np.testing.assert_array_equal(samples.y, y)
    assert as_samples((X, y.astype(np.float32))).y.dtype == torch.float32


def test_true_and_false_are_classes():
    assert as_samples((X, Y == 7)).y.tolist() == [0, 1] * 4


def test_a_constant_target_is_the_users_business():
    assert as_samples((X, np.zeros(8))).y.tolist() == [0] * 8


def test_indices_stay_integers():
    tokens = torch.arange(16).reshape(8, 2)
    assert as_samples((tokens, Y)).x.dtype == torch.int64
    assert as_samples((tokens.to(torch.uint8), Y)).x.dtype == torch.float32
    assert as_samples((tokens.numpy(), Y)).x.dtype == torch.float32
    assert as_samples((tokens.numpy()[:, :, None], Y)).x.dtype == torch.int64
    assert as_samples(TensorDataset(tokens, tokens)).y.shape == (8, 2)


def test_the_users_arrays_are_copied():
    x = np.zeros((8, 1), dtype=np.float32)
    samples = as_samples((x, Y))
    samples.x.add_(1)
    assert (x == 0).all()


def test_names_files_and_tables_are_prepared(tmp_path):
    for samples in (as_samples("iris"), as_samples(load("iris"))):
        assert torch.equal(samples.x, everything(load("iris")).x)
    frame = pd.DataFrame({"a": X[:, 0], "word": ["x", "z"] * 4, "y": Y})
    frame.to_csv(tmp_path / "t.csv", index=False)
    whole = [
        as_samples(tmp_path / "t.csv", target="y"),
        as_samples(frame, target="y"),
        as_samples((frame[["a", "word"]], frame["y"])),
    ]
    for samples in whole:
        assert samples.x.shape == (8, 3)
        assert samples.x[:, 0].mean().abs() < 1e-6
        assert samples.y.tolist() == [0, 1] * 4


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ((X, Y[:3]), "same number of rows, got 8 and 3"),
        ((X[:0], Y[:0]), "no samples"),
        ((X, np.array(["a", "b"] * 4)), r"target must be an array of numbers.*load\(\(X, y\)\)"),
        ((np.array([["a"]] * 8), Y), "features must be an array of numbers"),
        ((3.0, Y), "features must be an array of numbers with one row per sample"),
        ((np.where(X == 0, np.nan, X), Y), "features must be finite numbers, but hold 1 value"),
        ((np.where(X == 0, np.inf, X), Y), "features must be finite numbers, but hold"),
        ((X, np.where(X[:, 0] == 0, np.inf, 1)), "target must be finite numbers, but hold 1 val"),
        (7, "data must be a name"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(source, said):
    with pytest.raises(UserError, match=said):
        as_samples(source)


def test_a_target_is_for_tables():
    with pytest.raises(UserError, match="leave out target='y'"):
        as_samples((X, Y), target="y")
