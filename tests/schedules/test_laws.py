"""What holds for every schedule that has a name, and where PyTorch has it too."""

import copy
import pickle
import random

import pytest
import torch
from tests.schedules.oracles import ORACLES
from torch.optim import lr_scheduler as theirs

import talweg
from talweg import lanes, rules
from talweg.schedules import (
    SCHEDULES,
    Cosine,
    Cyclic,
    Exponential,
    InverseTime,
    Joined,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    ReduceOnPlateau,
    Scheduler,
    Span,
    Step,
    WarmRestarts,
    WarmUp,
    WarmupStableDecay,
    schedule_of,
)

SPAN = Span(140, 20)
STEPS = torch.arange(SPAN.steps, dtype=torch.float64)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("span", [SPAN, Span(1000, 7), Span(77, 100)])
def test_it_is_the_definition(name, span):
    steps = torch.arange(span.steps, dtype=torch.float64)
    found = SCHEDULES[name](0.3, steps, span)
    wanted = [0.3 * ORACLES[name](k, span.steps, span.epoch_steps) for k in range(span.steps)]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))


@pytest.mark.parametrize("name", SCHEDULES)
def test_it_is_pure_finite_and_takes_lanes(name):
    schedule = SCHEDULES[name]
    starts = torch.tensor([0.1, 1.0, 1e-9], dtype=torch.float64)[:, None]
    steps = torch.arange(300, dtype=torch.float64).view(-1, 1, 1)
    all_at_once = schedule(starts, steps, SPAN)
    assert all_at_once.shape == (300, 3, 1)
    assert all_at_once.isfinite().all()
    assert (all_at_once >= 0).all()
    for k in random.Random(0).sample(range(300), 20):
        # One power and many are not rounded alike.
        torch.testing.assert_close(
            schedule(starts, steps[k], SPAN), all_at_once[k], rtol=1e-14, atol=0
        )
    for other in (copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert torch.equal(other(starts, steps, SPAN), all_at_once)


@pytest.mark.parametrize("name", SCHEDULES)
def test_short_runs(name):
    for steps in (1, 2, 3, 7):
        values = SCHEDULES[name](1.0, torch.arange(steps, dtype=torch.float64), Span(steps, 1))
        assert values.isfinite().all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_robbins_monro_is_what_the_sums_do(name):
    """Sums to 2⁴ and to 2²⁰ steps of a run that has no end, and how they still grow."""
    schedule, conditions = SCHEDULES[name], SCHEDULES[name].conditions
    if name == "one-cycle":
        schedule = OneCycle(final_div=1.0)  # what it ends at otherwise takes longer to show
    assert len(conditions.why) > 20
    # A run's length is what its schedule knows; its own lengths then are fixed numbers of steps.
    span = Span(200, 10)
    steps = torch.arange(2**20, dtype=torch.float64)
    shares = schedule(1.0, steps, span)
    late, all_of_it = shares[2**19 :].sum(), shares.sum()
    assert conditions.reaches == bool(late > 1e-2 * all_of_it)
    late, all_of_it = shares[2**19 :].square().sum(), shares.square().sum()
    assert conditions.settles == bool(late < 1e-4 * all_of_it)


@pytest.mark.parametrize(("power", "meets"), [(0.4, False), (0.6, True), (1.0, True), (1.2, False)])
def test_inverse_time_meets_both_conditions_between_a_half_and_1(power, meets):
    assert InverseTime(power=power).conditions.meets_both == meets


TORCH = [
    (Linear(tau=90, end=0.2), lambda o: theirs.LinearLR(o, 1.0, 0.2, 90)),
    (Step(every=31, factor=0.3), lambda o: theirs.StepLR(o, 31, 0.3)),
    (MultiStep(at=(20, 90), factor=0.3), lambda o: theirs.MultiStepLR(o, [20, 90], 0.3)),
    (Exponential(tau=50, end=0.1), lambda o: theirs.ExponentialLR(o, 0.1 ** (1 / 50))),
    (Polynomial(tau=100, power=1.7), lambda o: theirs.PolynomialLR(o, 100, 1.7)),
    (Cosine(end=0.1), lambda o: theirs.CosineAnnealingLR(o, 140, 0.1 * 0.3)),
    (WarmRestarts(first=20), lambda o: theirs.CosineAnnealingWarmRestarts(o, 20, 2)),
    (WarmRestarts(first=30, growth=1.0), lambda o: theirs.CosineAnnealingWarmRestarts(o, 30, 1)),
    (WarmRestarts(first=5, growth=3.0), lambda o: theirs.CosineAnnealingWarmRestarts(o, 5, 3)),
    (OneCycle(), lambda o: theirs.OneCycleLR(o, 0.3, 140, cycle_momentum=False)),
    (
        OneCycle(rise=0.4, anneal="linear", three_phase=True, div=10.0, final_div=100.0),
        lambda o: theirs.OneCycleLR(
            o, 0.3, 140, pct_start=0.4, anneal_strategy="linear", three_phase=True,
            div_factor=10, final_div_factor=100, cycle_momentum=False,
        ),
    ),
    (
        Cyclic(up=20, down=15),
        lambda o: theirs.CyclicLR(o, 0.03, 0.3, 20, 15, cycle_momentum=False),
    ),
    (
        Cyclic(up=20, mode="triangular2"),
        lambda o: theirs.CyclicLR(o, 0.03, 0.3, 20, mode="triangular2", cycle_momentum=False),
    ),
    (
        WarmUp(steps=12, then=Cosine(), begin=0.25),
        lambda o: theirs.SequentialLR(
            o, [theirs.LinearLR(o, 0.25, 1, 12), theirs.CosineAnnealingLR(o, 128)], [12]
        ),
    ),
    (
        Joined(Step(every=10), Polynomial(power=1.0), at=40),
        lambda o: theirs.SequentialLR(
            o, [theirs.StepLR(o, 10), theirs.PolynomialLR(o, 100, 1.0)], [40]
        ),
    ),
]  # fmt: skip


def made() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)


def rates(optimizer, scheduler, steps: int = 140) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.filterwarnings("ignore::UserWarning")  # SequentialLR's own
@pytest.mark.parametrize(("schedule", "make"), TORCH)
def test_it_is_pytorchs(schedule, make):
    optimizer = made()
    wanted = rates(optimizer, make(optimizer))
    found = schedule(0.3, STEPS, SPAN)
    wanted = torch.tensor(wanted, dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_scheduler_goes_on_to_the_bit(name):
    optimizer = made()
    whole = rates(optimizer, Scheduler(optimizer, name, steps=140, epoch_steps=20))
    assert whole == pytest.approx(SCHEDULES[name](0.3, STEPS, SPAN).tolist(), rel=1e-14)
    first = made()
    scheduler = Scheduler(first, name, steps=140, epoch_steps=20)
    before = rates(first, scheduler, 60)
    saved = pickle.loads(pickle.dumps((first.state_dict(), scheduler.state_dict())))
    second = made()
    second.load_state_dict(saved[0])
    going_on = Scheduler(second, name, steps=140, epoch_steps=20)
    going_on.load_state_dict(saved[1])
    assert before + rates(second, going_on, 80) == whole


def test_the_scheduler_sets_other_numbers_too():
    optimizer = talweg.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3, momentum=0.8)
    scheduler = Scheduler(optimizer, "cosine", steps=4, others={"momentum": Linear(tau=4, end=0.5)})
    found = []
    for _ in range(5):
        found.append(round(optimizer.param_groups[0]["momentum"], 6))
        optimizer.step()
        scheduler.step()
    assert found == [0.8, 0.7, 0.6, 0.5, 0.4]
    with pytest.raises(talweg.UserError, match="beta must be a number of every parameter group"):
        Scheduler(optimizer, "cosine", steps=4, others={"beta": "cosine"})


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    "settings", [{}, {"patience": 2, "cooldown": 3, "factor": 0.5, "end": 0.1}]
)
def test_reduce_on_plateau_is_pytorchs(mode, settings):
    draw = random.Random(3)
    sign = 1 if mode == "min" else -1
    readings = [sign * (5 - min(k, 20) / 10 + 0.1 * draw.random()) for k in range(120)]
    optimizer = made()
    options = {key: value for key, value in settings.items() if key != "end"}
    scheduler = theirs.ReduceLROnPlateau(
        optimizer, mode, min_lr=0.3 * settings.get("end", 0.0), eps=0.0, **options
    )
    wanted = []
    for reading in readings:
        scheduler.step(reading)
        wanted.append(optimizer.param_groups[0]["lr"] / 0.3)
    found = ReduceOnPlateau(mode=mode, **settings).shares(readings)
    assert found == pytest.approx(wanted)
    assert found[-1] < 1


def test_all_compile_without_a_break():
    def together(steps: torch.Tensor) -> list[torch.Tensor]:
        return [schedule(0.3, steps, SPAN) for schedule in SCHEDULES.values()]

    found = torch.compile(together, fullgraph=True)(STEPS)
    for values, wanted in zip(found, together(STEPS), strict=True):
        torch.testing.assert_close(values, wanted, rtol=1e-12, atol=1e-15)


def test_stacked_lanes_of_all_schedules_equal_separate_runs():
    x = torch.randn(48, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    asked = {"data": (x, x.sum(1)), "epochs": 5, "batch_size": 8}

    def net() -> torch.nn.Module:
        return torch.nn.Linear(3, 1, dtype=torch.float64)

    together = lanes.train(
        net, rules=[rules.Adam(lr=0.05)] * len(SCHEDULES), schedule=list(SCHEDULES.values()),
        strategy="stacked", **asked,
    )  # fmt: skip
    for lane, name in enumerate(SCHEDULES):
        alone = lanes.train(net, rules=rules.Adam(lr=0.05), schedule=name, **asked)
        torch.testing.assert_close(together.losses[lane], alone.losses[0], rtol=1e-9, atol=1e-12)
    assert len({round(losses[-1].item(), 12) for losses in together.losses}) > len(SCHEDULES) // 2


def test_any_hyperparameter_follows_one_in_lanes():
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    data, schedule = (x, x.sum(1)), Linear(tau=10, end=0.5)
    run = lanes.train(
        lambda: torch.nn.Linear(3, 1), data, rules.Momentum(lr=0.1, momentum=0.9), steps=10,
        batch_size=None, schedule={"momentum": schedule, "lr": "cosine"},
    )  # fmt: skip
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)
    optimizer = talweg.optim.Momentum(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = Scheduler(optimizer, "cosine", steps=10, others={"momentum": schedule})
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = (model(data[0]).squeeze(1) - data[1]).square().mean()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
        scheduler.step()
    torch.testing.assert_close(run.losses[0], torch.tensor(losses), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cosin", "did you mean 'cosine'"),
        ("cosine(ends=1)", "unknown option of cosine 'ends'"),
        ("cosine(end=-1)", "end must be a number of at least 0, got -1"),
        ("step(every=-3)", r"every must be a number of steps, or a share of the run below 1"),
        ("step(every=1.5)", r"every must be a number of steps, or a share of the run below 1"),
        ("warm-up(then=nothing)", "unknown schedule 'nothing'"),
        ("one-cycle(anneal=log)", "unknown anneal 'log'"),
        ("warmup-stable-decay(shape=round)", "unknown shape 'round'"),
    ],
)
def test_bad_input_is_told_in_one_line(text, said):
    with pytest.raises(talweg.UserError, match=said):
        schedule_of(text)


def test_a_name_with_options():
    assert schedule_of("warm_up(steps=10, then=step)") == WarmUp(steps=10, then=Step())
    assert schedule_of("warmup-stable-decay(decay=0.5)") == WarmupStableDecay(decay=0.5)
