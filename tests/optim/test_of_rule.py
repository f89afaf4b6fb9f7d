"""Any rule as an optimizer: each step is its NumPy oracle's."""

import copy
import pickle

import numpy as np
import pytest
import torch
from tests.optim.common import apart, train, twins
from tests.rules.cases import stepped
from torch import nn

from talweg import optim
from talweg.rules import RULES, Adam, Lion, Momentum, NAdam, Nesterov
from talweg.transforms import WeightDecay

PLAIN = [name for name, named in RULES.items() if not named.rule.looks_ahead]
START = np.array([-1.2, 1.0, 0.5, -0.3, 0.8])


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", PLAIN)
def test_it_is_the_rule_step_by_step(name, compiled):
    rule = RULES[name].rule
    optim.use_compiler(compiled)
    try:
        weight = nn.Parameter(torch.tensor(START))
        optimizer = optim.OfRule([weight], rule)
        params, state, memory = torch.tensor(START), rule.init(torch.tensor(START)), rule.memory()
        for t in range(1, 31):
            grad = torch.sin(3 * params) + 0.1 * params
            weight.grad = (torch.sin(3 * weight) + 0.1 * weight).detach()
            optimizer.step()
            scalars, memory = rule.recall(rule.scalars(float(t)), memory)
            params, state = stepped(rule, t, params, grad, state, scalars)
        assert torch.allclose(weight, params, rtol=0, atol=1e-12)
    finally:
        optim.use_compiler(None)


@pytest.mark.parametrize(
    ("rule", "made"),
    [
        (Adam(lr=1e-3), lambda p: optim.Adam(p, lr=1e-3)),
        (WeightDecay(Adam(lr=1e-3), weight_decay=0.1), lambda p: optim.AdamW(p, weight_decay=0.1)),
        (Lion(lr=1e-3), lambda p: optim.Lion(p, lr=1e-3)),
        (NAdam(lr=1e-3), lambda p: optim.NAdam(p, lr=1e-3)),
        (Momentum(lr=1e-2, form="average"), lambda p: optim.Momentum(p, 1e-2, form="average")),
    ],
)
def test_it_is_the_class_of_that_rule(rule, made):
    model, other = twins(torch.float64)
    train(model, optim.OfRule(model.parameters(), rule), 10)
    train(other, made(other.parameters()), 10)
    assert apart(model, other) == 0


def test_its_groups_have_the_rules_numbers_by_the_rules_names():
    a, b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    rule = WeightDecay(Adam(lr=0.5), weight_decay=0.25)
    optimizer = optim.OfRule([{"params": [a]}, {"params": [b], "lr": 0.1}], rule)
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[1]["lr"] == 0.1
    assert optimizer.param_groups[0]["weight_decay"] == 0.25
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    a.grad = b.grad = torch.ones(3)
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.05]


@pytest.mark.parametrize("way", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_go_on_as_the_original_would(way):
    model, _ = twins()
    optimizer = optim.OfRule(model.parameters(), NAdam())
    train(model, optimizer, 3)
    other, copied = way((model, optimizer))
    train(model, optimizer, 3)
    train(other, copied, 3)
    assert apart(model, other) == 0


def test_a_rule_that_looks_ahead_needs_a_closure():
    weight, other = (nn.Parameter(torch.tensor(START)) for _ in range(2))
    one, two = optim.OfRule([weight], Nesterov(lr=0.1)), optim.Nesterov([other], lr=0.1)
    with pytest.raises(ValueError, match="closure"):
        one.step()
    for param, optimizer in ((weight, one), (other, two)):

        def closure(param=param) -> torch.Tensor:
            loss = torch.sin(param).sum()
            (param.grad,) = torch.autograd.grad(loss, param)
            return loss

        for _ in range(10):
            optimizer.step(closure)
    assert torch.equal(weight, other)
