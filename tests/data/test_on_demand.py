"""Data sets of PyTorch that are too large for the memory: read sample by sample, for all lanes."""

import random
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

import talweg
from talweg import lanes
from talweg.core import UserError
from talweg.data import Samples, Stored, as_samples, load, split
from talweg.lanes import ahead

COUNT = 120
TINY = 1000
"""Bytes of memory: every data set is too large."""
LITTLE = 20_000_000
"""Enough for lanes, but nothing is left for data."""


class Decoded(Dataset[Any]):
    """Pictures ``[1, 6, 6]`` that are made of their number when they are asked for."""

    classes = ("dark", "bright", "mixed")

    def __init__(self, noise: float = 0.0) -> None:
        self.noise = noise
        self.read: list[int] = []
        self.threads: set[int] = set()

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, row: int) -> tuple[Any, int]:
        self.read.append(row)
        self.threads.add(threading.get_ident())
        x = torch.randn(1, 6, 6, generator=torch.Generator().manual_seed(row))
        x += row % 3
        if self.noise:
            x = x + self.noise * torch.randn(1, 6, 6) + random.random() + np.random.rand()  # noqa: NPY002
        return x, row % 3


class Bytes(Decoded):
    def __getitem__(self, row: int) -> tuple[Any, int]:
        x, y = super().__getitem__(row)
        return (40 * x).clamp(0, 255).byte(), y


class Indices(Decoded):
    def __getitem__(self, row: int) -> tuple[Any, int]:
        return torch.tensor([row % 5, row % 7]), row % 3


class Numbers(Decoded):
    def __getitem__(self, row: int) -> tuple[Any, int]:
        self.read.append(row)
        return 1e6 + row % 11 if row else 1e12, row % 3


def full_disk(free: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves so many bytes free, or what there is."""
    if free is not None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(free, 0, free))


def net() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.Tanh(), nn.Linear(8, 3))


def train(data: Any, **more: Any) -> lanes.Run:
    asked = {
        "rules": ["adam", "sgd", "momentum", "adam"],
        "seeds": [0, 0, 1, 2],
        "epochs": 2,
        "batch_size": 16,
        "compile": False,
    }
    return lanes.train(net, data, **asked | more)


@pytest.mark.parametrize("kind", [Decoded, Bytes, Indices])
def test_samples_are_those_that_memory_would_hold(kind):
    held, asked = as_samples(kind()), as_samples(kind(), memory=TINY)
    assert isinstance(held.x, torch.Tensor)
    assert isinstance(asked.x, Stored)
    assert asked.x.aside
    assert asked.x.dtype == held.x.dtype
    assert asked.x.shape == held.x.shape
    assert torch.equal(asked.x[:], held.x)
    rows = torch.tensor([7, 3, 3, 119])
    assert torch.equal(asked.x.take(rows), held.x[rows])
    assert asked.x[5:5].shape == held.x[5:5].shape
    assert torch.equal(asked.y, held.y)
    assert asked.y.dtype == held.y.dtype


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_lanes_are_the_same_to_the_bit_as_from_memory(strategy, monkeypatch):
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 20_000)
    found = []
    for memory in (None, LITTLE):
        readings: list[lanes.Reading] = []
        run = train(
            Decoded(), strategy=strategy, memory=memory, evaluate={"all": Decoded()},
            each=readings.append, read_every=5,
        )  # fmt: skip
        found.append((run.losses, {(r.lanes, r.step): r.values for r in readings}))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_each_sample_is_read_once_for_each_seed_and_epoch(strategy):
    data = Decoded()
    samples = as_samples(data, memory=LITTLE)
    assert sorted(data.read) == [0, *range(COUNT)]  # the first to see how large they all are
    counts = []
    for epochs in (1, 4):
        data.read.clear()
        train(samples, rules=["sgd"] * 6, seeds=[0, 1] * 3, epochs=epochs, strategy=strategy)
        counts.append(np.bincount(data.read, minlength=COUNT))
    assert (counts[1] - counts[0] == 2 * 3).all()
    assert counts[0].sum() < 2 * COUNT + COUNT + 100  # once, to see what lanes take, and a few


def test_they_are_read_ahead_on_a_thread_of_their_own():
    data = Decoded()
    samples = as_samples(data, memory=LITTLE)
    data.threads.clear()
    train(samples)
    assert data.threads - {threading.get_ident()}


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_what_samples_draw_is_the_same_every_time_and_moves_no_generator(strategy, monkeypatch):
    def noisy_net() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(36, 3))

    monkeypatch.setattr(ahead, "AHEAD_BYTES", 20_000)
    data = Decoded(noise=1.0)
    before = torch.get_rng_state(), random.getstate()
    samples = as_samples(data, memory=LITTLE)
    assert isinstance(samples.x, Stored)
    assert not samples.x.aside
    whole = Samples(samples.x[:], samples.y)
    assert not torch.equal(whole.x, as_samples(Decoded()).x)
    data.threads.clear()
    runs = [
        lanes.train(
            noisy_net, given, ["sgd", "adam"], [0, 1], epochs=2, batch_size=16, strategy=strategy,
            compile=False, evaluate={"all": given}, each=lambda _: None,
        )
        for given in (samples, samples, whole)
    ]  # fmt: skip
    assert data.threads == {threading.get_ident()}
    assert torch.equal(runs[0].losses, runs[1].losses)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert runs[2].losses[:, 0].tolist() == runs[0].losses[:, 0].tolist()


@pytest.mark.parametrize("free", [10, None])
def test_a_comparison_prepares_them_in_pieces(tmp_path: Path, free, monkeypatch):
    full_disk(free, monkeypatch)
    data = Decoded()
    whole, pieces = (
        talweg.compare(
            net, given, rules=["sgd", "adam"], lrs=[0.01, 0.1], seeds=2, tune_seeds=1,
            epochs=2, memory=memory, out=tmp_path / str(memory), progress=False,
        )
        for memory, given in ((None, Decoded()), (LITTLE, data))
    )  # fmt: skip
    where = "the data set" if free else "disk"
    assert f"read from {where} batch by batch" in str(pieces.record["data"]["notes"])
    assert pieces.record["data"]["classes"] == list(Decoded.classes)
    for ours, theirs in zip(pieces.ranking, whole.ranking, strict=True):
        assert ours.name == theirs.name
        assert ours.score == pytest.approx(theirs.score, abs=1e-6)
    training, seeds, epochs = 72, 1 + 2, 2
    assert (len(data.read) > 2 * COUNT + seeds * epochs * training) == bool(free)


@pytest.mark.parametrize("kind", [Decoded, Bytes, Indices, Numbers])
@pytest.mark.parametrize("free", [10, None])
def test_a_comparison_gets_the_same_parts(kind, free, monkeypatch):
    full_disk(free, monkeypatch)
    data = kind()
    whole, pieces = split(load(kind())), split(load(data, memory=TINY))
    where = "the disk: it is read from the data set" if free else "allowed: it is read from disk"
    assert f"{where} batch by batch" in str(pieces.notes)
    for part in ("train", "validation", "test"):
        ours, theirs = getattr(pieces, part), getattr(whole, part)
        assert isinstance(ours.x, Stored)
        torch.testing.assert_close(ours.x[:], theirs.x, rtol=1e-6, atol=1e-6)
        assert torch.equal(ours.y, theirs.y)
        assert torch.equal(ours.x.take([1, 0]), ours.x[:2].flip(0))
    passes = 2 if free else 3
    assert len([row for row in data.read if row == 5]) <= passes + 2 * bool(free)


def test_rows_that_are_left_out_are_not_read_for_others(monkeypatch):
    full_disk(10, monkeypatch)

    class Unknown(Decoded):
        def __getitem__(self, row: int) -> tuple[Any, float]:
            return torch.full((2,), float(row)), np.nan if row < 30 else row / 7

    data = load(Unknown(), memory=TINY)
    assert "30 rows without a target were dropped" in data.notes
    whole, asked = split(load(Unknown()), scale=False), split(data, scale=False)
    for part in ("train", "validation", "test"):
        ours, theirs = getattr(asked, part), getattr(whole, part)
        torch.testing.assert_close(ours.x[:], theirs.x)
        assert ours.x[:].min() >= 30


def test_augmenting_comes_after_reading():
    def noisy(x: torch.Tensor) -> torch.Tensor:
        return x + torch.randn_like(x)

    ours, theirs = (train(Decoded(), memory=memory, augment=noisy) for memory in (LITTLE, None))
    assert torch.equal(ours.losses, theirs.losses)


class Uneven(Decoded):
    def __getitem__(self, row: int) -> tuple[Any, int]:
        return torch.zeros(3 if row < COUNT - 1 else 2), row % 3


class Gaps(Decoded):
    def __getitem__(self, row: int) -> tuple[Any, int]:
        return torch.tensor([1.0, np.nan if row == 4 else 1.0]), row % 3


class Several(Decoded):
    def __getitem__(self, row: int) -> tuple[Any, int]:
        x, y = super().__getitem__(row)
        return (x, x), y


class Alone(Decoded):
    def __getitem__(self, row: int) -> Any:
        return torch.zeros(3)


class Late(Decoded):
    def __getitem__(self, row: int) -> Any:
        if row > 100:
            raise ValueError("no picture 101\nanywhere")
        return torch.zeros(3), 0


class Empty(Decoded):
    def __len__(self) -> int:
        return 0


BAD = [
    (Uneven, r"must yield \(x, y\) pairs .* of one shape"),
    (Gaps, r"features must be finite numbers, but hold 1 value that"),
    (Several, "only samples of one input can be read as they are needed: allow more"),
    (Alone, r"must yield \(x, y\) pairs .*: got Tensor$"),
    (Late, r"must yield \(x, y\) pairs .*several inputs: no picture 101$"),
    (Empty, "the data set is empty"),
]


@pytest.mark.parametrize(("kind", "said"), BAD)
def test_what_cannot_be_used_is_said_in_a_line(kind, said):
    with pytest.raises(UserError, match=said) as caught:
        as_samples(kind(), memory=TINY)
    assert "\n" not in str(caught.value)


def test_a_sample_may_be_lost_later():
    class Losing(Decoded):
        def __getitem__(self, row: int) -> tuple[Any, int]:
            if len(self.read) > 500:
                raise RuntimeError("the disk is gone")
            return super().__getitem__(row)

    with pytest.raises(UserError, match="the disk is gone"):
        train(Losing(), memory=LITTLE, epochs=20)
