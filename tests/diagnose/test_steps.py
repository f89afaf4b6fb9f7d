"""What `talweg.watch` takes for a step, and for its loss and its gradients."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from tests.diagnose.tiny import adam, batches, mlp, of, trained
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import talweg


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("fused", [False, True])
def test_what_a_scaler_scales_is_measured_as_it_was(dtype: torch.dtype, fused: bool):
    """A power of 2 leaves all but the exponents as they are."""
    seen = []
    for is_scaled in (False, True):
        torch.manual_seed(0)
        model = mlp()
        optimizer = torch.optim.Adam(model.parameters(), 1e-2, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**6, enabled=is_scaled)
        with talweg.watch(model, optimizer, every=1) as health:
            for x, y in batches():
                optimizer.zero_grad()
                with torch.autocast("cpu", dtype):
                    loss = cross_entropy(model(x), y)
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
        seen.append(health)
    alone, scaled = seen
    assert scaled.losses == alone.losses
    for measure in ("gradient rms", "backward norm", "update ratio", "constant loss"):
        for one, other in zip(of(alone, measure), of(scaled, measure), strict=True):
            assert other == pytest.approx(one, rel=1e-3)
    assert of(scaled, "constant loss")[0]


@pytest.mark.parametrize("fused", [False, True])
def test_steps_that_a_scaler_leaves_out_are_none(fused: bool):
    torch.manual_seed(0)
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 1e-2, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=100)
    before = []
    with talweg.watch(model, optimizer, every=1) as health:
        for x, y in batches(20):
            optimizer.zero_grad()
            loss = 8 * cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            before.append(scaler.get_scale())
            scaler.step(optimizer)
            scaler.update()
    left_out = sum(one != other for one, other in pairwise(before))
    assert 0 < left_out < 20
    assert health.steps == 20 - left_out
    assert max(health.losses) < 20
    assert "not finite" not in {one.name for one in health.findings}


def test_gradients_are_measured_after_clipping_and_summed_up():
    torch.manual_seed(0)
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    expected, losses = [], []
    with talweg.watch(model, optimizer, every=1) as health:
        for x, y in batches():
            optimizer.zero_grad()
            total = 0.0
            for some, labels in zip(x.split(4), y.split(4), strict=True):
                loss = cross_entropy(model(some), labels) / 4
                loss.backward()
                total += loss.item()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            expected.append(float(model[0].weight.grad.square().mean().sqrt()))
            losses.append(total)
            optimizer.step()
    assert [each["0"] for each in of(health, "gradient rms")] == pytest.approx(expected)
    assert health.losses == pytest.approx(losses)


def test_several_losses_that_are_differentiated_at_once():
    model = mlp()
    optimizer = adam(model)
    expected = []
    with talweg.watch(model, optimizer, every=1) as health:
        for x, y in batches():
            optimizer.zero_grad()
            outputs = model(x)
            losses = [cross_entropy(outputs, y), outputs.square().mean()]
            torch.autograd.backward(losses)
            expected.append(sum(loss.item() for loss in losses))
            optimizer.step()
    assert health.losses == pytest.approx(expected)


@pytest.mark.parametrize("to_none", [True, False])
def test_a_closure_is_measured_where_it_is_called_first(to_none: bool):
    torch.manual_seed(0)
    model = mlp()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=5)
    firsts, gradients, befores = [], [], []
    with talweg.watch(model, optimizer, every=2) as health:
        for x, y in batches():
            befores.append(model[0].weight.detach().clone())
            seen: list[tuple[float, float]] = []

            def closure(x: Tensor = x, y: Tensor = y, seen: Any = seen) -> Tensor:
                optimizer.zero_grad(set_to_none=to_none)
                loss = cross_entropy(model(x), y)
                loss.backward()
                seen.append((loss.item(), float(model[0].weight.grad.square().mean().sqrt())))
                return loss

            optimizer.step(closure)
            assert len(seen) > 1
            firsts.append(seen[0][0])
            gradients.append(seen[0][1])
    befores.append(model[0].weight.detach().clone())
    assert health.losses == pytest.approx(firsts)
    assert [each["0"] for each in of(health, "gradient rms")] == pytest.approx(gradients[::2])
    moved = (befores[3] - befores[2]).square().mean().sqrt() / befores[2].square().mean().sqrt()
    assert of(health, "update ratio")[1]["0"] == pytest.approx(float(moved))
    assert all(len(each) == 3 for each in of(health, "backward norm"))


def test_a_step_is_a_round_of_all_optimizers():
    torch.manual_seed(0)
    model = mlp()
    table = torch.optim.AdamW(model[0].parameters(), 1e-2)
    matrices = torch.optim.Muon([model[2].weight, model[4].weight], 1e-2)
    biases = torch.optim.SGD([model[2].bias, model[4].bias], 1e-2)
    foreign = nn.Linear(2, 2)
    aside = torch.optim.SGD(foreign.parameters(), 0.1)
    losses = []
    with talweg.watch(model, matrices, every=1) as health:
        for x, y in batches():
            for optimizer in (matrices, biases, table):
                optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            losses.append(loss.item())
            foreign(torch.ones(1, 2)).sum().backward()
            for optimizer in (matrices, aside, biases, table):
                optimizer.step()
    assert health.losses == pytest.approx(losses)
    assert [list(each) for each in of(health, "update ratio")] == [["0", "2", "4"]] * 7
    assert health.setting.rule is not None
    assert health.setting.rule.name == "Muon"


def test_an_optimizer_that_holds_but_a_part_of_what_is_trained():
    """It is not known that no other comes: the first step is told when it steps again."""
    model = mlp()
    health = trained(model, torch.optim.SGD(model[4].parameters(), 0.1))
    assert health.steps == 4
    assert [list(each) for each in of(health, "update ratio")] == [["4"]] * 4


class Outer(torch.optim.Optimizer):
    """Steps by another optimizer within, and by its own class's step above."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        super().__init__(inner.param_groups, {})
        self.inner = inner
        self.fails = False

    def step(self, closure: Any = None) -> Any:
        if self.fails:
            raise RuntimeError("no step")
        return self.inner.step(closure)


class Above(torch.optim.SGD):
    def step(self, closure: Any = None) -> Any:
        return super().step(closure)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_step_within_a_step_is_a_part_of_it(is_told: bool):
    model = mlp()
    torch.optim.SGD(model.parameters(), 0.1)
    for make in (lambda: Outer(adam(model)), lambda: Above(model.parameters(), 0.1)):
        optimizer = make()
        with talweg.watch(model, optimizer if is_told else None, every=1) as health:
            for place, (x, y) in enumerate(batches()):
                optimizer.zero_grad()
                cross_entropy(model(x), y).backward()
                optimizer.step()
                assert health.steps == len(health.moments) == place + 1
        assert health.setting.rule is not None
        assert health.setting.rule.name == type(optimizer).__name__


def test_a_step_that_fails_is_none():
    model = mlp()
    optimizer = Outer(adam(model))
    with talweg.watch(model, optimizer, every=1) as health:
        for place, (x, y) in enumerate(batches(5)):
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            optimizer.fails = place == 2
            if optimizer.fails:
                with pytest.raises(RuntimeError, match="no step"):
                    optimizer.step()
            else:
                optimizer.step()
    assert health.steps == 4
    assert max(health.losses) < 3


def test_no_step_is_made():
    with talweg.watch(mlp()) as health:
        pass
    assert (health.steps, health.moments, health.findings) == (0, [], [])
    assert "no step of an optimizer of this model was seen" in str(health)


def test_a_loop_that_ends_with_an_error_before_its_first_step_has_no_note():
    watching = talweg.watch(mlp())
    with pytest.raises(ValueError, match="enough"), watching:
        raise ValueError("enough")
    assert watching._health.notes == []
