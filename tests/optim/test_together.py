"""Beside the rest of PyTorch: schedulers, scaled and accumulated gradients, compiled steps."""

import copy
import math

import pytest
import torch
from tests.optim.common import apart, network, samples, train, twins
from torch import nn
from torch.optim import lr_scheduler

from talweg import optim

SCHEDULERS = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 3, gamma=0.5),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=1e-2, total_steps=20),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 1e-4, 1e-2, cycle_momentum=True),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1, factor=0.5),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda k: 1 / (1 + k)),
}
CLASSES = {
    "SGD": {"lr": 1e-2, "momentum": 0.9},
    "Adam": {"lr": 1e-3, "betas": (0.9, 0.99)},
    "RMSprop": {"lr": 1e-3, "momentum": 0.9, "eps": 1e-4},
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("name", CLASSES)
def test_schedulers_drive_it_as_they_drive_torchs(name, scheduler):
    """OneCycleLR and CyclicLR move momentum or beta1 as well."""
    ours, theirs = twins(torch.float64)
    rates = []
    for model, module in ((ours, optim), (theirs, torch.optim)):
        optimizer = getattr(module, name)(model.parameters(), **CLASSES[name])
        schedule = SCHEDULERS[scheduler](optimizer)
        rates.append([])
        for k in range(15):
            train(model, optimizer, 1)
            schedule.step(*([math.sin(k)] if scheduler == "ReduceLROnPlateau" else []))
            rates[-1].append(optimizer.param_groups[0]["lr"])
    assert rates[0] == rates[1]
    assert len(set(rates[0])) > 2
    assert apart(ours, theirs) < 1e-12


def test_a_scheduler_is_resumed_with_its_optimizer():
    whole, part = twins()
    one = optim.Adam(whole.parameters(), lr=1e-3)
    schedule = lr_scheduler.OneCycleLR(one, max_lr=1e-2, total_steps=20)
    other = optim.Adam(part.parameters(), lr=1e-3)
    first = lr_scheduler.OneCycleLR(other, max_lr=1e-2, total_steps=20)
    for _ in range(18):
        train(whole, one, 1)
        schedule.step()
    for _ in range(9):
        train(part, other, 1)
        first.step()
    saved = copy.deepcopy((part.state_dict(), other.state_dict(), first.state_dict()))
    again = network()
    last = optim.Adam(again.parameters(), lr=1e-3)
    second = lr_scheduler.OneCycleLR(last, max_lr=1e-2, total_steps=20)
    for thing, state in zip((again, last, second), saved, strict=True):
        thing.load_state_dict(state)
    for _ in range(9):
        train(again, last, 1)
        second.step()
    assert apart(again, whole) == 0


@pytest.mark.parametrize("name", CLASSES)
def test_a_grad_scaler_unscales_and_skips_overflows(name):
    ours, theirs = twins()
    x, y = samples()
    scales = []
    for model, module in ((ours, optim), (theirs, torch.optim)):
        optimizer = getattr(module, name)(model.parameters(), **CLASSES[name])
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=4)
        for k in range(8):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y) * (math.inf if k == 5 else 1)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
        scales.append(scaler.get_scale())
    assert scales[0] == scales[1]
    assert apart(ours, theirs) <= 1e-6


@pytest.mark.parametrize("set_to_none", [True, False])
def test_gradients_are_accumulated_over_micro_batches(set_to_none):
    ours, theirs = (model.eval() for model in twins(torch.float64))  # no statistics of a batch
    x, y = samples(torch.float64)
    one = optim.Adam(ours.parameters())
    for _ in range(5):
        one.zero_grad(set_to_none=set_to_none)
        for a, b in zip(x.split(8), y.split(8), strict=True):
            (nn.functional.cross_entropy(ours(a), b) / 4).backward()
        one.step()
    train(theirs, torch.optim.Adam(theirs.parameters()), 5)
    assert apart(ours, theirs) < 1e-10


def test_autocast_in_bfloat16():
    ours, theirs = twins()
    x, y = samples()
    for model, module in ((ours, optim), (theirs, torch.optim)):
        optimizer = module.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(5):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
    assert apart(ours, theirs) <= 1e-6


def test_a_step_in_the_backward_pass():
    """One optimizer per parameter, called by a hook when its gradient is there."""
    ours, theirs = twins()
    each = {param: optim.Adam([param]) for param in ours.parameters()}

    def hook(param: torch.Tensor) -> None:
        each[param].step()
        each[param].zero_grad()

    for param in ours.parameters():
        param.register_post_accumulate_grad_hook(hook)
    x, y = samples()
    for _ in range(5):
        nn.functional.cross_entropy(ours(x), y).backward()
    train(theirs, torch.optim.Adam(theirs.parameters()), 5)
    assert apart(ours, theirs) <= 1e-6


def test_weights_averaged_by_torch():
    ours, theirs = twins()
    averaged = []
    for model, module in ((ours, optim), (theirs, torch.optim)):
        optimizer = module.SGD(model.parameters(), lr=0.1)
        average = torch.optim.swa_utils.AveragedModel(model)
        for _ in range(5):
            train(model, optimizer, 1)
            average.update_parameters(model)
        averaged.append(average)
    assert apart(*averaged) <= 1e-6
