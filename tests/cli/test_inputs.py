"""The command line with a file of several inputs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.last = nn.Embedding(7, 6), nn.Linear(8, 2)

    def forward(self, *, mask, ids, bias):
        kept = self.table(ids).masked_fill(~mask[..., None], 0).sum(1)
        return self.last(torch.cat([kept / 5, bias], 1))
"""
SMALL = ["--rules", "sgd,adam", "--lrs", "0.01,0.1", "--seeds", "2", "--epochs", "2"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draws = np.random.default_rng(0)
    ids = draws.integers(0, 7, (120, 5))
    x = {"ids": ids, "mask": draws.random(ids.shape) < 0.7, "bias": draws.normal(9, 3, (120, 2))}
    np.savez(tmp_path / "data.npz", **x, label=(ids > 3).sum(1) > 2)
    (tmp_path / "net.py").write_text(NET)
    return tmp_path


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "talweg", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_arrays_of_a_file_are_compared_and_reported(folder: Path):
    given = ["compare", "net.py:Net", "--data", "data.npz", "--target", "label", *SMALL]
    dry = run(*given, "--dry-run", "--json", cwd=folder)
    assert dry.returncode == 0, dry.stderr
    (part,) = json.loads(dry.stdout)["parts"]
    assert part["parameters"] == 7 * 6 + 8 * 2 + 2
    assert part["peak"] > 0
    done = run(*given, "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "inputs are arrays ids, mask, bias" in done.stderr
    assert "data.npz · Net · 72 train, 24 validation, 24 test" in done.stdout
    again = run("report", "run", "--out", "copy.html", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert "x[&#x27;ids&#x27;] of 5" in (folder / "copy.html").read_text()


def test_a_rate_is_found_for_them(folder: Path):
    given = ["find-lr", "net.py:Net", "--data", "data.npz", "--target", "label"]
    done = run(*given, "--seeds", "2", "--steps", "10", "--json", "-q", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert 0 < json.loads(done.stdout)["lr"] < 10


@pytest.mark.parametrize("command", ["compare", "find-lr"])
def test_a_ready_model_takes_one_input(command: str, folder: Path):
    done = run(command, "data.npz", "--target", "label", cwd=folder)
    assert done.returncode == 2
    said = "mlp takes one input, got several (x['ids'], x['mask'], x['bias']): pass a model of you"
    assert done.stderr.startswith(f"talweg: {said}")
    assert len(done.stderr.splitlines()) == 1
