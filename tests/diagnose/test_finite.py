"""Where numbers that are not finite come from."""
# ruff: noqa: NPY002 - models may draw from NumPy's global numbers

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.diagnose.tiny import batches, bits, trained
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

import talweg
from talweg.diagnose import DIAGNOSES, Finding, Health, persisting
from talweg.diagnose.calls import aside
from talweg.diagnose.finite import GRADIENT, INPUTS, LOSS, OUTPUTS, WEIGHTS
from talweg.diagnose.moment import Moment, Setting

BAD = 4
"""The step from which on something is wrong."""


class Dividing(nn.Module):
    """Divides by 0 when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.by = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return x / self.by


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(12, 16)
        self.norm = nn.BatchNorm1d(16)
        self.middle = nn.Sequential(nn.ReLU(), nn.Dropout(0.2), Dividing())
        self.last = nn.Linear(16, 4)

    def forward(self, x: Tensor, _mask: Tensor | None = None) -> Tensor:
        return self.last(self.middle(self.norm(self.first(x))))


def watched(
    model: nn.Module,
    step: Callable[[nn.Module, Tensor, Tensor, bool], Tensor],
    lr: float = 0.1,
    every: int = 50,
) -> list[tuple[str, float, int]]:
    """The findings "not finite": layer, kind, step."""
    optimizer = torch.optim.SGD(model.parameters(), lr)
    with talweg.watch(model, optimizer, every=every) as health:
        for place, (x, y) in enumerate(batches(8)):
            optimizer.zero_grad()
            loss = step(model, x, y, place == BAD)
            loss.backward()
            optimizer.step()
    assert health.notes == []
    return [
        (one.layer, one.evidence["kind"], one.began)
        for one in health.findings
        if one.name == "not finite"
    ]


def plain(model: nn.Module, x: Tensor, y: Tensor, _: bool) -> Tensor:
    return cross_entropy(model(x), y)


def data(model: nn.Module, x: Tensor, y: Tensor, is_bad: bool) -> Tensor:
    if is_bad:
        x[3, 5] = torch.nan
    return cross_entropy(model(x), y)


def masked(model: nn.Module, x: Tensor, y: Tensor, is_bad: bool) -> Tensor:
    """A mask of −∞ is no mistake; the division is."""
    model.middle[2].by = 0.0 if is_bad else 1.0
    return cross_entropy(model(x, torch.full((2,), -torch.inf)), y)


def logarithm(model: nn.Module, x: Tensor, _: Tensor, is_bad: bool) -> Tensor:
    share = model(x).softmax(1)
    return ((share * (0 if is_bad else 1)).log() * share).sum()


def blown_up(model: nn.Module, x: Tensor, y: Tensor, is_bad: bool) -> Tensor:
    """The update before this step made them so."""
    if is_bad:
        with torch.no_grad():
            model.last.weight[0, 0] = torch.inf
    return cross_entropy(model(x), y)


def divided(model: nn.Module, x: Tensor, y: Tensor, is_bad: bool) -> Tensor:
    model.middle[2].by = 0.0 if is_bad else 1.0
    return cross_entropy(model(x), y)


def in_parts(model: nn.Module, x: Tensor, y: Tensor, is_bad: bool) -> Tensor:
    """The model itself is not called."""
    model.middle[2].by = 0.0 if is_bad else 1.0
    return cross_entropy(model.last(model.middle(model.norm(model.first(x)))), y)


CASES = {
    "data": (data, ("", INPUTS, BAD)),
    "masked": (masked, ("middle.2", OUTPUTS, BAD)),
    "logarithm": (logarithm, ("", LOSS, BAD)),
    "blown up": (blown_up, ("last", WEIGHTS, BAD)),
    "divided": (divided, ("middle.2", OUTPUTS, BAD)),
    "in parts": (in_parts, ("middle.2", OUTPUTS, BAD)),
}


@pytest.mark.parametrize("every", [1, 50])
@pytest.mark.parametrize("name", CASES)
def test_the_first_module_and_the_step(name: str, every: int):
    torch.manual_seed(0)
    step, expected = CASES[name]
    assert watched(Net(), step, every=every) == [expected]


@pytest.mark.parametrize("how", ["compiled", "compiled in place"])
def test_in_a_compiled_model(how: str):
    for step, expected in ((blown_up, ("last", WEIGHTS, BAD)), (data, ("", INPUTS, BAD))):
        torch.compiler.reset()
        torch.manual_seed(0)
        inner = Net()
        inner.middle[2] = nn.Identity()
        model = torch.compile(inner, backend="aot_eager") if how == "compiled" else inner
        if how != "compiled":
            inner.compile(backend="aot_eager")
        assert watched(model, step) == [expected]


@pytest.mark.parametrize("is_whole", [True, False])
def test_at_the_first_step(is_whole: bool):
    model = Net()
    model.middle[2].by = 0.0
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, _ = next(batches(1))
    with talweg.watch(model, optimizer) as health:
        given = model(x) if is_whole else model.last(model.middle(model.norm(model.first(x))))
        given.square().sum().backward()
        optimizer.step()
    (found,) = [one for one in health.findings if one.name == "not finite"]
    assert (found.layer, found.evidence["kind"], found.began) == ("middle.2", OUTPUTS, 0)


def test_a_gradient_of_a_loss_that_is_finite():
    model = Net()

    def root(model: nn.Module, x: Tensor, _: Tensor, is_bad: bool) -> Tensor:
        return (model(x).square().sum() * (0 if is_bad else 1)).sqrt()

    assert watched(model, root, lr=1e-3, every=1) == [("last", GRADIENT, BAD)]


def test_a_rate_that_is_far_too_high():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4))

    def squares(model: nn.Module, x: Tensor, *_: Any) -> Tensor:
        return model(x).square().mean()

    ((layer, kind, began),) = watched(model, squares, lr=1e9)
    assert kind in (WEIGHTS, OUTPUTS)
    assert layer in ("0", "2")
    assert 1 <= began <= 6


def test_looking_changes_nothing():
    """Buffers, random numbers and inputs; what backward still needs among them."""
    ends = []
    for is_watched in (False, True):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        model = Net()
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        watching = talweg.watch(model, optimizer)
        if is_watched:
            watching.__enter__()
        for place, (x, y) in enumerate(batches(4)):
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            if place == 1:
                loss = loss * torch.inf
            loss.backward()
            if place != 1:
                optimizer.step()
        if is_watched:
            watching.__exit__(None, None, None)
            (found,) = [o for o in watching._health.findings if o.name == "not finite"]
            assert (found.evidence["kind"], found.began) == (LOSS, 1)
        ends.append(bits(model, optimizer, torch.rand(2), random.random(), np.random.random()))
    assert ends[0] == ends[1]


class Unsteady(nn.Module):
    """Draws from every source, and keeps what it drew."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 4)
        self.register_buffer("drawn", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        x += 1
        self.drawn.copy_(torch.tensor([torch.rand(()), random.random(), np.random.random()]))
        return checkpoint(self.layer, x + self.drawn.sum(), use_reentrant=True)


def test_aside_of_the_run():
    model = Unsteady()
    before = bits(model)
    draws = random.getstate(), torch.get_rng_state(), np.random.get_state()[2]
    with aside(model):
        model(torch.randn(2, 12))
        assert bits(model) != before
        assert not torch.is_grad_enabled()
    assert bits(model) == before
    assert random.getstate() == draws[0]
    assert torch.equal(torch.get_rng_state(), draws[1])
    assert np.random.get_state()[2] == draws[2]


def test_what_cannot_be_called_twice_is_told_and_the_run_goes_on():
    class Once(Net):
        calls = 0

        def forward(self, x: Tensor, _mask: Tensor | None = None) -> Tensor:
            self.calls += 1
            if self.calls > 1:
                raise RuntimeError("once only")
            return super().forward(x) * torch.nan

    model = Once()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with talweg.watch(model, optimizer) as health:
        loss = cross_entropy(model(torch.randn(4, 12)), torch.zeros(4).long())
        with pytest.warns(RuntimeWarning, match="once only"):
            loss.backward()
        optimizer.step()
    assert health.steps == 1
    assert [one.evidence["kind"] for one in health.findings if one.name == "not finite"] == [
        GRADIENT
    ]


def lost(health: Health) -> list[Finding]:
    return [one for one in health.findings if one.name == "not finite"]


class Between(nn.Module):
    """Divides by a sum that is 0, between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(12, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x).relu()
        return self.b(x / (0 * x.sum(1, keepdim=True)))


def test_what_lies_between_modules_is_not_told_of_the_next_one():
    (found,) = lost(trained(Between(), steps=1))
    assert (found.layer, found.text) == (
        "b", "it is given values that are not finite, made between it and the module before"
    )  # fmt: skip


def test_it_is_looked_for_in_the_precision_of_the_run():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    with torch.no_grad():
        model[2].weight.fill_(1e6)  # more than half precision holds
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with talweg.watch(model, optimizer) as health:
        x = torch.randn(16, 12)
        with torch.autocast("cpu", torch.float16):
            loss = cross_entropy(model(x).float(), torch.zeros(16).long())
        loss.backward()
        optimizer.step()
    (found,) = lost(health)
    assert found.layer == "2"


@pytest.mark.parametrize("is_skipped", [True, False])
def test_it_is_over_once_numbers_are_finite_again(is_skipped: bool):
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    with talweg.watch(model, optimizer, every=2) as health:
        for place, (x, y) in enumerate(batches(12)):
            model.middle[2].by = 0.0 if place == BAD else 1.0
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            if loss.isfinite() or not is_skipped:
                optimizer.step()
    (found,) = [one for one in health.findings if one.name == "not finite"]
    assert (found.layer, found.evidence["kind"]) == ("middle.2", OUTPUTS)
    assert (found.began, found.passed) == (BAD, 4 if is_skipped else None)


def gradients(step: int, *sizes: float) -> Moment:
    return Moment(step, {"gradient rms": dict(zip("ab", sizes, strict=True))})


def test_one_that_comes_back_has_another_spell():
    first = Moment(1, {"not finite": {"b": GRADIENT}})
    nan = torch.nan
    later = [gradients(2, nan, nan), gradients(3, 1, 1), gradients(4, 1, 1), gradients(5, 1, nan)]
    (found,) = persisting([DIAGNOSES["not finite"]], [first, *later], Setting())
    assert found.spells == ((1, 3), (5, None))


def test_steps_at_which_gradients_are_not_measured_do_not_end_it():
    moments = [Moment(1, {"not finite": {"": LOSS}}), Moment(2, {"backward norm": {"a": 1.0}})]
    (found,) = persisting([DIAGNOSES["not finite"]], moments, Setting())
    assert found.spells == ((1, None),)
