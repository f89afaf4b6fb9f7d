"""Preparation: fitted on the training part alone, and equal to its formula."""

import dataclasses

import numpy as np
import pytest
import torch

from talweg.data import Data, Table, everything, load, split

RNG = np.random.default_rng(0)
N = 200
LABELS = np.arange(N) % 2


def table(**columns):
    return Data("t", "classification", Table(columns), LABELS, ("a", "b"))


def array(values, target=LABELS):
    kind = "classification" if target.dtype == np.int64 else "regression"
    return Data("t", kind, values, target, ("a", "b") if kind == "classification" else ())


def parts_of(data, **options):
    """Raw rows of the training part and the rest, found by a row number that rides along."""
    numbered = dataclasses.replace(data, features=np.arange(float(len(data)))[:, None])
    parts = split(numbered, scale=False, **options)
    return [part.x[:, 0].long().numpy() for part in (parts.train, parts.validation, parts.test)]


def test_columns_are_standardised_by_the_training_part():
    values = RNG.normal(5, 3, (N, 2))
    data = array(values)
    train, validation, test = parts_of(data)
    parts = split(data)
    mean, std = values[train].mean(0), values[train].std(0)
    for rows, part in ((train, parts.train), (validation, parts.validation), (test, parts.test)):
        np.testing.assert_allclose(part.x, (values[rows] - mean) / std, rtol=1e-5, atol=1e-6)
        assert part.x.dtype == torch.float32
        assert part.y.tolist() == LABELS[rows].tolist()
    assert parts.features == ("x0", "x1")


@pytest.mark.parametrize("kind", ["table", "array", "images"])
def test_held_out_rows_change_nothing_in_the_training_part(kind):
    values = RNG.normal(5, 3, (N, 4))
    values[RNG.random((N, 4)) < 0.1] = np.nan
    words = RNG.choice(["x", "y", "z"], N).astype(object)
    target = RNG.normal(size=N)

    def data(values, words, target):
        if kind == "table":
            columns = {f"c{place}": values[:, place] for place in range(4)}
            return Data("t", "regression", Table({**columns, "word": words}), target)
        return array(values.reshape(N, 2, 2) if kind == "images" else values, target)

    _, validation, test = parts_of(data(values, words, target))
    held = np.concatenate([validation, test])
    before = split(data(values, words, target))
    changed, other, moved = values.copy(), words.copy(), target.copy()
    changed[held], other[held], moved[held] = 1e6, "new", 1e6
    after = split(data(changed, other, moved))
    assert torch.equal(before.train.x, after.train.x)
    assert torch.equal(before.train.y, after.train.y)
    assert before.target_scale == after.target_scale
    assert before.features == after.features
    assert not torch.equal(before.test.x, after.test.x)


def test_gaps_are_filled_with_the_training_median():
    values = RNG.normal(size=N)
    values[::7] = np.nan
    data = table(a=values, b=RNG.normal(size=N))
    train, _, test = parts_of(data)
    parts = split(data, scale=False)
    median = np.nanmedian(values[train])
    for rows, part in ((train, parts.train), (test, parts.test)):
        expected = np.where(np.isnan(values[rows]), median, values[rows])
        np.testing.assert_allclose(part.x[:, 0], expected, rtol=1e-6)
    assert parts.notes == ("29 missing values were filled with the training part's median: a",)


def test_a_column_without_a_value_in_the_training_part_is_kept_as_0():
    data = table(a=RNG.normal(size=N), b=np.full(N, np.nan))
    train, *_ = parts_of(data)
    data.features.columns["b"][np.setdiff1d(np.arange(N), train)] = 3.0
    parts = split(data)
    assert parts.train.x.shape == (120, 2)
    assert (parts.train.x[:, 1] == 0).all()
    assert (parts.test.x[:, 1] == 0).all()
    assert "1 column without a value in the training part became 0: b" in parts.notes


def test_categories_become_columns():
    words = np.array(["red", "blue", None, "red"] * (N // 4), dtype=object)
    data = table(a=RNG.normal(size=N), colour=words, b=RNG.normal(size=N))
    train, _, test = parts_of(data)
    data.features.columns["colour"][test[0]] = "new"
    parts = split(data)
    assert parts.features == ("a", "colour=(missing)", "colour=blue", "colour=red", "b")
    for place, word in ((1, None), (2, "blue"), (3, "red")):
        expected = [float(words[row] == word) for row in train]
        assert parts.train.x[:, place].tolist() == expected
    assert parts.test.x[0, 1:4].tolist() == [0, 0, 0]


def test_many_categories_are_grouped():
    words = np.array([f"w{row % 40:02}" if row < 160 else "often" for row in range(N)], object)
    parts = split(table(word=words), seed=1)
    assert len(parts.features) == 30
    assert "word=often" in parts.features
    assert parts.features[-1] == "word=(other)"
    (note,) = parts.notes
    assert "column 'word' has " in note
    assert "the 29 most frequent were kept" in note
    assert (parts.train.x.sum(1) == 1).all()


def test_constant_columns_stay_as_0_and_are_named():
    data = table(a=RNG.normal(size=N), b=np.full(N, 0.1), c=np.full(N, "x", dtype=object))
    train, *_ = parts_of(data)
    data.features.columns["b"][np.setdiff1d(np.arange(N), train)] = 5.0
    parts = split(data)
    said = "2 columns are constant in the training part and carry nothing: b, c=x"
    assert parts.notes == (said,)
    for part in (parts.train, parts.validation, parts.test):
        assert part.x.shape[1] == 3
        assert (part.x[:, 1:] == 0).all()
    as_they_are = split(data, scale=False)
    assert (as_they_are.test.x[:, 1] == 5).all()
    assert as_they_are.notes == (said,)


def test_a_nearly_constant_column_does_not_explode():
    values = np.zeros((N, 2))
    values[:, 0] = RNG.normal(size=N)
    data = array(values)
    train, validation, _ = parts_of(data)
    values[train[0], 1] = 1.0
    values[validation[:2], 1] = 16.0
    parts = split(data)
    assert parts.train.x[0, 1] == parts.validation.x[0, 1] == 10
    said = "3 values more than 10 standard deviations from the training mean were set to ±10: x1"
    assert parts.notes == (said,)
    assert split(data, scale=False).validation.x[0, 1] == 16


def test_digits_stay_within_bounds():
    parts = split(load("digits"))
    assert parts.train.x.shape[1] == 64
    for part in (parts.train, parts.validation, parts.test):
        assert part.x.abs().max() <= 10


def test_images_are_standardised_as_a_whole():
    images = RNG.integers(0, 256, (N, 3, 4, 4)).astype(np.float32)
    data = array(images)
    train, _, test = parts_of(data)
    parts = split(data)
    expected = (images[test] - images[train].mean()) / images[train].std()
    np.testing.assert_allclose(parts.test.x, expected, rtol=1e-3, atol=1e-5)
    assert parts.test.x.dtype == torch.float32
    assert parts.features == ()


def test_missing_pixels_are_filled_pixel_by_pixel():
    images = RNG.normal(size=(N, 2, 2))
    images[3, 0, 1] = np.nan
    whole = everything(array(images), scale=False)
    assert whole.x[3, 0, 1] == np.float32(np.nanmedian(images[:, 0, 1]))


@pytest.mark.parametrize("shape", [(N, 3), (N, 3, 2), (N,)])
def test_indices_are_left_alone(shape):
    tokens = RNG.integers(0, 50, shape)
    data = array(tokens)
    train, *_ = parts_of(data)
    parts = split(data)
    assert parts.train.x.dtype == torch.int64
    np.testing.assert_array_equal(parts.train.x, tokens[train])


def test_regression_targets_are_standardised_by_the_training_part():
    target = RNG.normal(40, 7, N)
    data = array(RNG.normal(size=(N, 2)), target)
    train, _, test = parts_of(data)
    parts = split(data)
    mean, std = parts.target_scale
    assert (mean, std) == pytest.approx((target[train].mean(), target[train].std()))
    np.testing.assert_allclose(parts.test.y * std + mean, target[test], rtol=1e-5)
    assert parts.train.y.dtype == torch.float32
    assert (parts.kind, parts.classes) == ("regression", ())


def test_several_targets_have_a_scale_each():
    target = RNG.normal([4, -300], [1, 50], (N, 2))
    data = array(RNG.normal(size=(N, 2)), target)
    train, _, test = parts_of(data)
    parts = split(data)
    mean, std = parts.target_scale
    assert mean == pytest.approx(target[train].mean(0))
    assert std == pytest.approx(target[train].std(0))
    back = parts.test.y * torch.tensor(std) + torch.tensor(mean)
    np.testing.assert_allclose(back, target[test], rtol=1e-4)


def test_without_scaling_nothing_is_scaled():
    values, target = RNG.normal(9, 5, (N, 2)), RNG.normal(40, 7, N)
    data = array(values, target)
    train, *_ = parts_of(data)
    parts = split(data, scale=False)
    assert parts.target_scale == (0.0, 1.0)
    np.testing.assert_array_equal(parts.train.x, values[train].astype(np.float32))
    np.testing.assert_array_equal(parts.train.y, target[train].astype(np.float32))


def test_classes_have_no_scale():
    assert split(load("iris")).target_scale == (0.0, 1.0)


def test_everything_is_prepared_by_all_rows():
    data = load("diabetes")
    samples = everything(data)
    assert len(samples) == 442
    np.testing.assert_allclose(samples.x.mean(0), np.zeros(10), atol=1e-5)
    np.testing.assert_allclose(samples.x.std(0, correction=0), np.ones(10), rtol=1e-4)
    back = samples.y * data.target.std() + data.target.mean()
    np.testing.assert_allclose(back, data.target, rtol=1e-5)
    plain = everything(data, scale=False)
    np.testing.assert_array_equal(plain.y, data.target.astype(np.float32))
    assert everything(plain) is plain


def test_the_data_itself_is_not_changed():
    values, target = RNG.normal(size=(N, 2)), RNG.normal(size=N)
    data = array(values, target)
    kept = values.copy(), target.copy()
    parts = split(data)
    parts.train.x.zero_()
    everything(data, scale=False).x.zero_()
    np.testing.assert_array_equal(values, kept[0])
    np.testing.assert_array_equal(target, kept[1])
