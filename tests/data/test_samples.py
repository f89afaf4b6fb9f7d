import dataclasses

import pytest
import torch

from talweg import data
from talweg.core import UserError
from talweg.data import Data, Samples, Table


def test_samples_know_their_length_and_move():
    samples = Samples(torch.zeros(3, 2), torch.arange(3))
    moved = samples.to("meta")
    assert len(samples) == len(moved) == 3
    assert moved.x.device.type == moved.y.device.type == "meta"
    with pytest.raises(dataclasses.FrozenInstanceError):
        samples.x = torch.ones(3, 2)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (torch.zeros(3, 2), torch.zeros(2), "same number of rows, got 3 and 2"),
        (torch.zeros(0, 2), torch.zeros(0), "no samples"),
        (torch.tensor(1.0), torch.tensor(1.0), "one row per sample, got a single number"),
    ],
)
def test_samples_must_match(x, y, said):
    with pytest.raises(UserError, match=said):
        Samples(x, y)


def test_data_is_checked_when_it_is_made():
    x, y = torch.zeros(4, 2).numpy(), torch.tensor([0, 1, 0, 1]).numpy()
    assert len(Data("mine", "classification", x, y, ("a", "b"))) == 4
    with pytest.raises(UserError, match="unknown kind 'regresion'; did you mean 'regression'"):
        Data("mine", "regresion", x, y)
    with pytest.raises(UserError, match="same number of rows, got 4 and 3"):
        Data("mine", "classification", x, y[:3])
    with pytest.raises(UserError, match="no samples"):
        Data("mine", "classification", Table({}), y[:0])


def test_public_names_are_sorted_and_there():
    assert data.__all__ == sorted(data.__all__, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(data, name) for name in data.__all__)
