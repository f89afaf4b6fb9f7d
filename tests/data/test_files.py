"""Files of every type, read right and refused in one line."""

import datetime
import decimal

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from talweg.core import UserError
from talweg.data import load, split

COLUMNS = {
    "age": [31, 42, None, 58, 25, 39, 44, 61],
    "wage": [1.5, 2.5, 3.5, None, 5.5, 6.5, 7.5, 8.5],
    "city": ["Rome", None, "Oslo", "Rome", "Oslo", "Rome", "Oslo", "Rome"],
    "member": [True, False, True, None, True, False, True, False],
    "bought": ["no", "yes", "no", "yes", "no", "yes", "no", "yes"],
}
CSV = """age,wage,city,member,bought
31,1.5,Rome,true,no
42,2.5,,false,yes
,3.5,Oslo,true,no
58,NA,Rome,,yes
25,5.5,Oslo,true,no
39,6.5,Rome,false,yes
44,7.5,Oslo,true,no
61,8.5,Rome,false,yes
"""


def write(path, text):
    path.write_text(text)
    return path


def write_parquet(path, columns):
    parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "semicolons", "parquet", "categories"])
def test_a_table_is_the_same_from_every_type_of_file(tmp_path, kind):
    if kind == "csv":
        path = write(tmp_path / "t.csv", CSV)
    elif kind == "tsv":
        path = write(tmp_path / "t.TSV", CSV.replace(",", "\t"))
    elif kind == "semicolons":
        path = write(tmp_path / "t.csv", CSV.replace(",", ";"))
    elif kind == "parquet":
        path = write_parquet(tmp_path / "t.parquet", COLUMNS)
    else:
        coded = {**COLUMNS, "city": pa.array(COLUMNS["city"]).dictionary_encode()}
        path = write_parquet(tmp_path / "t.parquet", coded)
    data = load(str(path), target="bought")
    assert (data.name, data.kind, data.target_name) == (path.name, "classification", "bought")
    assert data.classes == ("no", "yes")
    assert data.target.tolist() == [0, 1] * 4
    assert data.features.names == ("age", "wage", "city", "member")
    columns = data.features.columns
    np.testing.assert_array_equal(columns["age"], [31, 42, np.nan, 58, 25, 39, 44, 61])
    np.testing.assert_array_equal(columns["wage"], [1.5, 2.5, 3.5, np.nan, 5.5, 6.5, 7.5, 8.5])
    np.testing.assert_array_equal(columns["member"], [1, 0, 1, np.nan, 1, 0, 1, 0])
    assert columns["city"].tolist() == COLUMNS["city"]
    assert data.notes == ()


def test_cells_that_mean_missing(tmp_path):
    gaps = ["", "?", " ?", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "#N/A"]
    rows = "".join(f"{gap},{gap},{place % 2}\n" for place, gap in enumerate(gaps))
    path = write(tmp_path / "t.csv", f"a,b,y\n1,x,0\n2,x,1\n3,z,0\n{rows}")
    columns = load(path, target="y").features.columns
    assert np.isnan(columns["a"][3:]).all()
    assert columns["b"].tolist() == ["x", "x", "z", *[None] * len(gaps)]


def test_spaces_around_names_and_categories_do_not_count(tmp_path):
    path = write(tmp_path / "t.csv", "a, b, y\n1, x, no\n2, x , yes\n3, z, no\n4, z, yes\n")
    data = load(path, target="y")
    assert data.features.columns["b"].tolist() == ["x", "x", "z", "z"]
    assert data.classes == ("no", "yes")


def test_a_column_is_typed_by_all_its_values_not_by_its_beginning(tmp_path):
    lines = "1,1,0\n1,1,1\n" * 300_000
    data = load(write(tmp_path / "t.csv", f"a,b,y\n{lines}1.5,x,1\n"), target="y")
    assert data.features.columns["a"][-1] == 1.5
    assert data.features.columns["b"][[0, -1]].tolist() == ["1", "x"]


def test_decimal_commas_between_semicolons(tmp_path):
    text = "a;b;y\n-7,5;x,1;no\n1200;x,1;yes\n;y;no\n0,25;y;yes\n"
    columns = load(write(tmp_path / "t.csv", text), target="y").features.columns
    np.testing.assert_array_equal(columns["a"], [-7.5, 1200, np.nan, 0.25])
    assert columns["b"].tolist() == ["x,1", "x,1", "y", "y"]


def test_text_may_hold_line_breaks_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes('﻿a,b,y\n1,"x\nx",0\n2,"x\nx",1\n3,z,0\n4,z,1\n'.encode())
    assert load(path, target="y").features.columns["b"].tolist() == ["x\nx", "x\nx", "z", "z"]


def test_row_numbers_that_pandas_wrote_are_dropped(tmp_path):
    text = "".join(f"{row},{row * row % 7},{row % 2}\n" for row in range(8))
    data = load(write(tmp_path / "t.csv", f",a,y\n{text}"), target="y")
    assert data.features.names == ("a",)
    assert data.notes == ("the column of row numbers was dropped",)
    columns = {"a": [1.0, 2, 4, 8], "y": [0, 1, 0, 1], "__index_level_0__": [3, 5, 6, 9]}
    assert load(write_parquet(tmp_path / "t.parquet", columns), target="y").features.names == ("a",)


def test_times_become_seconds(tmp_path):
    day = datetime.date(1970, 1, 2)
    moment = datetime.datetime(1970, 1, 1, 0, 1, 0, 500_000)
    columns = {
        "day": [day, None] * 2,
        "moment": [moment, None] * 2,
        "nano": pa.array([1_500_000_000, None] * 2, pa.timestamp("ns", tz="UTC")),
        "hour": pa.array([3600, None] * 2, pa.time32("s")),
        "span": pa.array([2500, None] * 2, pa.duration("ms")),
        "y": [0, 1, 0, 1],
    }
    data = load(write_parquet(tmp_path / "t.parquet", columns), target="y")
    first = {name: values[0] for name, values in data.features.columns.items()}
    assert first == {"day": 86_400, "moment": 60.5, "nano": 1.5, "hour": 3600, "span": 2.5}
    assert all(np.isnan(values[1]) for values in data.features.columns.values())
    said = "5 columns of dates or times turned into seconds: day, moment, nano, hour, span"
    assert data.notes == (said,)
    text = "when,y\n1970-01-02,0\n1970-01-03,1\n1970-01-04,0\n,1\n"
    from_csv = load(write(tmp_path / "t.csv", text), target="y").features.columns["when"]
    np.testing.assert_array_equal(from_csv, [86_400, 172_800, 259_200, np.nan])


def test_numbers_of_unusual_types(tmp_path):
    columns = {
        "half": pa.array(np.array([0.5, 1.5, 2.5, 3.5], np.float16)),
        "money": [decimal.Decimal("1.25"), None, decimal.Decimal("2.50"), decimal.Decimal("0.75")],
        "byte": pa.array([1, 2, 250, None], pa.uint8()),
        "y": [0, 1, 0, 1],
    }
    found = load(write_parquet(tmp_path / "t.parquet", columns), target="y").features.columns
    np.testing.assert_array_equal(found["half"], [0.5, 1.5, 2.5, 3.5])
    np.testing.assert_array_equal(found["money"], [1.25, np.nan, 2.5, 0.75])
    np.testing.assert_array_equal(found["byte"], [1, 2, 250, np.nan])


def test_columns_that_carry_nothing_are_dropped_and_named(tmp_path):
    text = "".join(f"k{row},,x,{row % 3},{row % 2}\n" for row in range(8))
    data = load(write(tmp_path / "t.csv", f"key,empty,same,a,y\n{text}"), target="y")
    assert data.features.names == ("same", "a")
    assert data.notes == (
        "1 column without any value dropped: empty",
        "1 column of text that differs in every row dropped: key",
    )


def test_rows_without_a_target_are_dropped(tmp_path):
    text = "a,y\n1,x\n2,\n3,z\n4,x\n5,z\n6,\n"
    data = load(write(tmp_path / "t.csv", text), target="y")
    assert data.features.columns["a"].tolist() == [1, 3, 4, 5]
    assert data.target.tolist() == [0, 1, 0, 1]
    assert data.notes == ("2 rows without a target were dropped",)


X = np.arange(24.0).reshape(8, 3)
Y = np.array([0, 1] * 4)


@pytest.mark.parametrize("names", [("X", "y"), ("x", "y"), ("data", "target")])
def test_npz_with_the_usual_names(tmp_path, names):
    np.savez(tmp_path / "t.npz", **dict(zip(names, (X, Y), strict=True)))
    data = load(tmp_path / "t.npz")
    np.testing.assert_array_equal(data.features, X)
    assert data.target.tolist() == Y.tolist()
    assert data.target_name == names[1]


def test_npz_with_a_named_target(tmp_path):
    np.savez_compressed(tmp_path / "two.npz", inputs=X, labels=Y)
    np.testing.assert_array_equal(load(tmp_path / "two.npz", target="labels").features, X)
    np.savez(tmp_path / "more.npz", x=X, labels=Y, weights=Y)
    data = load(tmp_path / "more.npz", target="labels")
    assert data.notes == ("features are array 'x'; not used: weights",)


def test_npy_takes_a_column_as_the_target(tmp_path):
    np.save(tmp_path / "t.npy", np.column_stack([X, Y]))
    data = load(tmp_path / "t.npy")
    np.testing.assert_array_equal(data.features, X)
    assert data.target.tolist() == Y.tolist()
    assert data.notes == ("column 3, the last one, was taken as the target",)
    for target in (0, "0", -4):
        data = load(tmp_path / "t.npy", target=target, kind="regression")
        assert data.target.tolist() == X[:, 0].tolist()
        np.testing.assert_array_equal(data.features, np.column_stack([X[:, 1:], Y]))
        assert data.notes == ()


def test_npy_of_records_is_a_table(tmp_path):
    records = np.zeros(8, dtype=[("a", "f4"), ("word", "U3"), ("y", "i8")])
    records["a"], records["word"], records["y"] = X[:, 0], ["in", "out"] * 4, Y
    np.save(tmp_path / "t.npy", records)
    data = load(tmp_path / "t.npy", target="y")
    assert data.features.columns["a"].tolist() == X[:, 0].tolist()
    assert data.features.columns["word"].tolist() == ["in", "out"] * 4


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def make_trap_npy(path):
    np.save(path, np.array([[Trap(), 1]] * 4, dtype=object), allow_pickle=True)


def make_trap_npz(path):
    np.savez(path, X=np.array([[Trap()]] * 4, dtype=object), y=np.arange(4))


def make_csv_of_latin1(path):
    path.write_bytes("name,y\ncafé,0\nthé,1\ncafé,0\nthé,1\n".encode("latin-1"))


@pytest.mark.parametrize(
    ("name", "make", "target", "said"),
    [
        ("t.csv", "", "y", "t.csv is empty"),
        ("t.csv", "a,y\n", "y", "t.csv has no rows of data"),
        ("t.csv", "a,y\n1,2\n3\n", "y", "cannot read .*t.csv: CSV parse error: Expected 2 columns"),
        ("t.csv", CSV, None, "which column of t.csv is the target.*--target NAME.*age, wage, city"),
        (
            "t.csv",
            CSV,
            "bougth",
            "unknown column 'bougth'; did you mean 'bought'.*age, wage, city, memb",
        ),
        ("t.csv", "a,b,a,y\n1,2,3,4\n", "y", "column names must differ, but t.csv has.*: a"),
        ("t.csv", "y\n1\n2\n1\n2\n", "y", "no feature column besides the target"),
        ("t.csv", "a,y\np,1\nq,2\nr,1\ns,2\n", "y", "no feature column is left"),
        ("t.csv", "a,y\n1,\n2,\n", "y", "target 'y' is missing in every row"),
        ("t.csv", "a,y\n1,x\n2,x\n", "y", "target 'y' has the same value in every row .x."),
        ("t.csv", "a,y\n1,2.5\n2,2.5\n", "y", "target 'y' has the same value in every row .2.5."),
        ("t.csv", make_csv_of_latin1, "y", "column 'name' holds bytes that are not UTF-8"),
        ("t.csv", "a,y\n1,0\ninf,1\n3,0\n4,1\n", "y", "1 infinite value .*row 1, column 'a'"),
        ("t.parquet", "not parquet", "y", "cannot read .*t.parquet: .*Parquet"),
        ("t.parquet", "", "y", "cannot read .*t.parquet: .*Parquet"),
        ("t.npz", "not npz", None, "cannot read .*t.npz: it is damaged"),
        ("t.npy", "not npy", None, "cannot read .*t.npy: it is damaged"),
        ("t.npy", "", None, "cannot read .*t.npy: it is damaged"),
        ("t.npy", make_trap_npy, None, "cannot read .*Python objects, which are never unpickled"),
        ("t.npz", make_trap_npz, None, "cannot read .*Python objects, which are never unpickled"),
        ("t.xlsx", "x", "y", r"unknown file type '.xlsx' \(allowed: .csv, .tsv, .parquet, .npz"),
        ("t.cvs", "x", "y", "unknown file type '.cvs'; did you mean '.csv'"),
        ("noend", "x", "y", "unknown file type 'noend'"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, make, target, said):
    path = tmp_path / name
    if isinstance(make, str):
        path.write_text(make)
    else:
        make(path)
    with pytest.raises(UserError, match=said) as caught:
        load(path, target=target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "arrays", "target", "said"),
    [
        ("t.npz", {"a": X, "b": Y}, None, "must hold arrays X and y.*target=NAME.*arrays: a, b"),
        ("t.npz", {"a": X, "b": Y}, "c", "unknown array 'c'.*arrays: a, b"),
        ("t.npz", {"c": Y}, "c", "must hold one array of features, or several inputs .*arrays: c"),
        ("t.npz", {"a": X, "b": Y[:3], "c": Y}, "c", r"rows, got x\['a'\] 8, x\['b'\] 3"),
        ("t.npz", {"X": X, "y": Y[:5]}, None, "same number of rows, got 8 and 5"),
        ("t.npz", {"X": X[:0], "y": Y[:0]}, None, "no samples"),
        ("t.npz", {"X": X, "y": np.stack([X, X])}, None, r"one value or one row .*\[2, 8, 3\]"),
        ("t.npz", {"X": X * 1j, "y": Y}, None, "features must be an array of numbers.*complex"),
        ("t.npy", X[:, 0], None, r"must hold a 2-D array .* got shape \[8\] of float64"),
        ("t.npy", X, 3, "a column number from 0 to 2 .or from the end, -1 to -3.*got 3"),
        ("t.npy", X, "age", "a column number from 0 to 2 .*got 'age'"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path, name, arrays, target, said):
    if name == "t.npz":
        np.savez(tmp_path / name, **arrays)
    else:
        np.save(tmp_path / name, arrays)
    with pytest.raises(UserError, match=said):
        load(tmp_path / name, target=target)


def test_a_column_of_lists_cannot_be_used(tmp_path):
    path = write_parquet(tmp_path / "t.parquet", {"a": [[1], [2]], "y": [0, 1]})
    with pytest.raises(UserError, match=r"column 'a' holds list.*neither a number nor a category"):
        load(path, target="y")


def test_paths_that_lead_nowhere(tmp_path, monkeypatch):
    (tmp_path / "wages.csv").write_text(CSV)
    with pytest.raises(UserError, match=r"no file '.*wage.csv'; did you mean 'wages.csv'"):
        load(tmp_path / "wage.csv", target="bought")
    with pytest.raises(UserError, match=r"is a folder without a \.parquet file"):
        load(tmp_path)
    with pytest.raises(UserError, match=r"cannot read 'aaaa.*: File name too long"):
        load("a" * 5000)
    with pytest.raises(UserError, match=r"no file 'nowhere/t.csv'"):
        load("nowhere/t.csv")
    with pytest.raises(
        UserError, match=r"unknown data set 'digts'; did you mean 'digits'.*bundled: .*wine.*.npz"
    ):
        load("digts")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load("~/wages.csv", target="bought")) == 8


def test_what_is_missing_in_an_npz_is_an_error_unless_asked(tmp_path):
    gappy = X.copy()
    gappy[5, 1] = gappy[6, 0] = np.nan
    np.savez(tmp_path / "t.npz", X=gappy, y=Y)
    with pytest.raises(UserError, match=r"2 missing values .NaN., first at row 5, column 1; pass"):
        load(tmp_path / "t.npz")
    assert np.isnan(load(tmp_path / "t.npz", missing="median").features).sum() == 2
    path = write(tmp_path / "t.csv", CSV)
    with pytest.raises(UserError, match=r"4 missing values .NaN., first at row 1, column 'city'"):
        load(path, target="bought", missing="error")


def test_a_table_can_be_split_and_trained_on(tmp_path):
    parts = split(
        load(write(tmp_path / "t.csv", CSV * 1 + CSV.split("\n", 1)[1] * 4), target="bought")
    )
    assert parts.train.x.shape == (24, 6)
    assert parts.train.x.isfinite().all()
    assert parts.features == ("age", "wage", "city=(missing)", "city=Oslo", "city=Rome", "member")
