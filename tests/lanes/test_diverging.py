"""Lanes that diverge: recorded with their step, cleared away, and no harm to the others."""

import copy

import pytest
import torch
from tests.lanes.common import needs_compiler, small, start
from torch import Tensor, nn, optim

import talweg
from talweg import lanes, rules


def unbounded() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def test_a_lane_that_diverges_is_recorded_and_spoils_nobody(data: tuple[Tensor, Tensor]):
    healthy = [rules.SGD(lr=0.1), rules.Adam(lr=0.01), rules.Nesterov(lr=0.01)]
    wild = [rules.SGD(lr=1e37), rules.Nesterov(lr=1e37), rules.Momentum(lr=1e37)]
    mixed = [rule for pair in zip(healthy, wild, strict=True) for rule in pair]
    for strategy in ("stacked", "serial"):
        run = lanes.train(unbounded, data, mixed, steps=250, batch_size=20, strategy=strategy)
        calm = lanes.train(unbounded, data, healthy, steps=250, batch_size=20, strategy=strategy)
        assert run.status[::2] == ("ok",) * 3
        torch.testing.assert_close(run.losses[::2], calm.losses, rtol=1e-4, atol=1e-5)
        for lane in (1, 3, 5):
            step = int(run.status[lane].removeprefix("diverged at step "))
            assert 1 <= step <= 10
            assert torch.isfinite(run.losses[lane, : step - 1]).all()
            assert run.losses[lane, step:].isnan().all()


def test_the_step_of_divergence_is_the_first_without_finite_parameters():
    x, y = torch.ones(4, 1), torch.zeros(4)
    model = nn.Linear(1, 1, bias=False)

    def one() -> nn.Module:
        copied = copy.deepcopy(model)
        nn.init.ones_(copied.weight)
        return copied

    # p ← p·(1 − 2·lr): at lr = 5e9 the weight grows tenbillionfold a step, past 3e38 at the 4th.
    run = lanes.train(one, (x, y), [rules.SGD(lr=5e9)], steps=9, batch_size=None)
    weights = [1.0]
    while abs(weights[-1]) < 3.4e38:
        weights.append(weights[-1] * (1 - 1e10))
    first_bad_loss = next(i for i, w in enumerate(weights, start=1) if w * w > 3.4e38)
    assert run.status == (f"diverged at step {first_bad_loss}",)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_parameters_that_overflow_are_found_at_once(compiled: bool):
    def one() -> nn.Module:
        model = nn.Linear(1, 1, bias=False)
        nn.init.ones_(model.weight)
        return model

    def height(output: Tensor, target: Tensor) -> Tensor:
        return output + 0 * target

    # The weight falls by 1e38 a step, so the fourth update overflows: its loss is finite still.
    wild = [rules.SGD(lr=1e38), rules.SGD(lr=0.1), rules.SGD(lr=1e38)]
    x, y = torch.ones(1, 1), torch.zeros(1, 1)
    run = lanes.train(one, (x, y), wild, steps=6, batch_size=None, loss=height, compile=compiled)
    assert run.status == ("diverged at step 4", "ok", "diverged at step 4")
    assert run.losses[0, 3].isfinite()


def test_all_lanes_may_diverge(data: tuple[Tensor, Tensor]):
    run = lanes.train(unbounded, data, [rules.SGD(lr=1e37)] * 3, steps=300, seeds=[0, 1, 2])
    assert all(status.startswith("diverged at step") for status in run.status)
    assert run.params(0)["0.weight"].shape == (16, 6)


def test_what_scalars_carry_survives_the_clean_up_of_lanes(data: tuple[Tensor, Tensor]):
    """NAdam's product of momenta goes on over blocks of steps, and with fewer lanes."""
    chosen = [rules.NAdam(lr=1e-3), rules.SGD(lr=1e39), rules.NAdam(lr=2e-3, psi=0.1)]
    run = lanes.train(small, data, rules=chosen, steps=230, batch_size=None, strategy="stacked")
    assert run.status[1].startswith("diverged")
    for lane, options in ((0, {"lr": 1e-3}), (2, {"lr": 2e-3, "momentum_decay": 0.1})):
        model = start(small, 0)
        optimizer = optim.NAdam(model.parameters(), **options)
        for _ in range(230):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(data[0]), data[1]).backward()
            optimizer.step()
        for name, value in model.state_dict().items():
            torch.testing.assert_close(run.params(lane)[name], value, rtol=0, atol=1e-4)


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_rules_that_are_evaluated_elsewhere(strategy):
    """Schedule-Free lanes end at their averages, also beside lanes that diverge and are dropped."""
    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    data = x, x[:, :1] * x[:, 1:2]
    good = [rules.ScheduleFreeSGD(lr=0.1), rules.ScheduleFreeSGD(lr=0.05, momentum=0.8)]
    chosen = [*good, rules.ScheduleFreeSGD(lr=1e20), rules.ScheduleFreeAdamW(lr=0.01)]
    made = [
        lambda p: talweg.optim.ScheduleFreeSGD(p, lr=0.1),
        lambda p: talweg.optim.ScheduleFreeSGD(p, lr=0.05, momentum=0.8),
        None,
        lambda p: talweg.optim.ScheduleFreeAdamW(p, lr=0.01),
    ]
    run = lanes.train(
        lambda: nn.Linear(3, 1), data, chosen, [2], steps=150, batch_size=None, strategy=strategy
    )
    assert run.status[2].startswith("diverged")
    begun = lanes.train(lambda: nn.Linear(3, 1), data, chosen, [2], steps=0, strategy=strategy)
    for lane, make in enumerate(made):
        if make is None:
            continue
        model = nn.Linear(3, 1)
        model.load_state_dict(begun.params(lane))
        optimizer = make(model.parameters())
        for _ in range(150):
            optimizer.zero_grad()
            (model(x) - data[1]).square().mean().backward()
            optimizer.step()
        optimizer.eval()
        for name, value in model.state_dict().items():
            torch.testing.assert_close(run.params(lane)[name], value, rtol=2e-4, atol=1e-5)
