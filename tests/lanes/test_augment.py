"""Training batches that a function changes: once for each seed and step, for all of its lanes."""

import functools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.data.test_stored import stored_samples
from tests.lanes.common import needs_compiler, small, start
from torch import Tensor, nn

from talweg import lanes, rules
from talweg.core import UserError, redrawn
from talweg.data import BatchOrder, Samples
from talweg.lanes import ahead, augmentation_of
from talweg.lanes.augment import Augmentation, Augmented
from talweg.lanes.feed import FromSamples

RULES = ["adam", "sgd", "sgd", "momentum", "adam"]
SEEDS = [0, 0, 1, 1, 2]


def noisy(x: Tensor) -> Tensor:
    return x + 0.3 * torch.randn_like(x)


class Recorded:
    """Keeps what it was given and what it gave."""

    def __init__(self) -> None:
        self.given: list[Tensor] = []
        self.made: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.given.append(x.clone())
        self.made.append(noisy(x))
        return self.made[-1]


def train(data: Any, augment: Any, model: Any = small, **more: Any) -> lanes.Run:
    asked = {"rules": RULES, "seeds": SEEDS, "epochs": 2, "batch_size": 16, "compile": False}
    return lanes.train(model, data, **asked | {"augment": augment, **more})


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_each_batch_of_a_seed_is_augmented_once_for_all_its_lanes(data, strategy):
    x, _ = data
    seen = Recorded()
    train(data, seen, strategy=strategy)
    orders = {seed: BatchOrder(len(x), 16, seed) for seed in (0, 1, 2)}
    steps = 2 * orders[0].steps_per_epoch
    wanted = [x[orders[seed].batch(step)] for seed in orders for step in range(steps)]
    calls = seen.given[1:]  # the first tries it on a few samples
    assert len(calls) == len(wanted)
    assert {each.numpy().tobytes() for each in calls} == {w.numpy().tobytes() for w in wanted}
    drew = {float((made - given)[0, 0]) for made, given in zip(seen.made, seen.given, strict=True)}
    assert len(drew) == len(seen.made)  # each from numbers of its own


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_lanes_learn_from_what_the_function_gives(data, strategy):
    seen = Recorded()
    run = train(data, seen, rules=[rules.SGD(lr=0.1)], seeds=[3], strategy=strategy)
    order = BatchOrder(len(data[0]), 16, 3)
    model = start(small, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step, x in enumerate(seen.made[1:]):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), data[1][order.batch(step)])
        loss.backward()
        optimizer.step()
        assert float(run.losses[0, step]) == pytest.approx(loss.item(), abs=1e-5)


@pytest.mark.parametrize("how", [
    {"strategy": "serial"},
    {"strategy": "stacked", "memory": "20k"},
    {"strategy": "stacked", "blocks": 1},
    {"strategy": "stacked", "stored": True},
    {"strategy": "stacked", "stored": True, "blocks": 3000},
    {"strategy": "serial", "stored": True},
])  # fmt: skip
def test_the_numbers_are_the_same_however_lanes_run(data, how, monkeypatch):
    x, y = data
    wanted = train(data, noisy, strategy=how["strategy"] if "stored" in how else "stacked")
    plain = train(data, None, strategy="stacked")
    assert not torch.allclose(wanted.losses, plain.losses, atol=1e-3)
    if "blocks" in how:
        monkeypatch.setattr(ahead, "AHEAD_BYTES", how["blocks"])
    given = stored_samples(x.numpy(), y) if "stored" in how else data
    run = train(given, noisy, strategy=how["strategy"], memory=how.get("memory"))
    assert set(run.status) == {"ok"}
    assert ("at a time, to keep below" in str(run.notes)) == ("memory" in how)
    if "stored" not in how and "blocks" not in how:  # fewer at a time round differently
        torch.testing.assert_close(run.losses, wanted.losses, rtol=0, atol=1e-5)
    else:
        assert torch.equal(run.losses, wanted.losses)


@needs_compiler
def test_compiled_lanes_on_several_threads_learn_from_the_same(data):
    wanted = train(data, noisy)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run = train(data, noisy, compile=True, strategy="stacked")
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(run.losses, wanted.losses, rtol=0, atol=1e-5)


def test_a_lane_learns_the_same_alone_as_among_others(data):
    among = train(data, noisy, strategy="serial")
    alone = train(data, noisy, rules=["momentum"], seeds=[1], strategy="serial")
    assert torch.equal(among.losses[3], alone.losses[0])


def test_dropout_draws_what_it_draws_without_augmenting(data):
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.5), nn.Linear(16, 3))

    plain = train(data, None, model, strategy="stacked", batch_size=None)
    same = train(data, lambda x: noisy(x) * 0 + x, model, strategy="stacked", batch_size=None)
    assert torch.equal(plain.losses, same.losses)


def states() -> tuple[Any, ...]:
    numpys = np.random.get_state()[1].tolist()  # noqa: NPY002 - the global one is meant
    return torch.get_rng_state().tolist(), random.getstate(), numpys


def drawn() -> tuple[float, ...]:
    return float(torch.rand(1)), random.random(), float(np.random.random())  # noqa: NPY002


def test_no_global_generator_is_moved_and_none_of_them_matters(data):
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        before = states()
        found.append(train(data, lambda x: x * (1 + sum(drawn()) / 10)).losses)
        assert states() == before
    assert torch.equal(*found)
    assert not torch.allclose(found[0], train(data, None).losses, atol=1e-4)


def test_generators_are_given_back_when_a_function_fails(data):
    before = states()

    def failing(x: Tensor) -> Tensor:
        raise RuntimeError(f"{drawn()} {x}")

    with pytest.raises(UserError, match="RuntimeError"):
        train(data, failing)
    assert states() == before


def test_seeds_and_steps_draw_apart():
    found = []
    with redrawn(torch.device("cpu")) as begin:
        for seed in range(4):
            for step in range(4):
                begin(seed, step, 0)
                found.append(drawn())
    for column in zip(*found, strict=True):
        assert len(set(column)) == 16


def test_what_is_evaluated_stays_as_it_is(data):
    seen = Recorded()
    readings = []
    run = train(data, seen, evaluate={"all": data}, each=readings.append, strategy="stacked")
    order = BatchOrder(len(data[0]), 16, 0)
    assert len(seen.given) == 1 + 3 * 2 * order.steps_per_epoch
    last = [reading for reading in readings if reading.step == 2 * order.steps_per_epoch]
    model = small()
    model.load_state_dict(run.params(0))
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(data[0]), data[1])
    assert last[0].values["all", "loss"][0] == pytest.approx(loss.item(), abs=1e-5)


def test_all_samples_may_be_one_batch(data):
    seen = Recorded()
    run = train(data, seen, batch_size=None, epochs=None, steps=3, strategy="stacked")
    assert [len(each) for each in seen.given[1:]] == [100] * 9
    assert set(run.status) == {"ok"}


def test_few_batches_are_held_at_a_time(data, monkeypatch):
    x, y = data
    for most, steps in ((1, 1), (3 * 2 * 16 * 6 * 4, 3), (10**9, 50)):
        monkeypatch.setattr(ahead, "AHEAD_BYTES", most)
        supply = FromSamples(Samples(x, y), 16, drop_last=False)
        feed = Augmented(supply, Augmentation("noisy", noisy), x.device).feed([4, 7])
        assert len(feed.block(0, 50)) == steps


class Two(nn.Module):
    """Of two inputs, one of them whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.table = nn.Linear(6, 3), nn.Embedding(5, 3)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.layer(a) + self.table(b)


@pytest.mark.parametrize("named", [False, True])
def test_several_inputs_come_as_they_are_given(data, named):
    x, y = data
    ids = torch.arange(100) % 5
    kinds = set()

    def shuffled(inputs: Any) -> Any:
        kinds.add(type(inputs))
        a, b = inputs.values() if named else inputs
        found = noisy(a), (b + 1) % 5
        return dict(zip(("a", "b"), found, strict=True)) if named else list(found)

    def alike(a: Tensor, b: Tensor) -> Any:
        return ({"a": a, "b": b}, y) if named else ((a, b), y)

    run = train(alike(x, ids), shuffled, Two, strategy="stacked")
    moved = train(alike(x, (ids + 1) % 5), lambda inputs: inputs, Two, strategy="stacked")
    assert kinds == {dict if named else tuple}
    assert set(run.status) == {"ok"}
    assert not torch.equal(run.losses, moved.losses)

    def only_ids(inputs: Any) -> Any:
        a, b = inputs.values() if named else inputs
        return {"a": a, "b": (b + 1) % 5} if named else (a, (b + 1) % 5)

    run = train(alike(x, ids), only_ids, Two, strategy="stacked")
    assert torch.equal(run.losses, moved.losses)


def stop(x: Tensor) -> Tensor:
    raise RuntimeError(f"no more\nof {x}")


BAD = [
    (lambda x: x[:, :5], r"augment \(<lambda>\) must give .* got float32 \[8, 6\] on cpu, but "
                         r"gave float32 \[8, 5\] on cpu"),
    (lambda x: x.double(), r"but gave float64 \[8, 6\]"),
    (lambda x: x.numpy(), "but gave ndarray"),
    (lambda _: None, "but gave NoneType"),
    (lambda x: (x, x), "but gave tuple"),
    (stop, r"augment \(stop\) fails on a batch of shape \[8, 6\]: RuntimeError: no more"),
    (3, "augment must be a function of a batch of inputs, got 3"),
    ("crop", "augment must be a function or 'file.py:name' of one, got 'crop'"),
    ("crop.py:crop", "no function file 'crop.py'"),
]  # fmt: skip


@pytest.mark.parametrize(("augment", "said"), BAD)
def test_what_cannot_be_used_is_said_in_a_line(data, augment, said):
    with pytest.raises(UserError, match=said) as caught:
        train(data, augment)
    assert "\n" not in str(caught.value)


BAD_OF_SEVERAL = [
    (lambda x: x[0], r"got x\[0\] float32 \[8, 6\] on cpu, x\[1\] int64 \[8\] .* but gave float32"),
    (lambda x: (x[0],), r"but gave x\[0\] float32 \[8, 6\] on cpu$"),
    (lambda x: {"a": x[0], "b": x[1]}, r"but gave x\['a'\]"),
    (lambda x: (x[0], x[1].float()), r"but gave .* x\[1\] float32"),
    (lambda x: (x[0], None), r"but gave .* x\[1\] NoneType"),
    (lambda _: (), "but gave nothing"),
]


@pytest.mark.parametrize(("augment", "said"), BAD_OF_SEVERAL)
def test_what_cannot_be_used_of_several_inputs(data, augment, said):
    with pytest.raises(UserError, match=said):
        train(((data[0], torch.arange(100) % 5), data[1]), augment, Two)


def test_a_function_may_turn_bad_later(data):
    calls = []

    def bad(x: Tensor) -> Tensor:
        calls.append(x)
        return x if len(calls) < 5 else x[:1]

    with pytest.raises(UserError, match=r"but gave float32 \[1, 6\]"):
        train(data, bad)


def test_a_stream_is_not_augmented(data):
    pairs = ((x, y) for x, y in zip(*data, strict=True))
    with pytest.raises(UserError, match="a stream is not augmented: have it give samples that are"):
        lanes.train(small, pairs, "sgd", augment=noisy)


def test_a_function_in_place_leaves_the_data_alone(data):
    before = data[0].clone()
    train(data, lambda x: x.mul_(2), strategy="stacked")
    train(Samples(*data), lambda x: x.mul_(2), strategy="stacked")
    assert torch.equal(before, data[0])


def test_gradients_are_not_taken_through_the_function(data):
    layer = nn.Linear(6, 6)
    train(data, layer, strategy="serial")
    assert layer.weight.grad is None


def test_what_comes_back_may_lie_anywhere_in_memory(data):
    def turned(x: Tensor) -> Tensor:
        with torch.enable_grad():
            return x.t().contiguous().requires_grad_().t()

    ours, theirs = (train(data, augment, strategy="stacked") for augment in (turned, lambda x: x))
    assert torch.equal(ours.losses, theirs.losses)
    supply = FromSamples(Samples(*data), 16, drop_last=False)
    feed = Augmented(supply, Augmentation("turned", turned), data[0].device).feed([0, 1])
    x, _ = feed.block(0, 1)[0](torch.tensor([1, 0, 1]))
    assert x.shape == (3, 16, 6)
    assert x.is_contiguous()
    assert not x.requires_grad


def test_names(tmp_path: Path):
    (tmp_path / "own.py").write_text("def flip(x):\n    return x.flip(1)\n")
    assert augmentation_of(f"{tmp_path / 'own.py'}:flip").name == "flip"
    assert augmentation_of(noisy).name == "noisy"
    partial = functools.partial(noisy)
    assert augmentation_of(partial).name == "functools.partial(<function noisy>)"
    assert "0x" not in augmentation_of(Recorded()).name
    assert augmentation_of(None) is None
    with pytest.raises(
        UserError, match=r"unknown function in .*own\.py 'flop'; did you mean 'flip'"
    ):
        augmentation_of(f"{tmp_path / 'own.py'}:flop")
