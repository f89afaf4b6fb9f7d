"""Data larger than the memory allowed: prepared in pieces, and read from disk batch by batch."""

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from torch import nn

import talweg
from talweg import lanes
from talweg.core import UserError
from talweg.data import Samples, Stored, as_samples, load, room, split, stored, survey, table
from talweg.data.moments import Moments
from talweg.data.stored import Store
from talweg.lanes import ahead

ROWS = 600
TINY = 1000
LITTLE = 20_000_000
"""Enough for lanes; still less than what is left to PyTorch of the memory for data."""
"""Bytes: everything that can stay on disk does."""


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(table, "PIECE_BYTES", 20_000)


def columns(rows: int = ROWS, seed: int = 0) -> dict[str, list]:
    """Columns of every kind, with gaps, a constant, an outlier and times."""
    draw = np.random.default_rng(seed)
    age = draw.normal(40, 10, rows)
    wage = draw.normal(1e6, 1.0, rows)
    wage[3] = 1e6 + 500
    age[::7] = np.nan
    city = draw.choice(["Oslo", "Rome", "Bern", "Wien"], rows).tolist()
    city[5] = None
    times = (np.datetime64("2020-01-01", "s") + draw.integers(0, 10**7, rows)).tolist()
    return {
        "age": [None if np.isnan(value) else value for value in age],
        "wage": wage.tolist(),
        "city": city,
        "rare": [f"r{value}" for value in draw.geometric(0.05, rows)],
        "member": draw.choice([True, False], rows).tolist(),
        "when": times,
        "same": [7] * rows,
        "empty": [None] * rows,
        "key": [f"key {place}" for place in range(rows)],
        "bought": np.where(wage + draw.normal(0, 1, rows) > 1e6, "yes", "no").tolist(),
    }


def folder_of(path: Path, made: dict[str, list], files: int = 3, **options: object) -> Path:
    """A folder of parquet files that together hold a table."""
    path.mkdir()
    whole = pa.table(made)
    for place, part in enumerate(np.array_split(np.arange(len(whole)), files)):
        one = whole.slice(part[0], len(part))
        parquet.write_table(one, path / f"part-{place}.parquet", row_group_size=70, **options)
    return path


def stored_samples(x: np.ndarray, y: torch.Tensor) -> Samples:
    """Samples in a store, in an order other than that of the file."""
    order = np.random.default_rng(0).permutation(len(x))
    store = Store.temporary(len(x), x.shape[1:], x.dtype)
    place = np.empty_like(order)
    place[order] = np.arange(len(x))
    for part in np.array_split(x[order], 4):
        store.append(part)
    return Samples(Stored(store, place), y)


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def task() -> tuple[np.ndarray, torch.Tensor]:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(203, 6)).astype(np.float32)
    return x, torch.from_numpy(np.abs(x[:, :3]).argmax(1))


def test_a_table_is_prepared_the_same_whole_in_pieces_and_on_disk(tmp_path, monkeypatch):
    path = folder_of(tmp_path / "t", columns())
    whole = split(load(path, target="bought"))
    monkeypatch.setattr(room, "WHOLE", 10**9)
    pieces = split(load(path, target="bought", memory="8G"))
    on_disk = split(load(path, target="bought", memory=TINY))
    assert isinstance(pieces.train.x, torch.Tensor)
    assert isinstance(on_disk.train.x, Stored)
    for part in ("train", "validation", "test"):
        wanted, held, kept = (getattr(each, part) for each in (whole, pieces, on_disk))
        assert kept.x.shape == wanted.x.shape
        torch.testing.assert_close(held.x, wanted.x, rtol=1e-6, atol=1e-6)
        assert torch.equal(kept.x[:], held.x)
        assert torch.equal(kept.y, wanted.y)
    assert pieces.features == on_disk.features == whole.features
    assert pieces.classes == whole.classes
    assert set(pieces.notes) == set(whole.notes)
    assert set(on_disk.notes) - set(whole.notes) == {
        "the data takes 94 kB as numbers, too much for the 1.0 kB of memory allowed: it is read "
        "from disk batch by batch"
    }


def test_a_column_without_values_in_one_file_has_the_type_of_the_others(tmp_path):
    path = tmp_path / "t"
    path.mkdir()
    parquet.write_table(pa.table({"a": pa.nulls(4), "y": [0, 1, 0, 1]}), path / "0.parquet")
    parquet.write_table(pa.table({"a": [1.0, 2, 3, 4], "y": [0, 1, 0, 1]}), path / "1.parquet")
    for memory in ("8G", TINY):
        samples = as_samples(load(path, target="y", memory=memory))
        assert samples.x[:].isfinite().all()
        assert samples.x[:4].unique().numel() == 1


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_lanes_are_the_same_to_the_bit_from_memory_and_from_disk(strategy, monkeypatch):
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 5000)
    x, y = task()
    asked = {
        "rules": ["adam", "sgd", "momentum", "adam"],
        "seeds": [0, 0, 1, 2],
        "epochs": 2,
        "batch_size": 16,
        "strategy": strategy,
        "compile": False,
    }
    found = []
    for samples in (Samples(torch.from_numpy(x), y), stored_samples(x, y)):
        readings = []
        run = lanes.train(
            net, samples, evaluate={"all": samples}, each=readings.append, read_every=5, **asked
        )
        found.append((run.losses, {(r.lanes, r.step): r.values for r in readings}))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_a_comparison_is_the_same_from_memory_and_from_disk(tmp_path):
    path = folder_of(tmp_path / "t", columns())
    whole, on_disk = (
        talweg.compare(
            data=path,
            target="bought",
            rules=["sgd", "adam"],
            lrs=[0.01, 0.1],
            seeds=2,
            tune_seeds=1,
            epochs=2,
            hidden=8,
            memory=memory,
            out=tmp_path / str(memory),
            progress=False,
        )
        for memory in (None, LITTLE)
    )
    assert "read from disk batch by batch" in str(on_disk.record["data"]["notes"])
    assert on_disk.record["asked"]["memory"] == LITTLE
    for ours, theirs in zip(on_disk.ranking, whole.ranking, strict=True):
        assert ours.name == theirs.name
        assert ours.score == pytest.approx(theirs.score, abs=1e-6)


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_each_batch_of_a_seed_is_read_once_for_all_its_lanes(strategy, monkeypatch):
    x, y = task()
    samples = stored_samples(x, y)
    read = []
    take = Stored.take

    def counting(self, rows):
        read.append(len(rows))
        return take(self, rows)

    monkeypatch.setattr(Stored, "take", counting)
    lanes.train(net, samples, rules=["sgd"] * 6, seeds=[0, 1] * 3, epochs=3, strategy=strategy)
    few = [count for count in read if count <= 8]
    weighed = len(x)  # once, to see what lanes take
    assert sum(read) - sum(few) - weighed == 3 * 2 * len(x)


def test_a_model_of_another_type_gets_its_own():
    x, y = task()
    from_disk, from_memory = (
        lanes.train(lambda: net().double(), samples, rules="sgd", steps=3)
        for samples in (stored_samples(x, y), Samples(torch.from_numpy(x), y))
    )
    assert torch.equal(from_disk.losses, from_memory.losses)
    with pytest.raises(UserError, match=r"too large for the model's torch\.float16"):
        stored_samples(x * 1e6, y).x.to("cpu", torch.float16)[:3]


def test_a_batch_of_all_is_refused(monkeypatch):
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 1000)
    with pytest.raises(UserError, match=r"a batch of all 203 samples is too much .* a batch_size"):
        lanes.train(net, stored_samples(*task()), rules="sgd", steps=1, batch_size=None)


def test_rows_are_found_wherever_the_system_keeps_them():
    x = np.arange(4000, dtype=np.float32).reshape(1000, 4)
    store = Store.temporary(1000, (4,), x.dtype)
    store.append(x)
    rows = np.random.default_rng(0).integers(0, 1000, 500)
    found = Stored(store, np.arange(1000))
    handle = store._handle
    for _ in range(2):
        np.testing.assert_array_equal(found.take(rows).numpy(), x[rows])
        os.fsync(handle)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    assert found[3:3].shape == (0, 4)
    assert torch.equal(found[-2:], torch.from_numpy(x[-2:]))


def test_nothing_is_left_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(stored.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(stored.tempfile, "tempdir", str(tmp_path))
    samples = stored_samples(*task())
    assert list(tmp_path.iterdir()) == []
    assert samples.x[:2].shape == (2, 6)


def test_a_disk_without_room_is_said_beforehand(tmp_path, monkeypatch):
    path = folder_of(tmp_path / "t", columns())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 0, 10))
    with pytest.raises(UserError, match=r"takes 94 kB on disk, but .* has 10 B free: .* TMPDIR"):
        split(load(path, target="bought", memory=TINY))


def test_medians_and_categories_may_be_those_of_a_sample(tmp_path, monkeypatch):
    path = folder_of(tmp_path / "t", columns())
    whole = split(load(path, target="bought"))
    monkeypatch.setattr(survey, "SAMPLE", 200)
    found = split(load(path, target="bought", memory=TINY))
    assert {"city=Oslo", "city=(missing)"} & set(found.features) >= {"city=Oslo"}
    place, wanted = (list(each.features).index("wage") for each in (found, whole))
    torch.testing.assert_close(found.train.x[:][:, place], whole.train.x[:, wanted])


def test_rows_without_a_target_are_left_out(tmp_path):
    made = columns()
    made["bought"][10] = made["bought"][599] = None
    path = folder_of(tmp_path / "t", made)
    data = load(path, target="bought", memory=TINY)
    assert len(data) == ROWS - 2
    assert "2 rows without a target were dropped" in data.notes
    found = as_samples(data)
    wanted = as_samples(load(path, target="bought"))
    torch.testing.assert_close(found.x[:], wanted.x, rtol=1e-6, atol=1e-6)


def test_row_numbers_of_pandas_are_left_out(tmp_path):
    rows = 40
    made = {"Unnamed: 0": [*range(rows)], "a": [*range(rows)], "y": [0.5, 1.5] * (rows // 2)}
    data = load(folder_of(tmp_path / "t", made), target="y", memory=TINY)
    assert "the column of row numbers was dropped" in data.notes
    assert split(data).features == ("a",)


def two(one: dict[str, list], other: dict[str, list]):
    """A maker of a folder of two files."""

    def make(path: Path) -> None:
        parquet.write_table(pa.table(one), path / "one.parquet")
        parquet.write_table(pa.table(other), path / "two.parquet")

    return make


def damaged(path: Path) -> None:
    parquet.write_table(pa.table({"a": [1.0], "y": [1]}), path / "one.parquet")
    (path / "two.parquet").write_text("not parquet")


def partitioned(path: Path) -> None:
    (path / "land=no").mkdir()
    parquet.write_table(pa.table({"a": [1.0], "y": [1]}), path / "land=no" / "one.parquet")


GOOD = {"a": [1.0, 2.0, 3.0, 4.0], "y": [0, 1, 0, 1]}
BAD = [
    (lambda _: None, "y", r"is a folder without a \.parquet file"),
    (lambda path: (path / "t.csv").write_text("a,y\n1,2\n"), "y", r"without a \.parquet file"),
    (two(GOOD, {**GOOD, "b": [1] * 4}), "y", "but one.parquet has no column 'b', which two"),
    (two(GOOD, {"y": [1]}), "y", "but two.parquet has no column 'a', which one"),
    (two(GOOD, {"a": ["x"], "y": [1]}), "y", "'a' is string in two.parquet and double in one"),
    (two(GOOD, GOOD), "z", "unknown column 'z'.*columns: a, y"),
    (two(GOOD, GOOD), None, "which column of t is the target"),
    (two({"y": [0, 1]}, {"y": [0, 1]}), "y", "there is no feature column besides the target"),
    (two({"a": [[1], [2]], "y": [0, 1]}, {"a": [[1]], "y": [0]}), "y", "'a' holds list"),
    (two({**GOOD, "y": [None] * 4}, {"a": [1.0], "y": [None]}), "y", "is missing in every row"),
    (two({**GOOD, "y": [3] * 4}, {"a": [1.0], "y": [3]}), "y", "has the same value in every row"),
    (two({"a": [None] * 4, "y": [0, 1] * 2}, GOOD | {"a": [None] * 4}), "y", "no feature column"),
    (two(GOOD, GOOD | {"a": [1, np.inf, 0, 0.5]}), "y", "1 infinite value .* first at row 5, col"),
    (two({"a": [], "y": []}, {"a": [], "y": []}), "y", "has no rows of data"),
    (damaged, "y", r"cannot read .*two\.parquet"),
    (partitioned, "y", r"columns in the names of folders \(land=no\), which are not read"),
]


@pytest.mark.parametrize("memory", [TINY, None])
@pytest.mark.parametrize(("make", "target", "said"), BAD)
def test_folders_that_cannot_be_used(tmp_path, make, target, said, memory):
    path = tmp_path / "t"
    path.mkdir()
    make(path)
    with pytest.raises(UserError, match=said) as caught:
        split(load(path, target=target, memory=memory))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("memory", [TINY, None])
def test_gaps_may_be_refused(tmp_path, memory):
    made = columns()
    del made["empty"]
    path = folder_of(tmp_path / "t", made)
    said = r"features hold 87 missing values \(NaN\), first at row 0, column 'age'"
    with pytest.raises(UserError, match=said):
        split(load(path, target="bought", missing="error", memory=memory))


@pytest.mark.parametrize("memory", ["0", "-1G", "many", 0, True])
def test_memory_is_an_amount(tmp_path, memory):
    path = folder_of(tmp_path / "t", columns())
    with pytest.raises(UserError, match="memory must be an amount such as 300M"):
        load(path, target="bought", memory=memory)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_a_matrix_in_an_npy_file(tmp_path, dtype):
    values = (np.random.default_rng(0).normal(size=(300, 5)) * 100).astype(dtype)
    np.save(tmp_path / "t.npy", values)
    whole = split(load(tmp_path / "t.npy", target=1))
    found = split(load(tmp_path / "t.npy", target=1, memory=TINY))
    assert isinstance(found.train.x, Stored)
    torch.testing.assert_close(found.train.x[:], whole.train.x, rtol=1e-6, atol=1e-6)
    assert torch.equal(found.test.y, whole.test.y)
    assert found.features == whole.features


@pytest.mark.parametrize("shape", [(200, 3, 4), (200, 6)])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
def test_features_and_target_in_two_npy_files(tmp_path, shape, dtype):
    draw = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", (draw.random(shape) * 200).astype(dtype))
    np.save(tmp_path / "y.npy", draw.integers(0, 3, len(np.load(tmp_path / "x.npy"))))
    pair = str(tmp_path / "x.npy"), tmp_path / "y.npy"
    whole, found = (split(load(pair, memory=memory)) for memory in (None, TINY))
    assert isinstance(found.train.x, Stored)
    assert found.train.x.dtype == whole.train.x.dtype
    torch.testing.assert_close(found.train.x[:], whole.train.x, rtol=1e-6, atol=1e-6)
    (tmp_path / "y.npy").write_text("no")
    with pytest.raises(UserError, match=r"cannot read .*y\.npy: it is damaged"):
        load(pair)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_a_mapped_array_is_taken_as_it_is_from_its_own_file(tmp_path, dtype):
    x, y = task()
    np.save(tmp_path / "x.npy", (x * 50 + 100).astype(dtype))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    whole, found = (as_samples((mapped[3:], y[3:]), memory=memory) for memory in (None, TINY))
    assert isinstance(found.x, Stored)
    assert found.x.dtype == whole.x.dtype
    assert torch.equal(found.x[:], whole.x)
    pair = mapped[3:], y[3:]
    runs = [lanes.train(net, pair, rules="sgd", epochs=1, memory=each) for each in (None, LITTLE)]
    assert torch.equal(runs[0].losses, runs[1].losses)


def test_what_is_not_in_the_file_is_not_read_from_it(tmp_path):
    x, y = task()
    np.save(tmp_path / "x.npy", x)
    changed = np.load(tmp_path / "x.npy", mmap_mode="c")
    changed[0] = 7
    for given in (changed, np.load(tmp_path / "x.npy", mmap_mode="r") + 1, changed.T[:, :203].T):
        found = as_samples((given, y), memory=TINY)
        assert torch.equal(found.x, torch.tensor(np.array(given)))


@pytest.mark.parametrize("memory", [TINY, None])
def test_a_mapped_array_must_be_finite(tmp_path, memory):
    x, y = task()
    x[[2, 150], [0, 1]] = np.nan, np.inf
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(UserError, match="features must be finite numbers, but hold 2 values"):
        as_samples((np.load(tmp_path / "x.npy", mmap_mode="r"), y), memory=memory)


def test_gaps_in_an_npy_file(tmp_path):
    values = np.random.default_rng(0).normal(size=(200, 3, 2)).astype(np.float32)
    values[7, 1, 0] = np.nan
    np.save(tmp_path / "x.npy", values)
    pair = tmp_path / "x.npy", np.arange(200) % 2
    with pytest.raises(UserError, match=r"1 missing value .* first at row 7"):
        split(load(pair, memory=TINY))
    found = split(load(pair, memory=TINY, missing="median"))
    assert found.train.x[:].isfinite().all()


def test_moments_are_those_of_all_rows_however_they_are_cut():
    draw = np.random.default_rng(0)
    values = draw.normal([1e9, 0, 5, 3], [1, 1e-3, 0, 1], (500, 4))
    values[draw.random(values.shape) < 0.1] = np.nan
    values[:, 3] = np.nan
    medians = np.nan_to_num(np.array([1e9, 0.1, 5, 0]))
    for cuts in ([], [1], [17, 400], range(1, 500)):
        moments = Moments(4)
        for part in np.split(values, cuts):
            moments.add(part)
        mean, std, constant = moments.finish(medians)
        filled = np.where(np.isnan(values), medians, values)
        np.testing.assert_allclose(mean, filled.mean(0), rtol=1e-13)
        np.testing.assert_allclose(std[:2], filled.std(0)[:2], rtol=1e-6)
        assert constant.tolist() == [False, False, True, True]
        assert moments.empty.tolist() == [False, False, False, True]
