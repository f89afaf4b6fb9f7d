"""Keras' optimizers, run by Keras, and the rules that they are converted to."""

import inspect
import os
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from tests.explain.common import STEPS, apart, grid, rule_path
from tests.rules.cases import START, on_tensors, valley_gradient

import talweg
from talweg.core import UserError
from talweg.explain.keras import MISSING, OPTIMIZERS
from talweg.rules import SGD, Adam
from talweg.transforms import ClipNorm, ClipValue, WeightAverage, WeightDecay

os.environ["KERAS_BACKEND"] = "torch"
import keras

# Keras' own: it asks PyTorch for an array in a way that NumPy no longer likes.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

BETAS = {"beta_1": [0.9, 0.5], "beta_2": [0.999, 0.95]}
DECAY = {"weight_decay": [None, 0.1]}
GRID = {
    "SGD": [
        *grid(
            learning_rate=[2e-3], momentum=[0.0, 0.9], nesterov=[False, True],
            clipvalue=[None, 0.5], **DECAY,
        ),
        *grid(learning_rate=[2e-2], clipnorm=[0.5, 100.0], **DECAY),
        *grid(learning_rate=[2e-2], global_clipnorm=[0.5, 100.0], **DECAY),
    ],
    "RMSprop": grid(
        learning_rate=[2e-3], rho=[0.9, 0.7], momentum=[0.0, 0.8], epsilon=[1e-7, 0.1],
        centered=[False, True], **DECAY,
    ),
    "Adam": grid(
        learning_rate=[0.02], epsilon=[1e-7, 0.1], amsgrad=[False, True], **BETAS, **DECAY
    ),
    "AdamW": grid(learning_rate=[0.02], epsilon=[1e-7, 0.1], amsgrad=[False, True], **BETAS),
    "Adamax": grid(learning_rate=[0.02], epsilon=[1e-7, 0.1], **BETAS, **DECAY),
    "Nadam": grid(learning_rate=[0.02], epsilon=[1e-7, 0.1], **BETAS, **DECAY),
    "Adagrad": grid(
        learning_rate=[0.1], initial_accumulator_value=[0.0, 0.1], epsilon=[1e-7, 0.1], **DECAY
    ),
    "Adadelta": grid(learning_rate=[1.0, 0.1], rho=[0.95, 0.5], epsilon=[1e-7, 1e-3], **DECAY),
    "Lion": grid(learning_rate=[2e-3], beta_1=[0.9, 0.5], beta_2=[0.99, 0.8], **DECAY),
    "Lamb": grid(learning_rate=[0.02], epsilon=[1e-7, 0.1], **BETAS),
}  # fmt: skip
CASES = [
    pytest.param(name, settings, id=f"{name}-{i}")
    for name, choices in GRID.items()
    for i, settings in enumerate([{}, *choices])
]


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


def run(optimizer) -> np.ndarray:
    variable = keras.Variable(START, dtype="float64")
    gradient, path = on_tensors(valley_gradient), []
    for _ in range(STEPS):
        optimizer.apply([gradient(variable.value.detach())], [variable])
        path.append(keras.ops.convert_to_numpy(variable).copy())
    return np.stack(path)


def theirs(name: str, **settings):
    return getattr(keras.optimizers, name)(**settings)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_makes_the_same_run(name, settings):
    ours, keras_ = talweg.convert("keras", name, **settings), theirs(name, **settings)
    # On PyTorch Keras compares a norm with its limit in float32, whatever the gradient is in.
    near = 1e-7 if settings.keys() & {"clipnorm", "global_clipnorm"} else 1e-12
    assert apart(rule_path(ours), run(keras_)) < near


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_an_optimizer_tells_its_settings(name, settings):
    assert talweg.convert(theirs(name, **settings)) == talweg.convert("keras", name, **settings)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_table_has_keras_settings_and_defaults(name):
    signature = inspect.signature(getattr(keras.optimizers, name)).parameters
    defaults = {key: spec.default for key, spec in signature.items() if key != "kwargs"}
    assert dict(OPTIMIZERS[name].settings) == defaults


def test_every_class_is_converted_or_named_as_missing():
    known = {
        name
        for name, kind in vars(keras.optimizers).items()
        if inspect.isclass(kind) and issubclass(kind, keras.optimizers.Optimizer)
    }
    assert known - {"Optimizer"} == OPTIMIZERS.keys() | MISSING.keys()
    assert set(GRID) == set(OPTIMIZERS)


def test_transforms_are_around_the_rule():
    rule = talweg.convert("keras", "SGD", clipvalue=0.5, weight_decay=0.1, use_ema=True)
    assert rule == WeightAverage(WeightDecay(ClipValue(SGD(0.01), 0.5), 0.1), 0.99)
    rule = talweg.convert("keras", "SGD", clipnorm=0.5)
    assert rule == ClipNorm(SGD(0.01), 0.5, slack=0.0, over="tensor")
    rule = talweg.convert("keras", "SGD", global_clipnorm=0.5)
    assert rule == ClipNorm(SGD(0.01), 0.5, slack=0.0)
    with pytest.raises(UserError, match="Keras takes one of clipnorm and clipvalue"):
        talweg.convert("keras", "SGD", clipvalue=0.5, clipnorm=0.5)


@pytest.mark.parametrize("clip", ["clipnorm", "global_clipnorm"])
def test_what_is_clipped_is_a_tensor_or_the_model(clip):
    """Two variables, whose gradients are of different sizes."""
    starts = [np.array([1.0, -2.0]), np.array([10.0, 20.0, -30.0])]
    settings = {"learning_rate": 0.1, "momentum": 0.5, clip: 3.0}
    optimizer = theirs("SGD", **settings)
    variables = [keras.Variable(start, dtype="float64") for start in starts]
    params = [torch.nn.Parameter(torch.from_numpy(start)) for start in starts]
    ours = talweg.optim.OfRule(params, talweg.convert("keras", "SGD", **settings))
    for _ in range(5):
        optimizer.apply([variable.value.detach() for variable in variables], variables)
        for param in params:
            param.grad = param.detach().clone()
        ours.step()
    for variable, param in zip(variables, params, strict=True):
        shown = keras.ops.convert_to_numpy(variable)
        np.testing.assert_allclose(param.detach(), shown, rtol=1e-6)


def test_the_average_is_keras():
    optimizer = theirs("Adam", learning_rate=0.02, use_ema=True, ema_momentum=0.8)
    run(optimizer)
    (average,) = optimizer._model_variables_moving_average
    rule = talweg.convert(optimizer)
    params = torch.from_numpy(START)
    state, gradient = rule.init(params), on_tensors(valley_gradient)
    for t in range(1, STEPS + 1):
        params, state = rule.step(params, gradient(params), state, rule.scalars(t))
    ours = rule.output(params, state, {})
    np.testing.assert_allclose(ours, keras.ops.convert_to_numpy(average), rtol=1e-12)
    assert (ours - params).abs().max() > 1e-3


def test_a_rate_is_what_was_typed():
    keras.config.set_floatx("float32")
    optimizer = theirs("Adam", learning_rate=0.003)
    assert optimizer.get_config()["learning_rate"] != 0.003
    assert talweg.convert(optimizer) == Adam(lr=0.003, eps=1e-7, eps_hat=True)


class Sharper(keras.optimizers.Adam):
    """Somebody's own."""


def sparing():
    optimizer = theirs("AdamW")
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: theirs("Adam", learning_rate=keras.optimizers.schedules.CosineDecay(0.1, 10)),
            "keras.optimizers.Adam: learning_rate must be a number, got a schedule; convert its "
            "first value and let talweg follow the schedule",
        ),
        (
            lambda: theirs("Adam", gradient_accumulation_steps=2),
            "keras.optimizers.Adam: gradient_accumulation_steps=2 cannot be converted: train with "
            "batches that many times as large",
        ),
        (
            lambda: theirs("Lamb", weight_decay=0.1),
            "keras.optimizers.Lamb: weight_decay=0.1 cannot be converted: Keras takes it off the "
            "parameters, LAMB here adds it to the direction",
        ),
        (
            sparing,
            "AdamW spares some variables its weight decay: convert it by name, once with the "
            "weight decay and once without",
        ),
        (
            lambda: theirs("Ftrl"),
            "keras.optimizers.Ftrl has no counterpart in talweg: talweg has no such rule yet",
        ),
        (
            lambda: keras.optimizers.LossScaleOptimizer(theirs("Adam")),
            "keras.optimizers.LossScaleOptimizer has no counterpart in talweg: it is around "
            "another optimizer: convert that one, its inner_optimizer",
        ),
        (
            lambda: keras.layers.Dense(2),
            "keras.src.layers.core.dense.Dense is no optimizer of Keras 3",
        ),
        (
            lambda: Sharper(),
            "convert takes 'pytorch', 'keras', 'optax' or an optimizer of PyTorch "
            "or Keras, got Sharper",
        ),
    ],
)
def test_what_cannot_be_converted_is_told_in_one_line(make, message):
    with pytest.raises(UserError) as caught:
        talweg.convert(make())
    assert str(caught.value) == message
