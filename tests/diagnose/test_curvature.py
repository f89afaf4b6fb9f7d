"""Curvature, beside dense twins."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import torch
from tests.diagnose.loops import digits
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

import talweg
from talweg.diagnose.measures.curvature import largest

Loss = Callable[[Tensor, Tensor], Tensor]


@pytest.mark.parametrize("below", [-0.1, -20.0])
def test_the_largest_eigenvalue_of_a_matrix(below: float):
    draws = np.random.default_rng(0)
    turn, _ = np.linalg.qr(draws.normal(size=(40, 40)))
    matrix = torch.from_numpy(turn @ np.diag(np.linspace(below, 5, 40)) @ turn.T)
    start = torch.from_numpy(draws.normal(size=40))
    found = largest(lambda v: matrix @ v, start, 40, 1e-30)
    assert found.value == pytest.approx(5.0, rel=1e-8)
    assert torch.allclose(matrix @ found.vector, 5 * found.vector, atol=1e-3)
    rough = largest(lambda v: matrix @ v, start, 40)
    assert rough.products < found.products
    assert 5 * 0.98 < rough.value <= 5 + 1e-9


def test_a_matrix_of_few_dimensions_and_one_that_is_not_finite():
    twice = largest(lambda v: 2 * v, torch.ones(3), 10)
    assert (twice.value, twice.products) == (pytest.approx(2.0), 1)
    assert largest(torch.zeros_like, torch.ones(3), 10).value == 0
    assert math.isnan(largest(lambda v: v / 0, torch.ones(3), 10).value)


def exact(model: nn.Module, loss: Loss, x: Tensor, y: Tensor, p: np.ndarray | None = None) -> float:
    """The largest eigenvalue of the whole Hessian, or of ``P^-½ H P^-½``."""
    named = {name: value.detach() for name, value in model.named_parameters()}
    sizes = [value.numel() for value in named.values()]

    def of(flat: Tensor) -> Tensor:
        parts = zip(named.items(), flat.split(sizes), strict=True)
        given = {name: part.view_as(value) for (name, value), part in parts}
        return loss(functional_call(model, given, (x,)), y)

    flat = torch.cat([value.reshape(-1) for value in named.values()])
    matrix = torch.autograd.functional.hessian(of, flat).double().numpy()
    roots = np.ones(len(flat)) if p is None else p**-0.5
    return float(np.linalg.eigvalsh(roots[:, None] * matrix * roots)[-1])


def small_mlp(activation: Callable[[], nn.Module], outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(64, 5), activation(), nn.Linear(5, 6), activation(), nn.Linear(6, outputs)
    )


def small_cnn(outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 3, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(3, 4, 2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(16, outputs),
    )


MODELS: dict[str, Callable[[int], nn.Module]] = {
    "tanh": partial(small_mlp, nn.Tanh),
    "relu": partial(small_mlp, nn.ReLU),
    "cnn": small_cnn,
}


def batches(count: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    x, y = digits()
    draws = torch.Generator().manual_seed(5)
    for _ in range(count):
        rows = torch.randint(len(x), (size,), generator=draws)
        yield x[rows], y[rows]


@pytest.mark.parametrize("loss", ["cross-entropy", "squares"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.usefixtures("thorough")
def test_sharpness_is_the_hessians_largest_eigenvalue(name: str, loss: str):
    torch.manual_seed(1)
    model = MODELS[name](10 if loss == "cross-entropy" else 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    of = nn.functional.cross_entropy if loss == "cross-entropy" else squares
    expected: list[float] = []
    with talweg.watch(model, optimizer, tier="full", every=1) as health:
        for x, y in batches(4, 32):
            expected.append(exact(model, of, x, y))
            optimizer.zero_grad()
            of(model(x), y).backward()
            optimizer.step()
    found = [moment.one("sharpness") for moment in health.moments]
    assert found == pytest.approx(expected, rel=0.01)
    assert [moment.one("edge") for moment in health.moments] == pytest.approx(
        [2 / value for value in expected], rel=0.0102
    )


def squares(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs.squeeze(1) - y).square().mean()


def slow_divisor(name: str, group: dict, grads: list[np.ndarray]) -> np.ndarray:
    """What a step is divided by, from the gradients of all steps so far."""
    t, last = len(grads), grads[-1]
    if name.startswith(("Adam", "AMSGrad", "NAdam")):
        b1, b2 = group["betas"]
        squares_by_step, v = [], np.zeros_like(last)
        for grad in grads:
            v = b2 * v + (1 - b2) * grad**2
            squares_by_step.append(v)
        v = np.max(squares_by_step, 0) if group.get("amsgrad") else v
        return (1 - b1**t) * (np.sqrt(v / (1 - b2**t)) + group["eps"])
    if name == "Adagrad":
        decay = 1 + (t - 1) * group["lr_decay"]
        return decay * (np.sqrt(np.sum(np.square(grads), 0)) + group["eps"])
    r, mean = np.zeros_like(last), np.zeros_like(last)
    for grad in grads:
        r = group["alpha"] * r + (1 - group["alpha"]) * grad**2
        mean = group["alpha"] * mean + (1 - group["alpha"]) * grad
    r = r - mean**2 if group.get("centered") else r
    return np.sqrt(r + group["eps"]) if group.get("eps_inside") else np.sqrt(r) + group["eps"]


ADAPTIVE: dict[str, Callable[..., Optimizer]] = {
    "Adam": partial(torch.optim.Adam, eps=1e-4),
    "AdamW": partial(torch.optim.AdamW, eps=1e-4, betas=(0.8, 0.99)),
    "AMSGrad": partial(torch.optim.Adam, eps=1e-4, amsgrad=True),
    "NAdam": partial(torch.optim.NAdam, eps=1e-4),
    "RMSprop": partial(torch.optim.RMSprop, eps=1e-3),
    "RMSprop centered": partial(torch.optim.RMSprop, eps=1e-2, centered=True, momentum=0.5),
    "Adagrad": partial(torch.optim.Adagrad, eps=1e-4, lr_decay=0.1),
    "Adam of talweg": partial(talweg.optim.Adam, eps=1e-4),
    "AMSGrad of talweg": partial(talweg.optim.AMSGrad, eps=1e-4),
    "NAdam of talweg": partial(talweg.optim.NAdam, eps=1e-4),
    "RMSprop of talweg": partial(talweg.optim.RMSprop, eps=1e-3),
    "RMSpropNesterov": partial(talweg.optim.RMSpropNesterov, eps=1e-3, eps_inside=True),
}


@pytest.mark.parametrize("name", ADAPTIVE)
@pytest.mark.usefixtures("thorough")
def test_preconditioned_sharpness_equals_a_dense_twin(name: str):
    torch.manual_seed(2)
    model = small_mlp(nn.Tanh, 10)
    optimizer = ADAPTIVE[name](model.parameters(), lr=1e-3)
    grads: list[np.ndarray] = []
    expected: list[float] = []
    with talweg.watch(model, optimizer, tier="full", every=1) as health:
        for x, y in batches(5, 32):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            every = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
            grads.append(torch.cat([grad.reshape(-1) for grad in every]).double().numpy())
            kind = name.split(" ")[0]
            divisor = slow_divisor(kind, optimizer.param_groups[0], grads)
            expected.append(exact(model, nn.functional.cross_entropy, x, y, divisor))
            loss.backward()
            optimizer.step()
    found = [moment.one("sharpness") for moment in health.moments]
    assert found[0] is None  # there is nothing to divide by yet
    assert found[1:] == pytest.approx(expected[1:], rel=0.01)


@pytest.mark.usefixtures("thorough")
def test_groups_with_rates_of_their_own_count_as_divided():
    torch.manual_seed(3)
    model = small_mlp(nn.Tanh, 10)
    first, *rest = list(model.parameters())
    optimizer = torch.optim.SGD([{"params": [first]}, {"params": rest, "lr": 0.4}], 0.1)
    ((x, y),) = batches(1, 32)
    divided_by = np.concatenate(
        [np.ones(first.numel()), *[np.full(v.numel(), 1 / 4) for v in rest]]
    )
    expected = exact(model, nn.functional.cross_entropy, x, y, divided_by)
    with talweg.watch(model, optimizer, tier="full") as health:
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert health.moments[0].one("sharpness") == pytest.approx(expected, rel=0.01)
