"""Gradient noise, beside slow twins and beside noise that is known."""

import numpy as np
import pytest
import torch
from tests.diagnose.loops import digits, mlp, trained
from torch import nn

import talweg
from talweg.diagnose.findings import Noisy
from talweg.diagnose.findings.finding import persisting
from talweg.diagnose.measures.noise import Smoothed, fall, noise_and_signal
from talweg.diagnose.moment import WHOLE, Moment, Setting


def test_noise_and_signal_equal_their_twin():
    draws = torch.Generator().manual_seed(0)
    first, second = (
        [torch.randn(shape, generator=draws) for shape in [(4, 3), (5,), (2, 2, 2)]]
        for _ in range(2)
    )
    noise, signal = noise_and_signal(first, second)
    for place, (one, other) in enumerate(zip(first, second, strict=True)):
        before, after = one.double().numpy(), other.double().numpy()
        assert float(noise[place]) == pytest.approx(np.sum((after - before) ** 2) / 2, rel=1e-5)
        assert float(signal[place]) == pytest.approx(np.sum(before * after), rel=1e-4, abs=1e-5)


def test_known_noise_is_found():
    draws = torch.Generator().manual_seed(1)
    size = 20_000
    mean = 0.1 * torch.ones(size)
    smoothed = Smoothed()
    for _ in range(5):
        pair = [[mean + torch.randn(size, generator=draws)] for _ in range(2)]
        noise, signal = noise_and_signal(*pair)
        smoothed.add({"": float(noise)}, {"": float(signal)})
    assert smoothed.signal_to_noise()[""] == pytest.approx(0.01, rel=0.2)


def test_the_fall_of_a_loss_equals_its_twin():
    losses = np.random.default_rng(0).normal(1, 0.1, 101)
    losses[50:] -= 0.05
    before, after = losses[:50], losses[50:]
    error = np.sqrt(np.var(before, ddof=1) / 50 + np.var(after, ddof=1) / 51)
    assert fall(losses.tolist()) == pytest.approx((before.mean() - after.mean()) / error)
    assert fall([1.0] * 20) is None
    assert fall([1.0, float("nan")] * 10) is None
    assert fall([1.0] * 7) is None


def test_the_noise_scale_is_that_of_the_samples():
    """Of a model whose gradient is the mean of its inputs."""
    draws = torch.Generator().manual_seed(2)
    model = nn.Linear(500, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), 1e-6)
    with talweg.watch(model, optimizer, every=1, tier="full") as health:
        for _ in range(102):
            optimizer.zero_grad()
            for _ in range(2):
                (model(0.5 + torch.randn(16, 500, generator=draws)).mean() / 2).backward()
            optimizer.step()
    last = health.moments[100]
    assert last.one("noise scale") == pytest.approx(4.0, rel=0.15)  # 1/0.5²
    assert last.one("signal to noise") == pytest.approx(8.0, rel=0.15)  # of 32 samples
    assert last.of("signal to noise")["Linear"] == pytest.approx(8.0, rel=0.15)


def moments(share: float, fall: float, loss: float, pairs: float = 5) -> list[Moment]:
    values = {"loss": 2.0}, {"loss": loss, "signal to noise": share, "fall": fall, "pairs": pairs}
    return [
        Moment(50 * step, {name: {WHOLE: value} for name, value in values[step > 0].items()})
        for step in range(4)
    ]


@pytest.mark.parametrize(
    ("given", "severity"),
    [
        ((0.01, 0.5, 1.8), "warning"),
        ((-0.01, -3.0, 1.8), "warning"),
        ((0.01, 0.5, 1.0), "note"),
        ((0.01, 0.5, 0.1), None),  # it has learned all there is
        ((0.01, 5.0, 1.8), None),  # it falls
        ((0.3, 0.5, 1.8), None),  # the batches have much in common
        ((-0.3, 0.5, 1.8), None),  # it goes back and forth, which is no noise
        ((0.01, 0.5, 1.8, 2.0), None),
    ],
)
def test_noise_is_told_where_the_loss_no_longer_falls(given, severity: str | None):
    found = persisting([Noisy()], moments(*given), Setting())
    assert [one.severity for one in found] == ([severity] if severity else [])


def test_labels_by_chance_and_small_batches_are_noise():
    torch.manual_seed(0)
    model = mlp(nn.Tanh, width=8)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, _ = digits()
    draws = torch.Generator().manual_seed(0)
    with talweg.watch(model, optimizer, tier="full") as health:
        for _ in range(400):
            rows = torch.randint(len(x), (4,), generator=draws)
            optimizer.zero_grad()
            labels = torch.randint(10, (4,), generator=draws)
            nn.functional.cross_entropy(model(x[rows]), labels).backward()
            optimizer.step()
    assert [one.severity for one in health.findings if one.name == "gradient noise"] == ["warning"]


@pytest.mark.parametrize("rule", [torch.optim.SGD, torch.optim.Adam])
def test_a_healthy_run_has_no_finding(rule):
    torch.manual_seed(0)
    model = mlp(nn.ReLU, width=64)
    optimizer = rule(model.parameters(), 0.1 if rule is torch.optim.SGD else 1e-3)
    health = trained(model, optimizer, 400, lambda m, o: talweg.watch(m, o, tier="full"))
    assert health.findings == []
