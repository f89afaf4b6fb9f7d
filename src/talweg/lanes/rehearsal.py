"""How long steps and readings take, from a few real ones."""

import time
from dataclasses import dataclass, replace

from talweg.lanes.engine import Engine
from talweg.lanes.plan import Plan, by_structure

LONG_ENOUGH, MOST = 0.5, 100
"""Seconds that the steps which are timed take together, if they are not more than this many."""


@dataclass(frozen=True)
class Pace:
    """What a lane among others takes, in seconds.

    Attributes:
        step: For a step, uncompiled.
        reading: For a reading.
    """

    step: float
    reading: float


def pace_of(engine: Engine, plan: Plan) -> Pace:
    """Times a few steps and a reading of as many lanes as go through the model side by side.

    Args:
        engine: What trains them; nothing of it is changed.
        plan: What is to be trained; lanes are taken from all over it.
    """
    plain = engine.plain()
    few = _some(plan, plain.packs(plan).side_by_side)

    def seconds(steps: int, readings: bool) -> float:
        tried = replace(few, steps=steps, evaluate=plan.evaluate if readings else {})
        begun = time.perf_counter()
        plain.train(tried, (lambda _: None) if readings else None)
        return time.perf_counter() - begun

    seconds(1, readings=True)  # the first takes longer
    begin = seconds(0, readings=False)
    one = max(seconds(2, readings=False) - begin, 1e-6) / 2
    steps = min(max(int(LONG_ENOUGH / one), 2), MOST)
    made = max(seconds(steps, readings=False) - begin, 1e-6) / steps
    read = max(seconds(0, readings=True) - begin, 0.0)
    lanes = len(few.rules)
    return Pace(made / lanes, read / lanes)


def _some(plan: Plan, count: int) -> Plan:
    """A plan of some of the lanes, of all structures alike, without what goes by the length."""
    lanes = [lane for group in by_structure(plan.lanes) for lane in group]
    count = min(count, len(lanes))
    chosen = [lanes[i * len(lanes) // count] for i in range(count)]
    return replace(
        plan,
        rules=[lane.rule for lane in chosen],
        seeds=[lane.seed for lane in chosen],
        schedules=(),
        keep=False,
        read_every=None,
        stop=None,
    )
