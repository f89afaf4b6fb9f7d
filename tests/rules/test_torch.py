"""Equal to torch.optim where it has the rule, and different exactly where it is documented to be.

Both sides train one small network, torch.optim on its parameters and the rule on one flat vector.
"""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch.func import functional_call

from talweg.core import Rule
from talweg.rules import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSProp

STEPS = 60
HALVED = 20


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)
    ).double()


def samples() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(16, 4, generator=generator, dtype=torch.float64)
    return inputs, torch.stack([inputs[:, 0] * inputs[:, 1], inputs[:, 2:].sum(1)], dim=1)


def flat(tensors) -> torch.Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def gradient(point: torch.Tensor) -> torch.Tensor:
    """The loss's gradient at a flat vector of parameters."""
    point = point.clone().requires_grad_()
    model, (inputs, targets) = network(), samples()
    parameters, offset = {}, 0
    for name, tensor in model.named_parameters():
        parameters[name] = point[offset : offset + tensor.numel()].reshape(tensor.shape)
        offset += tensor.numel()
    outputs = functional_call(model, parameters, (inputs,))
    return torch.autograd.grad(((outputs - targets) ** 2).mean(), point)[0]


def torch_path(make, halve: bool = False) -> list[torch.Tensor]:
    """The flat parameters after each step of a torch optimizer, its rate halved midway or not."""
    model, (inputs, targets) = network(), samples()
    optimizer, path = make(model.parameters()), []
    for t in range(1, STEPS + 1):
        if halve and t == HALVED:
            optimizer.param_groups[0]["lr"] /= 2
        optimizer.zero_grad()
        ((model(inputs) - targets) ** 2).mean().backward()
        optimizer.step()
        path.append(flat(model.parameters()))
    return path


def rule_path(rule: Rule, halve: bool = False) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The flat parameters after each step of a rule, and the points where it asked."""
    params = flat(network().parameters())
    state, path, probes = rule.init(params), [], []
    for t in range(1, STEPS + 1):
        if halve and t == HALVED:
            rule = replace(rule, lr=rule.settings["lr"] / 2)
        scalars = rule.scalars(t)
        probes.append(rule.probe(params, state, scalars))
        params, state = rule.step(params, gradient(probes[-1]), state, scalars)
        path.append(params)
    return path, probes


def assert_same_path(one: list[torch.Tensor], other: list[torch.Tensor]) -> None:
    moved = (one[-1] - flat(network().parameters())).abs().max()
    assert moved > 1e-2, "the path has to go somewhere"
    torch.testing.assert_close(torch.stack(one), torch.stack(other), rtol=1e-10, atol=1e-10)


def apart(one: list[torch.Tensor], other: list[torch.Tensor]) -> list[float]:
    return [(a - b).abs().max().item() for a, b in zip(one, other, strict=True)]


TWINS = [
    ("sgd", SGD(lr=0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
    (
        "momentum-accumulate",
        Momentum(lr=0.02, momentum=0.8, form="accumulate"),
        lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.8),
    ),
    (
        "momentum-velocity",
        Momentum(lr=0.02, momentum=0.8),
        lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.8),
    ),
    (
        "momentum-average",
        Momentum(lr=0.1, momentum=0.8, form="average"),
        lambda p: torch.optim.SGD(p, lr=0.1 * (1 - 0.8), momentum=0.8),
    ),
    ("adagrad", AdaGrad(lr=0.05, eps=1e-3), lambda p: torch.optim.Adagrad(p, lr=0.05, eps=1e-3)),
    (
        "adam",
        Adam(lr=0.01, beta1=0.8, beta2=0.97, eps=1e-3),
        lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.97), eps=1e-3),
    ),
    ("adam-defaults", Adam(), torch.optim.Adam),
]
for _momentum, _centered, _alpha, _eps in product(
    (0.0, 0.9), (False, True), (0.9, 0.99), (1e-8, 1e-2)
):
    TWINS.append(
        (
            f"rmsprop-momentum={_momentum}-centered={_centered}-alpha={_alpha}-eps={_eps}",
            RMSProp(
                lr=0.003,
                rho=_alpha,
                eps=_eps,
                momentum=_momentum,
                centered=_centered,
                form="accumulate",
            ),
            lambda p, momentum=_momentum, centered=_centered, alpha=_alpha, eps=_eps: (
                torch.optim.RMSprop(
                    p, lr=0.003, alpha=alpha, eps=eps, momentum=momentum, centered=centered
                )
            ),
        )
    )


@pytest.mark.parametrize(
    ("rule", "make"), [pytest.param(rule, make, id=name) for name, rule, make in TWINS]
)
def test_takes_the_path_of_torch(rule: Rule, make):
    path, _ = rule_path(rule)
    assert_same_path(path, torch_path(make))


def test_nesterov_asks_where_torch_stands():
    """torch's parameter after step t is the point where this rule takes its gradient next."""
    path, probes = rule_path(Nesterov(lr=0.02, momentum=0.8))
    theirs = torch_path(lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.8, nesterov=True))
    assert_same_path(probes[1:], theirs[:-1])
    assert torch.equal(probes[0], flat(network().parameters()))
    assert min(apart(path, theirs)) > 1e-4


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rmsprop_velocity_is_torch_while_the_rate_is_constant(momentum: float):
    def make(p):
        return torch.optim.RMSprop(p, lr=0.003, alpha=0.9, momentum=momentum)

    path, _ = rule_path(RMSProp(lr=0.003, momentum=momentum))
    assert_same_path(path, torch_path(make))


class TestRateHalvedMidway:
    """At step 20 the rate is halved: what the velocity has gathered keeps the old rate."""

    @pytest.mark.parametrize(
        ("rule", "make"),
        [
            pytest.param(rule, make, id=name)
            for name, rule, make in TWINS
            if name in ("sgd", "momentum-accumulate", "momentum-average", "adagrad", "adam")
            or name.startswith("rmsprop-momentum=0.9")
        ],
    )
    def test_still_the_path_of_torch(self, rule: Rule, make):
        path, _ = rule_path(rule, halve=True)
        assert_same_path(path, torch_path(make, halve=True))

    @pytest.mark.parametrize("kind", [Momentum, RMSProp])
    def test_velocity_and_accumulate_part(self, kind):
        lr = 0.02 if kind is Momentum else 0.003
        velocity, _ = rule_path(kind(lr=lr, momentum=0.8, form="velocity"), halve=True)
        accumulate, _ = rule_path(kind(lr=lr, momentum=0.8, form="accumulate"), halve=True)
        gap = apart(velocity, accumulate)
        assert max(gap[: HALVED - 1]) < 1e-12
        assert min(gap[HALVED - 1 : HALVED + 10]) > 1e-4

    def test_the_first_halved_step_by_hand(self):
        """From equal pasts, accumulate takes half the old velocity and velocity takes all of it."""
        grad, past = torch.tensor([3.0]), torch.tensor([5.0])
        halved = 0.01 / 2
        rule = Momentum(lr=halved, momentum=0.5)
        moved, _ = rule.step(torch.zeros(1), grad, {"v": -0.01 * past}, rule.scalars(20))
        assert moved.item() == pytest.approx(-0.5 * 0.01 * 5 - halved * 3)
        rule = replace(rule, form="accumulate")
        moved, _ = rule.step(torch.zeros(1), grad, {"m": past}, rule.scalars(20))
        assert moved.item() == pytest.approx(-halved * (0.5 * 5 + 3))


def test_dampening_is_not_the_average_form():
    """torch leaves the first gradient undamped, so its buffer stays ahead by ``b^t`` of it."""
    b, lr, first = 0.8, 0.1, 2.0
    theirs = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.SGD([theirs], lr=lr, momentum=b, dampening=b)
    rule = Momentum(lr=lr, momentum=b, form="average")
    ours = torch.zeros(1, dtype=torch.float64)
    state = rule.init(ours)
    for t, value in enumerate([first, -1.0, 0.5, 3.0, 0.0, 1.5], start=1):
        grad = torch.tensor([value], dtype=torch.float64)
        theirs.grad = grad.clone()
        optimizer.step()
        ours, state = rule.step(ours, grad, state, rule.scalars(t))
        ahead = optimizer.state[theirs]["momentum_buffer"] - state["m"]
        assert ahead.item() == pytest.approx(b**t * first, rel=1e-12)
        gap = lr * first * sum(b**k for k in range(1, t + 1))
        assert (ours - theirs.detach()).item() == pytest.approx(gap, rel=1e-12)
