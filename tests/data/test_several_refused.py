"""Data of several inputs per sample that cannot be used."""

import numpy as np
import pandas as pd
import pytest
import torch
from tests.data.several import IDS, LONG, TENSORS, WIDE, N, Rows, Y
from torch.utils.data import TensorDataset

from talweg.core import UserError
from talweg.data import Several, load

NAN = WIDE.copy()
NAN[4, 2] = NAN[9, 0] = np.nan


INFINITE = np.full((N, 1), np.inf)
INFINITE[0, 0] = 0.0


class Odd(Rows):
    """Names that one sample lacks, or has besides."""

    def __init__(self, row, x):
        super().__init__({"a": WIDE, "b": IDS})
        self.row, self.odd = row, x

    def __getitem__(self, row):
        x, y = super().__getitem__(row)
        return (self.odd if row == self.row else x), y


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (((WIDE, IDS[:-1]), Y), r"same number of rows, got x\[0\] 200, x\[1\] 199"),
        (({"a": WIDE, "b": IDS}, Y[:-2]), "same number of rows, got 200 and 198"),
        (
            ({"a": WIDE, "b": NAN}, Y),
            r"x\['b'\]: features hold 2 missing values .* row 4, column 2",
        ),
        (
            ((WIDE, NAN + INFINITE), Y),
            r"x\[1\]: features hold 595 infinite values .* row 1, column 0",
        ),
        (({"a": LONG + INFINITE[:, 0]}, Y), r"x\['a'\]: features hold 199 infinite .* row 1;"),
        (({}, Y), "x must hold at least one input, got none"),
        (((), Y), "x must hold at least one input, got none"),
        (({"a": WIDE, 3: IDS}, Y), "inputs must be named by arguments of the model, got 3"),
        (({"a": WIDE, "b": 3.0}, Y), r"x\['b'\]: features must be an array of numbers "),
        (({"a": [[1.0], [2.0, 3.0]]}, Y), r"x\['a'\]: features must be an array; its"),
        (({"a": WIDE, "b": WIDE[:, :0]}, Y), r"x\['b'\]: features have no columns"),
        (({"a": WIDE * 1j}, Y), r"x\['a'\]: features must be an array of numbers .* complex"),
        (({"a": WIDE[:0]}, Y[:0]), "no samples"),
        (({"a": WIDE, "b": [None] * N}, Y), r"x\['b'\]: no feature column is left"),
        (({"b": pd.DataFrame({"q": [[1]] * N})}, Y), r"x\['b'\]: column 'q' holds list"),
        (Odd(3, {"a": WIDE[0]}), "x has other names in some samples than in others: a, b / a$"),
        (
            Odd(100, {"a": WIDE[0], "b": IDS[0], "c": 1}),
            "samples than in others: a, b / a, b, c",
        ),
        (Odd(0, {"a": WIDE[0]}), "x has other names in some samples than in others: a / a, b"),
        (Odd(3, {"a": WIDE[0], "b": IDS[0, :2]}), r"must yield \(x, y\) pairs"),
        (Odd(3, WIDE[0]), r"must yield \(x, y\) pairs.* others: a, b / none"),
        (TensorDataset(*TENSORS, torch.tensor(Y)), r"must yield \(x, y\) pairs"),
    ],
)
def test_inputs_that_cannot_be_used(source, said):
    with pytest.raises(UserError, match=said) as caught:
        load(source)
    assert "\n" not in str(caught.value)


def test_names_may_not_change_from_batch_to_batch():
    class Late(Rows):
        def __len__(self):
            return 2 * N

        def __getitem__(self, row):
            name = "a" if row < 256 else "b"
            return {name: WIDE[row % N]}, Y[row % N]

    with pytest.raises(UserError, match="names in some samples than in others: a / b"):
        load(Late({}))


def test_an_array_on_disk_that_is_too_large_is_refused_by_name(tmp_path):
    np.save(tmp_path / "x.npy", WIDE)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(load(((mapped, IDS), Y)).features.inputs[0], WIDE)
    with pytest.raises(UserError, match=r"x\['a'\] is too large for the memory: only one input"):
        load(({"a": mapped, "ids": IDS}, Y), memory=500_000_100)


def test_several_inputs_that_do_not_belong_together_are_no_data():
    with pytest.raises(UserError, match=r"x\['a'\] 200, x\['b'\] 3"):
        Several({"a": WIDE, "b": IDS[:3]})
