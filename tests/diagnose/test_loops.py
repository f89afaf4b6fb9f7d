"""`talweg.watch` around loops of every kind: what it measures there."""

import copy
import io
import pickle
import threading
import warnings
from itertools import pairwise
from typing import Any

import pytest
import torch
from tests.diagnose.test_bits import adam, batches, bits, mlp
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.nn.functional import cross_entropy
from torch.optim.optimizer import _global_optimizer_pre_hooks

import talweg
from talweg.core import UserError
from talweg.diagnose.backward import listening
from talweg.diagnose.health import Health


def trained(
    model: nn.Module, optimizer: Any = None, steps: int = 4, own: Any = None, **how: Any
) -> Health:
    """Watched at every step; the optimizer is told unless another is to be found."""
    own = own or optimizer or adam(model)
    with talweg.watch(model, optimizer, every=1, **how) as health:
        for x, y in batches(steps):
            own.zero_grad()
            cross_entropy(model(x), y).backward()
            own.step()
    return health


def of(health: Health, measure: str) -> list[dict[str, float]]:
    return [dict(moment.of(measure)) for moment in health.moments if moment.of("lr")]


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


class Parts(nn.Module):
    """It has no forward pass: its parts are called."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 3))
        self.heads = nn.ModuleList([nn.Linear(3, 4), nn.Linear(3, 4)])


def test_a_model_that_is_called_in_parts():
    model = Parts()
    optimizer = adam(model)
    with talweg.watch(model, optimizer, every=1) as health:
        for x, y in batches(3):
            optimizer.zero_grad()
            hidden = model.encoder(x)
            sum(cross_entropy(head(hidden), y) for head in model.heads).backward()
            optimizer.step()
    names = ["encoder.0", "encoder.2", "heads.0", "heads.1"]
    assert [layer.name for layer in health.setting.layers] == names
    assert all(set(each) == set(names) for each in of(health, "backward norm"))
    assert health.steps == 3


@pytest.mark.parametrize("is_crossed", [False, True])
def test_two_models_that_train_one_another(is_crossed: bool):
    torch.manual_seed(0)
    maker = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 12))
    judge = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 1))
    of_maker, of_judge = adam(maker), adam(judge)
    before = torch.autograd.backward
    watches = talweg.watch(maker, of_maker, every=1), talweg.watch(judge, of_judge, every=1)
    first, second = (watch.__enter__() for watch in watches)
    losses: dict[str, list[float]] = {"maker": [], "judge": []}
    for x, _ in batches(5):
        of_judge.zero_grad()
        made = maker(torch.randn(16, 3))
        loss = judge(x).sigmoid().log().neg().mean() + judge(made.detach()).sigmoid().mean()
        loss.backward()
        of_judge.step()
        losses["judge"].append(loss.item())
        of_maker.zero_grad()
        loss = judge(made).sigmoid().log().neg().mean()
        loss.backward()
        of_maker.step()
        losses["maker"].append(loss.item())
    for watch in watches if is_crossed else watches[::-1]:
        watch.__exit__(None, None, None)
    assert torch.autograd.backward is before
    assert first.losses == pytest.approx(losses["maker"])
    assert second.losses == pytest.approx(losses["judge"])
    assert len(first.moments) == len(second.moments) == 5


def test_what_others_put_in_backwards_place_stays():
    real = torch.autograd.backward
    told: list[float] = []

    def listen() -> Any:
        return listening(lambda loss, _: told.append(loss.item()))

    def others(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, **kwargs)

    try:
        with listen():
            inner = torch.autograd.backward
            torch.autograd.backward = others
        assert torch.autograd.backward is others
        torch.ones(1, requires_grad=True).sum().backward()
        assert told == []
        with listen():
            (3 * torch.ones(1, requires_grad=True)).backward()
        assert told == [3.0]
    finally:
        torch.autograd.backward = inner
        with listen():
            pass
        torch.autograd.backward = real


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


def test_two_threads_that_train_two_models():
    healths: dict[int, Health] = {}
    losses: dict[int, list[float]] = {0: [], 1: []}
    ready = threading.Barrier(2)

    def work(place: int) -> None:
        model = nn.Sequential(nn.Linear(12, 8 + place), nn.ReLU(), nn.Linear(8 + place, 4))
        optimizer = adam(model)
        with talweg.watch(model, optimizer, every=1) as health:
            for x, y in batches(20):
                ready.wait()
                optimizer.zero_grad()
                loss = cross_entropy(model(x), y)
                loss.backward()
                losses[place].append(loss.item())
                optimizer.step()
        healths[place] = health

    threads = [threading.Thread(target=work, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, health in healths.items():
        assert health.losses == pytest.approx(losses[place])
        assert len(health.moments) == 20
        assert health.notes == []


def test_a_watch_is_entered_once_at_a_time():
    model = mlp()
    watching = talweg.watch(model)
    with watching as health:
        with pytest.raises(UserError, match="this watch is on already"):
            watching.__enter__()
        optimizer = adam(model)
        cross_entropy(model(torch.randn(4, 12)), torch.zeros(4).long()).backward()
        optimizer.step()
    assert health.steps == 1


def test_no_step_is_made():
    with talweg.watch(mlp()) as health:
        pass
    assert (health.steps, health.moments, health.findings) == (0, [], [])
    assert "no step of an optimizer of this model was seen" in str(health)


def test_a_model_within_a_function_that_is_compiled():
    """Its layers cannot be seen; one more graph is made, of the model with hooks, and no third."""
    seen = []
    for every in (None, 2):
        torch.compiler.reset()
        counters.clear()
        torch.manual_seed(0)
        model = Own()
        optimizer = adam(model)
        loss = torch.compile(lambda x, y, m=model: cross_entropy(m(x), y), backend="aot_eager")
        watching = talweg.watch(model, optimizer, every=every)
        if every:
            watching.__enter__()
        for x, y in batches(9):
            optimizer.zero_grad()
            loss(x, y).backward()
            optimizer.step()
        if every:
            watching.__exit__(None, None, None)
        seen.append(bits(model, optimizer))
        assert counters["stats"]["unique_graphs"] <= 2
        assert not counters["graph_break"]
    assert seen[0] == seen[1]
    health = watching._health
    assert all(moment.of("gradient rms") for moment in health.moments)
    assert "no layer was seen" in str(health)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_passes_and_leaves_nothing_behind(error: type[BaseException]):
    model = mlp()
    before = torch.autograd.backward, torch.amp.GradScaler.scale
    hooks = _global_optimizer_pre_hooks
    watching = talweg.watch(model, every=1)
    optimizer = adam(model)

    def loop() -> None:
        with watching:
            for place, (x, y) in enumerate(batches()):
                optimizer.zero_grad()
                cross_entropy(model(x), y).backward()
                if place == 2:
                    raise error("enough")
                optimizer.step()

    with pytest.raises(error, match="enough"):
        loop()
    health = watching._health
    assert health.steps == len(health.moments) == 2
    assert (torch.autograd.backward, torch.amp.GradScaler.scale) == before
    assert not hooks
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_copies_in_mid_run_are_plain_models():
    """Averages of weights, and files of whole models."""
    model = mlp()
    optimizer = adam(model)
    with talweg.watch(model, optimizer, every=1) as health:
        average = torch.optim.swa_utils.AveragedModel(model)
        for x, y in batches(3):
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            other = copy.deepcopy(model)
            again = pickle.loads(pickle.dumps(model))
            torch.save(model, io.BytesIO())
            cross_entropy(other(x), y).backward()
            cross_entropy(again(x), y).backward()
            loss.backward()
            optimizer.step()
            average.update_parameters(model)
    assert health.steps == 3
    assert all(len(each) == 3 for each in of(health, "backward norm"))
    alone = trained(mlp(), steps=3)
    assert len(health.moments) == len(alone.moments)
    assert bits(average.module.state_dict().keys()) == bits(model.state_dict().keys())


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.LazyLinear(8)
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).relu())


def test_parameters_that_come_to_be_later():
    model = Lazy()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        health = trained(model, optimizer, steps=3)
    assert [list(each) for each in of(health, "update ratio")][1:] == [["first", "last"]] * 2
    assert health.notes == []


def test_evaluation_is_not_counted():
    seen = []
    for evaluates in (False, True):
        torch.manual_seed(0)
        model = mlp()
        optimizer = adam(model)
        with talweg.watch(model, optimizer, every=1) as health:
            for x, y in batches():
                if evaluates:
                    model.eval()
                    model(x)
                    model.train()
                    with torch.no_grad():
                        model(100 + x)
                optimizer.zero_grad()
                cross_entropy(model(x), y).backward()
                optimizer.step()
        seen.append(health)
    assert seen[0].rows() == seen[1].rows()


class Own(nn.Module):
    """Its forward pass is not torch's own, which is not compiled in place."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.drop, self.norm = Own(), nn.Dropout(0.2), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.drop(self.first(x)))


@pytest.mark.parametrize("how", ["model", "in place", "a part", "a part in place"])
def test_a_compiled_model_is_compiled_no_more_often(how: str):
    """It is evaluated once more as it was written, at the steps that are measured."""
    seen = []
    for is_watched in (False, True):
        torch.compiler.reset()
        counters.clear()
        torch.manual_seed(0)
        inner = Whole()
        model: nn.Module = inner
        if how == "model":
            model = torch.compile(inner, backend="aot_eager")
        elif how == "in place":
            inner.compile(backend="aot_eager")
        elif how == "a part":
            inner.first = torch.compile(inner.first, backend="aot_eager")
        else:
            inner.first.compile(backend="aot_eager")
        optimizer = adam(inner)
        watching = talweg.watch(model, optimizer, every=2)
        if is_watched:
            watching.__enter__()
        for x, y in batches(9):
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            optimizer.step()
        if is_watched:
            watching.__exit__(None, None, None)
        told = counters["stats"]["unique_graphs"], sum(counters["graph_break"].values())
        seen.append((told, bits(inner.state_dict(), optimizer, torch.rand(1))))
    assert seen[0] == seen[1]
    assert seen[0][0][0] >= 1
    health = watching._health
    assert health.notes == []
    names = ["first.net.0", "first.net.2", "first.net.4", "norm"]
    assert [layer.activation for layer in health.setting.layers][:3] == ["relu", "tanh", ""]
    assert [layer.name for layer in health.setting.layers] == names
    assert all(len(moment.of("mean")) >= 2 for moment in health.moments)
