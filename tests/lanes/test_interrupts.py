"""Ctrl-C: one press is enough, and a second does not disturb what is put away."""

import signal
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import nn

import talweg
from talweg import lanes, rules
from talweg.lanes.interrupts import one_interrupt


@pytest.fixture(autouse=True)
def heeds_ctrl_c():
    """As in a terminal, also where the tests run in a shell's background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Deaf(nn.Module):
    """Drops a press of Ctrl-C at its 20th call, as the guards of compiled functions do."""

    calls = 0

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x):
        Deaf.calls += 1
        with suppress(KeyboardInterrupt):
            if Deaf.calls == 20:
                signal.raise_signal(signal.SIGINT)
        return self.linear(x)


@pytest.fixture
def deaf(monkeypatch):
    monkeypatch.setattr(Deaf, "calls", 0)
    return Deaf


def data() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    return x, (x.sum(1) > 0).long()


def test_a_second_press_does_not_disturb_what_is_put_away(monkeypatch):
    heard = []
    with one_interrupt():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            heard.append("first")
        signal.raise_signal(signal.SIGINT)
        heard.append("put away")
        monkeypatch.setattr("talweg.lanes.interrupts.PATIENCE", -1.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert heard == ["first", "put away"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_press_that_was_lost_on_its_way_ends_the_training(deaf):
    with pytest.raises(KeyboardInterrupt):
        lanes.train(deaf, data(), rules.SGD(lr=0.1), epochs=5000, compile=False)
    assert deaf.calls < 2000


def test_a_comparison_keeps_what_was_done_before_a_press_that_was_lost(monkeypatch, tmp_path: Path):
    ticks = []

    def tick(_display, steps):
        ticks.append(steps)
        with suppress(KeyboardInterrupt):
            if len(ticks) == 10:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("talweg.study.live.Display.tick", tick)
    study = talweg.compare(
        lambda: nn.Linear(3, 2), data(), rules=["sgd"], epochs=300, seeds=2, out=tmp_path / "run"
    )
    assert study.record["status"] == "interrupted"
    assert study.partial
    assert len(ticks) == 10
