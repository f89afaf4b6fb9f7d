"""Data larger than the memory allowed: prepared in pieces, and read from disk batch by batch."""

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from tests.data.on_disk import LITTLE, ROWS, TINY, columns, folder_of, net, stored_samples, task

import talweg
from talweg import lanes
from talweg.core import UserError
from talweg.data import Samples, Stored, as_samples, load, room, split, stored, survey, table
from talweg.data.moments import Moments
from talweg.data.stored import Store
from talweg.lanes import ahead


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(table, "PIECE_BYTES", 20_000)


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
