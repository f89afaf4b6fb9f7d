"""PyTorch's optimizers, run by PyTorch, and the rules that they are converted to."""

import inspect
from itertools import product

import numpy as np
import pytest
import torch
from tests.explain.common import STEPS, apart, grid, rule_path
from tests.rules.cases import START, on_tensors, valley_gradient

import talweg
from talweg import optim, rules
from talweg.core import UserError
from talweg.explain.pytorch import MISSING, PYTORCH
from talweg.transforms import Ascent, WeightDecay

OPTIMIZERS = PYTORCH.optimizers
BETAS = {"betas": [(0.9, 0.999), (0.5, 0.95)], "eps": [1e-8, 0.1]}
DECAY = {"weight_decay": [0.0, 0.1]}
EITHER = DECAY | {"decoupled_weight_decay": [False, True]}
GRID = {
    "SGD": grid(lr=[2e-3], momentum=[0.0, 0.9], dampening=[0.0, 0.5], **DECAY),
    "Adam": grid(lr=[0.02], amsgrad=[False, True], **BETAS, **EITHER),
    "AdamW": grid(lr=[0.02], amsgrad=[False, True], **BETAS, **DECAY),
    "Adamax": grid(lr=[0.02], **BETAS, **DECAY),
    "NAdam": grid(lr=[0.02], momentum_decay=[4e-3, 0.1], **BETAS, **EITHER),
    "RAdam": grid(lr=[0.02], **BETAS, **EITHER),
    "Adagrad": grid(lr=[0.1], lr_decay=[0.0, 0.1], initial_accumulator_value=[0.0, 0.1], **DECAY),
    "RMSprop": grid(
        lr=[2e-3], alpha=[0.99, 0.9], momentum=[0.0, 0.8], centered=[False, True], eps=[0.1]
    ),
    "Adadelta": grid(lr=[0.1], rho=[0.9, 0.5], eps=[1e-6, 1e-3], **DECAY),
    "Rprop": grid(lr=[0.01, 1e-3], etas=[(0.5, 1.2), (0.7, 1.1)]),
    "ASGD": grid(lr=[1e-3], lambd=[1e-4, 0.1], t0=[1e6, 10], **DECAY),
}
CASES = [
    pytest.param(name, settings, id=f"{name}-{i}")
    for name, choices in GRID.items()
    for i, settings in enumerate([{}, *choices])
]
CASES.append(pytest.param("SGD", {"momentum": 0.9, "nesterov": True}, id="SGD-nesterov"))


def theirs(name: str, **settings) -> torch.optim.Optimizer:
    return getattr(torch.optim, name)([torch.nn.Parameter(torch.tensor(START))], **settings)


def run(optimizer: torch.optim.Optimizer) -> np.ndarray:
    ((param,),) = (group["params"] for group in optimizer.param_groups)
    gradient, path = on_tensors(valley_gradient), []
    for _ in range(STEPS):
        param.grad = gradient(param.detach())
        optimizer.step()
        path.append(param.detach().clone())
    return torch.stack(path).numpy()


@pytest.fixture
def _double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # torch keeps NAdam's and ASGD's scalars in it
    yield
    torch.set_default_dtype(before)


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_makes_the_same_run(name, settings):
    if name == "SGD" and not settings:
        settings = {"lr": 2e-3}
    ours = rule_path(talweg.convert("pytorch", name, **settings))
    assert apart(ours, run(theirs(name, **settings))) < 1e-12


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_an_optimizer_tells_its_settings(name, settings):
    rule = talweg.convert("pytorch", name, **settings)
    assert talweg.convert(theirs(name, **settings)) == rule
    twin = getattr(optim, name)([torch.zeros(2)], **settings)
    assert talweg.convert(twin) == rule


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_table_has_torchs_settings_and_defaults(name):
    signature = inspect.signature(getattr(torch.optim, name)).parameters
    defaults = {key: spec.default for key, spec in signature.items() if key != "params"}
    assert dict(OPTIMIZERS[name].settings) == defaults


def test_every_class_is_converted_or_named_as_missing():
    known = {
        name
        for name, kind in vars(torch.optim).items()
        if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer)
    }
    assert known - {"Optimizer"} == OPTIMIZERS.keys() | MISSING.keys()
    assert set(GRID) <= OPTIMIZERS.keys()


def test_what_torch_calls_maximize_is_ascent():
    assert talweg.convert("torch", "SGD", lr=0.1, maximize=True) == Ascent(rules.SGD(0.1))


def test_what_a_step_runs_on_leaves_the_rule_as_it_is():
    for name, value in product(("foreach", "fused", "capturable", "differentiable"), (True, False)):
        rule = talweg.convert("pytorch", "AdamW", **{name: value})
        assert rule == WeightDecay(rules.Adam(), 0.01)
    assert talweg.convert(theirs("Adam", capturable=True, foreach=True)) == rules.Adam()


def test_numbers_in_tensors_are_numbers():
    rule = talweg.convert(theirs("Adam", lr=torch.tensor(0.5), betas=(0.5, 0.75)))
    assert rule == rules.Adam(0.5, 0.5, 0.75)
    assert type(rule.lr) is float


def test_a_rate_that_a_scheduler_changed_is_taken_as_it_is():
    optimizer = theirs("SGD", lr=0.1)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 0.5)
    assert talweg.convert(optimizer) == rules.SGD(0.05)


def test_any_optimizer_of_talweg_tells_its_rule():
    rule = rules.Yogi(lr=0.1, beta1=0.5)
    assert talweg.convert(optim.OfRule([torch.zeros(2)], rule)) == rule
    assert talweg.convert(optim.Lion([torch.zeros(2)], lr=0.1)) == rules.Lion(0.1)


def groups(**second) -> torch.optim.Optimizer:
    params = [torch.zeros(2), torch.zeros(3)]
    return torch.optim.Adam([{"params": params[:1]}, {"params": params[1:], **second}])


def test_parameter_groups_that_agree_are_one():
    assert talweg.convert(groups()) == rules.Adam()


class Sharper(torch.optim.SGD):
    """Somebody's own."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: groups(weight_decay=0.1),
            "the parameter groups differ in weight_decay: convert each by name",
        ),
        (
            lambda: torch.optim.LBFGS([torch.zeros(2)]),
            "torch.optim.LBFGS has no counterpart in talweg: it evaluates the model many times a "
            "step",
        ),
        (
            lambda: Sharper([torch.zeros(2)]),
            f"{Sharper.__module__}.Sharper is no optimizer of PyTorch's own",
        ),
        (lambda: theirs("Adam", eps=0.0), "eps must be a positive number, got 0.0"),
    ],
)
def test_what_cannot_be_converted_is_told_in_one_line(make, message):
    with pytest.raises(UserError) as caught:
        talweg.convert(make())
    assert str(caught.value) == message
