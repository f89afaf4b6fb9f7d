"""Rules and transforms that need more than single elements: over a model, as optimizer and lane."""

import copy

import pytest
import pytorch_optimizer
import torch
from torch import nn

from talweg import lanes, optim, rules
from talweg.core import UserError
from talweg.transforms import Ascent, Centralise, ClipNorm, ClipValue, WeightAverage, WeightDecay

RULES = {
    "clip-model": ClipNorm(rules.Adam(0.01), max_norm=0.05),
    "clip-tensor": ClipNorm(rules.SGD(0.1), max_norm=0.02, over="tensor"),
    "clip-around-lamb": ClipNorm(rules.LAMB(0.01), max_norm=0.05),
    "clip-around-schedule-free": ClipNorm(rules.ScheduleFreeSGD(0.5), max_norm=0.05),
    "clip-prodigy": ClipNorm(rules.Prodigy(d0=1e-3), max_norm=0.02, over="tensor"),
    "average-of-muon": WeightAverage(rules.Muon(0.01), decay=0.8),
    "centralise": Centralise(rules.Momentum(0.1)),
    "decay-matrices": WeightDecay(rules.Adam(0.01), 0.5, spare_vectors=True),
    "lamb": rules.LAMB(0.01),
    "muon": rules.Muon(0.01),
    "adafactor": rules.Adafactor(0.01),
    "soap": rules.SOAP(0.01, eps=1e-3, frequency=3, largest=4),  # of 8 most are noise
    "prodigy": rules.Prodigy(d0=1e-3),
}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 2)
    ).double()


def samples() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(30, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x, torch.stack([x[:, 0] * x[:, 1], x[:, 2:].sum(1)], dim=1)


def loop(model: nn.Module, make, steps: int, clip=None) -> nn.Module:
    """Full-batch training as anybody writes it."""
    optimizer = make(model)
    x, y = samples()
    for _ in range(steps):
        optimizer.zero_grad()
        (model(x) - y).square().mean().backward()
        if clip is not None:
            clip(model)
        optimizer.step()
    return model


def assert_alike(one, other, near: float = 1e-12) -> None:
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=near, atol=near)


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_lanes_are_the_optimizers_runs(strategy):
    x, y = samples()
    chosen = [rule.changed(lr=rule.hypers["lr"] * k) for rule in RULES.values() for k in (1, 0.5)]
    chosen += [ClipNorm(rules.RMSProp(0.01, initial=first), 0.05) for first in (0.1, 1.0)]
    run = lanes.train(
        network,
        (x, y),
        chosen,
        [0],
        steps=25,
        batch_size=len(x),
        loss="mean-squared-error",
        strategy=strategy,
    )
    for lane, rule in enumerate(chosen):
        model = network()
        lanes_start = lanes.train(
            network, (x, y), [rule], [0], steps=0, loss="mean-squared-error"
        ).params(0)
        with torch.no_grad():
            for name, param in model.named_parameters():
                param.copy_(lanes_start[name])
        optimizer = None

        def make(model, rule=rule):
            nonlocal optimizer
            optimizer = optim.OfRule(model.parameters(), rule)
            return optimizer

        loop(model, make, 25)
        with optimizer.evaluating():
            for name, value in run.params(lane).items():
                there = model.get_parameter(name)
                torch.testing.assert_close(value, there, rtol=1e-9, atol=1e-9, msg=f"{rule} {name}")


@pytest.mark.parametrize("max_norm", [0.05, 100.0])
def test_clipping_over_the_model_is_torchs(max_norm):
    one, other = network(), network()
    rule = ClipNorm(rules.Adam(0.01), max_norm)
    first, second = list(one.parameters()), list(other.parameters())
    loop(one, lambda _: optim.OfRule([{"params": first[:2]}, {"params": first[2:]}], rule), 20)
    loop(
        other,
        lambda _: torch.optim.Adam(second, 0.01),
        20,
        lambda model: nn.utils.clip_grad_norm_(model.parameters(), max_norm),
    )
    assert_alike(one, other)


def test_clipping_by_tensor_is_torchs_on_each():
    one, other = network(), network()
    rule = ClipNorm(rules.Adam(0.01), 0.02, over="tensor")
    loop(one, lambda model: optim.OfRule(model.parameters(), rule), 20)
    loop(
        other,
        lambda model: torch.optim.Adam(model.parameters(), 0.01),
        20,
        lambda model: [nn.utils.clip_grad_norm_([param], 0.02) for param in model.parameters()],
    )
    assert_alike(one, other)


def test_centralising_is_a_public_implementation_of_it():
    one, other = network(), network()
    loop(one, lambda m: optim.OfRule(m.parameters(), Centralise(rules.Adam(0.01))), 20)

    def centred(model: nn.Module) -> None:
        for param in model.parameters():
            pytorch_optimizer.centralize_gradient(param.grad)

    loop(other, lambda model: torch.optim.Adam(model.parameters(), 0.01), 20, centred)
    assert_alike(one, other)


def test_decay_that_spares_vectors_is_that_of_two_groups():
    one, other = network(), network()
    rule = WeightDecay(rules.Adam(0.01), 0.5, spare_vectors=True)
    loop(one, lambda model: optim.OfRule(model.parameters(), rule), 20)
    loop(other, lambda model: torch.optim.AdamW(optim.decay_groups(model, 0.5), 0.01), 20)
    assert_alike(one, other)


def test_what_a_transform_changes_is_in_the_sums_too():
    """Climbing the negative of a loss is descending it, and so is the estimate of a rate."""
    one, other = network(), network()
    rule = rules.Prodigy(d0=1e-3)
    loop(one, lambda model: optim.OfRule(model.parameters(), rule), 20)

    def turned(model: nn.Module) -> None:
        for param in model.parameters():
            param.grad.neg_()

    loop(other, lambda model: optim.OfRule(model.parameters(), Ascent(rule)), 20, turned)
    assert_alike(one, other, 0)
    wide = ClipValue(rule, limit=1e9)
    loop(third := network(), lambda model: optim.OfRule(model.parameters(), wide), 20)
    assert_alike(one, third, 0)
    tight = ClipValue(rule, limit=1e-3)
    loop(fourth := network(), lambda model: optim.OfRule(model.parameters(), tight), 20)
    assert not torch.equal(next(one.parameters()), next(fourth.parameters()))


def test_what_cannot_be():
    with pytest.raises(UserError, match="cannot go around Prodigy, which has sums"):
        ClipNorm(rules.Prodigy())
    with pytest.raises(UserError, match="max_norm must be a positive number"):
        ClipNorm(rules.SGD(), max_norm=0)
    with pytest.raises(UserError, match="unknown over 'layer'"):
        ClipNorm(rules.SGD(), over="layer")
    for wrong in ({"ns_steps": 0}, {"ns_steps": 2.5}, {"ns_steps": True}):
        with pytest.raises(UserError, match="ns_steps must be a whole number of at least 1"):
            rules.Muon(**wrong)
    for wrong in ((1.0, 2.0), [1.0, 2.0, 3.0], (1.0, 2.0, float("nan")), 3):
        with pytest.raises(UserError, match="ns_coefficients must be 3 numbers"):
            rules.Muon(ns_coefficients=wrong)


def test_a_prodigy_that_a_parameter_joins_late():
    """The estimate is of the model: a layer that thaws has it at once."""
    model = network()
    first, *rest = model.parameters()
    optimizer = optim.Prodigy(model.parameters(), d0=1e-3)
    x, y = samples()
    for step in range(30):
        optimizer.zero_grad()
        (model(x) - y).square().mean().backward()
        if step < 20:
            first.grad = None
        optimizer.step()
    found = {optimizer.state[param]["grown"].item() for param in (first, *rest)}
    assert len(found) == 1
    assert found.pop() > 1
    assert optimizer.estimate == 1e-3 * optimizer.state[first]["grown"].item()
    assert copy.deepcopy(optimizer).estimate == optimizer.estimate


def test_prodigys_estimate_is_one_for_the_model():
    """Also where a parameter sits out some steps, and in an optimizer of the rule."""
    model = network()
    first, *rest = model.parameters()
    optimizer = optim.OfRule(rest, rules.Prodigy(d0=1e-3))
    optimizer.add_param_group({"params": [first]})
    x, y = samples()
    for step in range(30):
        optimizer.zero_grad()
        (model(x) - y).square().mean().backward()
        if step % 3 == 1:
            first.grad = None
        optimizer.step()
    for key in ("grown", "n"):
        assert len({state[key].item() for state in optimizer.state.values()}) == 1
    with pytest.raises(ValueError, match="d0 must be positive and the same for all groups"):
        optim.Prodigy([{"params": rest}, {"params": [first], "d0": 0.1}])
    with pytest.raises(ValueError, match="d0 must be positive"):
        optim.Prodigy(rest, d0=0.0)
