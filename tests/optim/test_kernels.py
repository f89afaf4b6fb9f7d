"""Compiled steps: the same bits as plain ones, whatever comes."""

import gc
import math
import weakref
from dataclasses import dataclass

import pytest
import torch
from tests.optim.test_contract import ALL, WHOLE, made, weights
from torch import nn

from talweg import optim
from talweg.core import Rule, hyper
from talweg.optim import kernels, library
from talweg.optim.source import written
from talweg.rules import RULES
from talweg.transforms import Ascent, ClipValue, Lookahead, WeightAverage, WeightDecay

SHAPES = [(300, 200), (20,), (), (0, 3), (7, 5), (33000,)]


@pytest.fixture
def compiled():
    optim.use_compiler(True)
    yield
    optim.use_compiler(None)


ELEMENTWISE = [
    name for name, known in RULES.items() if not (known.rule.is_per_tensor or known.rule.gathers)
]


def stepped(name: str, wanted: bool, dtype: torch.dtype, values: list | None = None, **options):
    optim.use_compiler(wanted)
    params = weights(*SHAPES, dtype=dtype)
    if values is not None:
        extremes = torch.tensor(values, dtype=torch.float64)
        table = torch.cartesian_prod(extremes, extremes).to(dtype)
        params = [nn.Parameter(table[:, 0].clone())]
        params[0].grad = table[:, 1].clone()
    optimizer = made(name, params, **options)
    for i in range(5):
        for param in params:
            param.grad = param.grad * (-1) ** i * 0.7
        optimizer.step()
    return params, [optimizer.state[param] for param in params]


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a.nan_to_num(nan=12345.0), b.nan_to_num(nan=12345.0))


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", [name for name in ALL if name not in WHOLE])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("extreme", [False, True])
def test_compiled_steps_are_plain_steps_to_the_bit(name, dtype, extreme):
    values = [0.0, -0.0, 1.0, -1e-30, 1e30, 3.0, math.inf, -math.inf, math.nan] if extreme else None
    options = {} if name == "Rprop" else {"weight_decay": 0.1}
    (one, kept), (other, held) = (
        stepped(name, wanted, dtype, values, **options) for wanted in (False, True)
    )
    for a, b in zip(one, other, strict=True):
        assert same(a, b)
    for first, second in zip(kept, held, strict=True):
        assert first.keys() == second.keys()
        for key in first:
            assert same(torch.as_tensor(first[key]), torch.as_tensor(second[key])), key


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_rule_can_be_written(name, dtype):
    rule = ClipValue(Ascent(RULES[name].rule))
    scalars, _ = rule.recall(rule.scalars(1), rule.memory())
    assert written(rule, list(scalars), list(rule.init(torch.empty(0))), dtype)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("around", [ClipValue, Lookahead, WeightAverage, WeightDecay])
def test_transforms_compile_to_the_same_bits(around):
    found = []
    for wanted in (False, True):
        optim.use_compiler(wanted)
        params = weights(*SHAPES)
        optimizer = optim.OfRule(params, around(RULES["nadam"].rule))
        for _ in range(7):
            optimizer.step()
        found.append(params)
    assert all(map(same, *found))


@pytest.mark.usefixtures("compiled")
def test_every_step_is_native_and_a_new_rate_compiles_nothing(monkeypatch):
    asked = []
    real = library.Library.__init__
    monkeypatch.setattr(
        library.Library,
        "__init__",
        lambda self, source: (asked.append(source), real(self, source))[1],
    )
    monkeypatch.setattr(kernels, "_kernels", {})
    monkeypatch.setattr(kernels.Kernel, "step", lambda *_: pytest.fail("a plain step"))
    for sizes in ([(5,)], [(300, 200), (3,)]):
        params = weights(*sizes)
        optimizer = optim.Adam(params)
        for i in range(3):
            optimizer.param_groups[0]["lr"] = 0.1 / (i + 1)
            optimizer.step()
    assert len(asked) == 1


def test_without_a_compiler_it_is_said_once_and_steps_are_plain(monkeypatch):
    monkeypatch.setattr(library, "compiler", lambda: None)
    monkeypatch.setattr(kernels, "_kernels", {})
    monkeypatch.setattr(kernels.Compiling, "_told", False)
    (a,), (b,) = weights((4,)), weights((4,))
    one, other = optim.Adam([a]), optim.Adam([b])
    with pytest.warns(RuntimeWarning, match="runs uncompiled: no C\\+\\+ compiler found"):
        one.step()
    other.step()  # a second warning would be an error
    optim.SGD([*weights((3,))]).step()
    assert torch.equal(a, b)


@pytest.mark.usefixtures("compiled")
def test_autograd_notices_that_parameters_have_changed():
    (weight,) = weights((4,))
    optimizer = optim.SGD([weight], lr=0.1)
    loss = weight.square().sum()
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads_gives_the_same(threads):
    before = torch.get_num_threads()
    # Large ones are shared out by themselves, small ones together, in every order.
    sizes = ((3,), (200_000,), (16_384,), (0,), (16_385,), (32_767,), (32_768,), (60_000,), (1,))
    expected, found = weights(*sizes), weights(*sizes)
    optim.use_compiler(False)
    optim.Adam(expected).step()
    optim.use_compiler(True)
    try:
        torch.set_num_threads(threads)
        optim.Adam(found).step()
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, expected, found))


@pytest.mark.usefixtures("compiled")
def test_a_model_may_change_its_precision_between_steps():
    (weight,) = weights((40, 30))
    optimizer = optim.Adam([weight])
    optimizer.step()
    for dtype in (torch.bfloat16, torch.float64):
        weight.data = weight.data.to(dtype)
        weight.grad = torch.ones_like(weight)
        before = weight.detach().clone()
        optimizer.step()
        assert weight.dtype == dtype
        assert (before - weight).abs().max() < 0.1
        assert not torch.equal(before, weight)


@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_parameters_that_shrink_in_place_leave_the_rest_of_their_memory_alone(name, wanted):
    """Pruning: the address stays, the shape does not."""
    optim.use_compiler(wanted)
    try:
        (weight,) = weights((1000, 4))
        optimizer = made(name, [weight])
        optimizer.step()
        whole = weight.data
        held = {k: v for k, v in optimizer.state[weight].items() if v.dim()}
        for key, value in held.items():
            optimizer.state[weight][key] = value[:3]
        weight.grad = None
        weight.data = whole[:3]
        weight.grad = torch.ones(3, 4)
        before = [tensor[3:].clone() for tensor in (whole, *held.values())]
        optimizer.step()
        after = [tensor[3:] for tensor in (whole, *held.values())]
        assert all(map(torch.equal, before, after))
    finally:
        optim.use_compiler(None)


@pytest.mark.usefixtures("compiled")
def test_memory_taken_over_as_another_dtype_or_turned_round():
    (weight,), (twin,) = weights((6, 4)), weights((6, 4))
    one, other = optim.SGD([weight], lr=0.1), torch.optim.SGD([twin], lr=0.1)
    for param, optimizer in ((weight, one), (twin, other)):
        optimizer.step()
        grad = torch.arange(24.0).reshape(4, 6)
        param.grad = None
        param.data = param.data.t()
        param.grad = grad
        optimizer.step()
    assert torch.allclose(weight, twin)
    memory = weight.data.t()
    weight.grad = None
    weight.data = memory.view(torch.bfloat16)[:2, :3].fill_(1.0)
    weight.grad = torch.ones_like(weight)
    one.step()
    assert weight.unique().tolist() == [torch.tensor(0.9).bfloat16().item()]


def test_a_gradient_of_another_size_is_an_error():
    (weight,) = weights((4,))
    optimizer = optim.SGD([weight], lr=0.1)
    optimizer.step()
    weight.data = torch.zeros(4000)
    with pytest.raises(ValueError, match="a gradient has not the size of its parameter"):
        optimizer.step()


@pytest.mark.parametrize("wanted", [False, True])
def test_two_parameters_on_one_memory_are_stepped_one_after_another(wanted):
    optim.use_compiler(wanted)
    try:
        shared = torch.ones(4)
        a, b = nn.Parameter(shared), nn.Parameter(shared)
        a.grad, b.grad = torch.ones(4), torch.full((4,), 2.0)
        optim.SGD([a, b], lr=0.1).step()
        assert torch.allclose(shared, torch.full((4,), 0.7))
    finally:
        optim.use_compiler(None)


@pytest.mark.parametrize("wanted", [False, True])
def test_a_rule_may_hand_states_on_and_begin_with_the_parameters(wanted):
    optim.use_compiler(wanted)
    try:
        weight = nn.Parameter(torch.zeros(3, dtype=torch.float64))
        optimizer = optim.OfRule([weight], Delayed(lr=0.1))
        path = []
        for _ in range(4):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
            path.append(weight[0].item())
        assert path == pytest.approx([0.0, -0.1, -0.25, -0.425])
        assert optimizer.state[weight]["before"][0].item() == pytest.approx(-0.25)
    finally:
        optim.use_compiler(None)


@dataclass(frozen=True)
class Delayed(Rule):
    """Steps by the mean before; remembers the parameters before."""

    lr: float = hyper(0.1, "learning rate", above=0)

    def init(self, params):
        return {"m": torch.zeros_like(params), "old": torch.zeros_like(params), "before": params}

    def scalars(self, t):  # noqa: ARG002
        return {"lr": self.lr}

    def step(self, params, grad, state, scalars):
        new = {"m": 0.5 * state["m"] + grad, "old": state["m"], "before": params}
        return params - scalars["lr"] * state["m"], new


@pytest.mark.parametrize("wanted", [False, True])
def test_a_lazily_negated_gradient(wanted):
    optim.use_compiler(wanted)
    try:
        (weight,) = weights((4,))
        start = weight.detach().clone()
        weight.grad = torch._neg_view(torch.ones(4))
        optim.SGD([weight], lr=0.1).step()
        assert torch.allclose(weight, start + 0.1)
    finally:
        optim.use_compiler(None)


def test_replaced_parameters_are_let_go():
    optimizer = optim.Adam([*weights((4,))])
    gone = []
    for _ in range(5):
        optimizer.step()
        old = optimizer.param_groups[0]["params"][0]
        gone.append(weakref.ref(old))
        optimizer.param_groups[0]["params"] = weights((4,))
        optimizer.state.pop(old)
        del old
    optimizer.step()
    gc.collect()
    assert not [ref for ref in gone if ref() is not None]
