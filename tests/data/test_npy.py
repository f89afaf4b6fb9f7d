"""Files of .npy, and arrays mapped from them, that stay on disk."""

import numpy as np
import pytest
import torch
from tests.data.on_disk import LITTLE, TINY, net, task

from talweg import lanes
from talweg.core import UserError
from talweg.data import Stored, as_samples, load, split, table


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(table, "PIECE_BYTES", 20_000)


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
