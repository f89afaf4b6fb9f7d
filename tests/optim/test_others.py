"""Equal to other people's implementations from PyPI; what differs is named."""

import pytest
import schedulefree
import torch
from tests.optim.common import apart, train, twins

from talweg import optim

STEPS = 50


def run(ours, theirs, steps: int = STEPS) -> float:
    """How far apart the two are after some steps in float64, from one start."""
    one, other = twins(torch.float64)
    first, second = ours(one.parameters()), theirs(other.parameters())
    if hasattr(second, "train"):
        second.train()
    train(one, first, steps)
    train(other, second, steps)
    if hasattr(second, "train"):
        assert apart(one, other) < 1e-12  # where gradients are taken, too
        first.eval()
        second.eval()
    return apart(one, other)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("warmup", [0, 20])
@pytest.mark.parametrize("r", [0.0, 1.0])
def test_schedule_free_is_the_authors(decay, warmup, r):
    options = {"weight_decay": decay, "warmup_steps": warmup, "r": r}
    assert (
        run(
            lambda p: optim.ScheduleFreeSGD(p, lr=0.1, **options),
            lambda p: schedulefree.SGDScheduleFree(p, lr=0.1, foreach=False, **options),
        )
        < 1e-12
    )
    assert (
        run(
            lambda p: optim.ScheduleFreeAdamW(p, lr=1e-3, betas=(0.8, 0.99), **options),
            lambda p: schedulefree.AdamWScheduleFree(
                p, lr=1e-3, betas=(0.8, 0.99), foreach=False, **options
            ),
        )
        < 1e-12
    )
