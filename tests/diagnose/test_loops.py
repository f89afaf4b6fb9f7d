"""`talweg.watch` around loops of every kind: what it measures there, and what it leaves behind."""

import copy
import io
import pickle
import subprocess
import sys
import threading
import warnings
from typing import Any

import pytest
import torch
from tests.diagnose.tiny import adam, batches, bits, mlp, of, trained
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.optimizer import register_optimizer_step_post_hook

import talweg
from talweg.core import UserError
from talweg.diagnose import stepping
from talweg.diagnose.backward import listening
from talweg.diagnose.health import Health


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


def test_a_thread_may_begin_to_watch_while_others_make_their_steps():
    """torch raises where a hook of all optimizers is added or removed during a step."""
    model = mlp()
    optimizer = adam(model)

    def watch_elsewhere() -> None:
        def work() -> None:
            with talweg.watch(mlp()):
                pass

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    with talweg.watch(model, optimizer, every=1) as health:
        handles = [
            register_optimizer_step_post_hook(lambda *_: watch_elsewhere()),
            register_optimizer_step_post_hook(lambda *_: None),
        ]
        try:
            for x, y in batches(3):
                optimizer.zero_grad()
                cross_entropy(model(x), y).backward()
                optimizer.step()
        finally:
            for handle in handles:
                handle.remove()
    assert health.steps == 3


class Held(nn.Module):
    """Its first weight lies on no device that has autocast, as of what is loaded later."""

    def __init__(self) -> None:
        super().__init__()
        self.later = nn.Parameter(torch.empty(2, 2, device="meta"), requires_grad=False)
        self.net = mlp()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def test_a_model_with_weights_on_a_device_without_autocast():
    health = trained(Held())
    assert (health.steps, health.notes) == (4, [])


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


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_passes_and_leaves_nothing_behind(error: type[BaseException]):
    model = mlp()
    before = torch.autograd.backward, torch.amp.GradScaler.scale
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
    assert not stepping._listeners
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


THREADS = """
import sys, threading, torch, talweg
from torch import nn
sys.setswitchinterval(1e-5)
torch.set_num_threads(1)
def work(place):
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with talweg.watch(model, optimizer, every=5) as health:
        for _ in range(300):
            optimizer.zero_grad()
            model(torch.randn(32, 64)).square().mean().backward()
            optimizer.step()
    seen[place] = health.steps, len(health.moments), health.notes
seen = {}
threads = [threading.Thread(target=work, args=(place,)) for place in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sorted(seen.items()))
"""


def test_threads_do_not_look_at_one_anothers_gradients():
    """One that looks at gradients while another takes them may end the process."""
    ended = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True)
    told = f"{[(place, (300, 60, [])) for place in range(3)]}\n"
    assert (ended.returncode, ended.stdout) == (0, told), ended.stderr[-2000:]
