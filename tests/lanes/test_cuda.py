"""Lanes on a GPU get the numbers that they get on the processor."""

import pytest
import torch
from torch import nn

from talweg import lanes, rules

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)).double()


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(16, 3),
    ).double()  # fmt: skip


@pytest.mark.parametrize("build", [perceptron, convolutional])
@pytest.mark.parametrize("strategy", ["stacked", "serial"])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_same_path(build: object, strategy: str, compiled: bool):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(60, 6, generator=draw, dtype=torch.float64)
    y = torch.randint(3, (60,), generator=draw)
    chosen = [rules.SGD(lr=0.1), rules.Adam(lr=1e-2), rules.SGD(lr=1e9)] * 2
    seeds = [0, 0, 0, 1, 1, 1]
    ours, theirs = (
        lanes.train(
            build, (x, y), chosen, seeds, steps=40, batch_size=20, strategy=strategy,
            compile=compiled, device=device,
        )
        for device in ("cuda", "cpu")
    )  # fmt: skip
    assert ours.status == theirs.status
    torch.testing.assert_close(
        ours.losses[[0, 1, 3, 4]], theirs.losses[[0, 1, 3, 4]], rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_batches_are_augmented_by_draws_of_their_own(strategy: str):
    def noisy(x: torch.Tensor) -> torch.Tensor:
        assert x.is_cuda
        return x + 0.1 * torch.randn_like(x)

    x = torch.randn(60, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before = torch.cuda.get_rng_state()
    runs = [
        lanes.train(
            perceptron, (x, x.argmax(1) % 3), ["sgd", "adam"], [0, 1], steps=10, batch_size=20,
            strategy=strategy, device="cuda", augment=augment,
        )
        for augment in (noisy, noisy, None)
    ]  # fmt: skip
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert torch.equal(runs[0].losses, runs[1].losses)
    assert not torch.allclose(runs[0].losses, runs[2].losses)
