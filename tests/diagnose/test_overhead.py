"""What measuring takes of a run's time."""

import pytest

from talweg.diagnose import overhead
from talweg.diagnose.overhead import Overhead


class Clock:
    """A clock that stands still until it is told to go on."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(overhead, "time", clock)
    return clock


def run(clock: Clock, steps: int, every: int, own: float, unseen: float) -> Overhead:
    """Steps of a second; measured ones take so much more, here and elsewhere."""
    counted, spent = Overhead(), 0.0
    for step in range(steps):
        is_measured = step % every == 0
        spent += own if is_measured else 0.0
        clock.now += 1 + (own + unseen if is_measured else 0.0)
        counted.step(spent, is_measured=is_measured)
    return counted


def test_what_a_measured_step_takes_elsewhere_counts(clock: Clock):
    counted = run(clock, 100, 25, own=0.5, unseen=0.25)
    assert counted.seconds(2.0) == pytest.approx((103.0, 3.0))


def test_a_loop_that_does_other_things_now_and_then_is_no_overhead(clock: Clock):
    counted = run(clock, 100, 10, own=0.5, unseen=0.0)
    clock.now += 1000
    counted.step(5.0, is_measured=True)
    clock.now += 1000
    counted.step(5.0, is_measured=False)
    _, own = counted.seconds(5.0)
    assert own == pytest.approx(5.0)


def test_steps_that_are_all_measured_show_only_what_is_spent_here(clock: Clock):
    counted = run(clock, 10, 1, own=0.5, unseen=0.5)
    assert counted.seconds(5.0) == pytest.approx((20.0, 5.0))
