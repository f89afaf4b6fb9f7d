"""Transforms around rules: what they compute, and that they are rules themselves."""

import pytest
import pytorch_optimizer
import torch

from talweg import lanes, optim, rules
from talweg.core import UserError, stack
from talweg.rules import RULES
from talweg.transforms import (
    Ascent,
    Centralise,
    ClipNorm,
    ClipValue,
    Lookahead,
    WeightAverage,
    WeightDecay,
)


def path(rule, steps=20) -> torch.Tensor:
    """Parameters after each step on ``Σ (p − 1)²·i``."""
    weights = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    params = torch.tensor([3.0, -2.0, 0.5], dtype=torch.float64)
    state, found = rule.init(params), []
    for t in range(1, steps + 1):
        grad = weights * 2 * (params - 1)
        params, state = rule.step(params, grad, state, rule.scalars(t))
        found.append(params)
    return torch.stack(found)


def torch_path(make, steps=20) -> torch.Tensor:
    weights = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    params = torch.nn.Parameter(torch.tensor([3.0, -2.0, 0.5], dtype=torch.float64))
    optimizer, found = make([params]), []
    for _ in range(steps):
        params.grad = weights * 2 * (params.detach() - 1)
        optimizer.step()
        found.append(params.detach().clone())
    return torch.stack(found)


HEAVY = rules.Momentum(0.01, form="accumulate")


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        (
            WeightDecay(HEAVY, 0.1, decoupled=False),
            lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, weight_decay=0.1),
        ),
        (Ascent(HEAVY), lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, maximize=True)),
        (
            Ascent(WeightDecay(rules.Adam(0.05), 0.1, decoupled=False)),
            lambda p: torch.optim.Adam(p, 0.05, weight_decay=0.1, maximize=True),
        ),
        (
            Ascent(WeightDecay(rules.Adam(0.05), 0.1)),
            lambda p: torch.optim.AdamW(p, 0.05, weight_decay=0.1, maximize=True),
        ),
    ],
)
def test_takes_the_path_of_torch(rule, make):
    torch.testing.assert_close(path(rule), torch_path(make), rtol=1e-12, atol=1e-12)


def test_clipping_is_torchs():
    rule = ClipValue(HEAVY, limit=0.7)

    class Clipping(torch.optim.SGD):
        def step(self):
            torch.nn.utils.clip_grad_value_(self.param_groups[0]["params"], 0.7)
            super().step()

    expected = torch_path(lambda p: Clipping(p, 0.01, momentum=0.9))
    torch.testing.assert_close(path(rule), expected, rtol=1e-12, atol=1e-12)
    assert (path(HEAVY) - path(rule)).abs().max() > 1e-2


def test_look_ahead_is_a_public_implementation_of_it():
    def make(params):
        return pytorch_optimizer.Lookahead(torch.optim.Adam(params, 0.05), k=4, alpha=0.3)

    rule = Lookahead(rules.Adam(0.05), every=4, share=0.3)
    torch.testing.assert_close(path(rule), torch_path(make), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["exponential", "equal"])
@pytest.mark.parametrize("start", [0, 6])
def test_averages_are_torchs(kind, start):
    """Those of an optimizer, of a lane, and of `torch.optim.swa_utils`."""
    rule = WeightAverage(rules.SGD(0.05), decay=0.9, start=start, kind=kind)
    model, plain = torch.nn.Linear(2, 1).double(), torch.nn.Linear(2, 1).double()
    plain.load_state_dict(model.state_dict())
    ema = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9) if kind == "exponential" else None
    average = torch.optim.swa_utils.AveragedModel(plain, multi_avg_fn=ema)
    one, other = optim.OfRule(model.parameters(), rule), torch.optim.SGD(plain.parameters(), 0.05)
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for t in range(1, 21):
        for net, optimizer in ((model, one), (plain, other)):
            optimizer.zero_grad()
            (net(x) - x[:, :1]).square().mean().backward()
            optimizer.step()
        if t > start:
            average.update_parameters(plain)
    held = [param.detach().clone() for param in model.parameters()]
    with one.evaluating():
        for mine, theirs in zip(model.parameters(), average.module.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    assert all(map(torch.equal, held, model.parameters()))
    assert not torch.equal(held[0], next(average.module.parameters()))


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_they_run_as_lanes_with_numbers_of_their_own(strategy):
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    data = x, x[:, :1]
    chosen = [
        *(WeightAverage(rules.Adam(0.05), decay=decay) for decay in (0.5, 0.9)),
        *(WeightAverage(rules.Adam(0.05), start=start, kind="equal") for start in (0, 10)),
        *(Lookahead(rules.Adam(0.05), every=every) for every in (3, 5)),
        *(ClipValue(WeightDecay(rules.SGD(0.05)), limit=limit) for limit in (0.1, 10.0)),
    ]
    run = lanes.train(lambda: torch.nn.Linear(2, 1), data, chosen, [0], steps=30, strategy=strategy)
    for lane, rule in enumerate(chosen):
        alone = lanes.train(lambda: torch.nn.Linear(2, 1), data, [rule], [0], steps=30)
        torch.testing.assert_close(run.losses[lane], alone.losses[0], rtol=1e-4, atol=1e-6)
        for name, value in alone.params(0).items():
            torch.testing.assert_close(run.params(lane)[name], value, rtol=1e-4, atol=1e-6)


AROUND = [
    Ascent,
    Centralise,
    ClipNorm,
    ClipValue,
    Lookahead,
    WeightAverage,
    WeightDecay,
    lambda rule: WeightDecay(rule, decoupled=False),
]


@pytest.mark.parametrize("make", AROUND)
def test_nothing_of_a_transform_meets_what_is_inside_under_one_name(make):
    """A scalar, a state or a setting of the same name would take the other's place unseen."""
    inside = [known.rule for known in RULES.values()]
    inside += [other(rules.SGD()) for other in AROUND]
    allowed = 0
    for rule in inside:
        if make(rules.SGD()).own.keys() & rule.specs.keys():
            with pytest.raises(UserError, match=r"cannot go around .*, which has its own"):
                make(rule)
            continue
        if make is ClipNorm and rule.gathers:
            with pytest.raises(UserError, match="sums over the model of its own"):
                make(rule)
            continue
        allowed += 1
        outer, alone = make(rule), make(rules.SGD())
        for names in (
            lambda it: it.recall(it.scalars(3.0), it.memory())[0].keys(),
            lambda it: it.init(torch.ones(2)).keys(),
        ):
            own = names(alone) - names(rules.SGD())
            assert names(outer) == names(rule) | own
            assert not own & names(rule)
    assert allowed > 20


def test_both_decays_are_one_for_plain_descent_and_two_for_adam():
    def gap(rule):
        pair = (path(WeightDecay(rule, 0.1, decoupled=choice)) for choice in (True, False))
        return torch.sub(*pair).abs().max().item()

    assert gap(rules.SGD(0.05)) < 1e-15
    assert gap(rules.Adam(0.05)) > 1e-3


def test_its_settings_are_those_inside_and_its_own():
    rule = WeightDecay(rules.Adam(), weight_decay=0.5)
    assert rule.settings["beta1"] == 0.9
    assert rule.hypers["weight_decay"] == 0.5
    assert rule.options == {
        "eps_inside": False,
        "amsgrad": False,
        "eps_hat": False,
        "decoupled": True,
        "spare_vectors": False,
    }
    changed = rule.changed(lr=0.3, weight_decay=0.1, amsgrad=True)
    assert changed == WeightDecay(rules.Adam(0.3, amsgrad=True), 0.1)
    assert rule.moved(lr=0.0, weight_decay=-1.0).hypers["lr"] == 0.0
    assert rule.structure != Ascent(rules.Adam()).structure
    assert rule.structure == WeightDecay(rules.Adam(beta1=0.5)).structure
    for wrong in ({"lr": 0}, {"weight_decay": -1}):
        with pytest.raises(UserError, match="must be"):
            rule.changed(**wrong)
    with pytest.raises(UserError, match=r"rule must be a talweg\.rules object, got 'adam'"):
        WeightDecay("adam")


def test_stacks_and_trains_as_lanes():
    chosen = [WeightDecay(rules.Adam(lr), decay) for lr in (0.01, 0.1) for decay in (0.0, 0.5)]
    together = stack(chosen)
    assert together.hypers["lr"].shape == together.hypers["weight_decay"].shape == (4, 1)
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    run = lanes.train(lambda: torch.nn.Linear(2, 1), (x, x[:, :1]), chosen, steps=200)
    sizes = [run.params(lane)["weight"].norm().item() for lane in range(4)]
    assert sizes[1] < 0.95 * sizes[0]
    assert sizes[3] < 0.95 * sizes[2]
