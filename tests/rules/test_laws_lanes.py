"""Laws of many runs in one tensor: stacked lanes equal separate runs, and nothing recompiles."""

import numpy as np
import pytest
import torch

from talweg.core import Rule, stack
from talweg.rules import SGD, Momentum, RMSProp
from talweg.transforms import on_rows

from .cases import (
    FORMS,
    ONE_PER_STRUCTURE,
    START,
    from_starts,
    on_tensors,
    over,
    rule_run,
    scaled,
    stepped,
)
from .cases import valley_gradient as valley

STEPS = 50
FACTORS = (1.0, 1.3, 0.7, 1.15)


def lanes_of(rule: Rule, moved: str) -> list[Rule]:
    """Lanes that differ in every numeric field, or in the learning rate alone."""
    lanes = [scaled(rule, factor) for factor in FACTORS]
    if moved == "all":
        return lanes
    return [rule.changed(lr=lane.settings["lr"]) for lane in lanes]


def starts(start: np.ndarray = START) -> torch.Tensor:
    """A start per lane, ``[lane, parameter]``."""
    flat = torch.from_numpy(start.ravel())
    return flat + 0.1 * torch.arange(len(FACTORS), dtype=torch.float64)[:, None]


def on_lanes(start: np.ndarray):
    """The gradient of rows ``[lane, parameter]`` that hold tensors of the shape of a start."""
    return on_tensors(lambda rows: valley(rows.reshape(-1, *start.shape)).reshape(rows.shape))


def assert_lanes_equal(path: list[torch.Tensor], lanes: list[Rule], start: np.ndarray) -> None:
    for i, (lane, first) in enumerate(zip(lanes, starts(start), strict=True)):
        steps = rule_run([lane] * STEPS, on_tensors(valley), first.view(start.shape))
        alone = torch.stack(steps).flatten(1)
        together = torch.stack(path)[:, i]
        np.testing.assert_allclose(together, alone, rtol=1e-13, atol=1e-13, err_msg=f"lane {i}")


@pytest.mark.parametrize("moved", ["all", "lr"])
@from_starts(FORMS)
def test_stacked_lanes_equal_separate_runs(rule: Rule, start, moved: str):
    lanes = lanes_of(rule, moved)
    together = stack(lanes)
    assert together.structure == rule.structure
    together = on_rows(together, [torch.Size(start.shape)])
    path = rule_run([together] * STEPS, on_lanes(start), starts(start))
    assert_lanes_equal(path, lanes, start)


@pytest.mark.parametrize("moved", ["all", "lr"])
@from_starts(ONE_PER_STRUCTURE)
def test_the_scalars_of_all_steps_at_once_equal_those_of_each_step(rule: Rule, start, moved: str):
    lanes = lanes_of(rule, moved)
    together = on_rows(stack(lanes), [torch.Size(start.shape)])
    steps = torch.arange(1, STEPS + 1, dtype=torch.float64)[:, None, None]
    table = together.scalars(steps)
    params, path = starts(start), []
    state = together.init(params)
    memory = together.memory()
    for k in range(STEPS):
        scalars = {
            name: value[k] if isinstance(value, torch.Tensor) and value.ndim == 3 else value
            for name, value in table.items()
        }
        scalars, memory = together.recall(scalars, memory)
        grad = on_lanes(start)(together.probe(params, state, scalars))
        params, state = together.at(k + 1).step(params, grad, state, scalars)
        path.append(params)
    assert_lanes_equal(path, lanes, start)


def test_stack_keeps_what_the_lanes_share():
    together = stack([Momentum(lr=0.1, form="average"), Momentum(lr=0.2, form="average")])
    assert together.settings["lr"].tolist() == [[0.1], [0.2]]
    assert together.settings["lr"].dtype == torch.float64
    assert together.settings["momentum"] == 0.9
    assert together.settings["form"] == "average"
    assert stack([SGD(lr=0.1)] * 3) == SGD(lr=0.1)


def test_stack_refuses_rules_of_different_structures():
    for pair in (
        [SGD(), Momentum()],
        [Momentum(), Momentum(form="average")],
        [RMSProp(momentum=0.5), RMSProp()],
    ):
        with pytest.raises(AssertionError, match="rules of one structure only"):
            stack(pair)


class CountingBackend:
    """A backend of `torch.compile` that runs each graph as it is and counts them."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]):
        self.graphs += 1
        return graph.forward


def one_step(rule: Rule, params, grad, state, scalars):
    point = rule.probe(params, state, scalars)
    scalars = {**scalars, **rule.sums(params, grad, state, scalars)}
    new_params, new_state = rule.step(params, grad, state, scalars)
    return point, new_params, new_state, rule.output(new_params, new_state, scalars)


@pytest.mark.parametrize("shape", ["single", "stacked"])
@over(ONE_PER_STRUCTURE)
def test_other_hyperparameters_and_steps_do_not_recompile(rule: Rule, shape: str):
    """``fullgraph`` also refuses every Python branch on a tensor."""
    torch.compiler.reset()
    backend = CountingBackend()
    compiled = torch.compile(one_step, backend=backend, fullgraph=True, dynamic=False)
    for t, factor in enumerate((1.0, 0.5, 1.5), start=1):
        now = scaled(rule, factor)
        if shape == "stacked":
            now = on_rows(stack(lanes_of(now, "all")), [torch.Size(START.shape)])
        params = starts()
        scalar_shape = (len(FACTORS), 1) if shape == "stacked" else ()
        scalars = {
            name: torch.as_tensor(value, dtype=torch.float64).expand(scalar_shape).clone()
            for name, value in now.recall(now.scalars(t), now.memory())[0].items()
        }
        _, state = stepped(now, t, params, 2 * params, now.init(params), scalars)
        inputs = (now, params, on_tensors(valley)(params), state, scalars)
        for got, expected in zip(compiled(*inputs), one_step(*inputs), strict=True):
            torch.testing.assert_close(got, expected, rtol=0, atol=0)
    assert backend.graphs == 1
    torch.compiler.reset()
