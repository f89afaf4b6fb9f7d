"""Lanes that copies of the process go on with: the same numbers, and nothing lost."""

import errno
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from talweg import rules
from talweg.data import Samples
from talweg.lanes import Engine, Plan, Reading, training
from talweg.lanes.copying import can_divide
from talweg.lanes.evaluate import Reader
from talweg.lanes.plan import Result
from talweg.lanes.processes import Parent
from talweg.lanes.squad import Squad
from talweg.metrics import METRICS
from talweg.models.own import source_of
from talweg.transforms import Lookahead

pytestmark = pytest.mark.skipif(not can_divide(), reason="processes are copied on Linux alone")


def is_killed(_parent: Parent) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Net(nn.Module):
    """With buffers, which lanes keep apart."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(6)
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(self.norm(x))


RULES = [
    rules.Adam(lr=0.01), rules.SGD(lr=0.1), rules.Nesterov(lr=0.05), rules.SGD(lr=1e8),
    Lookahead(rules.ScheduleFreeAdamW(lr=0.02), every=3), rules.SGD(lr=1e30),
    Lookahead(rules.Momentum(lr=0.02), every=33),  # compiled by the copies
]  # fmt: skip
LANES, STEPS, EPOCH = 28, 40, 10


def trained(
    monkeypatch: pytest.MonkeyPatch, data: tuple[Tensor, Tensor], worth: float, **more: Any
) -> tuple[Result, list[Reading], int, int]:
    """What comes of lanes, what is read of them, the ticks, and how often the process divided."""
    monkeypatch.setattr(training, "WORTH", worth)
    times = 0
    divide = training.divided

    def counted(*arguments: Any) -> Any:
        nonlocal times
        times += 1
        return divide(*arguments)

    monkeypatch.setattr(training, "divided", counted)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    samples = Samples(data[0][:99], data[1][:99])  # the last batch of an epoch has 9
    engine = Engine(
        source_of(Net), samples, loss=None, batch_size=10, strategy="stacked", device="cpu",
        compiled=True, lane_counts=[LANES], lane_steps=10**9, say=lambda _: None,
    )  # fmt: skip
    engine.width = 4
    readings: list[Reading] = []
    ticks: list[int] = []
    chosen = [RULES[lane % len(RULES)] for lane in range(LANES)]
    plan = Plan(
        chosen, [lane % 3 for lane in range(LANES)], STEPS, (), {"train": samples},
        [METRICS["accuracy"]], **more,
    )  # fmt: skip
    try:
        return engine.train(plan, readings.append, ticks.append), readings, sum(ticks), times
    finally:
        torch.set_num_threads(before)


def by_lane(readings: list[Reading]) -> dict[Any, float]:
    """Every value read, each once."""
    found: dict[Any, float] = {}
    for reading in readings:
        for name, column in reading.values.items():
            for lane, value in zip(reading.lanes, column, strict=True):
                assert (lane, reading.step, name) not in found
                found[lane, reading.step, name] = value
    return found


def chosen_to_stop(step: int) -> list[int]:
    return {10: [1, 9], 20: [2, 20, 21], 30: [27]}.get(step, [])


@pytest.mark.parametrize("more", [{}, {"stop": chosen_to_stop}, {"read_every": 7}])
def test_parts_get_the_numbers_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, data: tuple[Tensor, Tensor], more: dict[str, Any]
):
    whole, read, ticks, times = trained(monkeypatch, data, math.inf, **more)
    assert times == 0
    parts, read_of_parts, ticks_of_parts, times = trained(monkeypatch, data, 0.0, **more)
    assert times == 1
    assert torch.equal(whole.losses.nan_to_num(-1), parts.losses.nan_to_num(-1))
    assert whole.died == parts.died
    assert len(whole.died) >= 4
    assert whole.stopped == parts.stopped
    assert bool(whole.stopped) == ("stop" in more)
    assert whole.states.keys() == parts.states.keys()
    for lane, (params, rest) in whole.states.items():
        assert torch.equal(params, parts.states[lane][0]) or lane in whole.died
        assert all(
            torch.equal(value, parts.states[lane][1][name]) or lane in whole.died
            for name, value in rest.items()
        )
    of_whole, of_parts = by_lane(read), by_lane(read_of_parts)
    assert of_whole.keys() == of_parts.keys()
    for key, value in of_whole.items():
        assert value == of_parts[key] or math.isnan(value)
    assert ticks == ticks_of_parts == LANES * STEPS


def test_parts_are_read_at_the_same_step(
    monkeypatch: pytest.MonkeyPatch, data: tuple[Tensor, Tensor]
):
    """So that a study that is stopped compares lanes after the same number of steps."""
    run = Squad.run

    def slow(self: Squad, *arguments: Any) -> Any:
        time.sleep(0.05 if 0 in self.lanes else 0)
        return run(self, *arguments)

    monkeypatch.setattr(Squad, "run", slow)
    _, readings, *_ = trained(monkeypatch, data, 0.0)
    steps = [reading.step for reading in readings if ("train", "diverged") not in reading.values]
    assert steps == sorted(steps)


def test_what_a_reader_raises_ends_the_parts(
    monkeypatch: pytest.MonkeyPatch, data: tuple[Tensor, Tensor]
):
    read: list[int] = []

    def tell(_self: object, reading: Reading) -> None:
        read.append(reading.step)
        if reading.step == 30:
            raise ValueError("enough")

    monkeypatch.setattr("talweg.lanes.evaluate.Reader.tell", tell)
    with pytest.raises(ValueError, match="enough"):
        trained(monkeypatch, data, 0.0)
    assert read[-1] == 30
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_where_the_system_makes_no_copies_threads_go_on(
    monkeypatch: pytest.MonkeyPatch, data: tuple[Tensor, Tensor]
):
    def refused() -> int:
        raise BlockingIOError(errno.EAGAIN, "no more processes")

    whole, *_ = trained(monkeypatch, data, math.inf)
    monkeypatch.setattr(os, "fork", refused)
    others, _, ticks, times = trained(monkeypatch, data, 0.0)
    assert times == 1
    assert ticks == LANES * STEPS
    assert torch.equal(whole.losses.nan_to_num(-1), others.losses.nan_to_num(-1))
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_where_one_is_killed_fewer_go_on(
    monkeypatch: pytest.MonkeyPatch, data: tuple[Tensor, Tensor]
):
    """As Linux does where memory runs out: the lanes begin anew, half as many at a time."""
    whole, *_ = trained(monkeypatch, data, math.inf)
    divide, times = training.divided, 0

    def first_killed(works: list[Any], *rest: Any) -> Any:
        nonlocal times
        times += 1
        return divide([is_killed, *works[1:]] if times == 1 else works, *rest)

    monkeypatch.setattr(training, "divided", first_killed)
    parts, *_ = trained(monkeypatch, data, 0.0)
    assert torch.equal(whole.losses.nan_to_num(-1), parts.losses.nan_to_num(-1))
    assert times > 1


def one_by_one(data: tuple[Tensor, Tensor], copies: int) -> tuple[Result, list[Reading], int]:
    """What comes of lanes that are not stacked, on one thread, what is read of them, the ticks."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    samples = Samples(*data)
    engine = Engine(
        source_of(Net), samples, loss=None, batch_size=10, strategy="serial", device="cpu",
        compiled=None, lane_counts=[5], lane_steps=None, say=lambda _: None,
    )  # fmt: skip
    engine._chosen.copies = copies
    readings: list[Reading] = []
    ticks: list[int] = []
    plan = Plan(RULES[:5], [3, 4, 5, 6, 7], STEPS, (), {"train": samples})
    try:
        return engine.train(plan, readings.append, ticks.append), readings, sum(ticks)
    finally:
        torch.set_num_threads(before)


def assert_same(one: Result, other: Result) -> None:
    assert torch.equal(one.losses.nan_to_num(-1), other.losses.nan_to_num(-1))
    assert one.died == other.died
    assert one.states.keys() == other.states.keys()
    for lane, (params, rest) in one.states.items():
        assert torch.equal(params.nan_to_num(-1), other.states[lane][0].nan_to_num(-1))
        assert rest.keys() == other.states[lane][1].keys()


def test_lanes_that_are_not_stacked_are_the_same_side_by_side(data: tuple[Tensor, Tensor]):
    single, read, ticks = one_by_one(data, 1)
    double, read_of_two, ticks_of_two = one_by_one(data, 2)
    assert_same(single, double)
    assert by_lane(read).keys() == by_lane(read_of_two).keys()
    assert ticks == ticks_of_two == 5 * STEPS


def test_where_a_copy_has_no_memory_lanes_go_on_one_by_one(
    monkeypatch: pytest.MonkeyPatch, data: tuple[Tensor, Tensor]
):
    single, read, ticks = one_by_one(data, 1)
    run, here = training.Training.run, os.getpid()

    def starved(self: training.Training) -> Any:
        if os.getpid() != here and self._lanes == [2]:
            raise MemoryError
        return run(self)

    monkeypatch.setattr(training.Training, "run", starved)
    double, read_of_two, ticks_of_two = one_by_one(data, 2)
    assert_same(single, double)
    assert by_lane(read).keys() == by_lane(read_of_two).keys()
    assert ticks == ticks_of_two


def test_whether_lanes_run_side_by_side_is_timed_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: tuple[Tensor, Tensor]
):
    """A model that waits gains by a second process, however busy the cores are."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    told: list[str] = []

    def decide() -> int:
        engine = Engine(
            source_of(Waiting), Samples(*data), loss=None, batch_size=10, strategy="auto",
            device="cpu", compiled=None, lane_counts=[5], lane_steps=10**9, say=told.append,
        )  # fmt: skip
        return engine._chosen.copies

    try:
        assert decide() == 2
        assert "side by side" in told[-1]
        monkeypatch.setattr("talweg.lanes.choosing.divided", None)  # nothing is timed again
        assert decide() == 2
    finally:
        torch.set_num_threads(before)


class Waiting(Net):
    """It looks at what it computes, so it cannot be stacked, and takes its time."""

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.005)
        return super().forward(x) if x.mean() < 1e9 else x


def test_where_a_copy_stands_still_threads_go_on(
    monkeypatch: pytest.MonkeyPatch, data: tuple[Tensor, Tensor]
):
    monkeypatch.setattr("talweg.lanes.processes.STILL", 0.5)
    whole, read, *_ = trained(monkeypatch, data, math.inf)
    here, usual = os.getpid(), Reader.read

    def reads(self: Reader, *arguments: Any) -> None:
        if os.getpid() != here:
            time.sleep(60)
        usual(self, *arguments)

    monkeypatch.setattr(Reader, "read", reads)
    others, read_by_threads, _, times = trained(monkeypatch, data, 0.0)
    assert times == 1
    assert torch.equal(whole.losses.nan_to_num(-1), others.losses.nan_to_num(-1))
    assert by_lane(read).keys() == by_lane(read_by_threads).keys()


def test_without_room_for_two_the_process_is_not_copied(
    monkeypatch: pytest.MonkeyPatch, data: tuple[Tensor, Tensor]
):
    monkeypatch.setattr("talweg.lanes.packs.Packs.leave_room", lambda *_: False)
    assert trained(monkeypatch, data, 0.0)[3] == 0
