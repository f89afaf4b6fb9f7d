"""The table of rules that the laws run over, made from each rule's own fields.

A rule that is registered is in the table by itself: every combination of its options, with each
numeric field well inside its range and at its lower bound where that bound is allowed.
"""

import math
from dataclasses import Field
from importlib import import_module
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from talweg.core import Rule, UserError
from talweg.rules import RULES
from talweg.transforms import Transform

ORACLES = Path(__file__).parent / "oracles"
START = np.array([-1.2, 1.0, 0.5, -0.3, 0.8])
MATRIX = np.array([[-1.2, 1.0], [0.5, -0.3], [0.8, -0.6]])


def inside(field: Field, position: int) -> float:
    """A value well inside a numeric field's range; ``eps`` is large enough for its place to show.

    The fields of one rule get different values, so that two of them cannot be exchanged unseen.
    """
    if field.name == "lr":
        return 0.5 if field.default == 1 else 2e-3
    if field.name == "d0":  # so small that the estimate grows
        return 1e-3
    if field.metadata["below"] == 1:
        return 0.8 + 0.03 * position
    if 1 in (field.metadata["above"], field.metadata["at_least"]):
        return 1.2
    return 0.1 + 0.01 * position


def kind_of(rule: Rule) -> str:
    """The rule's class, with the class inside if it is a transform."""
    name = type(rule).__name__
    return f"{name}({kind_of(rule.rule)})" if isinstance(rule, Transform) else name


def choices(spec: Field) -> tuple:
    """What to try for an option."""
    if spec.metadata["choices"]:
        return spec.metadata["choices"]
    if isinstance(spec.default, bool):
        return (False,) if spec.name == "half" else (False, True)  # half is far from any oracle
    if isinstance(spec.default, int):  # a count of steps, or a bound; defaults run anyway
        return (2,) if spec.default < 100 else (2, spec.default)
    return (spec.default,)


def variants(known: Rule) -> list[tuple[str, Rule]]:
    """Every form of a rule by a readable name."""
    specs = known.own if isinstance(known, Transform) else known.specs  # inside it is as it is
    options = [spec for spec in specs.values() if spec.metadata["kind"] == "option"]
    hypers = [spec for spec in known.specs.values() if spec.metadata["kind"] == "hyper"]
    usual = {spec.name: inside(spec, i) for i, spec in enumerate(hypers)}
    edges = [{}] + [{spec.name: 0.0} for spec in hypers if spec.metadata["at_least"] == 0]
    found = []
    for values in product(*map(choices, options)):
        form = {spec.name: value for spec, value in zip(options, values, strict=True)}
        for edge in edges:
            shown = {key: value for key, value in form.items() if not isinstance(value, tuple)}
            label = ",".join(f"{key}={value}" for key, value in (shown | edge).items())
            try:
                found.append((f"{kind_of(known)}({label})", known.changed(**(usual | form | edge))))
            except UserError:
                continue  # The rule refuses this combination, such as nesterov without momentum.
    assert found, f"no combination of {kind_of(known)}'s options is allowed"
    return found


KINDS = {kind_of(known.rule): known.rule for known in reversed([*RULES.values()])}
"""One rule of each class, by name."""
FORMS = [pair for rule in KINDS.values() for pair in variants(rule)]
DEFAULTS = [(name, known.rule) for name, known in RULES.items()]
ONE_PER_STRUCTURE = list({rule.structure: (name, rule) for name, rule in reversed(FORMS)}.values())


def over(pairs: list[tuple[str, Rule]]) -> pytest.MarkDecorator:
    """Runs a test once for each rule, under its readable name."""
    return pytest.mark.parametrize("rule", [pytest.param(rule, id=name) for name, rule in pairs])


def from_starts(pairs: list[tuple[str, Rule]]) -> pytest.MarkDecorator:
    """Runs a test once for each rule and each start whose shape makes a difference to it."""
    found = [pytest.param(rule, START, id=name) for name, rule in pairs]
    found += [
        pytest.param(rule, MATRIX, id=f"{name} on a matrix")
        for name, rule in pairs
        if rule.is_per_tensor or rule.gathers
    ]
    return pytest.mark.parametrize(("rule", "start"), found)


def oracle_run(rule: Rule, gradient, start, settings) -> list[np.ndarray]:
    """The path of the rule's float64 twin; fails the test if nobody has written it.

    Args:
        rule: Whose twin; it is found by the name of the rule's module.
        gradient: Point → gradient; the twin decides where it is asked.
        start: The first point.
        settings: One dict of the rule's fields per step.
    """
    module = type(rule).__module__.rpartition(".")[2]
    if not (ORACLES / f"{module}.py").exists():
        pytest.fail(
            f"{type(rule).__name__} has no oracle: write tests/rules/oracles/{module}.py, "
            "its plain NumPy float64 twin with run(gradient, start, settings) -> path",
            pytrace=False,
        )
    oracle = import_module(f".oracles.{module}", __package__)
    return oracle.run(gradient, start, settings)


def valley_gradient(x: np.ndarray) -> np.ndarray:
    """The gradient of ``Σ (1 − x_i)² + 2·(x_{i+1} − x_i²)²``, a chain of valleys, on the last axis.

    They are shallower than Rosenbrock's, so that a rounding error does not grow along the path.
    """
    across = x[..., 1:] - x[..., :-1] ** 2
    grad = np.zeros_like(x)
    grad[..., :-1] = -2 * (1 - x[..., :-1]) - 8 * across * x[..., :-1]
    grad[..., 1:] += 4 * across
    return grad


def noise(steps: int, size: int, seed: int = 0) -> np.ndarray:
    """Gradients ``[step, size]`` that depend on nothing, each coordinate on its own scale.

    They are numbers of bfloat16, so that no precision rounds them.
    """
    drawn = np.random.default_rng(seed).normal(size=(steps, size)) * np.logspace(-2, 1, size)
    return torch.from_numpy(drawn).bfloat16().double().numpy()


def replay(gradients: np.ndarray):
    """A gradient function that ignores the point and returns the given gradients in turn."""
    turn = iter(gradients)
    return lambda _point: next(turn)


def on_tensors(gradient):
    """A gradient function of NumPy arrays as one of tensors, in the tensor's own dtype."""
    return lambda x: torch.from_numpy(gradient(x.double().numpy())).to(x.dtype)


def stepped(rule: Rule, t: int, params, grad, state, scalars):
    """A step of a rule that is alone: its sums are the whole."""
    rule = rule.at(t)
    scalars = {**scalars, **rule.sums(params, grad, state, scalars)}
    return rule.step(params, grad, state, scalars)


def rule_run(rules, gradient, start: torch.Tensor) -> list[torch.Tensor]:
    """The path of a rule: ``rules`` holds one rule per step, ``gradient`` is of tensors."""
    params, state, memory = start, rules[0].init(start), rules[0].memory()
    path = []
    for t, rule in enumerate(rules, start=1):
        scalars, memory = rule.recall(rule.scalars(t), memory)
        grad = gradient(rule.probe(params, state, scalars))
        params, state = stepped(rule, t, params, grad, state, scalars)
        path.append(params)
    return path


def scaled(rule: Rule, factor: float) -> Rule:
    """The rule with every numeric field moved: rates by the factor, shares of 1 toward 1 or 0."""
    moved = {}
    for name, spec in rule.specs.items():
        value = rule.settings[name]
        if spec.metadata["kind"] == "hyper":
            if spec.metadata["below"] < math.inf:
                moved[name] = value ** (1 / factor) if value else 0.0
            elif 1 in (spec.metadata["above"], spec.metadata["at_least"]):
                moved[name] = value**factor
            else:
                moved[name] = value * factor
    return rule.changed(**moved)
