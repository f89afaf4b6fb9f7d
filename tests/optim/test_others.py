"""Equal to other people's implementations from PyPI; what differs is named."""

import pytest
import pytorch_optimizer
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


OTHERS = {
    "AdaBelief": (
        lambda p: optim.AdaBelief(p, lr=1e-3, weight_decay=0.1),
        lambda p: pytorch_optimizer.AdaBelief(
            p, lr=1e-3, eps=1e-16, weight_decay=0.1, weight_decouple=True, rectify=False
        ),
    ),
    "Adan": (
        lambda p: optim.Adan(p, lr=1e-3, weight_decay=0.1),
        lambda p: pytorch_optimizer.Adan(p, lr=1e-3, weight_decay=0.1, weight_decouple=True),
    ),
    # There m and r are not corrected (the rate is, unless told), and eps is added to a norm too.
    "LAMB": (
        lambda p: optim.LAMB(p, lr=1e-2, eps=1e-16, weight_decay=0.1, bias_correction=False),
        lambda p: pytorch_optimizer.Lamb(
            p, lr=1e-2, eps=1e-16, weight_decay=0.1, weight_decouple=False, adam_debias=True
        ),
    ),
    "Lion": (
        lambda p: optim.Lion(p, lr=1e-3, weight_decay=0.1),
        lambda p: pytorch_optimizer.Lion(p, lr=1e-3, weight_decay=0.1, weight_decouple=True),
    ),
    # There the mean gradient starts at initial_accumulator as well; at 0 both start alike.
    "Yogi": (
        lambda p: optim.Yogi(p, lr=1e-3, initial_accumulator_value=0.0),
        lambda p: pytorch_optimizer.Yogi(p, lr=1e-3, initial_accumulator=0.0),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_pytorch_optimizers(name):
    assert run(*OTHERS[name]) < 1e-12
