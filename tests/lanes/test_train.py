"""`lanes.train` against plain PyTorch loops from the same start."""

import pytest
import torch
from tests.lanes.common import STEPS, STRATEGIES, loop, needs_compiler, small, start
from torch import Tensor, nn, optim

import talweg
from talweg import lanes, rules
from talweg.core import UserError
from talweg.data import BatchOrder
from talweg.schedules import Linear, Span
from talweg.transforms import WeightDecay


def rmsprop_nesterov_loop(
    model: nn.Module, data: tuple[Tensor, Tensor], lr: float, rho: float, a: float, eps: float
) -> Tensor:
    """Goodfellow, Bengio, Courville, algorithm 8.6, in place."""
    params = list(model.parameters())
    velocity = [torch.zeros_like(p) for p in params]
    squares = [torch.zeros_like(p) for p in params]
    losses = []
    for _ in range(STEPS):
        with torch.no_grad():
            for p, v in zip(params, velocity, strict=True):
                p += a * v
        loss = nn.functional.cross_entropy(model(data[0]), data[1])
        grads = torch.autograd.grad(loss, params)
        losses.append(loss.item())
        with torch.no_grad():
            for p, v, r, g in zip(params, velocity, squares, grads, strict=True):
                p -= a * v
                r.mul_(rho).add_((1 - rho) * g * g)
                v.mul_(a).sub_(lr * g / (r.sqrt() + eps))
                p += v
    return torch.tensor(losses)


def torch_nesterov(params: list[nn.Parameter]) -> optim.Optimizer:
    return optim.SGD(params, lr=0.04, momentum=0.9, nesterov=True)


MIXED = [
    (rules.SGD(lr=0.3), lambda p: optim.SGD(p, lr=0.3)),
    (rules.Momentum(lr=0.05), lambda p: optim.SGD(p, lr=0.05, momentum=0.9)),
    (rules.Momentum(0.04, form="accumulate"), lambda p: optim.SGD(p, lr=0.04, momentum=0.9)),
    (rules.Momentum(lr=0.5, form="average"), lambda p: optim.SGD(p, lr=0.05, momentum=0.9)),
    (rules.Nesterov(lr=0.05), lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True)),
    (rules.AdaGrad(lr=0.1), lambda p: optim.Adagrad(p, lr=0.1, eps=1e-7)),
    (rules.RMSProp(lr=0.01), lambda p: optim.RMSprop(p, lr=0.01, alpha=0.9)),
    (rules.RMSProp(1e-3, momentum=0.9), lambda p: optim.RMSprop(p, 1e-3, 0.9, momentum=0.9)),
    (rules.RMSProp(lr=2e-3, momentum=0.9, nesterov=True), None),
    (rules.Adam(lr=0.02), lambda p: optim.Adam(p, lr=0.02)),
    (rules.Adam(lr=0.003), lambda p: optim.Adam(p, lr=0.003)),
    (rules.Adam(lr=0.02, amsgrad=True), lambda p: optim.Adam(p, lr=0.02, amsgrad=True)),
    (WeightDecay(rules.Adam(lr=0.02)), lambda p: optim.AdamW(p, lr=0.02)),
    (rules.Momentum(0.04, form="accumulate", nesterov=True), torch_nesterov),
    (rules.AdaMax(lr=0.02), lambda p: optim.Adamax(p, lr=0.02)),
    (rules.NAdam(lr=0.02), lambda p: optim.NAdam(p, lr=0.02)),
    (rules.RAdam(lr=0.02), lambda p: optim.RAdam(p, lr=0.02)),
    (rules.AdaDelta(lr=1.0), lambda p: optim.Adadelta(p, lr=1.0)),
    (rules.Rprop(lr=0.01), lambda p: optim.Rprop(p, lr=0.01)),
    (rules.ASGD(0.3, lambd=0.01, t0=9), lambda p: optim.ASGD(p, 0.3, lambd=0.01, t0=9)),
    (rules.LAMB(lr=0.02), lambda p: talweg.optim.LAMB(p, lr=0.02)),
    (rules.Lion(lr=0.002), lambda p: talweg.optim.Lion(p, lr=0.002)),
]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_lane_takes_the_path_of_a_plain_loop(strategy: str, data: tuple[Tensor, Tensor]):
    pairs = [(rule, make, seed) for rule, make in MIXED for seed in (3, 8)]
    run = lanes.train(
        small,
        data,
        rules=[rule for rule, _, _ in pairs],
        seeds=[seed for _, _, seed in pairs],
        steps=STEPS,
        batch_size=None,
        strategy=strategy,
    )
    assert run.strategy == ("serial" if strategy == "serial" else "stacked")
    for lane, (rule, make, seed) in enumerate(pairs):
        model = start(small, seed)
        if make is None:
            expected = rmsprop_nesterov_loop(model, data, rule.lr, 0.9, 0.9, 1e-8)
        else:
            expected = loop(model, make(model.parameters()), data)
        torch.testing.assert_close(run.losses[lane], expected, rtol=0, atol=2e-4, msg=str(rule))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_steps_give_the_start(strategy: str, data: tuple[Tensor, Tensor]):
    run = lanes.train(small, data, ["adam", "sgd"], seeds=[4, 9], steps=0, strategy=strategy)
    assert run.losses.shape == (2, 0)
    assert run.status == ("ok", "ok")
    for lane, seed in enumerate((4, 9)):
        for name, value in start(small, seed).state_dict().items():
            assert torch.equal(run.params(lane)[name], value)


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_float64_lanes_end_where_torch_ends(strategy: str, data: tuple[Tensor, Tensor]):
    """Of averaged SGD, torch's parameters are not the average that is evaluated."""
    elsewhere = (rules.ASGD,)
    comparable = [
        (rule, make)
        for rule, make in MIXED
        if make is not None and not rule.looks_ahead and not isinstance(rule, elsewhere)
    ]
    exact = data[0].double() / 3, data[1]  # thirds: not to be rounded to float32
    run = lanes.train(
        lambda: small().double(), exact, [rule for rule, _ in comparable], seeds=[2], steps=STEPS,
        batch_size=None, strategy=strategy,
    )  # fmt: skip
    for lane, (_, make) in enumerate(comparable):
        model = start(lambda: small().double(), 2)
        loop(model, make(model.parameters()), exact)
        for name, value in model.state_dict().items():
            torch.testing.assert_close(run.params(lane)[name], value, rtol=0, atol=1e-8)


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_float64_lanes_equal_separate_runs_closely(strategy: str, data: tuple[Tensor, Tensor]):
    chosen = [rule for rule, _ in MIXED]
    arguments = {"steps": 200, "batch_size": 32, "strategy": strategy}
    run = lanes.train(lambda: small().double(), data, chosen, seeds=[1], **arguments)
    assert run.losses.dtype == torch.float64
    for lane, rule in enumerate(chosen):
        alone = lanes.train(lambda: small().double(), data, [rule], seeds=[1], **arguments)
        torch.testing.assert_close(run.losses[lane], alone.losses[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_mini_batches_follow_the_order_of_the_seed(strategy: str, data: tuple[Tensor, Tensor]):
    run = lanes.train(
        small, data, [rules.Adam(lr=0.01)] * 2, seeds=[0, 1], epochs=3, batch_size=32,
        strategy=strategy,
    )  # fmt: skip
    assert run.losses.shape == (2, 12)
    for lane in (0, 1):
        model, order = start(small, lane), BatchOrder(100, 32, lane)
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        for step in range(12):
            rows = order.batch(step)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(data[0][rows]), data[1][rows])
            loss.backward()
            optimizer.step()
            assert run.losses[lane, step].item() == pytest.approx(loss.item(), abs=1e-5)


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
@pytest.mark.parametrize(
    ("size", "drop_last", "steps"), [(32, True, 9), (32, False, 12), (1, False, 300)]
)
def test_equal_epochs(
    strategy: str, size: int, drop_last: bool, steps: int, data: tuple[Tensor, Tensor]
):
    arguments = {"batch_size": size, "drop_last": drop_last, "strategy": strategy}
    run = lanes.train(small, data, ["sgd"] * 2, [0, 1], epochs=3, **arguments)
    assert run.losses.shape == (2, steps)
    same = lanes.train(small, data, ["sgd"] * 2, [0, 1], steps=steps, **arguments)
    assert torch.equal(run.losses, same.losses)
    for lane in (0, 1):
        model, order = start(small, lane), BatchOrder(100, size, lane, drop_last=drop_last)
        optimizer = optim.SGD(model.parameters(), lr=rules.SGD().lr)
        for step in range(steps):
            rows = order.batch(step)
            assert len(rows) == size or not drop_last
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(data[0][rows]), data[1][rows])
            loss.backward()
            optimizer.step()
            assert run.losses[lane, step].item() == pytest.approx(loss.item(), abs=1e-5)


def test_a_dropped_last_batch_of_one_sample_spares_batch_norm(data: tuple[Tensor, Tensor]):
    def normed() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))

    with pytest.raises(UserError, match="choose another batch_size, or drop_last"):
        lanes.train(normed, data, ["sgd"], epochs=1, batch_size=33)
    run = lanes.train(normed, data, ["sgd"], epochs=2, batch_size=33, drop_last=True)
    assert run.losses.shape == (1, 6)


@needs_compiler
def test_compiling_waits_until_the_first_steps_are_made(data: tuple[Tensor, Tensor]):
    short = lanes.train(small, data, ["adam"], steps=4, batch_size=30, compile=True)
    plain = lanes.train(small, data, ["adam"], steps=4, batch_size=30, compile=False)
    torch.testing.assert_close(short.losses, plain.losses, rtol=0, atol=0)


def test_the_same_call_gives_the_same_numbers_and_leaves_torch_alone(data: tuple[Tensor, Tensor]):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = lanes.train(small, data, ["adam", "rmsprop"], steps=50, batch_size=16)
    assert torch.equal(before, torch.get_rng_state())
    again = lanes.train(small, data, ["adam", "rmsprop"], steps=50, batch_size=16)
    assert torch.equal(first.losses, again.losses)


def test_a_schedule_changes_the_rate_in_every_lane(data: tuple[Tensor, Tensor]):
    rates = (0.5, 0.02)
    run = lanes.train(
        small, data, [rules.Momentum(lr=lr, form="accumulate") for lr in rates], steps=STEPS,
        batch_size=None, schedule="linear",
    )  # fmt: skip
    for lane, lr in enumerate(rates):
        model = start(small, 0)
        optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
        scheduler = optim.lr_scheduler.LambdaLR(
            optimizer, lambda k: 1 - k / STEPS + 0.01 * k / STEPS
        )
        for step in range(STEPS):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(data[0]), data[1])
            loss.backward()
            optimizer.step()
            scheduler.step()
            assert run.losses[lane, step].item() == pytest.approx(loss.item(), abs=2e-4)


def test_any_hyperparameter_may_follow_a_schedule(data: tuple[Tensor, Tensor]):
    def late(value: float, step: Tensor, span: Span) -> Tensor:  # noqa: ARG001
        return torch.where(step < 10, 0.0, value)

    arguments = {"steps": 30, "batch_size": None}
    run = lanes.train(
        small, data, [rules.Momentum(lr=0.1)], schedule={"momentum": late}, **arguments
    )
    plain = lanes.train(small, data, [rules.SGD(lr=0.1), rules.Momentum(lr=0.1)], **arguments)
    torch.testing.assert_close(run.losses[0, :11], plain.losses[0, :11])
    assert (run.losses[0, 15:] - plain.losses[0, 15:]).abs().min() > 1e-4


def test_linear_reaches_its_end_and_stays():
    linear = Linear(tau=10, end=0.1)
    values = linear(2.0, torch.tensor([0.0, 5.0, 10.0, 99.0]), Span(100, 5))
    torch.testing.assert_close(values, torch.tensor([2.0, 1.1, 0.2, 0.2], dtype=torch.float64))
    whole = Linear()(1.0, torch.tensor([0.0, 340.0]), Span(340, 17))
    torch.testing.assert_close(whole, torch.tensor([1.0, 0.01], dtype=torch.float64))


def test_regression_and_a_loss_of_ones_own():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    y = x.sum(1)
    usual = lanes.train(lambda: nn.Linear(4, 1), (x, y), [rules.SGD(lr=0.05)], steps=60)
    assert usual.losses[0, -1] < 0.05 * usual.losses[0, 0]

    def absolute(output: Tensor, target: Tensor) -> Tensor:
        return (output.squeeze(1) - target).abs()

    own = lanes.train(
        lambda: nn.Linear(4, 1), (x, y), [rules.SGD(lr=0.05)], steps=60, loss=absolute,
        batch_size=None,
    )  # fmt: skip
    model = start(lambda: nn.Linear(4, 1), 0)
    assert own.losses[0, 0].item() == pytest.approx(absolute(model(x), y).mean().item(), rel=1e-5)


@needs_compiler
def test_compiled_lanes_give_the_same_path_and_never_recompile_for_a_rate(
    data: tuple[Tensor, Tensor],
):
    from torch._dynamo.utils import counters

    chosen = [rule for rule, _ in MIXED]
    plain = lanes.train(small, data, chosen, steps=STEPS, batch_size=30, compile=False)
    run = lanes.train(small, data, chosen, steps=STEPS, batch_size=30, compile=True)
    assert run.notes == (
        f"lanes are stacked, {run._engine.width} at a time, compiled",
        "compiling: a few seconds, half a minute the first time on a machine",
    )
    torch.testing.assert_close(run.losses, plain.losses, rtol=0, atol=2e-4)
    engine = run._engine
    compiled = counters["stats"]["unique_graphs"]
    plan = lanes.Plan([rule.changed(lr=0.0123) for rule in chosen], [5] * len(chosen), 4, (), {})
    engine.train(plan)
    assert counters["stats"]["unique_graphs"] == compiled


def test_without_a_compiler_one_line_says_so(
    data: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
):
    from talweg.lanes import strategy

    monkeypatch.setattr(strategy, "missing_compiler", lambda: "no C++ compiler")
    run = lanes.train(small, data, ["sgd"], steps=3, compile=True)
    assert run.notes == (
        "running uncompiled: no C++ compiler found",
        "lanes are stacked, 1 at a time, uncompiled",
    )
