"""Studies of models that take several inputs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.two_inputs import Joined, Two
from torch import Tensor, nn

import talweg
from talweg import study
from talweg.core import UserError
from talweg.data import Inputs, load, split
from talweg.data.inputs import call

QUICK: dict[str, Any] = {
    "rules": ["sgd", "adam"], "lrs": [0.01, 0.1], "seeds": 2, "epochs": 4, "progress": False,
}  # fmt: skip
N = 240
RNG = np.random.default_rng(1)
A, B = RNG.normal(3, 2, (N, 4)), RNG.normal(-50, 30, (N, 2))
Y = (A.sum(1) - 12 > (B.sum(1) + 100) / 30).astype(int)
IDS = RNG.integers(0, 7, (N, 5))
MASK = RNG.random((N, 5)) < 0.7
SEEN = ((IDS >= 4) & MASK).sum(1) > (((IDS < 4) & MASK).sum(1))
SEQUENCES = {"ids": IDS, "mask": MASK, "bias": B}


class Towers(nn.Module):
    """A tower for each input, whose ends are joined."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
        self.right = nn.Sequential(nn.Linear(2, 8), nn.ReLU())
        self.last = nn.Linear(16, 2)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.last(torch.cat([self.left(a), self.right(b)], 1))


class Tokens(nn.Module):
    """The mean of embeddings that a mask leaves, beside numbers; inputs are taken by name alone."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(7, 6), nn.Linear(8, 2)

    def forward(self, *, bias: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        assert mask.dtype == torch.bool
        kept = self.table(ids).masked_fill(~mask[..., None], 0).sum(1)
        return self.last(torch.cat([kept / 5, bias], 1))


def readings(found: talweg.Study) -> dict[Any, float]:
    return {
        tuple(row[key] for key in ("lane", "step", "split", "metric")): row["value"]
        for row in found.metrics.to_pylist()
    }


@pytest.mark.parametrize("x", [(A, B), {"b": B, "a": A}])
@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_several_inputs_are_as_good_as_one_of_all(x: Any, strategy: str, tmp_path: Path):
    more = {**QUICK, "strategy": strategy}
    joined = talweg.compare(Joined, (np.hstack([A, B]), Y), out=tmp_path / "one", **more)
    found = talweg.compare(Two, (x, Y), out=tmp_path / "two", **more)
    ours, theirs = readings(found), readings(joined)
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert value == pytest.approx(theirs[key], abs=1e-6), key
    assert [row.scores for row in found.ranking] == [row.scores for row in joined.ranking]
    for one, other in zip(found.record["contenders"], joined.record["contenders"], strict=True):
        assert one["gradients"] == pytest.approx(other["gradients"], rel=1e-6)
        assert list(one["gradients"]) == ["layers.0.weight", "layers.2.weight"]
    task, wanted = found.record["task"], joined.record["task"]
    assert task["test_baseline"] == wanted["test_baseline"]


@pytest.mark.parametrize(
    ("model", "x", "y"),
    [
        (Towers, (A, B), Y),
        (Tokens, SEQUENCES, SEEN),
        (Tokens, SEQUENCES, np.stack([B[:, 1], -A[:, 0]], 1)),
    ],
)
def test_the_winner_predicts_what_was_scored(
    model: type[nn.Module], x: Any, y: Any, tmp_path: Path
):
    found = talweg.compare(model, (x, y), out=tmp_path / "run", **QUICK)
    again = talweg.load(found.folder)
    winner = again.ranking[0]
    assert winner == found.ranking[0]
    parts = split(load((x, y)))
    assert isinstance(parts.test.x, Inputs)
    own = model()
    for seed in (0, 1):
        own.load_state_dict(again.params(seed))
        with torch.no_grad():
            output = call(own.eval(), parts.test.x)
        if y.ndim == 2:
            wrong = (output - parts.test.y) * torch.tensor(parts.target_scale[1])
            wanted = wrong.square().mean().sqrt().item()
        else:
            wanted = (output.argmax(1) == parts.test.y).double().mean().item()
        assert winner.scores[seed] == pytest.approx(wanted, rel=1e-5)
    beyond = again.record["task"]["test_baseline"]
    assert winner.score > beyond if y.ndim == 1 else winner.score < beyond


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> talweg.Study:
    out = tmp_path_factory.mktemp("runs") / "tokens"
    gappy = B.copy()
    gappy[5, 1] = np.nan
    x = {**SEQUENCES, "bias": gappy, "mask": MASK}
    return talweg.compare(Tokens, (x, SEEN), out=out, missing="median", **QUICK)


def test_the_record_tells_the_shape_of_each_input(tokens: talweg.Study):
    data = json.loads((tokens.folder / "study.json").read_text())["data"]
    assert data["features"] == {"x['ids']": [5], "x['mask']": [5], "x['bias']": [2]}
    assert data["notes"] == [
        "x['bias']: 1 missing value was filled with the training part's median: x1"
    ]


def test_the_report_tells_the_shape_of_each_input(tokens: talweg.Study):
    page = tokens.report().read_text()
    assert "x[&#x27;ids&#x27;] of 5, x[&#x27;mask&#x27;] of 5, x[&#x27;bias&#x27;] of 2" in page
    assert "48 test" in page


def test_the_gradient_is_measured_in_every_layer(tokens: talweg.Study):
    for each in tokens.record["contenders"]:
        assert list(each["gradients"]) == ["table.weight", "last.weight"]
        assert all(each["gradients"].values())
        assert each["blocked"] == []


def test_the_same_call_gives_the_same_numbers(tokens: talweg.Study, tmp_path: Path):
    gappy = B.copy()
    gappy[5, 1] = np.nan
    x = {"bias": gappy, "mask": MASK, "ids": IDS}
    again = talweg.compare(Tokens, (x, SEEN), out=tmp_path / "run", missing="median", **QUICK)
    assert readings(again) == readings(tokens)


def test_shares_of_rows_and_no_scaling():
    prepared = study.prepare(
        Tokens, (SEQUENCES, SEEN), rules=["sgd", "adam"], lrs=[0.1], scale=False,
        fractions=(0.5, 0.25, 0.25), steps=3,
    )  # fmt: skip
    sizes = [len(getattr(prepared.splits, part)) for part in ("train", "validation", "test")]
    assert sizes == [120, 60, 60]
    assert prepared.splits.train.x.named["bias"].mean() < -40
    shares = [
        getattr(prepared.splits, part).y.double().mean() for part in ("train", "validation", "test")
    ]
    assert max(shares) - min(shares) < 0.02


def test_a_forecast_weighs_every_input():
    def part(x: Any) -> Any:
        prepared = study.prepare(Rows, (x, Y), rules=["sgd"], lrs=[0.1], seeds=1, epochs=1)
        return study.forecast(prepared).parts[0]

    one, two = part((A, B)), part((A, RNG.normal(size=(N, 1000))))
    assert two.each.activations - one.each.activations >= 64 * 998 * 4


class Rows(nn.Module):
    """Two inputs of any width."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(2, 2)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.last(torch.stack([a.mean(1), b.mean(1)], 1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"model": "mlp"}, r"mlp takes one input, got several \(x\['a'\], x\['b'\]\): pass a mod"),
        ({"model": "cnn"}, r"cnn takes one input, got several"),
        ({}, r"mlp takes one input, got several \(x\['a'\], x\['b'\]\): pass a model of your own"),
        ({"models": {"own": Two, "mlp": "mlp"}}, r"mlp takes one input, got several"),
        ({"model": Two, "hidden": 8}, "hidden shapes a ready model"),
        ({"model": Two, "data": ((A, B[:-1]), Y)}, r"got x\[0\] 240, x\[1\] 239"),
        ({"model": Two, "data": ({"a": A, "c": B}, Y)}, r"x\['a'\] \[2, 4\], x\['c'\] \[2, 2\]"),
        ({"model": Two, "data": ((A, B + 1e39), Y)}, r"x\[1\]: features hold 480 infinite values"),
        (
            {"model": Two, "data": ((A, np.where(B > 0, np.nan, B)), Y)},
            r"x\[1\]: features hold .* missing",
        ),
        ({"model": Two, "target": "y"}, r"\(X, y\) has its own target"),
    ],
)
def test_what_cannot_be_compared(
    arguments: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said) as caught:
        talweg.compare(**{"data": ({"a": A, "b": B}, Y), **QUICK, **arguments})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
