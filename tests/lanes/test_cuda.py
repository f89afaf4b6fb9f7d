"""Lanes on a GPU get the numbers that they get on the processor."""

from collections.abc import Callable

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


def scaled(weight: float) -> Callable[[], nn.Module]:
    """Gives the weight, of rows of the identity."""

    def build() -> nn.Module:
        line = nn.Linear(64, 64, bias=False)
        nn.init.constant_(line.weight, weight)
        return line

    return build


@pytest.mark.parametrize(
    ("precision", "weight"), [("bf16", 1 + 2.0**-10), ("tf32", 1 + 2.0**-12), (None, 1 + 2.0**-12)]
)
@pytest.mark.parametrize("strategy", ["stacked", "serial"])
@pytest.mark.parametrize("compiled", [False, True])
def test_products_are_rounded_and_updates_are_not(
    precision: str | None, weight: float, strategy: str, compiled: bool
):
    switch = torch.backends.cuda.matmul
    before = switch.allow_tf32
    data = torch.eye(64), torch.zeros(64, 64)
    run = lanes.train(
        scaled(weight), data, [rules.SGD(lr=2.0**-12)] * 3, steps=1, batch_size=None,
        strategy=strategy, compile=compiled, device="cuda", precision=precision,
    )  # fmt: skip
    product = 1.0 if precision else weight
    torch.testing.assert_close(run.losses, torch.full((3, 1), product**2), rtol=1e-6, atol=0)
    after = run.params(2)["weight"]
    assert after.dtype is torch.float32
    assert (after < weight).all()
    # The mean over 64 × 64 numbers moves each weight by 2·2⁻¹²·2⁻¹² of them, at least a bit.
    torch.testing.assert_close(after, torch.full_like(after, weight), rtol=2.0**-20, atol=0)
    assert switch.allow_tf32 == before


def attentive() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (2, 6)),
        nn.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=True),
        nn.LSTM(6, 4, batch_first=True),
        First(),
        nn.Flatten(),
        nn.BatchNorm1d(8),
        nn.Linear(8, 3),
    )


class First(nn.Module):
    """The first of what a layer gives."""

    def forward(self, given: tuple[torch.Tensor, object]) -> torch.Tensor:
        return given[0]


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_in_fewer_bits_lanes_stacked_end_where_they_end_alone(precision: str):
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 12, generator=draw), torch.randint(3, (60,), generator=draw)
    stacked, alone, whole = (
        lanes.train(
            attentive, (x, y), [rules.SGD(lr=0.1), rules.SGD(lr=0.02)], [0, 1], steps=10,
            batch_size=20, strategy=strategy, compile=False, device="cuda", precision=asked,
        )
        for strategy, asked in (("stacked", precision), ("serial", precision), ("serial", None))
    )  # fmt: skip
    size = whole.losses.abs().max()
    assert (stacked.losses - alone.losses).abs().max() <= 3 * 2.0**-8 * size
    if precision == "bf16":
        assert (stacked.losses - whole.losses).abs().max() > 1e-5 * size
