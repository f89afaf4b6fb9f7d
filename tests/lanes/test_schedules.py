"""Schedules of each lane's own: lanes equal separate runs and share one compiled update."""

import pytest
import torch
from tests.lanes.common import needs_compiler, small
from torch import Tensor, nn

from talweg import lanes, rules
from talweg.core import UserError
from talweg.schedules import Constant, Cosine, Linear, Span, WarmUp

STEPS = 130
"""Past the first housekeeping."""


def late(value: float, step: Tensor, span: Span) -> Tensor:  # noqa: ARG001
    return torch.where(step < 10, 0.0, value)


def heavy() -> nn.Module:
    return small().double()


def unbounded() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).double()


MIXED = [
    (rules.SGD(lr=0.3), None),
    (rules.SGD(lr=0.3), "linear"),
    (rules.SGD(lr=0.1), Linear()),
    (rules.SGD(lr=0.1), {"lr": Cosine()}),
    (rules.Momentum(lr=0.05), {"momentum": late}),
    (rules.Momentum(lr=0.05), None),
    (rules.Momentum(lr=0.02, momentum=0.5), {"momentum": Linear(end=1.9), "lr": WarmUp(steps=20)}),
    (rules.Nesterov(lr=0.05), {"momentum": "linear(end=0.5)"}),
    (rules.Nesterov(lr=0.05), "cosine"),
    (rules.NAdam(lr=0.02), {"beta1": Linear(end=0.5), "lr": "linear"}),
    (rules.NAdam(lr=0.02), None),
    (rules.NAdam(lr=0.01), "step"),
    (rules.ASGD(0.3, lambd=0.01, t0=9), "linear"),
    (rules.ASGD(0.3, lambd=0.01, t0=9), {"lambd": Linear(end=0.1)}),
    (rules.Muon(lr=0.01), "linear"),
    (rules.Muon(lr=0.01), {"momentum": late}),
]


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_lanes_of_different_schedules_equal_separate_runs(
    strategy: str, data: tuple[Tensor, Tensor]
):
    arguments = {"steps": STEPS, "batch_size": 32, "strategy": strategy}
    chosen, schedules = [rule for rule, _ in MIXED], [schedule for _, schedule in MIXED]
    run = lanes.train(heavy, data, chosen, seeds=[1], schedule=schedules, **arguments)
    assert set(run.status) == {"ok"}
    for lane, (rule, schedule) in enumerate(MIXED):
        alone = lanes.train(heavy, data, [rule], seeds=[1], schedule=schedule, **arguments)
        torch.testing.assert_close(run.losses[lane], alone.losses[0], rtol=0, atol=1e-12)
        for name, value in alone.params(0).items():
            torch.testing.assert_close(run.params(lane)[name], value, rtol=0, atol=1e-12)


def test_schedules_stay_with_their_lanes_when_others_are_cleared_away(data: tuple[Tensor, Tensor]):
    pairs = [
        (rules.NAdam(lr=1e-2), "linear"),
        (rules.NAdam(lr=1e300), None),
        (rules.NAdam(lr=1e-2), {"beta1": late}),
        (rules.NAdam(lr=1e300), "cosine"),
        (rules.NAdam(lr=1e-2), None),
    ]
    arguments = {"steps": 230, "batch_size": 50, "strategy": "stacked"}
    chosen, schedules = [rule for rule, _ in pairs], [schedule for _, schedule in pairs]
    run = lanes.train(unbounded, data, chosen, schedule=schedules, **arguments)
    assert [status == "ok" for status in run.status] == [True, False, True, False, True]
    for lane in (0, 2, 4):
        alone = lanes.train(unbounded, data, chosen[lane], schedule=schedules[lane], **arguments)
        torch.testing.assert_close(run.losses[lane], alone.losses[0], rtol=0, atol=1e-12)


def test_one_schedule_for_all_is_the_same_as_one_each(data: tuple[Tensor, Tensor]):
    chosen = [rules.SGD(lr=0.3), rules.Momentum(lr=0.1), rules.SGD(lr=0.2)]
    arguments = {"steps": 20, "batch_size": None, "strategy": "stacked"}
    runs = [
        lanes.train(small, data, chosen, schedule=schedule, **arguments).losses
        for schedule in (
            "linear",
            ["linear"],
            ["linear"] * 3,
            (Linear(), {"lr": Linear()}, "linear"),
        )
    ]
    for losses in runs[1:]:
        assert torch.equal(losses, runs[0])


@needs_compiler
def test_lanes_of_different_schedules_share_one_compiled_update(data: tuple[Tensor, Tensor]):
    from torch._dynamo.utils import counters

    chosen = [rules.Momentum(lr=lr) for lr in (0.1, 0.2, 0.3, 0.4)]
    arguments = {"steps": STEPS, "batch_size": None, "strategy": "stacked"}
    run = lanes.train(small, data, chosen, compile=True, **arguments)
    compiled = counters["stats"]["unique_graphs"]
    engine = run._engine
    mixed = [{"lr": Linear()}, {}, {"momentum": Linear()}, {"lr": Cosine(), "momentum": Constant()}]
    for schedules in (mixed, mixed[::-1], [mixed[2]] * 4):
        engine.train(lanes.Plan(chosen, [0] * 4, STEPS, schedules, {}))
    assert counters["stats"]["unique_graphs"] == compiled
    found = engine.train(lanes.Plan(chosen, [0] * 4, STEPS, mixed, {})).losses
    plain = lanes.train(small, data, chosen, schedule=mixed, compile=False, **arguments)
    torch.testing.assert_close(found, plain.losses, rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (["linear", "cosine"], r"schedules must be one per rule \(3\) or a single one, got 2"),
        ([], r"schedules must be one per rule \(3\) or a single one, got 0"),
        (["linear", None, {"momentum": "linear"}], "unknown hyperparameter in schedule 'momentum'"),
        (["linear", None, "linera"], "did you mean 'linear'"),
        ([None, 5, None], "a schedule is a name or a callable, got int"),
        ({"momentun": "linear"}, "did you mean 'momentum'"),
    ],
)
def test_schedules_that_do_not_fit_are_told_in_one_line(
    schedule: object, message: str, data: tuple[Tensor, Tensor]
):
    chosen = [rules.Momentum(), rules.Momentum(), rules.SGD()]
    with pytest.raises(UserError, match=message) as error:
        lanes.train(small, data, chosen, steps=2, schedule=schedule)
    assert "\n" not in str(error.value)


def test_what_is_given_for_all_moves_the_lanes_that_have_it(data: tuple[Tensor, Tensor]):
    chosen = [rules.Momentum(lr=0.1), rules.SGD(lr=0.1)]
    for schedule in ({"momentum": late}, [{"momentum": late}]):
        run = lanes.train(small, data, chosen, steps=12, batch_size=None, schedule=schedule)
        torch.testing.assert_close(run.losses[0, :11], run.losses[1, :11])
        assert run.losses[0, 11] != run.losses[1, 11]
