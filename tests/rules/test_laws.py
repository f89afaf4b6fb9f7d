"""Laws of every registered rule, in every form: equal to its oracle, pure, finite, resumable."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from talweg.core import Rule
from talweg.rules import SGD, SOAP, Prodigy

from .cases import (
    DEFAULTS,
    FORMS,
    KINDS,
    MATRIX,
    ORACLES,
    START,
    from_starts,
    noise,
    on_tensors,
    oracle_run,
    over,
    replay,
    rule_run,
    scaled,
    stepped,
    valley_gradient,
)

STEPS = 60


def clones(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in state.items()}


def assert_same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def recorded(gradient):
    """A gradient function, and the list of the points where it will have been asked."""
    points = []

    def ask(point):
        points.append(np.array(point))
        return gradient(point)

    return ask, points


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_has_an_oracle(kind):
    rule = KINDS[kind]
    oracle_run(rule, valley_gradient, START, [rule.settings])


def test_a_rule_without_an_oracle_is_told_which_file_to_write():
    made_up = type("Downhill", (SGD,), {"__module__": "talweg.rules.downhill"})()
    with pytest.raises(pytest.fail.Exception, match=r"write tests/rules/oracles/downhill\.py"):
        oracle_run(made_up, valley_gradient, START, [])


def test_no_oracle_is_left_over():
    modules = {type(rule).__module__.rpartition(".")[2] for rule in KINDS.values()}
    assert {path.stem for path in ORACLES.glob("*.py")} == modules


@from_starts(DEFAULTS + FORMS)
def test_equals_its_oracle_step_by_step(rule: Rule, start):
    ask, asked = recorded(valley_gradient)
    expected = oracle_run(rule, ask, start, [rule.settings] * STEPS)
    ask, probed = recorded(valley_gradient)
    actual = rule_run([rule] * STEPS, on_tensors(ask), torch.from_numpy(start))

    # SOAP gets its first gradient twice: what is 0 in its directions is rounding, divided by eps.
    near = 1e-8 if rule == SOAP() else 1e-12
    np.testing.assert_allclose(torch.stack(actual).numpy(), expected, rtol=near, atol=near)
    np.testing.assert_allclose(probed, asked, rtol=near, atol=near)
    assert np.abs(expected[-1] - start).max() > 1e-3, "the path has to go somewhere"


def schedule_of(rule: Rule) -> list[Rule]:
    """One rule per step, with every numeric field changing every 7 steps."""
    return [scaled(rule, 1 + 0.2 * (t // 7 % 3)) for t in range(STEPS)]


@from_starts(FORMS)
def test_equals_its_oracle_when_its_hyperparameters_change(rule: Rule, start):
    rules = schedule_of(rule)
    expected = oracle_run(rule, valley_gradient, start, [now.settings for now in rules])
    actual = rule_run(rules, on_tensors(valley_gradient), torch.from_numpy(start))
    np.testing.assert_allclose(torch.stack(actual).numpy(), expected, rtol=1e-12, atol=1e-12)


def end_of(rule: Rule, start) -> np.ndarray:
    if start is MATRIX and not rule.is_per_tensor:
        start = START
    return oracle_run(rule, valley_gradient, start, [now.settings for now in schedule_of(rule)])[-1]


def test_no_two_forms_take_the_same_path():
    """Otherwise an oracle could not tell one form from another."""
    inner = [(name, rule) for name, rule in FORMS if all(rule.hypers.values())]
    ends = {name: [end_of(rule, START), end_of(rule, MATRIX)] for name, rule in inner}
    names = list(ends)
    alike = [
        (one, other)
        for i, one in enumerate(names)
        for other in names[i + 1 :]
        if all(
            a.shape == b.shape and np.abs(a - b).max() < 1e-8
            for a, b in zip(ends[one], ends[other], strict=True)
        )
    ]
    assert not alike


@pytest.mark.parametrize(
    ("dtype", "steps"), [(torch.float32, STEPS), (torch.bfloat16, 5)], ids=["float32", "bfloat16"]
)
@from_starts(DEFAULTS + FORMS)
def test_low_precision_stays_near_the_oracle(rule: Rule, start, dtype, steps):
    """A step rounds its change and the new parameter, each by at most ``eps/2``.

    The gradients are given and not looked up at the point: errors add up and do not feed back.
    """
    gradients = noise(steps, start.size)
    start = torch.from_numpy(start).to(dtype)
    gradients = gradients.reshape(steps, *start.shape)
    expected = oracle_run(rule, replay(gradients), start.double().numpy(), [rule.settings] * steps)
    actual = rule_run([rule] * steps, on_tensors(replay(gradients)), start)

    assert all(params.dtype == dtype for params in actual)
    largest = max(1.0, np.abs(expected).max())
    error = np.abs(torch.stack(actual).double().numpy() - expected).max()
    # Prodigy multiplies an estimate by itself, and the directions of one gradient are noise where
    # it has no length: there errors do feed back.
    more = 1000 if rule == Prodigy() or (type(rule) is SOAP and rule.beta3 == 0) else 1
    assert error < more * steps * torch.finfo(dtype).eps * largest


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@from_starts(FORMS)
def test_is_pure_and_keeps_shape_and_dtype(rule: Rule, start, dtype):
    params = torch.from_numpy(start).to(dtype)
    grad = torch.from_numpy(noise(1, start.size).reshape(start.shape)).to(dtype)
    before = {"params": params.clone(), "grad": grad.clone()}

    state = rule.init(params)
    scalars, _ = rule.recall(rule.scalars(1), rule.memory())
    params_1, state = stepped(rule, 1, params, grad, state, scalars)
    old_state, old_scalars = clones(state), dict(scalars)
    old_params_1 = params_1.clone()
    point = rule.probe(params_1, state, scalars)
    output = rule.output(params_1, state, scalars)
    params_2, new_state = stepped(rule, 2, params_1, grad, state, scalars)

    assert_same_bits({"params": params, "grad": grad}, before)
    assert torch.equal(params_1, old_params_1)
    assert_same_bits(state, old_state)
    assert scalars == old_scalars
    assert new_state.keys() == state.keys() == rule.init(params).keys()
    for tensor in (params_1, params_2, point, output):
        assert tensor.shape == params.shape
        assert tensor.dtype == dtype
        assert tensor.isfinite().all()
    for name, first in rule.init(params).items():
        assert first.shape == params.shape or rule.is_per_tensor or rule.gathers
        for tensor in (first, state[name], new_state[name]):
            assert tensor.shape == first.shape
            assert tensor.dtype == dtype
            assert tensor.isfinite().all()


@from_starts(FORMS)
def test_looks_ahead_says_where_the_gradient_is_taken(rule: Rule, start):
    params = torch.from_numpy(start)
    scalars, _ = rule.recall(rule.scalars(1), rule.memory())
    grad = torch.ones_like(params)
    moved, state = stepped(rule, 1, params, grad, rule.init(params), scalars)
    stays = torch.equal(rule.probe(moved, state, scalars), moved)
    switched_off = not all(rule.hypers.values())
    assert stays is not rule.looks_ahead or (stays and switched_off)


@from_starts(FORMS)
def test_resumed_from_a_file_it_takes_the_same_path_bit_by_bit(rule: Rule, start):
    gradient = on_tensors(valley_gradient)
    params = torch.from_numpy(start).float()
    whole = rule_run([rule] * 40, gradient, params)

    state, memory = rule.init(params), rule.memory()
    for t in range(1, 21):
        scalars, memory = rule.recall(rule.scalars(t), memory)
        grad = gradient(rule.probe(params, state, scalars))
        params, state = stepped(rule, t, params, grad, state, scalars)
    loaded = load(save({"params": params, **state}))
    params, state = loaded.pop("params"), loaded
    again = replace(rule)
    for t in range(21, 41):
        scalars, memory = again.recall(again.scalars(t), memory)
        grad = gradient(again.probe(params, state, scalars))
        params, state = stepped(again, t, params, grad, state, scalars)
        assert torch.equal(params, whole[t - 1]), t


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@from_starts(DEFAULTS + FORMS)
def test_without_any_gradient_nothing_divides_0_by_0(rule: Rule, start, dtype):
    start = torch.from_numpy(start).to(dtype)
    path = torch.stack(rule_run([rule] * 5, torch.zeros_like, start)).double()
    expected = oracle_run(rule, np.zeros_like, start.double().numpy(), [rule.settings] * 5)
    np.testing.assert_allclose(path, expected, rtol=0, atol=10 * torch.finfo(dtype).eps)


@over(FORMS)
def test_is_a_value(rule: Rule):
    twin = rule.changed(**rule.settings)
    assert twin == rule
    assert hash(twin) == hash(rule)
    assert hash(twin.structure) == hash(rule.structure)
    assert twin.structure == rule.structure
    assert scaled(rule, 1.1) != rule
    assert scaled(rule, 1.1).structure == rule.structure
    assert {**rule.hypers, **rule.options} == rule.settings


@over(DEFAULTS)
def test_its_range_of_learning_rates_is_a_range(rule: Rule):
    low, high = rule.lr_range
    assert 0 < low < high
