"""Online learning: a stream is passed over once, and every lane gets the same batches."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tests.lanes.common import needs_compiler, small, start
from torch import Tensor, nn, optim
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import talweg
from talweg import lanes, rules
from talweg.core import UserError
from talweg.data import Stream
from talweg.lanes import Reading
from talweg.lanes.feed import AHEAD
from talweg.metrics import ACCURACY
from talweg.schedules import Cosine, Linear, Step

STACKED = pytest.mark.parametrize("strategy", ["stacked", "serial"])
CHOSEN = [rules.SGD(lr=0.2), rules.Adam(lr=0.02), rules.Nesterov(lr=0.05), rules.SGD(lr=0.2)]
SEEDS = [0, 0, 1, 1]
WEIGHTS = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))


class Endless(IterableDataset[Any]):
    """Samples without end; it counts them."""

    def __init__(self) -> None:
        self.drawn = 0

    def __iter__(self) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(2)
        while True:
            self.drawn += 1
            x = torch.randn(6, generator=generator)
            yield x, int((x @ WEIGHTS).argmax())


def first(count: int) -> tuple[Tensor, Tensor]:
    samples = [sample for sample, _ in zip(Endless(), range(count), strict=False)]
    return torch.stack([x for x, _ in samples]), torch.tensor([y for _, y in samples])


def some(count: int) -> Iterator[Any]:
    return zip(*first(count), strict=True)


@STACKED
def test_lanes_take_the_path_of_a_plain_loop(strategy: str):
    run = lanes.train(small, some(270), CHOSEN, SEEDS, batch_size=4, strategy=strategy)
    assert run.strategy == strategy
    assert run.losses.shape == (4, 68)
    x, y = first(270)
    makes = [
        lambda p: optim.SGD(p, lr=0.2),
        lambda p: optim.Adam(p, lr=0.02),
        lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
        lambda p: optim.SGD(p, lr=0.2),
    ]
    for lane, (make, seed) in enumerate(zip(makes, SEEDS, strict=True)):
        model = start(small, seed)
        optimizer = make(model.parameters())
        for step, (inputs, targets) in enumerate(zip(x.split(4), y.split(4), strict=True)):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            assert run.losses[lane, step].item() == pytest.approx(loss.item(), abs=1e-5)
        for name, value in model.state_dict().items():
            if not isinstance(CHOSEN[lane], rules.Nesterov):  # torch holds the look-ahead point
                torch.testing.assert_close(run.params(lane)[name], value, rtol=0, atol=1e-5)


@STACKED
def test_all_ways_to_give_a_stream_are_the_same(strategy: str):
    arguments = {"batch_size": 4, "strategy": strategy}
    pairs = TensorDataset(*first(90))
    batches = list(zip(*(values.split(4) for values in first(90)), strict=True))
    streams = [
        some(90),
        Stream(list(some(90))),
        Stream(batches, batched=True),
        DataLoader(pairs, batch_size=4),
        DataLoader(pairs, batch_size=None),
    ]
    runs = [lanes.train(small, stream, CHOSEN, SEEDS, **arguments).losses for stream in streams]
    loader = DataLoader(Endless(), batch_size=4)
    runs.append(lanes.train(small, loader, CHOSEN, SEEDS, steps=22, **arguments).losses)
    assert torch.equal(runs.pop(), runs[0][:, :22])
    runs.append(lanes.train(small, Endless(), CHOSEN, SEEDS, steps=23, **arguments).losses)
    assert runs[0].shape == (4, 23)
    for losses in runs[1:-1]:
        assert torch.equal(losses, runs[0])
    assert torch.equal(runs[-1][:, :22], runs[0][:, :22])  # the 23rd batch is a whole one there


@STACKED
@pytest.mark.parametrize("steps", [1, 7, 8, 9, 250])
def test_an_endless_stream_gives_no_sample_too_many(strategy: str, steps: int):
    stream = Endless()
    run = lanes.train(small, stream, CHOSEN, SEEDS, steps=steps, batch_size=3, strategy=strategy)
    assert run.losses.shape == (4, steps)
    assert stream.drawn == 3 * steps
    assert run.notes[-2:] == (
        f"learned from {3 * steps:,} samples (x [6], y []) in {talweg.core.counted(steps, 'step')}",
        "a stream feeds all lanes alike: seeds differ in initialisation alone",
    )


@STACKED
def test_few_batches_are_held(strategy: str):
    """Nothing is drawn long before it is learned from, and nothing twice."""
    stream, begun = Endless(), []
    seen: list[tuple[int, int]] = []
    count = iter(stream).__next__

    def arriving() -> Iterator[Any]:
        begun.append(1)
        while True:
            yield count()

    lanes.train(
        small, arriving(), CHOSEN, SEEDS, steps=90, batch_size=5, strategy=strategy, read_every=1,
        each=lambda reading: seen.append((reading.step, stream.drawn)),
    )  # fmt: skip
    assert begun == [1]
    for step, drawn in seen:
        assert 5 * step <= drawn <= 5 * (step + AHEAD)


def test_drop_last():
    for drop_last, steps in ((False, 23), (True, 22)):
        run = lanes.train(small, some(90), ["sgd"], batch_size=4, drop_last=drop_last)
        assert run.losses.shape == (1, steps)
        assert (
            run.notes[-1] == f"the stream ended after {steps * 4 - 2 * (not drop_last)} samples "
            f"(x [6], y []) in {steps} steps"
        )
    with pytest.raises(UserError, match="the stream ended before its first batch"):
        lanes.train(small, some(3), ["sgd"], batch_size=4, drop_last=True)
    with pytest.raises(UserError, match="the stream ended before its first batch"):
        lanes.train(small, iter([]), ["sgd"])


@STACKED
def test_a_stream_shorter_than_a_batch_or_than_the_steps_asked_for(strategy: str):
    run = lanes.train(small, some(10), CHOSEN, SEEDS, steps=5, batch_size=64, strategy=strategy)
    assert run.losses.shape == (4, 1)
    run = lanes.train(small, some(50), CHOSEN, SEEDS, steps=30, batch_size=5, strategy=strategy)
    assert run.losses.shape == (4, 10)
    assert run.losses.isfinite().all()
    run = lanes.train(small, some(50), CHOSEN, SEEDS, steps=0, strategy=strategy)
    assert run.losses.shape == (4, 0)


@STACKED
def test_lanes_that_diverge_spoil_nobody_and_the_last_one_ends_it(strategy: str):
    def unbounded() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))

    mixed = [CHOSEN[0], rules.SGD(lr=1e37), CHOSEN[1]]
    arguments = {"batch_size": 4, "strategy": strategy}
    run = lanes.train(unbounded, some(200), mixed, **arguments)
    calm = lanes.train(unbounded, some(200), mixed[::2], **arguments)
    assert run.status[1].startswith("diverged at step ")
    torch.testing.assert_close(run.losses[::2], calm.losses, rtol=1e-4, atol=1e-5)
    stream = Endless()
    run = lanes.train(unbounded, stream, [mixed[1]] * 2, **arguments)
    assert all(status.startswith("diverged") for status in run.status)
    assert stream.drawn <= 2 * AHEAD * 4


@STACKED
def test_readings_and_held_out_samples(strategy: str):
    found: list[Reading] = []
    arguments = {"batch_size": 4, "strategy": strategy, "metrics": [ACCURACY]}
    held_out = {"fresh": first(40)}
    run = lanes.train(
        small, some(100), CHOSEN[:2], [0, 1], evaluate=held_out, read_every=10, each=found.append,
        **arguments,
    )  # fmt: skip
    for lane in (0, 1):
        read = [reading for reading in found if lane in reading.lanes]
        assert [reading.step for reading in read] == [0, 10, 20, 25]
        assert {reading.epoch for reading in read} == {0.0}
        losses = read[-1].values["train", "loss"][read[-1].lanes.index(lane)]
        assert losses == pytest.approx(run.losses[lane, 20:].double().mean().item(), rel=1e-12)
        assert ("fresh", "accuracy") in read[-1].values
    found.clear()
    lanes.train(small, some(100), ["sgd"], each=found.append, **arguments)
    assert [reading.step for reading in found] == [0, 25]
    held_out = {"v": (first(2)[0], torch.tensor([0, 3]))}
    with pytest.raises(UserError, match="y of 'v' has class 3, but the highest trained on is 2"):
        lanes.train(small, some(100), ["sgd"], evaluate=held_out)


def test_the_stream_draws_from_the_users_own_random_numbers():
    """And lanes from theirs: dropout is the same whatever the stream draws."""

    def drops() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1))

    drawn: list[Tensor] = []

    def arriving() -> Iterator[Any]:
        for _ in range(40):
            drawn.append(torch.randn(2))
            yield drawn[-1], 1.0

    for strategy in ("stacked", "serial"):
        drawn.clear()
        torch.manual_seed(3)
        run = lanes.train(drops, arriving(), ["sgd"] * 2, [0, 1], batch_size=4, strategy=strategy)
        after = torch.randn(2)
        torch.manual_seed(3)
        expected = torch.stack([torch.randn(2) for _ in range(41)])
        assert torch.equal(torch.stack([*drawn, after]), expected)
        known = lanes.train(
            drops, Stream([(x, 1.0) for x in expected[:40]]), ["sgd"] * 2, [0, 1], batch_size=4,
            strategy=strategy,
        )  # fmt: skip
        assert torch.equal(run.losses, known.losses)


def test_serial_lanes_keep_what_their_modules_hold_apart():
    """Each lane has a module of its own, though lanes take turns at every few batches."""

    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 3)
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += self.training
            return self.layer(x) / self.calls**0.5 if self.training else self.layer(x)

    both = lanes.train(Counts, some(120), ["sgd"] * 2, [0, 1], batch_size=4, strategy="serial")
    for lane in (0, 1):
        alone = lanes.train(Counts, some(120), ["sgd"], lane, batch_size=4, strategy="serial")
        assert torch.equal(both.losses[lane], alone.losses[0])


class InPlace(nn.Module):
    """Scales its input where it lies."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.mul_(2))


class Apart(InPlace):
    """The same, on a copy."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.clone())


@STACKED
def test_models_that_work_in_place_change_nothing_for_others(strategy: str):
    x, y = first(40)
    arguments = {"batch_size": 4, "strategy": strategy, "epochs": 1}
    for data in (lambda: (x, y), lambda: Stream(list(zip(x, y, strict=True)))):
        if isinstance(data(), Stream):
            del arguments["epochs"]
        found: dict[type[nn.Module], tuple[Tensor, list[Any]]] = {}
        for model in (InPlace, Apart):
            read: list[Reading] = []
            run = lanes.train(
                model, data(), ["sgd"] * 2, evaluate={"v": (x, y)}, read_every=4,
                each=read.append, **arguments,
            )  # fmt: skip
            assert torch.equal(run.losses[0], run.losses[1])
            found[model] = run.losses, [reading.values for reading in read]
        assert torch.equal(found[InPlace][0], found[Apart][0])
        assert found[InPlace][1] == found[Apart][1]
    assert torch.equal(x, first(40)[0])


@needs_compiler
def test_compiled_lanes_learn_the_same():
    arguments = {"batch_size": 4, "seeds": SEEDS, "strategy": "stacked"}
    plain = lanes.train(small, some(270), CHOSEN, compile=False, **arguments)
    run = lanes.train(small, some(270), CHOSEN, compile=True, **arguments)
    assert "compiling" in run.notes[1]
    torch.testing.assert_close(run.losses, plain.losses, rtol=0, atol=2e-4)


@needs_compiler
def test_a_stream_of_unknown_length_is_compiled_once_that_pays(monkeypatch: pytest.MonkeyPatch):
    from talweg.lanes import strategy

    monkeypatch.setattr(strategy, "worth_compiling", lambda *_: 4 * 20)
    for count, compiled in ((20, False), (40, True)):
        run = lanes.train(small, some(count * 4), CHOSEN, SEEDS, batch_size=4)
        assert run.notes[0] == "lanes are stacked, 4 at a time, compiled once that pays"
        assert any("compiling: " in note for note in run.notes) == compiled
    known = lanes.train(small, some(80), CHOSEN, SEEDS, batch_size=4, steps=20)
    assert known.notes[0] == "lanes are stacked, 4 at a time, uncompiled"


def test_schedules_that_need_no_length():
    chosen = [rules.SGD(lr=0.2)] * 4
    named = ["linear(tau=50)", Step(every=10), None, {"lr": lambda start, k, _: start / (1 + k)}]
    arguments = {"batch_size": 4, "strategy": "stacked"}
    run = lanes.train(small, some(80), chosen, schedule=named, **arguments)
    known = lanes.train(small, some(80), chosen, schedule=named, steps=20, **arguments)
    assert torch.equal(run.losses, known.losses)
    assert not torch.equal(run.losses[0], run.losses[2])


@pytest.mark.parametrize("schedule", ["cosine", Linear(), Step(every=0.5), [None, Cosine()]])
def test_schedules_that_need_a_length_need_steps(schedule: object):
    chosen = ["sgd", "sgd"]
    with pytest.raises(
        UserError, match=r"schedule of lr goes by the length of the run, .* give st"
    ):
        lanes.train(small, some(80), chosen, schedule=schedule)
    lanes.train(small, some(80), chosen, schedule=schedule, steps=3, batch_size=4)


def late(count: int, last: Any) -> Iterator[Any]:
    yield from some(count)
    if isinstance(last, Exception):
        raise last
    yield last


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 2}, "a stream is passed over once and has no epochs"),
        ({"steps": -1}, "steps must be a whole number of at least 0, got -1"),
        ({"batch_size": None}, "a stream has no end to wait for"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"model": "mlp"}, "mlp takes its size from data, which a stream does not show"),
        ({"model": lambda: nn.Linear(5, 3)}, r"cannot take a batch of shape \[2, 6\]"),
        ({"model": normed}, "the last batch of a stream may have one alone: pass drop_last=True"),
        ({"data": late(30, OSError("gone"))}, "the stream failed after 30 samples: OSError: gone"),
        (
            {"data": late(30, (torch.zeros(6), torch.tensor(7)))},
            "samples 29 to 31 .* class 7, but .* 0 to 2",
        ),
        (
            {"data": late(30, (torch.zeros(6), torch.tensor(-1)))},
            "samples 29 to 31 .* class -1, but .* 0 to 2",
        ),
        ({"data": late(30, (torch.zeros(5), 1))}, "sample 31 of the stream differs"),
        ({"data": late(30, torch.zeros(5))}, "must give pairs"),
        ({"data": late(30, (torch.zeros(6).log(), torch.tensor(1)))}, "must be finite"),
        ({"data": iter(["a", "b"])}, "must give pairs .x, y., got str after 0 samples"),
    ],
)
def test_one_line_says_what_was_wrong(change: dict[str, Any], message: str):
    arguments = {"model": small, "data": some(90), "rules": ["sgd"], "batch_size": 4} | change
    with pytest.raises(UserError, match=message) as error:
        lanes.train(**arguments)
    assert "\n" not in str(error.value)


def test_batch_norm_learns_from_a_stream_whose_last_batch_is_left_out():
    run = lanes.train(normed, some(81), ["sgd"], batch_size=4, drop_last=True)
    assert run.losses.shape == (1, 20)


def test_what_a_stream_raises_is_kept_as_the_cause():
    with pytest.raises(UserError) as error:
        lanes.train(small, late(30, OSError("gone")), ["sgd"], batch_size=4)
    assert isinstance(error.value.__cause__, OSError)


def test_a_comparison_says_where_streams_are_learned_from(tmp_path: Any):
    with pytest.raises(UserError, match=r"by talweg\.lanes\.train"):
        talweg.compare(small, Endless(), out=tmp_path / "run")
