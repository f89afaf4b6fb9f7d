"""Steps that are only counted: what is known of them is what is known where all are measured."""

from collections.abc import Callable

import pytest
import torch
from tests.diagnose.tiny import batches, mlp
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

import talweg

Loss = Callable[[int, nn.Module, Tensor, Tensor], Tensor]


def plainly(_: int, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return cross_entropy(model(x), y)


def leaping(step: int, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return cross_entropy(model(x), y) * (1e3 if step in (7, 21) else 1.0)


def infinite(step: int, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return cross_entropy(model(x), y) + (torch.inf if step in (11, 12) else 0.0)


def in_parts(step: int, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The first half of the batch at once, where the step is an odd one."""
    if step % 2:
        cross_entropy(model(x[:4]), y[:4]).backward()
        return cross_entropy(model(x[4:]), y[4:])
    return cross_entropy(model(x), y)


def beside_others(step: int, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Another model's loss is differentiated too, from some step on."""
    if step > 10:
        nn.Linear(3, 1)(torch.ones(3)).sum().backward()
    return cross_entropy(model(x), y)


def watched(every: int | None, loss: Loss, steps: Callable[[int], bool]) -> talweg.Health:
    torch.manual_seed(0)
    model = mlp()
    optimizer: Optimizer = torch.optim.SGD(model.parameters(), 1e-2)
    with talweg.watch(model, optimizer, every=every) as health:
        for step, (x, y) in enumerate(batches(40)):
            optimizer.zero_grad()
            loss(step, model, x, y).backward()
            if steps(step):
                optimizer.step()
    return health


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("loss", [plainly, leaping, infinite, in_parts, beside_others])
@pytest.mark.parametrize("steps", [lambda _: True, lambda step: step % 3 != 2])
def test_the_losses_are_those_of_steps_that_are_measured(loss: Loss, steps: Callable[[int], bool]):
    measured = watched(1, loss, steps)
    for every in (None, 10, 1000):
        counted = watched(every, loss, steps)
        assert counted.losses == pytest.approx(measured.losses, rel=1e-6, nan_ok=True)
        assert [m.step for m in counted.moments if m.of("lr")] == list(
            range(0, counted.steps, every or 25)
        )


def test_what_makes_a_loss_infinite_is_told_at_its_step():
    for every in (None, 10, 1000):
        health = watched(every, infinite, lambda _: True)
        (found,) = [one for one in health.findings if one.name == "not finite"]
        assert found.began == 11


def test_losses_that_leap_are_looked_at_where_they_are():
    health = watched(1000, leaping, lambda _: True)
    assert [moment.step for moment in health.moments] == [0, 7, 21]
    assert health.moments[1].of("backward norm")
