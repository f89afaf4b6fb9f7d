"""Equal to torch.optim over a grid of its options, and exchangeable with it in mid-training."""

import copy
import inspect
from collections.abc import Iterator
from itertools import product

import pytest
import torch
from tests.optim.common import apart, train, twins

from talweg import optim

STEPS = 50


def grid(**options: list) -> list[dict]:
    return [dict(zip(options, values, strict=True)) for values in product(*options.values())]


DECAY = {"weight_decay": [0, 0.01], "maximize": [False, True]}
DECOUPLED = DECAY | {"decoupled_weight_decay": [False, True]}
# A rule that divides gradients by their own size makes steps of their rounding errors, once the
# network knows its samples by heart, or where a first gradient is tiny: hence the rates and eps.
GRID = {
    "SGD": [
        *grid(lr=[0.1], momentum=[0, 0.9], dampening=[0, 0.5], **DECAY),
        *grid(lr=[0.1], momentum=[0.9], nesterov=[True], **DECAY),
    ],
    "Adam": grid(lr=[5e-4], betas=[(0.9, 0.999), (0.5, 0.9)], amsgrad=[False, True], **DECOUPLED),
    "AdamW": grid(eps=[1e-8, 1e-3], amsgrad=[False, True], **DECAY),
    "Adagrad": grid(lr_decay=[0, 0.1], initial_accumulator_value=[0, 0.1], **DECAY),
    "RMSprop": grid(
        lr=[1e-3],
        alpha=[0.99, 0.9],
        momentum=[0, 0.9],
        centered=[False, True],
        eps=[1e-4],
        **DECAY,
    ),
    "Adadelta": grid(lr=[1.0, 0.1], rho=[0.9, 0.5], **DECAY),
    "Adamax": grid(lr=[3e-4], eps=[1e-6], betas=[(0.9, 0.999), (0.5, 0.9)], **DECAY),
    "NAdam": grid(lr=[1e-4], eps=[1e-5, 1e-3], momentum_decay=[4e-3, 0.1], **DECOUPLED),
    "RAdam": grid(betas=[(0.9, 0.999), (0.8, 0.9)], **DECOUPLED),
    "Rprop": grid(lr=[0.01, 1e-3], etas=[(0.5, 1.2), (0.7, 1.1)], maximize=[False, True]),
    "Muon": grid(
        nesterov=[False, True],
        weight_decay=[0, 0.1],
        adjust_lr_fn=[None, "match_rms_adamw"],
        ns_steps=[3, 5],
    ),
    "Adafactor": grid(
        lr=[1e-3, 3e-3],
        beta2_decay=[-0.8, -0.5],
        eps=[(None, 1e-3), (1e-6, 1e-2)],
        d=[1, 2],
        **DECAY,
    ),
    "ASGD": grid(lr=[0.01, 0.1], lambd=[1e-4, 0.1], t0=[1e6, 10], **DECAY),
}
CASES = [
    pytest.param(name, options, id=f"{name}-{i}")
    for name, choices in GRID.items()
    for i, options in enumerate(choices)
]


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request) -> Iterator[torch.dtype]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)  # torch keeps NAdam's and ASGD's scalars in it
    yield request.param
    torch.set_default_dtype(before)


def tolerance(dtype: torch.dtype) -> float:
    return 1e-12 if dtype == torch.float64 else 1e-6


def both(name: str, dtype: torch.dtype, options: dict):
    ours, theirs = twins(dtype)
    return tuple(
        (model, getattr(room, name)(stepped_by(name, model), **options))
        for room, model in ((optim, ours), (torch.optim, theirs))
    )


def stepped_by(name: str, model: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [param for param in model.parameters() if name != "Muon" or param.ndim == 2]


@pytest.mark.parametrize("name", GRID)
def test_a_class_has_torchs_signature_and_is_one_of_torchs(name):
    ours, theirs = getattr(optim, name), getattr(torch.optim, name)
    assert issubclass(ours, theirs)
    assert inspect.signature(ours.__init__) == inspect.signature(theirs.__init__)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_fifty_steps_are_torchs(name, options, dtype):
    sign = -1 if options.get("maximize") else 1
    (ours, own), (theirs, other) = both(name, dtype, options)
    train(ours, own, STEPS, sign)
    train(theirs, other, STEPS, sign)
    assert apart(ours, theirs) <= tolerance(dtype)


def kept(name: str) -> list[dict]:
    """The options of a class under which its state has every key, and the plain ones."""
    return [GRID[name][0], GRID[name][-1]]


@pytest.mark.parametrize("to_ours", [True, False], ids=["torch-to-talweg", "talweg-to-torch"])
@pytest.mark.parametrize(
    ("name", "options"),
    [pytest.param(n, o, id=f"{n}-{i}") for n in GRID for i, o in enumerate(kept(n))],
)
def test_a_state_dict_is_exchanged_in_mid_training(name, options, dtype, to_ours):
    sign = -1 if options.get("maximize") else 1
    (ours, own), (theirs, other) = both(name, dtype, options)
    (whole, alone), _ = both(name, dtype, options)
    train(whole, alone, STEPS, sign)
    (first, before), (second, after) = (
        ((theirs, other), (ours, own)) if to_ours else ((ours, own), (theirs, other))
    )
    train(first, before, STEPS // 2, sign)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    train(second, after, STEPS - STEPS // 2, sign)
    assert apart(second, whole) <= tolerance(dtype)


@pytest.mark.parametrize(
    ("name", "options"),
    [pytest.param(n, o, id=f"{n}-{i}") for n in GRID for i, o in enumerate(kept(n))],
)
def test_state_has_torchs_keys_shapes_and_types(name, options, dtype):
    (ours, own), (theirs, other) = both(name, dtype, options)
    train(ours, own, 3)
    train(theirs, other, 3)
    mine, torchs = own.state_dict(), other.state_dict()
    assert mine["param_groups"] == torchs["param_groups"]
    for number, state in torchs["state"].items():
        given = {key: value for key, value in state.items() if value is not None}
        assert mine["state"][number].keys() == given.keys()
        for key, value in given.items():
            assert mine["state"][number][key].shape == torch.as_tensor(value).shape, key


@pytest.mark.parametrize("name", GRID)
def test_a_continued_run_equals_an_uninterrupted_one(name, dtype):
    options = GRID[name][0]
    (whole, alone), _ = both(name, dtype, options)
    (part, first), _ = both(name, dtype, options)
    train(whole, alone, 30)
    train(part, first, 13)
    (again, second), _ = both(name, dtype, options)
    again.load_state_dict(part.state_dict())
    second.load_state_dict(first.state_dict())
    train(again, second, 17)
    assert apart(again, whole) == 0
