"""`talweg.watch` beside what is compiled: no more graphs, and the same bits."""

import pytest
import torch
from tests.diagnose.tiny import adam, batches, bits, mlp
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.nn.functional import cross_entropy

import talweg


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
