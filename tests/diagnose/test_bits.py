"""A run that is watched gives the same bits as one that is not."""
# ruff: noqa: NPY002 - models may draw from NumPy's global numbers

import copy
import io
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from tests.diagnose.tiny import STEPS, adam, batches, bits, mlp
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

import talweg

Loop = Callable[[nn.Module, Callable[..., AbstractContextManager[Any]]], Any]
"""A training loop of a model; what it gives, given how the model is watched."""


def drawing() -> nn.Sequential:
    """Draws, keeps averages, and changes values in place."""
    return nn.Sequential(
        nn.Linear(12, 16), nn.BatchNorm1d(16), nn.RReLU(), nn.Dropout(0.3),
        nn.Linear(16, 16, bias=False), nn.ReLU(inplace=True), nn.AlphaDropout(0.1),
        nn.utils.parametrizations.spectral_norm(nn.Linear(16, 4)),
    )  # fmt: skip


class Convolving(nn.Module):
    """Residual paths, functional and in-place activations, a shared module and a tied weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.third = nn.Conv2d(4, 4, 3, padding=1)
        self.third.weight = self.second.weight
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(48, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = x.view(-1, 1, 3, 4)
        x = nn.functional.relu_(self.norm(self.first(x)))
        y = self.relu(self.second(x))
        y = self.third(self.relu(self.second(y)))
        y += x
        return self.head(self.relu(y).flatten(1))


class Checkpointed(nn.Module):
    """Computes its middle once more in the backward pass."""

    def __init__(self, use_reentrant: bool) -> None:
        super().__init__()
        self.first = nn.Linear(12, 16)
        self.middle = nn.Sequential(
            nn.Linear(16, 16), nn.Dropout(0.2), nn.ReLU(), nn.Linear(16, 16)
        )
        self.last = nn.Linear(16, 4)
        self.how = use_reentrant

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        return self.last(checkpoint(self.middle, x, use_reentrant=self.how))


class Embedding(nn.Module):
    """Tokens, whose gradients are sparse."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(9, 6, sparse=True)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.table((x.abs() * 4).long().clamp(max=8)))


def plain(make: Callable[[nn.Module], torch.optim.Optimizer], to_none: bool = True) -> Loop:
    def loop(model: nn.Module, watched: Any) -> Any:
        optimizer = make(model)
        losses = []
        with watched(model, optimizer):
            for x, y in batches():
                optimizer.zero_grad(set_to_none=to_none)
                loss = cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
        return optimizer, losses

    return loop


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)


def in_bfloat16(model: nn.Module, watched: Any) -> Any:
    optimizer = adam(model)
    with watched(model, optimizer):
        for x, y in batches():
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
    return optimizer


def scaled(model: nn.Module, watched: Any) -> Any:
    """Scaled, accumulated, unscaled, clipped."""
    optimizer = adam(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    with watched(model, optimizer):
        for x, y in batches():
            for some, labels in zip(x.split(4), y.split(4), strict=True):
                with torch.autocast("cpu", torch.float16):
                    loss = cross_entropy(model(some), labels) / 4
                scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    return optimizer, scaler.state_dict()


def with_a_closure(make: Callable[[nn.Module], torch.optim.Optimizer]) -> Loop:
    def loop(model: nn.Module, watched: Any) -> Any:
        optimizer = make(model)
        losses = []
        with watched(model, optimizer):
            for x, y in batches():

                def closure(x: Tensor = x, y: Tensor = y) -> Tensor:
                    optimizer.zero_grad()
                    loss = cross_entropy(model(x), y)
                    loss.backward()
                    return loss

                losses.append(optimizer.step(closure))
        return optimizer, losses

    return loop


def two_optimizers(model: nn.Module, watched: Any) -> Any:
    values = list(model.parameters())
    first = torch.optim.Muon([v for v in values if v.dim() == 2], 1e-2)
    second = torch.optim.AdamW([v for v in values if v.dim() != 2], 1e-2)
    with watched(model):
        for x, y in batches():
            cross_entropy(model(x), y).backward()
            for optimizer in (first, second):
                optimizer.step()
                optimizer.zero_grad()
    return first, second


def frozen_then_added(model: nn.Module, watched: Any) -> Any:
    """A part is frozen at first, and trained from the fourth step on."""
    first, *others = model.children()
    first.requires_grad_(False)
    optimizer = torch.optim.SGD([v for m in others for v in m.parameters()], 0.1)
    with watched(model, optimizer):
        for step, (x, y) in enumerate(batches()):
            if step == 3:
                first.requires_grad_(True)
                optimizer.add_param_group({"params": list(first.parameters()), "lr": 0.01})
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            optimizer.step()
    return optimizer


def with_evaluation(model: nn.Module, watched: Any) -> Any:
    optimizer = adam(model)
    seen = []
    with watched(model, optimizer):
        for x, y in batches():
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            optimizer.step()
            model.eval()
            with torch.no_grad():
                seen.append(model(x))
            model.train()
            with torch.inference_mode():
                model(x)
            seen.append(copy.deepcopy(model)(x))
            torch.save(model.state_dict(), io.BytesIO())
    return optimizer, seen


def with_functions(model: nn.Module, watched: Any) -> Any:
    """Gradients per sample by torch.func, on the model itself, beside the loop."""
    optimizer = sgd(model)
    seen = []

    def loss_of(values: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(torch.func.functional_call(model, values, x[None]), y[None])

    each = torch.func.vmap(torch.func.grad(loss_of), (None, 0, 0), randomness="same")
    with watched(model, optimizer):
        for x, y in batches():
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            seen.append(each(dict(model.named_parameters()), x, y))
            optimizer.step()
    return optimizer, seen


def own_optimizer(name: str, **settings: Any) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda model: getattr(talweg.optim, name)(model.parameters(), **settings)


LOOPS: dict[str, tuple[Callable[[], nn.Module], Loop]] = {
    "plain": (mlp, plain(adam)),
    "gradients zeroed": (mlp, plain(sgd, to_none=False)),
    "draws, averages, in place": (drawing, plain(adam)),
    "convolutions": (Convolving, plain(sgd)),
    "bfloat16": (drawing, in_bfloat16),
    "scaled, accumulated, clipped": (mlp, scaled),
    "LBFGS": (mlp, with_a_closure(lambda m: torch.optim.LBFGS(m.parameters(), max_iter=4))),
    "closure": (drawing, with_a_closure(adam)),
    "talweg's Nesterov": (mlp, with_a_closure(own_optimizer("Nesterov", lr=0.05))),
    "talweg's Adam": (Convolving, plain(own_optimizer("Adam", lr=1e-2))),
    "two optimizers": (mlp, two_optimizers),
    "checkpoints": (lambda: Checkpointed(False), plain(adam)),
    "reentrant checkpoints": (lambda: Checkpointed(True), plain(adam)),
    "sparse gradients": (Embedding, plain(lambda m: torch.optim.SGD(m.parameters(), 0.1))),
    "frozen, then added": (mlp, frozen_then_added),
    "evaluation in between": (drawing, with_evaluation),
    "torch.func": (mlp, with_functions),
}


def run(make: Callable[[], nn.Module], loop: Loop, every: int | None, tier: str = "light") -> Any:
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    model = make()
    health: list[Any] = []

    def watched(model: nn.Module, optimizer: Any = None) -> AbstractContextManager[Any]:
        if every is None:
            return nullcontext()
        watching = talweg.watch(model, optimizer, every=every, tier=tier)
        health.append(watching._health)
        return watching

    given = loop(model, watched)
    return bits(model, given, torch.rand(3), random.random(), np.random.random()), health


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_gives_the_same_bits(name: str, every: int):
    alone, _ = run(*LOOPS[name], None)
    beside, (health,) = run(*LOOPS[name], every)
    assert beside == alone
    assert health.notes == []
    assert health.steps == STEPS
    assert [moment.step for moment in health.moments] == list(range(0, STEPS, every))
    assert all(moment.of("gradient rms") for moment in health.moments)
    assert all(moment.of("loss") for moment in health.moments)
