"""Lanes that take no more memory than they may, and the same numbers whatever that is."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
import torch
from tests.lanes.common import needs_compiler, small
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from talweg import lanes, rules
from talweg.core import Rule, UserError
from talweg.data import Samples
from talweg.lanes import Engine, Plan, Reading
from talweg.lanes.measuring import Allocations
from talweg.lanes.squad import Squad
from talweg.models import source_of

RULES: tuple[Rule, ...] = (
    rules.Adam(lr=0.01),
    rules.SGD(lr=0.1),
    rules.Muon(lr=0.01),
    rules.Nesterov(lr=0.1),
    rules.SGD(lr=1e30),
)
COUNT, STEPS, BATCH = 40, 12, 20


def engine_of(
    make: Callable[[], nn.Module],
    samples: Samples,
    strategy: str = "stacked",
    memory: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Engine:
    return Engine(
        source_of(make),
        samples,
        loss=None,
        batch_size=BATCH,
        strategy=strategy,
        device="cpu",
        compiled=False,
        lane_counts=[4],
        lane_steps=None,
        say=say,
        memory=memory,
    )


def plan_of(count: int = COUNT, evaluate: Samples | None = None, keep: bool = True) -> Plan:
    return Plan(
        [RULES[i % len(RULES)] for i in range(count)],
        [i % 3 for i in range(count)],
        STEPS,
        (),
        {} if evaluate is None else {"validation": evaluate},
        keep=keep,
    )


def told_twice(readings: Sequence[Reading]) -> list[tuple[int, int, bool]]:
    """``(lane, step, diverged)`` of what was told more than once."""
    told = sorted(
        (lane, reading.step, ("train", "diverged") in reading.values)
        for reading in readings
        for lane in reading.lanes
    )
    return [one for one, other in pairwise(told) if one == other]


def test_512_lanes_in_300_mb_get_the_same_numbers():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 64, generator=generator)
    data = x, torch.randint(10, (60,), generator=generator)

    def run(memory: str | None) -> lanes.Run:
        def make() -> nn.Module:
            return nn.Sequential(nn.Linear(64, 700), nn.ReLU(), nn.Linear(700, 10))

        chosen = [rules.Adam(lr=0.001), rules.SGD(lr=0.1)] * 256
        seeds = [i // 2 % 4 for i in range(512)]
        options = {"steps": 2, "batch_size": 16, "compile": False, "strategy": "stacked"}
        return lanes.train(make, data, chosen, seeds, memory=memory, **options)

    whole, packed = run("4G"), run("300M")
    assert len(whole.notes) == 1
    assert packed.notes[1].startswith("512 lanes take 4")
    assert packed.notes[1].endswith(" at a time, to keep below 300 MB")
    assert torch.equal(whole.losses, packed.losses)
    for lane in range(512):
        for one, other in zip(
            whole.params(lane).values(), packed.params(lane).values(), strict=True
        ):
            assert torch.equal(one, other)


@pytest.mark.parametrize("share", [0.7, 0.4, 0.25])
def test_packs_keep_below_the_limit_and_change_no_number(data: tuple[Tensor, Tensor], share: float):
    samples = Samples(*data)
    free = engine_of(small, samples)
    plan = plan_of(evaluate=samples)
    whole = free.packs(plan).peak
    every: list[Reading] = []
    expected = free.train(plan, every.append)
    said: list[str] = []
    tight = engine_of(small, samples, memory=round(whole * share), say=said.append)
    packs = tight.packs(plan)
    assert len(packs.sizes) > 1
    assert packs.peak <= whole * share
    if packs.width == free.width:
        assert all(size % packs.width == 0 for size in packs.sizes[:-1])
    told: list[Reading] = []
    found = tight.train(plan, told.append)
    assert any("at a time, to keep below" in line for line in said)
    assert not told_twice(told)
    assert found.died == expected.died
    exact = packs.width == free.width
    close = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(found.losses, expected.losses, equal_nan=True, **close)


@needs_compiler
def test_compiled_packs_get_the_same_numbers(data: tuple[Tensor, Tensor]):
    chosen = [rules.Adam(lr=0.01), rules.SGD(lr=0.1)] * 20
    options = {"steps": STEPS, "batch_size": BATCH, "compile": True, "strategy": "stacked"}
    whole, packed = (
        lanes.train(small, data, chosen, [3] * 40, memory=memory, **options)
        for memory in ("1G", "200k")
    )
    assert any("at a time, to keep below 200 kB" in note for note in packed.notes)
    assert sum(note.startswith("compiling") for note in packed.notes) == 1
    assert torch.equal(whole.losses, packed.losses)


def test_a_limit_too_small_for_one_lane_is_refused(data: tuple[Tensor, Tensor]):
    engine = engine_of(small, Samples(*data), memory=1000)
    with pytest.raises(
        UserError, match=r"one lane alone takes .* of it for all lanes\), more than 1.0 kB: allow"
    ):
        engine.train(plan_of())


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_what_needs_all_lanes_at_once_is_refused_if_they_do_not_fit(
    data: tuple[Tensor, Tensor], strategy: str
):
    samples = zip(*data, strict=True)
    with pytest.raises(UserError, match=r"learning from a stream keeps 90 lanes at once, which"):
        lanes.train(small, samples, ["adam"] * 90, strategy=strategy, memory=200_000, compile=False)


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_out_of_memory_halves_the_lanes_and_tells_nothing_twice(
    data: tuple[Tensor, Tensor], strategy: str, monkeypatch: pytest.MonkeyPatch
):
    samples = Samples(*data)
    plan = plan_of(evaluate=samples)
    expected = engine_of(small, samples).train(plan)
    run = Squad.run

    def failing(self: Squad, first: int, batches):
        if first == 5 and self.size > 11:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return run(self, first, batches)

    monkeypatch.setattr(Squad, "run", failing)
    said: list[str] = []
    told: list[Reading] = []
    ticks: list[int] = []
    engine = engine_of(small, samples, strategy, say=said.append)
    found = engine.train(plan, told.append, ticks.append)
    complaints = [line for line in said if line.startswith("out of memory")]
    if strategy == "stacked":
        assert complaints == [
            "out of memory: 20 lanes at a time from here on",
            "out of memory: 12 lanes at a time from here on",
            "out of memory: 8 lanes at a time from here on",
        ]
    else:
        assert not complaints  # one at a time from the start
    assert not told_twice(told)
    assert {lane for reading in told for lane in reading.lanes if reading.step == 0} == set(
        range(COUNT)
    )
    assert sum(ticks) == COUNT * STEPS
    assert found.died == expected.died
    torch.testing.assert_close(found.losses, expected.losses, equal_nan=True)


def test_out_of_memory_with_one_lane_is_one_line(
    data: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
):
    def failing(*_: object):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Squad, "run", failing)
    said: list[str] = []
    engine = engine_of(small, Samples(*data), say=said.append)
    with pytest.raises(UserError, match="out of memory with a single lane"):
        engine.train(plan_of(8))
    assert [line.split()[3] for line in said[1:]] == ["4", "2", "1"]


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean(1))


MODELS = {
    "mlp": (
        (64,),
        lambda: nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 5)),
    ),
    "cnn": (
        (3, 12, 12),
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(800, 5)
        ),
    ),
    "transformer": ((12, 32), Attending),
}


def measured(call: Callable[[], object]) -> int:
    """The most bytes that torch's allocator gave out at one time, operators' own included."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        call()
    assert found.profiler is not None
    results = found.profiler.kineto_results
    assert results is not None
    events = sorted(
        (event for event in results.events() if event.name() == "[memory]"),
        key=lambda event: event.start_ns(),
    )
    now = most = 0
    for event in events:
        now += event.nbytes()
        most = max(most, now)
    return most


@pytest.mark.parametrize("evaluated", [False, True])
@pytest.mark.parametrize("strategy", ["stacked", "serial"])
@pytest.mark.parametrize("name", MODELS)
def test_the_estimate_is_within_a_factor_of_two(name: str, strategy: str, evaluated: bool):
    shape, make = MODELS[name]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, *shape, generator=generator)
    samples = Samples(x, torch.randint(5, (300,), generator=generator))
    engine = engine_of(make, samples, strategy)
    plan = plan_of(10, samples if evaluated else None)
    estimate = engine.packs(plan).peak
    found = measured(lambda: engine.train(plan, lambda _: None))
    assert found / 2 < estimate < found * 2


def test_lanes_that_leave_take_no_further_memory(data: tuple[Tensor, Tensor]):
    engine = engine_of(small, Samples(*data))
    plan = plan_of(200)
    estimate = engine.packs(plan).peak
    with Allocations() as found:
        engine.train(plan)
    assert found.peak < 1.2 * estimate
