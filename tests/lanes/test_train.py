"""`lanes.train` against plain PyTorch loops from the same start."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn, optim

import talweg
from talweg import lanes, rules
from talweg.core import missing_compiler
from talweg.data import BatchOrder
from talweg.schedules import Linear, Span
from talweg.transforms import WeightDecay

STRATEGIES = ("stacked", "serial", "auto")
STEPS = 80
needs_compiler = pytest.mark.skipif(
    bool(missing_compiler()), reason=f"cannot compile here: {missing_compiler()}"
)


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))


def start(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def unbounded() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(100, 6, generator=generator)
    y = (x @ torch.randn(6, 3, generator=generator)).argmax(1)
    return x, y


def loop(model: nn.Module, optimizer: optim.Optimizer, data: tuple[Tensor, Tensor]) -> Tensor:
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(data[0]), data[1])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses)


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


@needs_compiler
def test_compiling_waits_until_the_first_steps_are_made(data: tuple[Tensor, Tensor]):
    short = lanes.train(small, data, ["adam"], steps=4, batch_size=30, compile=True)
    plain = lanes.train(small, data, ["adam"], steps=4, batch_size=30, compile=False)
    torch.testing.assert_close(short.losses, plain.losses, rtol=0, atol=0)


def test_all_lanes_may_diverge(data: tuple[Tensor, Tensor]):
    run = lanes.train(unbounded, data, [rules.SGD(lr=1e37)] * 3, steps=300, seeds=[0, 1, 2])
    assert all(status.startswith("diverged at step") for status in run.status)
    assert run.params(0)["0.weight"].shape == (16, 6)


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.norm(self.first(x))))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_batch_norm_keeps_running_statistics_per_lane(strategy: str, data: tuple[Tensor, Tensor]):
    rates = (0.3, 0.01)
    run = lanes.train(
        Normed, data, [rules.SGD(lr=lr) for lr in rates], steps=STEPS, batch_size=None,
        strategy=strategy,
    )  # fmt: skip
    assert run.strategy == ("serial" if strategy == "serial" else "stacked")
    for lane, lr in enumerate(rates):
        model = start(Normed, 0)
        expected = loop(model, optim.SGD(model.parameters(), lr=lr), data)
        torch.testing.assert_close(run.losses[lane], expected, rtol=0, atol=2e-4)
        for name, value in model.state_dict().items():
            torch.testing.assert_close(run.params(lane)[name], value, rtol=0, atol=2e-3)
        fresh = Normed()
        fresh.load_state_dict(run.params(lane))


class Centred(nn.Module):
    """Puts a new tensor in the place of its buffer, as layers written in the 2010s do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first(x))
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * hidden.mean(0)
        return self.last(hidden - self.mean.detach())


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_buffers_that_are_assigned_anew_are_kept(compiled: bool, data: tuple[Tensor, Tensor]):
    run = lanes.train(
        Centred, data, [rules.SGD(lr=0.1)] * 2, steps=STEPS, batch_size=None, compile=compiled
    )
    assert run.strategy == "stacked"
    model = start(Centred, 0)
    expected = loop(model, optim.SGD(model.parameters(), lr=0.1), data)
    torch.testing.assert_close(run.losses[1], expected, rtol=0, atol=2e-4)
    torch.testing.assert_close(run.params(1)["mean"], model.mean.detach(), rtol=0, atol=2e-4)


class Permuted(nn.Module):
    """Draws something in its constructor that is neither a parameter nor a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.order = torch.randperm(6)
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x[:, self.order])


class Counting(nn.Module):
    """Keeps a Python number from call to call."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(6, 3), 0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        return self.layer(x) / (1 + 0.01 * self.calls)


@pytest.mark.parametrize(("make", "strategy"), [(Permuted, "auto"), (Counting, "serial")])
def test_what_a_module_keeps_in_plain_attributes_is_its_lanes_own(
    make: Callable[[], nn.Module], strategy: str, data: tuple[Tensor, Tensor]
):
    run = lanes.train(
        make, data, [rules.SGD(lr=0.1)] * 3, seeds=[0, 3, 3], steps=STEPS, batch_size=None,
        strategy=strategy,
    )  # fmt: skip
    assert run.strategy == "serial"
    for lane, seed in enumerate((0, 3, 3)):
        model = start(make, seed)
        expected = loop(model, optim.SGD(model.parameters(), lr=0.1), data)
        torch.testing.assert_close(run.losses[lane], expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_state_dicts_load_into_a_new_module(strategy: str, data: tuple[Tensor, Tensor]):
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.last = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
            self.b.weight = self.a.weight
            self.register_buffer("scale", torch.ones(6), persistent=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(torch.tanh(self.b(torch.tanh(self.a(x * self.scale)))))

    run = lanes.train(Shared, data, ["adam"], steps=5, strategy=strategy)
    model = Shared()
    model.load_state_dict(run.params(0))
    assert torch.equal(model.a.weight, run.params(0)["b.weight"])
    assert "scale" not in run.params(0)


def test_dropout_draws_its_own_noise_and_repeats(data: tuple[Tensor, Tensor]):
    def noisy() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 3))

    def once() -> Tensor:
        return lanes.train(noisy, data, [rules.SGD(lr=1e-9)] * 2, steps=20).losses

    first = once()
    torch.manual_seed(123)
    assert torch.equal(first, once())
    assert not torch.equal(first[0], first[1])


def test_the_same_call_gives_the_same_numbers_and_leaves_torch_alone(data: tuple[Tensor, Tensor]):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = lanes.train(small, data, ["adam", "rmsprop"], steps=50, batch_size=16)
    assert torch.equal(before, torch.get_rng_state())
    again = lanes.train(small, data, ["adam", "rmsprop"], steps=50, batch_size=16)
    assert torch.equal(first.losses, again.losses)


class Branching(nn.Module):
    """A Python decision on a value: it cannot be stacked."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        out = self.layer(x)
        return out * 2 if out.mean().item() > 0 else out


def test_a_model_that_cannot_be_stacked_runs_one_lane_after_another(data: tuple[Tensor, Tensor]):
    run = lanes.train(Branching, data, [rules.SGD(lr=0.1)], steps=STEPS, batch_size=None)
    assert run.strategy == "serial"
    assert "cannot be stacked" in run.notes[0]
    assert ".item()" in run.notes[0]
    model = start(Branching, 0)
    expected = loop(model, optim.SGD(model.parameters(), lr=0.1), data)
    torch.testing.assert_close(run.losses[0], expected, rtol=0, atol=2e-4)
    with pytest.raises(ValueError, match=r"cannot be stacked .*use strategy='auto'"):
        lanes.train(Branching, data, ["sgd"], steps=1, strategy="stacked")


def test_recurrent_models_run_one_lane_after_another_in_evaluation_too(
    data: tuple[Tensor, Tensor],
):
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.last = nn.LSTM(2, 8, batch_first=True), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.lstm(x.view(-1, 3, 2))[0][:, -1])

    run = lanes.train(
        Recurrent, data, ["sgd", "adam"], steps=STEPS, batch_size=None, evaluate={"all": data}
    )
    assert run.strategy == "serial"
    assert "cannot be stacked: torch cannot batch aten::" in run.notes[0]
    model = start(Recurrent, 0)
    expected = loop(model, optim.SGD(model.parameters(), lr=0.01), data)
    torch.testing.assert_close(run.losses[0], expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_attention_is_stacked(compiled: bool, data: tuple[Tensor, Tensor]):
    def attentive() -> nn.Module:
        layer = nn.TransformerEncoderLayer(2, 2, 8, dropout=0.0, batch_first=True)
        return nn.Sequential(nn.Unflatten(1, (3, 2)), layer, nn.Flatten(), nn.Linear(6, 3))

    run = lanes.train(
        attentive, data, ["sgd", "adam"], steps=STEPS, batch_size=None, compile=compiled,
        evaluate={"all": data}, strategy="stacked",
    )  # fmt: skip
    model = start(attentive, 0)
    expected = loop(model, optim.SGD(model.parameters(), lr=0.01), data)
    torch.testing.assert_close(run.losses[0], expected, rtol=0, atol=2e-4)


def test_tied_and_frozen_parameters(data: tuple[Tensor, Tensor]):
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
            self.b.weight = self.a.weight
            self.c.bias.requires_grad_(False)

        def forward(self, x: Tensor) -> Tensor:
            return self.c(torch.tanh(self.b(torch.tanh(self.a(x)))))

    model = start(Tied, 0)
    frozen = model.c.bias.clone()
    trained = [p for p in model.parameters() if p.requires_grad]
    expected = loop(model, optim.SGD(trained, lr=0.2), data)
    for strategy in ("stacked", "serial"):
        run = lanes.train(
            Tied, data, [rules.SGD(lr=0.2)], steps=STEPS, batch_size=None, strategy=strategy
        )
        torch.testing.assert_close(run.losses[0], expected, rtol=0, atol=2e-4)
        assert torch.equal(run.params(0)["c.bias"], frozen)


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
    torch.testing.assert_close(values, torch.tensor([2.0, 1.1, 0.2, 0.2]))
    whole = Linear()(1.0, torch.tensor([0.0, 340.0]), Span(340, 17))
    torch.testing.assert_close(whole, torch.tensor([1.0, 0.01]))


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


def test_a_module_is_reinitialised_for_each_seed(data: tuple[Tensor, Tensor]):
    model = small()
    kept = copy.deepcopy(model.state_dict())
    run = lanes.train(model, data, ["sgd", "sgd"], seeds=[0, 1], steps=0)
    assert not torch.equal(run.params(0)["0.weight"], run.params(1)["0.weight"])
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())


@needs_compiler
def test_compiled_lanes_give_the_same_path_and_never_recompile_for_a_rate(
    data: tuple[Tensor, Tensor],
):
    from torch._dynamo.utils import counters

    chosen = [rule for rule, _ in MIXED]
    plain = lanes.train(small, data, chosen, steps=STEPS, batch_size=30, compile=False)
    run = lanes.train(small, data, chosen, steps=STEPS, batch_size=30, compile=True)
    assert run.notes == (
        f"lanes are stacked, {len(chosen)} at a time, compiled",
        "compiling: a few seconds, half a minute the first time on a machine",
    )
    torch.testing.assert_close(run.losses, plain.losses, rtol=0, atol=2e-4)
    engine = run._engine
    compiled = counters["stats"]["unique_graphs"]
    plan = lanes.Plan([rule.changed(lr=0.0123) for rule in chosen], [5] * len(chosen), 4, {}, {})
    engine.train(plan)
    assert counters["stats"]["unique_graphs"] == compiled


def test_without_a_compiler_one_line_says_so(
    data: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
):
    from talweg.lanes import engine

    monkeypatch.setattr(engine, "missing_compiler", lambda: "no C++ compiler")
    run = lanes.train(small, data, ["sgd"], steps=3, compile=True)
    assert run.notes == (
        "running uncompiled: no C++ compiler found",
        "lanes are stacked, 1 at a time, uncompiled",
    )


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
