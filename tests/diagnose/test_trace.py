"""A forward pass followed: what comes after a layer, what its units are, what modules give."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.diagnose.following import Lambda, Pair, Sample, Unknown, followed
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


def two(between: Callable[[Tensor], Tensor]) -> Lambda:
    return Lambda(lambda m, x: m.b(between(m.a(x))), a=nn.Linear(6, 8), b=nn.Linear(8, 3))


FUNCTIONS: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "F.relu": ("relu", functional.relu),
    "torch.relu": ("relu", torch.relu),
    "method": ("relu", lambda x: x.relu()),
    "in place": ("relu", lambda x: functional.relu(x, inplace=True)),
    "relu_": ("relu", lambda x: x.relu_()),
    "clamp": ("relu", lambda x: x.clamp(min=0)),
    "maximum": ("relu", lambda x: torch.maximum(x, torch.zeros(()))),
    "where": ("relu", lambda x: torch.where(x > 0, x, 0)),
    "relu6": ("relu6", functional.relu6),
    "sigmoid": ("sigmoid", torch.sigmoid),
    "sigmoid_": ("sigmoid", lambda x: x.sigmoid_()),
    "tanh": ("tanh", lambda x: x.tanh()),
    "gelu": ("gelu", functional.gelu),
    "gelu tanh": ("gelu-tanh", lambda x: functional.gelu(x, approximate="tanh")),
    "silu by hand": ("silu", lambda x: x * x.sigmoid()),
    "elu": ("elu", functional.elu),
    "selu": ("selu", functional.selu),
    "softplus": ("softplus", functional.softplus),
    "leaky relu": ("leaky-relu", functional.leaky_relu),
    "dropout before": ("relu", lambda x: functional.dropout(x, 0.5).relu()),
    "dropout behind": ("relu", lambda x: functional.dropout(x.relu(), 0.5)),
    "squared": ("relu", lambda x: x.relu().square()),
    "a sum": ("", lambda x: x + 1),
    "nothing": ("", lambda x: x),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_between_two_layers(name: str, dtype: torch.dtype):
    activation, function = FUNCTIONS[name]
    model = two(function).to(dtype)
    trace, listening = followed(model, torch.randn(16, 6, dtype=dtype))
    first, second = trace.layers
    assert (first.name, first.activation, first.units) == ("a", activation, 8)
    assert (second.name, second.activation, second.units) == ("b", "", 3)
    assert second.straight_from == ("a" if name == "nothing" else "")
    if activation:
        (seen,) = listening.activities["a"]
        assert seen.activation == activation
        assert seen.values.shape == (16, 8)
        assert seen.dim == 1
        if activation.startswith("relu"):
            assert bool((seen.values >= 0).all())
            assert bool((seen.values == 0).any())


@pytest.mark.parametrize(
    "between",
    [
        lambda x: functional.relu(functional.max_pool2d(x, 2)).flatten(1),
        lambda x: functional.max_pool2d(functional.relu(x), 2).flatten(1),
        lambda x: functional.dropout(functional.max_pool2d(x, 2).relu_().reshape(len(x), -1)),
    ],
)
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_a_function_after_a_convolution_and_a_pool(between: Any, memory: Any):
    """As tutorials write it; the channels are the units, not what is flat."""
    model = Lambda(lambda m, x: m.b(between(m.a(x))), a=nn.Conv2d(2, 5, 3), b=nn.Linear(20, 3))
    x = torch.randn(7, 2, 6, 6).to(memory_format=memory)
    trace, listening = followed(model, x)
    assert [layer.activation for layer in trace.layers] == ["relu", ""]
    (seen,) = listening.activities["a"]
    assert seen.values.shape[seen.dim] == 5 == trace.layers[0].units
    assert bool((seen.values >= 0).all())


GIVERS: dict[str, Callable[[Any, Tensor], Any]] = {
    "none": lambda m, x: m.b(m.a(x)) if m.c(x) is None else None,
    "a dict": lambda m, x: {"mask": x > 0, "x": m.a(x)},
    "a tuple": lambda m, x: (None, m.a(x)),
    "a named tuple": lambda m, x: Pair(x > 0, m.a(x)),
    "a dataclass": lambda m, x: Sample("", m.a(x)),
    "one number": lambda m, x: m.a(x).sum(),
    "a vector": lambda m, x: m.b(m.a(x[0])),
    "complex": lambda m, x: m.b(m.d(torch.complex(x, x)).abs()),
    "nothing in the batch": lambda m, x: m.b(m.a(x[:0]).relu()),
    "twice": lambda m, x: m.b(m.a(x).relu()) + m.b(m.a(-x).relu()),
    "its own parameter": lambda m, x: m.b(x @ m.e(x)),
}


class Prompt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.eye(6))

    def forward(self, _: Tensor) -> Tensor:
        return self.values


def giver(name: str) -> Lambda:
    return Lambda(
        GIVERS[name], a=nn.Linear(6, 6), b=nn.Linear(6, 3), c=Unknown(lambda _: None),
        d=nn.Linear(6, 6, dtype=torch.complex64), e=Prompt(),
    )  # fmt: skip


@pytest.mark.parametrize("name", GIVERS)
def test_whatever_modules_give(name: str):
    model = giver(name)
    trace, _ = followed(model, torch.randn(5, 6), times=2)
    own = (
        ["a"] if name in ("a dict", "a tuple", "a named tuple", "a dataclass", "one number") else []
    )
    own = own or {"complex": ["b"], "its own parameter": ["e", "b"]}.get(name, ["a", "b"])
    assert [each.name for each in trace.layers] == own
    assert not model.e.values._backward_hooks


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_what_checkpoints_compute_twice_counts_once(use_reentrant: bool):
    def forward(m: Any, x: Tensor) -> Tensor:
        x = m.a(x).tanh()
        for part in (m.b, m.c):
            x = checkpoint(lambda x, p=part: m.act(p(x)).square(), x, use_reentrant=use_reentrant)
        return m.d(x)

    layers = {name: nn.Linear(6, 6) for name in "abcd"}
    trace, listening = followed(Lambda(forward, **layers, act=nn.ReLU()), torch.randn(5, 6))
    names = [(each.name, each.activation) for each in trace.layers]
    assert names == [("a", "tanh"), ("b", "relu"), ("c", "relu"), ("d", "")]
    assert {name: len(grads) for name, grads in listening.grads.items()} == dict.fromkeys("abcd", 1)
    assert {n: len(seen) for n, seen in listening.activities.items()} == dict.fromkeys("abc", 1)


def test_gradients_are_those_in_what_layers_give():
    model = two(torch.tanh)
    x = torch.randn(16, 6)
    _, listening = followed(model, x)
    outputs = model.a(x)
    expected = torch.autograd.grad(model.b(outputs.tanh()).square().sum(), outputs)[0]
    assert torch.equal(listening.grads["a"][0], expected)
