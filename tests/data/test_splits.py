"""Which row goes where."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from talweg.core import UserError
from talweg.data import Data, load, split


def labelled(labels):
    """Rows that carry their own number as the only feature."""
    labels = np.asarray(labels)
    names = tuple(f"c{number}" for number in range(labels.max() + 1))
    rows = np.arange(float(len(labels)))[:, None]
    return Data("t", "classification", rows, labels, names)


def rows_of(parts):
    return [part.x[:, 0].long().tolist() for part in (parts.train, parts.validation, parts.test)]


@given(
    st.lists(st.integers(0, 6), min_size=4, max_size=120),
    st.integers(0, 2**40),
    st.sampled_from([(0.6, 0.2, 0.2), (0.8, 0.1, 0.1), (0.1, 0.1, 0.8), (0.2, 0.7, 0.1)]),
)
@settings(deadline=None, max_examples=150)
def test_every_row_goes_to_one_part_whatever_the_classes(labels, seed, fractions):
    labels = np.unique(labels, return_inverse=True)[1]
    sizes = [max(1, round(len(labels) * share)) for share in fractions[1:]]
    if len(labels) - sum(sizes) < 2:
        with pytest.raises(UserError, match="cannot be split"):
            split(labelled(labels), seed=seed, fractions=fractions)
        return
    parts = split(labelled(labels), seed=seed, fractions=fractions, scale=False)
    train, validation, test = rows_of(parts)
    assert sorted(train + validation + test) == list(range(len(labels)))
    assert [len(validation), len(test)] == sizes
    said = [note for note in parts.notes if "the training part has no row of" in note]
    missing = set(labels) - set(labels[train])
    assert bool(said) == bool(missing)
    assert all(f"c{number}" in said[0] for number in sorted(missing)[:5])


@given(st.lists(st.integers(3, 12), min_size=2, max_size=8), st.integers(0, 100))
@settings(deadline=None, max_examples=50)
def test_training_sees_every_class_at_the_usual_fractions(sizes, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    parts = split(labelled(labels), seed=seed)
    assert set(parts.train.y.tolist()) == set(range(len(sizes)))


def test_classes_keep_their_share():
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    parts = split(labelled(labels), fractions=(0.6, 0.2, 0.2))
    for part, size in ((parts.train, 600), (parts.validation, 200), (parts.test, 200)):
        assert len(part) == size
        assert part.y.bincount().tolist() == [size * 7 // 10, size // 5, size // 10]
    assert parts.notes == ()


@pytest.mark.parametrize(
    ("rows", "held"), [(5, 1), (150, 30), (442, 88), (1000, 150), (1797, 180), (20_000, 2000)]
)
def test_a_tenth_is_held_out_or_up_to_a_fifth_of_few(rows: int, held: int):
    parts = split(labelled(np.arange(rows) % 2))
    assert (len(parts.validation), len(parts.test)) == (held, held)
    assert len(parts.train) == rows - 2 * held


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.9, 0.1, 0.0), (0.5, 0.4, 0.2), 0.8, "abc"])
def test_fractions_that_are_none(fractions):
    with pytest.raises(UserError, match="three positive numbers that add up to 1"):
        split(labelled(np.arange(40) % 2), fractions=fractions)


def test_rows_are_shuffled():
    parts = split(labelled(np.repeat([0, 1], 50)))
    assert rows_of(parts)[0] != sorted(rows_of(parts)[0])
    assert parts.train.y.tolist() != sorted(parts.train.y.tolist())


def test_a_seed_decides_everything():
    data = load("wine")
    one, same = split(data, seed=1), split(data, seed=1)
    for name, seed in (("train", 2), ("validation", 1 + 2**32), ("test", 2)):
        other = split(data, seed=seed)
        assert torch.equal(getattr(one, name).x, getattr(same, name).x)
        assert torch.equal(getattr(one, name).y, getattr(same, name).y)
        assert not torch.equal(getattr(one, name).x, getattr(other, name).x)
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - it is the global one that must stay
    split(data, seed=3)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_a_class_of_one_row_is_trained_on():
    parts = split(labelled(np.repeat([0, 1, 2], [30, 30, 1])))
    assert 2 in parts.train.y.tolist()
    assert parts.notes == (
        "the validation part has no row of 1 rare class: c2",
        "the test part has no row of 1 rare class: c2",
    )
    assert parts.validation.y.bincount().tolist() == [6, 6]


def test_many_small_classes_are_all_trained_on():
    parts = split(labelled(np.repeat(np.arange(20), 2)))
    assert set(parts.train.y.tolist()) == set(range(20))
    assert "too few rows for each class to keep its share" in parts.notes[0]


def test_classes_that_cannot_be_trained_on_are_named():
    parts = split(labelled([0, 1, 2, 3, 0, 1, 2, 3]), fractions=(0.25, 0.5, 0.25))
    absent = sorted({0, 1, 2, 3} - set(parts.train.y.tolist()))
    assert len(absent) >= 2
    names = ", ".join(f"c{number}" for number in absent)
    assert f"the training part has no row of {len(absent)} rare classes: {names}" in parts.notes


def test_regression_is_split_at_random():
    data = load("diabetes")
    parts = split(data, fractions=(0.5, 0.25, 0.25))
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [222, 110, 110]
    assert parts.notes == ()


def test_notes_of_the_data_come_first():
    data = load((np.arange(40.0)[:, None], [1, 2, 3, np.nan] * 10))
    assert data.notes[0] == "10 rows without a target were dropped"
    assert split(data).notes[: len(data.notes)] == data.notes


@pytest.mark.parametrize(
    "fractions", [(0.5, 0.5), (0.5, 0.3, 0.3), (1.0, 0.0, 0.0), (0.7, 0.4, -0.1), (6, 2, 2)]
)
def test_fractions_must_be_shares(fractions):
    with pytest.raises(UserError, match="three positive numbers that add up to 1"):
        split(load("iris"), fractions=fractions)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_rows_cannot_be_split(count):
    with pytest.raises(UserError, match=f"{count} rows? cannot be split into training"):
        split(labelled(np.arange(count) % 2))
    assert len(split(labelled([0, 1, 0, 1])).train) == 2


def test_a_seed_is_a_whole_number():
    with pytest.raises(UserError, match="seed must be a whole number of at least 0, got -1"):
        split(load("iris"), seed=-1)
