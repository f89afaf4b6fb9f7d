"""What holds for every activation that has a name."""

import copy
import pickle

import pytest
import torch
from mpmath import mp, mpf
from tests.activations.oracles import ORACLES, soft_exponential
from torch import nn
from torch.func import grad_and_value, vmap

from talweg import lanes, rules
from talweg.activations import ACTIVATIONS, functions
from talweg.models import mlp

NAMES = [name for name, known in ACTIVATIONS.items() if not known.is_layer]
FLOATS = (torch.float32, torch.float64, torch.bfloat16)
TORCH = {
    "softsign": nn.Softsign(),
    "relu": nn.ReLU(),
    "rrelu": nn.RReLU().eval(),
    "gelu": nn.GELU(),
    "gelu-tanh": nn.GELU(approximate="tanh"),
    "mish": nn.Mish(),
    "hard-sigmoid": nn.Hardsigmoid(),
    "hard-swish": nn.Hardswish(),
    "softplus": nn.Softplus(),
    "sinc": lambda x: torch.sinc(x / torch.pi),
}
POINTS = (-45, -20.5, -7.25, -3.5, -2, -1.75, -0.6, -0.03, -1e-4, -1e-9)
POINTS = (*POINTS, *(-point for point in POINTS), 1e-300, -1e-300)


def evaluated(name: str, dtype: torch.dtype = torch.float64):
    return ACTIVATIONS[name].make().to(dtype).eval()


def derivatives(function, x: torch.Tensor, order: int = 2) -> list[torch.Tensor]:
    """Value, derivative and, with an order of 2, second derivative at each point."""
    x = x.clone().requires_grad_()
    value = function(x)
    (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    if order == 1:
        return [value.detach(), slope.detach()]
    if not slope.requires_grad:
        return [value.detach(), slope, torch.zeros_like(x)]
    (bend,) = torch.autograd.grad(slope.sum(), x, allow_unused=True)
    bend = torch.zeros_like(x) if bend is None else bend
    return [value.detach(), slope.detach(), bend]


def expected(oracle, points) -> list[torch.Tensor]:
    """The same, of an oracle; one that jumps or bends at 0 is not differentiated across it."""
    found = []
    for order in range(3):
        step = mpf(10) ** -305
        values = [
            mp.diff(oracle, mpf(p), order, h=step) if order else oracle(mpf(p)) for p in points
        ]
        found.append(torch.tensor([float(v) for v in values], dtype=torch.float64))
    return found


def assert_close(found, wanted, rtol: float = 1e-12, atol: float = 3e-14) -> None:
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.double(), other.double(), rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", NAMES)
def test_value_and_derivatives_are_the_definition(name):
    with mp.workdps(700):  # a derivative at 1e-300 by differences
        wanted = expected(ORACLES[name], POINTS)
    assert_close(derivatives(evaluated(name), torch.tensor(POINTS, dtype=torch.float64)), wanted)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_everything_is_finite(name, dtype):
    limits = torch.finfo(dtype)
    sizes = (0, limits.smallest_normal, limits.smallest_normal * limits.eps, 1e-20, 1e-3, 1, 11, 21)
    sizes += (41, 81, 89, 701, 1e4, 1e19, 1e20, 1e38, limits.max / 2)
    points = torch.tensor([s * sign for s in sizes for sign in (1, -1)], dtype=dtype)
    for found in derivatives(evaluated(name, dtype), points):
        assert found.dtype == dtype
        assert found.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_autograd_agrees_with_differences(name):
    points = torch.tensor([-2.6, -1.1, -0.4, -0.01, 0.02, 0.5, 1.2, 2.9], dtype=torch.float64)
    points.requires_grad_()
    assert torch.autograd.gradcheck(evaluated(name), points, check_forward_ad=True)
    if name != "binary-step":  # whose derivative is no function of anything
        assert torch.autograd.gradgradcheck(evaluated(name), points)


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize(
    ("dtype", "close"), [(torch.float64, 5e-8), (torch.float32, 2e-6), (torch.bfloat16, 1e-2)]
)
def test_it_is_pytorchs(name, dtype, close):
    x = torch.linspace(-8, 8, 777).to(dtype)
    if name == "sinc":  # PyTorch's derivative near 0 is lost to cancellation
        x = x[x.abs() > 1]
    found = derivatives(evaluated(name, dtype), x, order=1)
    assert_close(found, derivatives(TORCH[name], x, order=1), rtol=close, atol=close)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_it_travels(name):
    module = ACTIVATIONS[name].make(*((3, 2) if ACTIVATIONS[name].is_layer else ())).eval()
    x = torch.randn(5, 3)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(module(x), other(x))


@pytest.mark.parametrize("name", NAMES)
def test_no_more_than_the_input_is_kept(name):
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    x = torch.randn(1000, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        evaluated(name, torch.float32)(x)
    assert sum(kept.values()) <= x.untyped_storage().nbytes() + 8


def test_all_compile_without_a_break_alone_and_in_lanes():
    modules = nn.ModuleList(ACTIVATIONS[name].make().eval() for name in NAMES)
    x = torch.randn(4, 33)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([module(x).square().sum() for module in modules]).sum()

    each = vmap(grad_and_value(loss))
    slopes, values = each(x)
    compiled_slopes, compiled_values = torch.compile(each, fullgraph=True)(x)
    assert_close([compiled_slopes, compiled_values], [slopes, values], rtol=1e-5, atol=1e-5)
    alone = x[0].clone().requires_grad_()
    torch.compile(loss, fullgraph=True)(alone).backward()
    assert_close([alone.grad], [slopes[0]], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_stacked_lanes_equal_separate_runs(name):
    x = torch.randn(48, 5, generator=torch.Generator().manual_seed(1))
    data = (x, x.sum(1).sign())
    runs = {
        strategy: lanes.train(
            lambda: mlp(5, 1, (7, 6), name),
            data,
            [rules.SGD(lr=0.01), rules.Adam(lr=0.01)],
            steps=6,
            batch_size=16,
            strategy=strategy,
        )
        for strategy in ("stacked", "serial")
    }
    assert runs["stacked"].losses.isfinite().all()
    if name != "rrelu":  # each lane draws slopes of its own
        assert_close(
            [runs["stacked"].losses], [runs["serial"].losses.double()], rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize("alpha", [-3.0, -1.0, -0.2, -1e-3, -1e-7, 0.0, 1e-7, 1e-3, 0.3, 1.0, 2.5])
def test_soft_exponential_at_any_alpha(alpha):
    edge = 1 / alpha - alpha if alpha < 0 else -30.0
    points = [p for p in (-20, -2, -0.7, -0.1, -1e-3, 1e-6, 0.2, 1.5, 6.0) if p > edge + 0.1]
    x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    learned = torch.full_like(x, alpha, requires_grad=True)
    values = functions.soft_exponential(x, learned)
    slopes = torch.autograd.grad(values.sum(), (x, learned))

    def by_alpha(a, p):
        return soft_exponential(mpf(p), a)

    if alpha:  # at 0 the definition has another form on each side
        with mp.workdps(700):
            wanted = expected(lambda p: soft_exponential(p, mpf(alpha)), points)
            of_alpha = [float(mp.diff(lambda a, p=p: by_alpha(a, p), mpf(alpha))) for p in points]
    else:
        wanted = [x.detach(), torch.ones_like(x)]
        of_alpha = [1 + p * p / 2 for p in points]
    found = [values.detach(), slopes[0], slopes[1]]
    wanted = [*wanted[:2], torch.tensor(of_alpha, dtype=torch.float64)]
    assert_close(found, wanted, rtol=1e-10, atol=1e-11)
    if abs(alpha) > 1e-5:  # at 0 the second derivative by alpha jumps: the definition's does
        assert torch.autograd.gradgradcheck(functions.soft_exponential, (x, learned), atol=1e-4)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("alpha", [-2.0, -0.5, -1e-30, 0.0, 1e-3, 0.5, 2.0])
def test_soft_exponential_is_finite_everywhere(alpha, dtype):
    most = torch.finfo(dtype).max / 2
    sizes = (0.0, 1e-30, 0.1, 1.5, 2.0, 50.0, 1e4, 1e20, most)
    x = torch.tensor([s * sign for s in sizes for sign in (1, -1)], dtype=dtype)
    learned = torch.tensor(alpha, dtype=dtype)
    for found in derivatives(lambda x: functions.soft_exponential(x, learned), x, order=1):
        assert found.isfinite().all()
