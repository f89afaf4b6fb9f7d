"""Input that cannot be used is told in one line."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from talweg import lanes, rules
from talweg.core import UserError
from talweg.metrics import RMSE
from talweg.models import source_of

X, Y = torch.zeros(12, 6), torch.arange(12) % 3
DATA = X, Y


class OnlyEvaluates(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            raise ValueError("not for training\nat all")
        return super().forward(x)


def broken() -> nn.Module:
    raise OSError("no weights here")


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))


def scornful(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    if output.requires_grad:
        raise TypeError("no such loss")
    return (output.sum(1) - target).square()


def linear(outputs: int) -> Callable[[], nn.Module]:
    return lambda: nn.Linear(6, outputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rules": []}, "at least one rule"),
        ({"rules": ["adma"]}, "did you mean 'adam'"),
        ({"rules": ["sgd"] * 3, "seeds": [0, 1]}, r"one per rule \(3\)"),
        ({"seeds": [-1]}, "a seed must be a whole number of at least 0, got -1"),
        ({"strategy": "stack"}, "did you mean 'stacked'"),
        ({"steps": -1}, "steps must be a whole number of at least 0, got -1"),
        ({"steps": 2, "epochs": 2}, "either steps or epochs"),
        ({"read_every": 0}, "read_every must be a whole number of at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"loss": "crossentropy"}, "did you mean 'cross-entropy'"),
        ({"device": "cuda:77"}, "device 'cuda:77' cannot be used here"),
        ({"model": linear(2)}, "returns 2 values per sample, but the target has 3 classes"),
        ({"model": linear(1)}, "two classes, got 1 values and 3 classes"),
        ({"model": lambda: nn.Linear(5, 3)}, r"cannot take a batch of shape \[2, 6\]"),
        ({"model": lambda: 3}, "must return an nn.Module, got int"),
        ({"model": lambda: nn.LazyLinear(3)}, r"weight has no shape yet \(a lazy layer\)"),
        ({"model": nn.Identity}, "has no trainable parameters"),
        ({"model": broken}, "broken cannot be built: OSError: no weights here"),
        ({"model": lambda: OnlyEvaluates(6, 3)}, "on a batch of 8 samples: not for training$"),
        ({"model": normed, "batch_size": 11}, "leave one of the 12 samples .* another batch_size"),
        ({"drop_last": True, "batch_size": 13}, "drop_last leaves no batch: batch_size is 13, but"),
        ({"drop_last": "no"}, "drop_last must be true or false, got 'no'"),
        ({"model": normed, "batch_size": 1}, "cannot be trained on a batch of 1 sample: Expected"),
        ({"loss": scornful, "strategy": "serial"}, "on a batch of 8 samples: no such loss"),
        ({"schedule": {"lrr": "linear"}}, "unknown hyperparameter in schedule 'lrr'"),
        ({"schedule": 5}, "a schedule is a name or a callable, got int"),
        ({"seeds": [2**70]}, r"a seed must be below 2\*\*64, got"),
        ({"model": "net.py:Net"}, "no model file 'net.py'"),
        ({"model": 3}, "a model is an nn.Module, a callable"),
        ({"schedule": "liner"}, "did you mean 'linear'"),
        ({"data": (X.double() + 1e300, Y)}, "too large for the model's torch.float32"),
        ({"data": (X, torch.zeros(12))}, "returns 3 values per sample, but the target has 1"),
    ],
)
def test_one_line_says_what_was_wrong(change: dict[str, object], message: str):
    arguments = {"model": linear(3), "data": (X, Y), "rules": ["sgd"], "steps": 2, **change}
    if "epochs" in change and "steps" not in change:
        del arguments["steps"]
    with pytest.raises(ValueError, match=message) as error:
        lanes.train(**arguments)
    assert "\n" not in str(error.value)


def test_a_lane_that_does_not_exist():
    run = lanes.train(linear(3), (X, Y), [rules.SGD()], steps=1)
    with pytest.raises(ValueError, match="lane must be from 0 to 0, got 4"):
        run.params(4)


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_a_callable_that_gives_one_module_again_and_again(strategy: str):
    module = nn.Linear(6, 3)
    before = module.weight.clone()
    with pytest.raises(UserError, match="gives the same module at every call"):
        lanes.train(lambda: module, DATA, ["sgd"], steps=3, strategy=strategy)
    assert torch.equal(module.weight, before)


def test_a_model_that_starts_alike_with_every_seed_is_noted():
    module = nn.Linear(6, 3)
    run = lanes.train(lambda: copy.deepcopy(module), DATA, ["sgd"], steps=3)
    assert any("the same parameters with every seed" in note for note in run.notes)


class Raw(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))
        self.layer = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x * self.scale)


def test_a_module_that_cannot_be_drawn_anew_is_refused():
    with pytest.raises(UserError, match=r"Raw cannot be re-initialised: no layer .* for scale; "):
        lanes.train(Raw(), DATA, ["sgd"], steps=3)
    lanes.train(Raw, DATA, ["sgd"], steps=3)


def test_attention_is_drawn_anew():
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    one, other = (source_of(layer).build(seed) for seed in (0, 1))
    assert not torch.equal(one.self_attn.in_proj_weight, other.self_attn.in_proj_weight)
    assert not torch.equal(one.self_attn.in_proj_weight, layer.self_attn.in_proj_weight)


def test_outputs_of_another_shape_than_the_target():
    x, y = torch.randn(20, 8), torch.randn(20, 4, 2)
    make = lambda: nn.Sequential(nn.Linear(8, 8), nn.Unflatten(1, (2, 4)))  # noqa: E731
    with pytest.raises(
        UserError, match=r"of shape \[2, 4\], but those of the target have \[4, 2\]"
    ):
        lanes.train(make, (x, y), ["sgd"], steps=3)


@pytest.mark.parametrize(
    "loss",
    [lambda output, _: output.mean(0), lambda output, target: (output - target) ** 2],
    ids=["over the batch", "broadcast"],
)
def test_a_loss_that_does_not_give_one_value_per_sample(loss):
    x, y = torch.randn(20, 8), torch.randn(20)
    with pytest.raises(UserError, match="must return one value per sample or a scalar"):
        lanes.train(lambda: nn.Linear(8, 1), (x, y), ["sgd"], steps=3, batch_size=7, loss=loss)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evaluate": [1]}, "evaluate must be"),
        ({"evaluate": {"v": (X[:, :5], Y)}}, r"x of 'v' has samples of shape \[5\], but \[6\]"),
        ({"evaluate": {"v": (X, Y + 9)}}, "y of 'v' has class 11"),
        ({"evaluate": {"v": (X, X[:, 0])}}, "y of 'v' is torch.float32"),
        ({"metrics": ["accuracy"]}, "metrics must be talweg.metrics.Metric objects"),
        ({"metrics": [RMSE]}, "rmse is no metric for classification"),
        ({"rules": 5}, "rules must be names"),
        ({"rules": None}, "rules must be names"),
        ({"loss": 3}, "unknown loss 3"),
        ({"strategy": None}, "unknown strategy None"),
        ({"device": 4.5}, "device '4.5' cannot be used here"),
        ({"schedule": lambda start: start}, "a schedule takes"),
    ],
)
def test_arguments_of_the_wrong_kind(change, message):
    with pytest.raises(UserError, match=message):
        lanes.train(**({"model": "mlp", "data": DATA, "rules": ["sgd"], "steps": 2} | change))
