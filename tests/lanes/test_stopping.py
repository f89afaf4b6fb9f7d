"""Lanes that a plan stops: cleared away with what they hold, and no harm to the others."""

from collections.abc import Callable, Collection, Mapping, Sequence

import pytest
import torch
from tests.lanes.common import small
from torch import Tensor, nn

from talweg import rules
from talweg.core import Rule
from talweg.data import Samples
from talweg.lanes import Engine, Plan, Reading, Result
from talweg.models import source_of
from talweg.schedules import Cosine, Schedule

STEPS, BATCH, EPOCH = 24, 20, 5
RULES: tuple[Rule, ...] = (
    rules.Nesterov(lr=0.1),
    rules.SGD(lr=0.1),
    rules.NAdam(lr=0.01),
    rules.Nesterov(lr=0.05),
    rules.Muon(lr=0.01),
    rules.ScheduleFreeAdamW(lr=0.01),
    rules.SGD(lr=0.2),
)
FALLING = [{"lr": Cosine()} for _ in RULES]
SEEDS = (4, 9, 4, 9, 9, 4, 4)

Stop = Callable[[int], Collection[int]]


def train(
    data: tuple[Tensor, Tensor],
    strategy: str,
    stop: Stop | None = None,
    *,
    steps: int = STEPS,
    chosen: tuple[Rule, ...] = RULES,
    make: Callable[[], nn.Module] = lambda: small().double(),
    schedules: Sequence[Mapping[str, Schedule]] = FALLING,
) -> tuple[Result, list[Reading], int]:
    samples = Samples(*data)
    told: list[Reading] = []
    ticks: list[int] = []
    engine = Engine(
        source_of(make),
        samples,
        loss=None,
        batch_size=BATCH,
        strategy=strategy,
        device="cpu",
        compiled=False,
        lane_counts=[3],  # lanes are moved from chunk to chunk as others leave
        lane_steps=None,
        say=lambda _: None,
    )
    plan = Plan(
        rules=chosen,
        seeds=SEEDS[: len(chosen)],
        steps=steps,
        schedules=schedules[: len(chosen)],
        evaluate={"validation": samples},
        first_lane=10,
        stop=stop,
    )
    result = engine.train(plan, told.append, ticks.append)
    return result, told, sum(ticks)


def at(times: dict[int, list[int]]) -> Stop:
    return lambda step: times.get(step, [])


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_lanes_that_go_on_get_the_same_numbers(data: tuple[Tensor, Tensor], strategy: str):
    every, readings, _ = train(data, "serial")
    result, told, made = train(data, strategy, at({5: [10, 14], 15: [12, 99], 24: [11]}))
    assert result.stopped == {10: 5, 14: 5, 12: 15}
    assert not result.died
    assert made == STEPS * len(RULES)
    for row in range(len(RULES)):
        stopped = result.stopped.get(row + 10, STEPS)
        kept = result.losses[row, :stopped]
        torch.testing.assert_close(kept, every.losses[row, :stopped], rtol=0, atol=1e-9)
        assert result.losses[row, stopped:].isnan().all()
        if stopped == STEPS:
            torch.testing.assert_close(
                result.states[row + 10], every.states[row + 10], rtol=0, atol=1e-9
            )
    expected = _values(readings)
    found = _values(told)
    assert found.keys() == {
        (lane, step) for lane, step in expected if step <= result.stopped.get(lane, STEPS)
    }
    assert found == pytest.approx({key: expected[key] for key in found}, abs=1e-9)


def _values(readings: list[Reading]) -> dict[tuple[int, int], float]:
    return {
        (lane, reading.step): value
        for reading in readings
        for lane, value in zip(reading.lanes, reading.values["validation", "loss"], strict=True)
    }


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_what_a_stopped_lane_held_is_kept(data: tuple[Tensor, Tensor], strategy: str):
    result, _, made = train(data, strategy, at({10: list(range(10, 17))}), schedules=())
    assert result.stopped == dict.fromkeys(range(10, 17), 10)
    assert made == STEPS * len(RULES)
    assert result.losses[:, 10:].isnan().all()
    short, _, _ = train(data, strategy, steps=10, schedules=())
    torch.testing.assert_close(result.states, short.states, rtol=0, atol=1e-9)


def test_stopping_is_not_diverging(data: tuple[Tensor, Tensor]):
    def unbounded() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    wild = (rules.SGD(lr=1e37), rules.SGD(lr=0.1), rules.SGD(lr=0.2))
    result, told, _ = train(data, "stacked", at({5: [10, 11]}), chosen=wild, make=unbounded)
    assert result.died.keys() == {10}
    assert result.stopped == {11: 5}
    deaths = [reading.lanes for reading in told if ("train", "diverged") in reading.values]
    assert deaths == [(10,)]


def test_nobody_is_asked_at_the_last_step(data: tuple[Tensor, Tensor]):
    asked: list[int] = []

    def never(step: int) -> list[int]:
        asked.append(step)
        return []

    train(data, "stacked", never, steps=12)
    assert asked == [5, 10]
