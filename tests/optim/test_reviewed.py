"""What a hostile reader found: each of these once gave another number than torch, or none."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import talweg
from talweg import optim, rules
from talweg.core import Rule, hyper
from talweg.transforms import Lookahead, WeightAverage, WeightDecay


def weight(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values))


@pytest.mark.parametrize("name", ["Adamax", "NAdam", "RAdam", "AdamW"])
def test_betas_in_a_list_that_is_changed_in_place(name):
    found = []
    for kind in (getattr(torch.optim, name), getattr(optim, name)):
        param = weight(0.0)
        optimizer = kind([param], lr=0.1, betas=[0.9, 0.99])
        for step in range(4):
            betas = list(optimizer.param_groups[0]["betas"])
            if step == 2 and isinstance(optimizer.param_groups[0]["betas"], list):
                optimizer.param_groups[0]["betas"][0] = 0.0
            elif step == 2:
                optimizer.param_groups[0]["betas"] = (0.0, betas[1])
            param.grad = torch.tensor([1.0 if step < 2 else -1.0])
            optimizer.step()
        found.append(param.item())
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_a_number_that_is_an_array():
    param = weight(1.0, 2.0)
    optimizer = optim.SGD([param], lr=0.1)
    for mark in (np.zeros(3), np.ones(3), 1.0, np.ones(2)):
        optimizer.param_groups[0]["mark"] = mark
        param.grad = torch.ones(2)
        optimizer.step()
    torch.testing.assert_close(param.detach(), torch.tensor([0.6, 1.6]))


def test_two_parameters_on_one_memory_come_back_from_where_they_were_put():
    a, b = weight(1.0, 1.0), weight(0.0, 0.0)
    b.data = a.data
    optimizer = optim.OfRule([a, b], WeightAverage(rules.SGD(0.1), kind="equal"))
    for _ in range(3):
        a.grad = b.grad = torch.ones(2)
        optimizer.step()
    before = a.detach().clone()
    with optimizer.evaluating():
        pass
    assert torch.equal(before, a.detach())


def test_muon_leaves_a_half_precision_average_alone():
    grad = torch.tensor([[1.0, 2.0], [3.0, 5.0]]).bfloat16()
    rule, params = rules.Muon(half=True, nesterov=False), torch.zeros(2, 2).bfloat16()
    state = rule.step(params, grad, rule.init(params), rule.scalars(1))[1]
    torch.testing.assert_close(state["m"].float(), 0.05 * grad.float(), rtol=0.01, atol=0)


def test_a_decay_that_would_have_no_effect_is_refused():
    groups = optim.decay_groups(nn.Linear(2, 2), 0.5)
    with pytest.raises(talweg.UserError, match=r"SGD has no weight_decay .*put .*WeightDecay"):
        optim.OfRule(groups, rules.SGD(0.1))
    optim.OfRule(groups, WeightDecay(rules.SGD(0.1)))
    with pytest.raises(talweg.UserError, match="SGD has no betas"):
        optim.OfRule([{"params": [weight(1.0)], "betas": (0.9, 0.9)}], rules.SGD(0.1))


def test_adagrads_sum_starts_where_the_constructor_says():
    sums = []
    for kind in (torch.optim.Adagrad, optim.Adagrad):
        optimizer = kind([weight(1.0)], initial_accumulator_value=0.5)
        late = weight(1.0)
        optimizer.add_param_group({"params": [late], "initial_accumulator_value": 2.0})
        late.grad = torch.ones(1)
        optimizer.step()
        sums.append(optimizer.state[late]["sum"].item())
    assert sums == [1.5, 1.5]


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.9, 0.5)])
def test_radam_without_eps_where_a_gradient_is_0(betas):
    found = []
    for kind in (torch.optim.RAdam, optim.RAdam):
        param = weight(1.0, 1.0)
        optimizer = kind([param], lr=0.1, eps=0.0, betas=betas)
        for _ in range(4):
            param.grad = torch.tensor([0.0, 1.0])
            optimizer.step()
        found.append(param.detach())
    torch.testing.assert_close(*found)


@dataclass(frozen=True)
class OwnNumber(Rule):
    """Reads its rate past the scalars."""

    lr: float = hyper(0.1, "rate", above=0)

    def init(self, _params):
        return {}

    def scalars(self, _t):
        return {"lr": self.lr}

    def step(self, params, grad, state, _scalars):
        return params - self.lr * grad, state


@dataclass(frozen=True)
class OwnSize(Rule):
    """Has no learning rate."""

    size: float = hyper(0.1, "size", above=0)

    def init(self, _params):
        return {}

    def scalars(self, _t):
        return {"size": self.size}

    def step(self, params, grad, state, scalars):
        return params - scalars["size"] * grad, state


@dataclass(frozen=True)
class Centred(OwnNumber):
    """Looks at the whole gradient and does not say so."""

    def step(self, params, grad, state, scalars):
        return params - scalars["lr"] * (grad - grad.mean()), state


@dataclass(frozen=True)
class Sized(OwnNumber):
    """Goes by how many parameters there are."""

    def step(self, params, grad, state, scalars):
        return params - scalars["lr"] * grad / params.numel(), state


@pytest.mark.parametrize(
    ("rule", "said"),
    [(OwnNumber(), "from scalars"), (Centred(), "is_per_tensor"), (Sized(), "is_per_tensor")],
)
def test_a_rule_that_breaks_its_promises_is_refused(rule, said):
    for wrapped in (rule, WeightDecay(rule)):
        with pytest.raises(talweg.UserError, match=said):
            optim.OfRule([weight(1.0)], wrapped)
    data = torch.randn(20, 2), torch.randn(20)
    with pytest.raises(talweg.UserError, match=said):
        talweg.lanes.train(lambda: nn.Linear(2, 1), data, rule, steps=2)


@pytest.mark.parametrize("rule", [rules.Muon(lr=0.1), rules.SOAP(), rules.Adafactor()])
def test_autocast_does_not_reach_into_a_step(rule):
    found = []
    for on in (False, True):
        generator = torch.Generator().manual_seed(0)
        param = nn.Parameter(torch.randn(6, 4, generator=generator))
        optimizer = optim.OfRule([param], rule)
        for _ in range(3):
            param.grad = torch.sin(3 * param.detach())
            with torch.autocast("cpu", torch.bfloat16, enabled=on):
                optimizer.step()
        found.append(param.detach())
    assert torch.equal(*found)


SHARED = """
import torch
from torch import nn
from talweg import optim

def train(optimizer, steps=5):
    for _ in range(steps):
        for param in optimizer.param_groups[0]["params"]:
            param.grad = torch.ones_like(param)
        optimizer.step()

if __name__ == "__main__":
    params = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))]
    for param in params:
        param.share_memory_()
    optimizer = optim.NAdam(params, lr=0.1)
    train(optimizer, steps=1)
    for state in optimizer.state.values():
        for value in state.values():
            value.share_memory_()
    for param in params:
        param.grad = None
    child = torch.multiprocessing.get_context("spawn").Process(target=train, args=(optimizer,))
    child.start()
    child.join()
    alone = optim.NAdam([other := nn.Parameter(torch.ones(3))], lr=0.1)
    train(alone, steps=6)
    steps = [state["step"].item() for state in optimizer.state.values()]
    print(steps, torch.allclose(params[0], other))
"""


def test_processes_may_share_a_state(tmp_path: Path):
    (tmp_path / "shared.py").write_text(SHARED)
    done = subprocess.run(
        [sys.executable, "shared.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "[6.0, 6.0] True\n", done.stderr


@pytest.mark.parametrize("name", ["ASGD", "Adafactor", "Rprop", "NAdam"])
def test_a_rate_of_one_element(name):
    found = []
    for kind in (getattr(torch.optim, name), getattr(optim, name)):
        param = nn.Parameter(torch.tensor(1.0))
        optimizer = kind([param], lr=torch.tensor([0.1]), foreach=False)
        param.grad = torch.tensor(1.0)
        optimizer.step()
        found.append(param.item())
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_a_form_that_is_switched_on_later():
    param = weight(1.0)
    optimizer = optim.Adam([param])
    param.grad = torch.ones(1)
    optimizer.step()
    optimizer.param_groups[0]["amsgrad"] = True
    with optimizer.evaluating():
        pass
    ahead = optim.RMSpropNesterov([other := weight(1.0)])

    def closure():
        other.grad = other.detach().clone()
        return 0.0

    ahead.step(closure)
    ahead.param_groups[0]["centered"] = True
    for momentum in (0.9, 0.0, 0.5):
        ahead.param_groups[0]["momentum"] = momentum
        ahead.step(closure)
    assert other.isfinite().all()


@pytest.mark.parametrize(("name", "key"), [("NAdam", "mu_product"), ("ASGD", "eta")])
def test_a_state_of_another_optimizer_is_told(name, key):
    adam = optim.Adam([param := weight(1.0)])
    param.grad = torch.ones(1)
    adam.step()
    with pytest.raises(talweg.UserError, match=f"no '{key}'"):
        getattr(optim, name)([weight(1.0)]).load_state_dict(adam.state_dict())
    half = adam.state_dict()
    del half["state"][0]["exp_avg"]
    with pytest.raises(talweg.UserError, match="no 'exp_avg'"):
        optim.Adam([weight(1.0)]).load_state_dict(half)


def test_numbers_that_mean_nothing():
    with pytest.raises(talweg.UserError, match="True, False or None, got 0"):
        optim.use_compiler(0)
    with pytest.raises(talweg.UserError, match=r"whole number of steps, got 2\.5"):
        Lookahead(rules.SGD(), every=2.5)

    rateless = OwnSize()
    for rule in (WeightDecay(rateless, decoupled=False), rateless):
        optim.OfRule([weight(1.0)], rule)
    with pytest.raises(talweg.UserError, match="has no lr"):
        WeightDecay(rateless)
