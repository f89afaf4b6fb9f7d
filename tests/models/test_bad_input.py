"""What a ready model cannot be is told in one line; what it is, by its name."""

import numpy as np
import pytest
import torch

from talweg import find_lr, lanes
from talweg.core import UserError
from talweg.models import MODELS, cnn, mlp, mlp_source, ready_source, source_of


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "cn"}, r"unknown model 'cn'; did you mean 'cnn'\? \(talweg list models\)"),
        ({"name": "mlpp", "kind": "clasification"}, "did you mean 'mlp'"),
        ({"kind": "clasification"}, "unknown kind .* did you mean 'classification'"),
        ({"name": "logistic"}, "logistic is for two classes, got 10: choose softmax"),
        (
            {"name": "logistic", "kind": "regression"},
            r"logistic is not for regression \(allowed: linear, mlp, maxout, cnn, lstm, gru, tr",
        ),
        ({"name": "softmax", "kind": "regression"}, "softmax is not for regression"),
        (
            {"name": "linear", "activation": "relu"},
            r"linear has no activation to choose \(those that have: mlp, cnn, transformer\)",
        ),
        ({"name": "lstm", "activation": "relu"}, "lstm has no activation to choose"),
        ({"name": "maxout", "activation": "relu"}, "maxout has no activation to choose"),
        (
            {"name": "softmax", "hidden": (64,)},
            r"softmax has no hidden layers \(those that have: mlp, maxout, cnn, lstm, gru, trans",
        ),
        ({"name": "linear", "layers": 2}, "linear has no hidden layers"),
        ({"activation": "rleu"}, "unknown activation 'rleu'; did you mean 'relu'"),
        ({"hidden": (8, 0)}, "hidden must be whole numbers of at least 1, got 0"),
        ({"hidden": (8.5,)}, "hidden must be whole numbers of at least 1, got 8.5"),
        ({"hidden": (True,)}, "hidden must be whole numbers of at least 1, got True"),
        ({"hidden": "64"}, "hidden must be whole numbers of at least 1, got '6'"),
        ({"hidden": (8, 8), "layers": 2}, "layers repeats one size of hidden layers, got 2 sizes"),
        ({"layers": 0}, "layers must be a whole number of at least 1, got 0"),
        ({"name": "cnn", "hidden": ()}, "cnn needs at least one convolution"),
        ({"name": "gru", "hidden": ()}, "gru needs at least one layer"),
        ({"name": "gru", "hidden": (8, 16)}, "gru has layers of one width, got hidden=8,16"),
        ({"name": "transformer", "hidden": (8, 16)}, "transformer has layers of one width"),
        ({"name": "cnn", "activation": "maxout"}, "cnn takes .* and maxout is a layer"),
        (
            {"name": "cnn", "shape": (13,)},
            r"cnn takes images, .* got samples of shape \[13\]: reshape them, or choose mlp",
        ),
        ({"name": "cnn", "shape": (1, 2, 3, 4)}, "cnn takes images"),
        ({"name": "cnn", "shape": (4,)}, r"at least 4 × 4 .* got 1 × 2 × 2 from .* \[4\]"),
        ({"name": "cnn", "shape": (28, 28, 3)}, "channels first, got 28 × 28 × 3"),
        ({"name": "lstm", "shape": (30,)}, r"take sequences \(T, F\), .* got .* \[30\]: reshape"),
        ({"name": "transformer", "shape": (1, 2, 3, 4)}, r"take sequences \(T, F\)"),
        ({"shape": ()}, "mlp takes samples of one or more features, got single numbers"),
        ({"shape": (0,)}, "each side of a sample must be a whole number of at least 1, got 0"),
        ({"outputs": 0}, "outputs must be a whole number of at least 1, got 0"),
        ({"hidden": (10**11,)}, "mlp 64-100000000000-10, relu cannot be built: RuntimeError"),
    ],
)
def test_one_line_says_what_was_wrong(change: dict[str, object], message: str):
    with pytest.raises(UserError, match=message) as error:
        ready_source(**({"name": "mlp", "shape": (64,), "outputs": 10} | change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "mlp 64-128-128-10, relu"),
        ({"hidden": ()}, "mlp 64-10, relu"),
        ({"hidden": 32}, "mlp 64-32-10, relu"),
        ({"hidden": (64,), "layers": 6}, "mlp 64-64-64-64-64-64-64-10, relu"),
        ({"layers": 3, "activation": "leaky_relu"}, "mlp 64-128-128-128-10, leaky-relu"),
        ({"name": "lstm", "hidden": np.array([16, 16])}, "lstm 8×8-16-16-10"),
        ({"name": "linear"}, "linear 64-10"),
        ({"name": "logistic", "outputs": 2}, "logistic 64-1"),
        ({"name": "softmax", "shape": (3, 8, 8)}, "softmax 192-10"),
        ({"name": "maxout"}, "maxout 64-128-128-10"),
        ({"name": "cnn"}, "cnn 1×8×8-16-32-10, relu"),
        ({"name": "cnn", "shape": (3, 9, 6)}, "cnn 3×9×6-16-32-10, relu"),
        ({"name": "cnn", "shape": (28, 28), "layers": 3}, "cnn 1×28×28-32-32-32-10, relu"),
        ({"name": "lstm"}, "lstm 8×8-64-10"),
        ({"name": "gru", "shape": (30, 4), "layers": 2}, "gru 30×4-64-64-10"),
        ({"name": "transformer", "shape": (3, 8, 8)}, "transformer 8×24-32-10, gelu"),
        ({"name": "transformer", "hidden": (6, 6)}, "transformer 8×8-6-6-10, gelu"),
    ],
)
def test_names_tell_the_sizes(change: dict[str, object], expected: str):
    source = ready_source(**({"name": "mlp", "shape": (64,), "outputs": 10} | change))
    assert source.name == expected


def test_mlp_source_is_the_ready_one():
    one = mlp_source(6, 3, (4,), "tanh")
    other = ready_source("mlp", (6,), 3, hidden=(4,), activation="tanh")
    assert one.name == other.name == "mlp 6-4-3, tanh"
    assert torch.equal(one.build(2)[1].weight, other.build(2)[1].weight)


@pytest.mark.parametrize("name", ["resnet", "cnnn", "net.py", "net:Net"])
def test_an_unknown_model_is_told_the_ready_ones(name: str):
    with pytest.raises(UserError, match="unknown model") as error:
        source_of(name)
    assert all(ready in str(error.value) for ready in (*MODELS, "'file.py:name'"))


def test_indices_need_an_embedding():
    tokens = torch.randint(0, 5, (20, 7))
    with pytest.raises(UserError, match=r"lstm takes numbers, but x is torch.int64, .*Embedding"):
        lanes.train("lstm", (tokens, torch.arange(20) % 2), ["sgd"], steps=1)


def test_samples_decide_shape_outputs_and_kind():
    x, y = torch.randn(30, 5, 4), torch.randn(30, 2)
    assert lanes.train("gru", (x, y), ["sgd"], steps=1)._engine.source.name == "gru 5×4-64-2"
    with pytest.raises(UserError, match="softmax is not for regression"):
        lanes.train("softmax", (x, y), ["sgd"], steps=1)
    two = x, torch.arange(30) % 2
    run = lanes.train("logistic", two, ["sgd"], steps=1)
    assert run._engine.loss.name == "binary-cross-entropy"


def test_a_rate_is_found_for_a_name():
    x = torch.randn(60, 36, generator=torch.Generator().manual_seed(0))
    found = find_lr(
        "cnn", (x, torch.arange(60) % 2), "sgd", lrs=[1e-3, 1e-2, 1e-1], seeds=2, steps=10,
        progress=False,
    )  # fmt: skip
    assert found.task.startswith("cnn 1×6×6-16-32-2, relu")


def test_builders_check_what_they_are_given():
    with pytest.raises(UserError, match="unknown activation"):
        mlp(4, 2, activation="rel")
    with pytest.raises(UserError, match="cnn takes images"):
        cnn((7,), 2)
