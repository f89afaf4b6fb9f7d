"""optax' optimizers, run by optax, and the rules that they are converted to."""

import inspect
from collections.abc import Iterator

import jax
import numpy as np
import optax
import pytest
from tests.explain.common import STEPS, apart, grid, rule_path
from tests.rules.cases import START, valley_gradient

import talweg
from talweg.core import UserError
from talweg.explain.optax import MISSING, OPTIMIZERS

NO_OPTIMIZERS = (
    "differentially_private_aggregate",
    "normalize",
    "reduce_on_plateau",
    "schedule_free_eval_params",
    "split_real_and_imaginary",
)
BETAS = {"b1": [0.9, 0.5], "b2": [0.95]}
EPS = {"eps": [1e-8, 0.1]}
ROOT = [{"eps": 1e-8}, {"eps": 0.1}, {"eps": 0.0, "eps_root": 0.1}]
DECAY = {"weight_decay": [0.0, 0.1]}
LR = {"learning_rate": [0.02]}
GRID = {
    "sgd": grid(learning_rate=[2e-3], momentum=[None, 0.0, 0.9], nesterov=[False, True]),
    "rmsprop": grid(
        learning_rate=[2e-3], decay=[0.7], eps=[0.1], initial_scale=[0.0, 1.0],
        eps_in_sqrt=[False, True], centered=[False, True], momentum=[None, 0.8],
        nesterov=[False, True],
    ),
    "adam": [a | b for a in grid(**LR, **BETAS) for b in ROOT]
    + [*grid(**LR, **BETAS, **EPS, nesterov=[True])],
    "adamw": [a | b for a in grid(**LR, **BETAS, **DECAY) for b in ROOT],
    "nadam": grid(**LR, **BETAS, **EPS, nesterov=[True, False]),
    "nadamw": grid(**LR, **BETAS, **EPS, **DECAY),
    "adamax": grid(**LR, **BETAS, **EPS),
    "adamaxw": grid(**LR, **BETAS, **EPS, **DECAY),
    "radam": grid(**LR, b1=[0.9, 0.5], b2=[0.95, 0.5], **EPS),
    "adabelief": [a | b for a in grid(**LR, **BETAS) for b in ({}, {"eps": 0.1, "eps_root": 0.1})],
    "yogi": grid(**LR, **BETAS, eps=[1e-3, 0.1]),
    "adagrad": grid(learning_rate=[0.1], initial_accumulator_value=[0.0, 0.1], **EPS),
    "adadelta": grid(learning_rate=[0.1], rho=[0.5], eps=[1e-6, 1e-3], **DECAY),
    "lion": grid(learning_rate=[2e-3], b1=[0.9, 0.5], b2=[0.8], **DECAY),
    "lamb": grid(**LR, **BETAS, eps=[1e-6, 0.1], **DECAY),
}  # fmt: skip
CASES = [
    pytest.param(name, settings, id=f"{name}-{i}")
    for name, choices in GRID.items()
    for i, settings in enumerate([{"learning_rate": 0.02}, *choices])
]


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def run(optimizer) -> np.ndarray:
    params = jax.numpy.asarray(START)
    assert params.dtype == "float64"
    state, path = optimizer.init(params), []
    update = jax.jit(optimizer.update)
    for _ in range(STEPS):
        grads = jax.numpy.asarray(valley_gradient(np.asarray(params)))
        updates, state = update(grads, state, params)
        params = optax.apply_updates(params, updates)
        path.append(np.asarray(params))
    return np.stack(path)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_makes_the_same_run(name, settings):
    theirs = run(getattr(optax, name)(**settings))
    assert apart(rule_path(talweg.convert("optax", name, **settings)), theirs) < 1e-12


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_table_has_optax_settings_and_defaults(name):
    signature = inspect.signature(getattr(optax, name)).parameters
    defaults = {key: spec.default for key, spec in signature.items()}
    rate = defaults["learning_rate"]
    assert rate in (inspect.Parameter.empty, None)  # without one, adadelta climbs
    assert dict(OPTIMIZERS[name].settings) == {**defaults, "learning_rate": inspect.Parameter.empty}


def test_every_optimizer_is_converted_or_named_as_missing():
    known = {
        name
        for name, made in vars(optax._src.alias).items()
        if callable(made)
        and getattr(optax, name, None) is made
        and "learning_rate" in str(inspect.signature(made))
    }
    known |= {
        f"contrib.{name}"
        for name, made in vars(optax.contrib).items()
        if inspect.isfunction(made) and not name.startswith(("scale_by", "hutchinson"))
    }
    known -= {f"contrib.{name}" for name in NO_OPTIMIZERS}
    assert known == OPTIMIZERS.keys() | MISSING.keys()
    assert set(GRID) == set(OPTIMIZERS)


def test_why_some_have_no_counterpart():
    """If one of these fails, optax has changed and the optimizer can be converted."""
    rprop = run(optax.rprop(0.01))
    assert (rprop[0] == START).all()
    late = rule_path(talweg.rules.Rprop(lr=0.01))
    assert not np.allclose(rprop[1:], late[:-1])  # the gradients are those of the later points
    half = {"b1": 0.9, "b3": 0.9, "eps_root": 0.0}
    alike = run(optax.adan(0.02, b2=0.5, **half))
    assert apart(rule_path(talweg.rules.Adan(0.02, 0.9, 0.5, 0.9)), alike) < 1e-12
    other = run(optax.adan(0.02, b2=0.9, **half))
    assert apart(rule_path(talweg.rules.Adan(0.02, 0.9, 0.9, 0.9)), other) > 1e-3
    amsgrad = rule_path(talweg.rules.Adam(0.02, amsgrad=True))
    assert apart(amsgrad, run(optax.amsgrad(0.02))) > 1e-3
    climbs = run(optax.adadelta(None, eps=1e-3))[0] - START
    assert (np.sign(climbs) == np.sign(valley_gradient(START))).all()


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("adam", {}, "optax.adam needs learning_rate"),
        (
            "adam",
            {"eps_root": 1e-8},
            "optax.adam(learning_rate=0.1, eps_root=1e-08): eps and eps_root are both set, and the "
            "rule adds eps in one place",
        ),
        (
            "nadam",
            {"eps": 0.0, "eps_root": 1e-8},
            "optax.nadam(learning_rate=0.1, eps=0.0, eps_root=1e-08): the rule has no eps under "
            "the root, eps_root must be 0",
        ),
        (
            "adabelief",
            {"eps": 1e-8},
            "optax.adabelief(learning_rate=0.1, eps=1e-08): eps and eps_root must be the same: the "
            "rule has one for both places",
        ),
        (
            "rmsprop",
            {"bias_correction": True},
            "optax.rmsprop: bias_correction=True cannot be converted: RMSProp corrects no bias",
        ),
        (
            "sgd",
            {"learning_rate": optax.linear_schedule(1.0, 0.1, 10)},
            "optax.sgd: learning_rate must be a number, got a schedule; convert its first value "
            "and let talweg follow the schedule",
        ),
        (
            "adan",
            {},
            "optax.adan has no counterpart in talweg: optax weighs the difference of gradients by "
            "1 − b2, the paper and talweg by b2",
        ),
        (
            "adam",
            {"epsilon": 1e-8},
            "unknown setting of optax.adam 'epsilon'; did you mean 'eps'? (allowed: learning_rate, "
            "b1, b2, eps, eps_root, mu_dtype, nesterov)",
        ),
    ],
)
def test_what_cannot_be_converted_is_told_in_one_line(name, settings, message):
    if "needs" not in message:
        settings = {"learning_rate": 0.1, **settings}
    with pytest.raises(UserError) as caught:
        talweg.convert("optax", name, **settings)
    assert str(caught.value) == message


def test_a_transformation_does_not_tell_its_settings():
    with pytest.raises(UserError, match=r"convert\('optax', NAME, …\)$"):
        talweg.convert(optax.adam(0.1))
    assert talweg.convert("optax", "sgd", learning_rate=jax.numpy.asarray(0.5)).lr == 0.5
