"""Sources that are in memory already."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy import sparse
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from talweg.core import UserError
from talweg.data import BUNDLED, Data, Samples, load

X = np.arange(24.0).reshape(8, 3)
Y = np.array([0, 1] * 4)


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("digits", (1797, 64), 10),
        ("iris", (150, 4), 3),
        ("wine", (178, 13), 3),
        ("breast_cancer", (569, 30), 2),
        ("diabetes", (442, 10), 0),
    ],
)
def test_bundled_data(name, shape, classes):
    data = load(name)
    assert (len(data), len(data.features.names)) == shape
    assert len(data.classes) == classes
    assert data.kind == ("classification" if classes else "regression")
    assert data.name == name
    assert data.notes == ()


def test_bundled_data_are_listed_and_raw():
    assert list(BUNDLED) == ["digits", "iris", "wine", "breast_cancer", "diabetes"]
    assert load("diabetes").features.columns["age"].max() == 79  # years
    assert load("digits").features.columns["pixel_3_3"].max() == 16


@pytest.mark.parametrize(
    "pair",
    [
        (X, Y),
        [X, Y],
        (X.tolist(), Y.tolist()),
        (torch.tensor(X), torch.tensor(Y)),
        (torch.tensor(X, requires_grad=True), Y),
        (torch.tensor(X).bfloat16(), torch.tensor(Y)),
        (X.astype(np.int32), Y.astype(np.uint8)),
        (X, Y[:, None]),
        (sparse.csr_matrix(X), Y),
        (np.asfortranarray(X)[::-1][::-1], Y.astype(">i4")),
    ],
)
def test_pairs(pair):
    data = load(pair)
    np.testing.assert_array_equal(data.features, X)
    assert data.target.tolist() == Y.tolist()
    assert (data.kind, data.classes) == ("classification", ("0", "1"))


def test_a_single_feature_becomes_a_column():
    assert load((X[:, 0], X[:, 1] + 0.5)).features.shape == (8, 1)


def test_integers_that_are_indices_stay_integers():
    tokens = np.arange(48).reshape(8, 3, 2)
    assert load((tokens, Y)).features.dtype == np.int64
    assert load((torch.tensor(tokens[:, :, 0]), Y)).features.dtype == np.int64
    assert load((tokens[:, :, 0], Y)).features.dtype == np.float64
    assert load((tokens.astype(np.uint8), Y)).features.dtype == np.float32


@pytest.mark.parametrize("kind", ["pandas", "pandas nullable", "arrow"])
def test_data_frames(kind):
    columns = {"a": [1, None, 3, 4], "b": ["x", "z", None, "x"], "y": ["p", "q", "p", "q"]}
    frame = pd.DataFrame(columns)
    if kind == "pandas nullable":
        frame = frame.convert_dtypes()
    source = pa.table(columns) if kind == "arrow" else frame
    data = load(source, target="y")
    assert data.features.names == ("a", "b")
    np.testing.assert_array_equal(data.features.columns["a"], [1, np.nan, 3, 4])
    assert data.features.columns["b"].tolist() == ["x", "z", None, "x"]
    assert data.classes == ("p", "q")


def test_a_frame_of_any_library_that_speaks_arrow():
    class Frame:
        columns = ("a", "y")

        def __getitem__(self, name):
            raise AssertionError("arrow is asked first")

        def to_arrow(self):
            return pa.table({"a": [1.0, 2, 3, 4], "y": ["p", "q", "p", "q"]})

    assert load(Frame(), target="y").features.columns["a"].tolist() == [1, 2, 3, 4]


def test_a_frame_and_a_series():
    frame = pd.DataFrame({"a": [1.0, None, 3, 4], 7: pd.Categorical(["x", "z", None, "x"])})
    data = load((frame, pd.Series([3, 1, 3, 1], name="grade")))
    assert data.features.names == ("a", "7")
    assert data.features.columns["7"].tolist() == ["x", "z", None, "x"]
    assert (data.target_name, data.classes) == ("grade", ("1", "3"))
    assert data.target.tolist() == [1, 0, 1, 0]
    both = load((frame, pd.DataFrame({"u": [0.5, 1, 2, 3], "v": [1, 2, 3, 4.5]})))
    assert both.target.shape == (4, 2)
    assert load((frame, pd.DataFrame({"u": [1, 2, 1, 2]}))).classes == ("1", "2")


def test_mixed_objects_are_categories():
    frame = pd.DataFrame({"a": [1, "x", None, "x"], "y": [0, 1, 0, 1]})
    assert load(frame, target="y").features.columns["a"].tolist() == ["1", "x", None, "x"]
    grid = np.array([["x", 1], ["z", None], ["x", 3], ["z", 4]], dtype=object)
    columns = load((grid, [0, 1, 0, 1]), missing="median").features.columns
    assert columns["x0"].tolist() == ["x", "z", "x", "z"]
    np.testing.assert_array_equal(columns["x1"], [1, np.nan, 3, 4])


def test_what_pandas_alone_knows_is_a_category():
    bins = pd.cut(pd.Series([1.0, 2, 9, 8, np.nan]), 2)
    months = pd.Series(pd.PeriodIndex(["2024-01", "2024-02", None, "2024-01", "2024-01"], freq="M"))
    frame = pd.DataFrame({"bin": bins, "month": months, "y": [0, 1, 0, 1, 1]})
    columns = load(frame, target="y").features.columns
    assert columns["bin"].tolist() == ["(0.992, 5.0]"] * 2 + ["(5.0, 9.0]"] * 2 + [None]
    assert columns["month"].tolist() == ["2024-01", "2024-02", None, "2024-01", "2024-01"]


def test_masked_values_are_missing():
    masked = np.ma.masked_array(X.astype(int), mask=np.zeros_like(X, dtype=bool))
    np.testing.assert_array_equal(load((masked, Y)).features, X)
    masked.mask[2, 1] = True
    with pytest.raises(UserError, match=r"1 missing value .*first at row 2, column 1"):
        load((masked, Y))
    target = np.ma.masked_array(Y, mask=[True] + [False] * 7)
    assert len(load((X, target))) == 7


def test_spans_of_time_become_seconds():
    spans = np.array([[1500], [2500]] * 4, dtype="m8[ms]")
    assert load((spans, Y)).features.columns["x0"].tolist() == [1.5, 2.5] * 4


class Pairs(Dataset):
    classes = ("cat", "dog", "owl")

    def __init__(self, count=600):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, row):
        return np.full((2, 3), row, dtype=np.float32), row % 2


def test_a_data_set_of_pytorch_is_read_once_in_order():
    state = torch.get_rng_state()
    data = load(Pairs())
    assert torch.equal(torch.get_rng_state(), state)
    assert data.features.shape == (600, 2, 3)
    assert data.features[:, 0, 0].tolist() == list(range(600))
    assert data.target.tolist() == [0, 1] * 300
    assert data.classes == Pairs.classes
    tokens = load(TensorDataset(torch.arange(16).reshape(8, 2), torch.tensor(Y)))
    assert tokens.features.dtype == np.int64


class Stream(IterableDataset):
    def __iter__(self):
        yield from [(torch.zeros(2), 0)]


class Odd(Pairs):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, row):
        return self.items[row]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Stream(), "must be map-style, with a length, got Stream"),
        (Odd([]), "the data set is empty"),
        (Odd([(1.0, 2.0, 3.0)] * 4), r"must yield \(x, y\) pairs"),
        (Odd([torch.zeros(3)] * 2), r"must yield \(x, y\) pairs"),
        (Odd([{"x": 1}] * 4), r"must yield \(x, y\) pairs"),
        (Odd([("word", 1)] * 4), r"must yield \(x, y\) pairs"),
        (Odd([(torch.zeros(2), 1), (torch.zeros(3), 1)]), r"must yield \(x, y\) pairs"),
        (DataLoader(Pairs()), r"give its \.dataset"),
        (3, r"data must be a name \(digits.*a file \(.csv.*got int"),
        ({"a": X}, "got dict"),
        ((X, Y, Y), "got tuple"),
        ((X, Y[:5]), "same number of rows, got 8 and 5"),
        (([[1.0], [2.0, 3.0]], [1, 2]), "features must be an array; its rows are of different"),
        (([1.0, 2.0], [[1.0], [2.0, 3.0]]), "target must be an array; its rows are of different"),
        ((3.0, [1]), "features must be an array of numbers with one row per sample, got float"),
        ((X[:, :0], Y), r"features have no columns: their shape is \[8, 0\]"),
        ((X[:0], Y[:0]), "no samples"),
        ((X, np.array([["a", "b"]] * 8)), r"a target of shape \[8, 2\] must hold numbers"),
        (pd.DataFrame(np.ones((2, 2)), columns=["a", "a"]), "column names must differ.*: a"),
        (pd.DataFrame({"a": [1], "b": [2]}), "which column of the table is the target"),
        ((X, "01010101"), "the target must be an array or a list, got str"),
        ((1, 2), "the target must be an array or a list, got int"),
        ((X, Y * 1j), "column 'target' holds complex128, which is neither a number nor"),
        ((X, np.array([[1]] * 8 + [None], dtype=object)[:8]), "column 'target' holds list"),
    ],
)
def test_sources_that_cannot_be_used(source, said):
    with pytest.raises(UserError, match=said) as caught:
        load(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["iris", (X, Y), Samples(torch.tensor(X), torch.tensor(Y))])
def test_a_target_is_refused_where_there_is_one(source):
    with pytest.raises(UserError, match="has its own target; leave out target='y'"):
        load(source, target="y")


def test_options_are_checked():
    with pytest.raises(UserError, match="unknown kind 'classify'; did you mean 'classification'"):
        load("iris", kind="classify")
    with pytest.raises(UserError, match=r"unknown way to treat missing values 'mean'.*median, err"):
        load("iris", missing="mean")


def test_data_and_samples():
    data = load("iris")
    assert load(data) is data
    with pytest.raises(UserError, match="already has its target"):
        load(data, missing="error")
    samples = load(Samples(torch.tensor(X), torch.tensor(Y)))
    assert isinstance(samples, Data)
    assert samples.target.tolist() == Y.tolist()


@pytest.mark.parametrize("flaw", ["missing", "infinite", "negative"])
def test_flawed_features_are_counted_and_placed(flaw):
    value = {"missing": np.nan, "infinite": np.inf, "negative": -np.inf}[flaw]
    word = "missing" if flaw == "missing" else "infinite"
    flat = X.copy()
    flat[6, 0] = flat[3, 2] = value
    with pytest.raises(UserError, match=f"2 {word} values .*first at row 3, column 2"):
        load((flat, Y))
    with pytest.raises(UserError, match=f"1 {word} value .*first at row 3[;,] "):
        load(
            (
                flat.reshape(8, 3, 1)[:5],
                Y[:5],
            )[:2]
        )
    frame = pd.DataFrame(flat, columns=["age", "size", "pay"])
    with pytest.raises(UserError, match=f"2 {word} values .*first at row 3, column 'pay'"):
        load((frame, Y), missing="error")


def test_flawed_rows_are_numbered_as_in_the_source():
    flat, target = X.copy(), Y.astype(float)
    target[0] = np.nan
    flat[3, 1] = np.nan
    with pytest.raises(UserError, match="first at row 3, column 1"):
        load((flat, target))
