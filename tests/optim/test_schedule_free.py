"""The two points of a Schedule-Free optimizer."""

import copy

import pytest
import torch
from tests.optim.common import apart, network, train, twins

from talweg import optim

MADE = {
    "sgd": lambda params: optim.ScheduleFreeSGD(params, lr=0.1, momentum=0.8),
    "adamw": lambda params: optim.ScheduleFreeAdamW(params, lr=1e-2, betas=(0.8, 0.99)),
}


@pytest.mark.parametrize("name", MADE)
def test_the_average_is_put_in_and_taken_out(name):
    model, _ = twins(torch.float64)
    optimizer = MADE[name](model.parameters())
    optimizer.eval()  # nothing to average yet
    optimizer.train()
    train(model, optimizer, 10)
    trained = copy.deepcopy(model)
    with optimizer.evaluating():
        averaged = copy.deepcopy(model)
    assert apart(model, trained) == 0
    optimizer.eval()
    optimizer.eval()
    assert apart(model, trained) > 1e-4
    assert apart(model, averaged) < 1e-14
    with optimizer.evaluating():  # it is there already
        assert apart(model, averaged) < 1e-14
    for param, held in zip(model.parameters(), trained.parameters(), strict=True):
        z = optimizer.state[param]["z"]
        assert torch.allclose(0.8 * param + 0.2 * z, held, rtol=0, atol=1e-14)
    with pytest.raises(ValueError, match=r"call optimizer.train\(\) before a step"):
        optimizer.step()
    optimizer.train()
    optimizer.train()
    assert apart(model, trained) < 1e-14


@pytest.mark.parametrize("name", MADE)
def test_a_checkpoint_of_the_average_goes_on(name):
    whole, part = twins(torch.float64)
    one, other = MADE[name](whole.parameters()), MADE[name](part.parameters())
    train(whole, one, 12)
    train(part, other, 5)
    other.eval()
    saved = copy.deepcopy((part.state_dict(), other.state_dict()))
    again = network(torch.float64)
    last = MADE[name](again.parameters())
    again.load_state_dict(saved[0])
    last.load_state_dict(saved[1])
    assert not last.is_training
    last.train()
    train(again, last, 7)
    assert apart(again, whole) < 1e-12
