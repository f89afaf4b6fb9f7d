"""What is stored on disk here, and what learns from it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from pyarrow import parquet
from torch import nn

from talweg.data import Samples, Stored
from talweg.data.stored import Store

ROWS = 600
TINY = 1000
"""Bytes: everything that can stay on disk does."""
LITTLE = 20_000_000
"""Enough for lanes; still less than what is left to PyTorch of the memory for data."""


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
