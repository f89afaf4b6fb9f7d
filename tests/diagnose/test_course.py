"""Signs of single moments, and how they become findings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from talweg.diagnose import DIAGNOSES, Finding
from talweg.diagnose.findings import Course, Diagnosis, Sign, persisting
from talweg.diagnose.moment import WHOLE, Layer, Moment, Past, Setting


@dataclass(frozen=True)
class Above(Diagnosis):
    """A measure is above a threshold."""

    threshold: float = 1.0
    name = "above"
    meaning = "it is"
    remedies = ("lower it",)
    needs = ("measure",)

    def signs(self, past: Past) -> Any:
        for layer, value in past.now.of("measure").items():
            if value > self.threshold:
                yield Sign(layer, f"{value}", {}, is_certain=value > 10 * self.threshold)


def course(values: Sequence[float]) -> list[Finding]:
    moments = [Moment(10 * n, {"measure": {"a": value}}) for n, value in enumerate(values)]
    return persisting([Above()], moments, Setting())


def spans(values: Sequence[float]) -> list[tuple[int, int, int | None]]:
    return [(one.began, one.raised, one.passed) for one in course(values)]


def test_a_sign_that_does_not_persist_is_not_told():
    assert spans([0, 2, 0, 2, 0, 2]) == []


def test_a_finding_is_told_once_it_persists_and_is_over_once_that_does():
    assert spans([0, 2, 2]) == [(10, 20, None)]
    assert spans([0, 2, 2, 0, 2, 2]) == [(10, 20, None)]
    assert spans([0, 2, 2, 0, 0]) == [(10, 20, 30)]


def test_a_finding_that_begins_again_is_the_same_with_another_spell():
    (one,) = course([2, 2, 0, 0, 2, 2])
    assert (one.began, one.raised, one.passed) == (0, 10, None)
    assert one.spells == ((0, 20), (40, None))
    assert str(one) == "problem: above: a: 2 (from step 0 to 20, and again from 40)"
    (one,) = course([2, 2, 0, 0, 2, 2, 0, 0, 2, 2, 0, 0])
    assert (one.began, one.passed) == (0, 100)
    assert one.spells == ((0, 20), (40, 60), (80, 100))
    assert one.when == "3 times from step 0 on, last from 80 to 100"


def test_signs_that_are_not_told_again_leave_a_finding_as_it_was():
    (one,) = course([2, 2, 0, 0, 2, 0, 2, 0])
    assert one.spells == ((0, 20),)
    assert one.when == "from step 0 to 20"


def test_a_finding_that_is_told_again_is_new():
    found = Course([Above()])
    told = [
        [one.spells for one in found.add(Moment(n, {"measure": {"a": value}}), Setting())]
        for n, value in enumerate([2.0, 2.0, 0.0, 0.0, 2.0, 2.0])
    ]
    assert told == [[], [((0, None),)], [], [], [], [((0, 2), (4, None))]]


def test_a_finding_says_how_it_was_when_it_was_worst():
    class Graded(Above):
        def signs(self, past: Past) -> Any:
            for sign in super().signs(past):
                yield replace(sign, severity="problem" if sign.text > "3" else "warning")

    moments = [
        Moment(n, {"measure": {"a": value}}) for n, value in enumerate([4.0, 4.0, 0, 0, 2.0, 2.0])
    ]
    (one,) = persisting([Graded()], moments, Setting())
    assert (one.severity, one.text, one.began, one.since) == ("problem", "4.0", 0, 4)


def test_what_is_of_a_moment_neither_goes_on_nor_passes():
    moments = [
        Moment(0, {"loss": {WHOLE: 9.0}, "constant loss": {WHOLE: 2.0}}),
        *(Moment(n, {"loss": {WHOLE: 1.0}}) for n in range(25, 100, 25)),
    ]
    (one,) = persisting([DIAGNOSES["wrong start"]], moments, Setting())
    assert (one.began, one.passed, one.is_of_a_moment) == (0, 0, True)
    assert str(one).endswith("(at step 0)")


def test_what_is_certain_is_told_at_once():
    assert spans([0, 20]) == [(10, 10, None)]


def test_moments_without_the_measure_do_not_count():
    measured = {"measure": {"a": 2.0}}
    moments = [Moment(0, measured), Moment(5, {"other": {"a": 0.0}}), Moment(10, measured)]
    assert [one.raised for one in persisting([Above()], moments, Setting())] == [10]


def whole(step: int, **values: float) -> Moment:
    return Moment(step, {name.replace("_", " "): {WHOLE: value} for name, value in values.items()})


def losses(*values: float, ratio: float = 1e-2) -> list[Moment]:
    """Measured steps with these losses, and updates of a size."""
    return [
        Moment(
            20 * n,
            {**whole(0, loss=value, lr=0.1).values, "update ratio": {"0": ratio, "2": ratio}},
        )
        for n, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("moments", "raised"),
    [
        (losses(1.0, 0.5, 0.4, 0.45), None),
        (losses(1.0, 1.3, 1.3, 1.3), None),
        (losses(1.0, 1.6, 1.6), 40),
        (losses(1.0, 4.0), 20),
        (losses(1.0, 2.5, 0.9, 0.9), 40),
        (losses(1.0, 0.1, 0.6, 0.7), 60),
        (losses(1.0, 0.1, 1.6), 40),
        (losses(1.0, 0.9, 0.9, ratio=0.2), 20),
        (losses(0.0, 0.0, 0.0), None),
    ],
)
def test_signs_of_too_large_a_rate(moments: list[Moment], raised: int | None):
    found = persisting([DIAGNOSES["learning rate too large"]], moments, Setting())
    assert (found[0].raised if found else None) == raised


@pytest.mark.parametrize(
    ("rates", "is_found"),
    [([1e-4] * 4, True), ([1e-2, 1e-4, 1e-4, 1e-4], False), ([1e-6, 1e-5, 1e-4, 1e-3], False)],
)
def test_a_rate_that_a_schedule_made_small_is_left_alone(rates: list[float], is_found: bool):
    moments = [
        Moment(moment.step, {**moment.values, "lr": {WHOLE: lr}})
        for moment, lr in zip(losses(1.0, 1.0, 1.0, 1.0, ratio=1e-5), rates, strict=True)
    ]
    found = persisting([DIAGNOSES["learning rate too small"]], moments, Setting())
    assert bool(found) == is_found


def backward(step: int, *norms: float) -> Moment:
    return Moment(step, {"backward norm": {str(n): value for n, value in enumerate(norms)}})


LAYERS = Setting([Layer(str(n), "Linear", "weight") for n in range(4)])


def test_what_explodes_is_told_at_once_if_nothing_finite_follows():
    sign, end = backward(0, 100.0, 20.0, 5.0, 1.0), whole(3, not_finite=1.0)
    diagnosis = DIAGNOSES["exploding gradient"]
    assert persisting([diagnosis], [sign], LAYERS) == []
    assert [one.layer for one in persisting([diagnosis], [sign, end], LAYERS)] == ["0"]
    assert persisting([diagnosis], [backward(0, 1.0, 1.0, 1.0, 1.0), end], LAYERS) == []


@pytest.mark.parametrize(
    ("share", "first", "severity"),
    [(0.6, 1.0, "warning"), (0.6, 0.1, "problem"), (0.9, 1.0, "problem")],
)
def test_saturation_of_what_is_learned_is_no_problem(share: float, first: float, severity: str):
    moments = [whole(0, loss=first)] + [
        Moment(20 * n, {"loss": {WHOLE: 0.1}, "saturated": {"0": share}}) for n in (1, 2)
    ]
    (found,) = persisting([DIAGNOSES["saturation"]], moments, Setting())
    assert found.severity == severity


def test_findings_that_go_on_come_first():
    moments = [
        Moment(10 * n, {"measure": {"a": a, "b": b}})
        for n, (a, b) in enumerate([(2, 0), (2, 0), (0, 2), (0, 2)])
    ]
    told_so_far = Course([Above()])
    for moment in moments:
        told_so_far.add(moment, Setting())
    assert [one.layer for one in told_so_far.findings] == ["b", "a"]
