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


class InDouble:
    """torch, with float64 where float32 is asked for."""

    float32 = torch.float64

    def __getattr__(self, name: str):
        return getattr(torch, name)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("frequency", [1, 3, 10])
@pytest.mark.parametrize("correct", [True, False])
def test_soap(decay, frequency, correct, monkeypatch):
    """There directions are brought up to date in float32, whatever the parameters are.

    Only small dimensions are rotated: where the gradients so far have no direction, rounding
    chooses one, and with it the steps to come.
    """
    monkeypatch.setattr(pytorch_optimizer.optimizer.soap, "torch", InDouble())
    own = {"precondition_frequency": frequency, "correct_bias": correct, "weight_decay": decay}
    options = {"lr": 1e-3, "betas": (0.9, 0.99), "eps": 1e-6}
    size = {"max_precond_dim": 8}
    theirs = {"max_precondition_dim": 8}
    apart = run(
        lambda p: optim.SOAP(p, **options, **own, **size),
        lambda p: pytorch_optimizer.SOAP(p, **options, **own, **theirs),
    )
    assert apart < 1e-9


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("safeguard", [True, False])
def test_prodigy(decay, correct, safeguard):
    """There the sums are kept in the default dtype."""
    torch.set_default_dtype(torch.float64)
    options = {"weight_decay": decay, "safeguard_warmup": safeguard, "d0": 1e-5, "d_coef": 0.8}
    try:
        apart = run(
            lambda p: optim.Prodigy(p, use_bias_correction=correct, **options),
            lambda p: pytorch_optimizer.Prodigy(p, bias_correction=correct, **options),
        )
    finally:
        torch.set_default_dtype(torch.float32)
    assert apart < 1e-12


@pytest.mark.parametrize("name", OTHERS)
def test_pytorch_optimizers(name):
    assert run(*OTHERS[name]) < 1e-12
