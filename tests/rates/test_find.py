"""The search for a rate: the edge where theory says, the suggestion where the loss is least."""

import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import talweg
from talweg import rules
from talweg.cli.main import main
from talweg.rates import find_lr
from talweg.rates.found import interval, suggestion


def quadratic(
    spectrum: tuple[float, ...] = (0.2, 0.5, 1.0, 3.0),
) -> tuple[torch.Tensor, torch.Tensor]:
    """Least squares whose Hessian, ``2/N·XᵀX``, has these four eigenvalues."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(40, 4, generator=generator))[0]
    x = directions * (40 * torch.tensor(spectrum) / 2).sqrt()
    return x, x @ torch.tensor([1.0, -2.0, 0.5, 1.5])


def linear() -> nn.Module:
    return nn.Linear(4, 1, bias=False)


@pytest.mark.parametrize(
    ("rule", "factor"),
    [
        ("sgd", 2.0),
        ("momentum(momentum=0.5)", 3.0),
        ("momentum(momentum=0.9)", 3.8),
        ("momentum(momentum=0.5, form=average)", 6.0),
    ],
)
@pytest.mark.parametrize(
    "spectrum",
    [(0.2, 0.5, 1.0, 3.0), (0.2, 0.5, 1.0, 1.5), (0.01, 0.01, 0.1, 40.0), (0.5, 0.5, 0.5, 0.5)],
)
def test_the_edge_is_where_the_largest_eigenvalue_says(rule, factor, spectrum):
    found = find_lr(
        linear, quadratic(spectrum), rule, seeds=3, steps=200, batch_size=None, progress=False
    )
    edge = factor / max(spectrum)
    assert found.edge is not None
    low, high = found.edge
    assert low < edge * 1.01
    assert high > edge * 0.99
    assert high / low < 1.1
    assert found.lr <= edge


def test_the_answer_is_a_rate_on_the_grid_above_the_best():
    found = find_lr("mlp", "iris", "adam", seeds=3, steps=40, progress=False)
    means = np.array(found.losses).mean(1)
    assert found.best == found.rates[int(means.argmin())]
    assert found.best <= found.lr
    assert found.interval[0] <= found.interval[1]
    assert found.seeds == 3
    assert f"{found.lr:.2g}" in found.sentences[0]


def test_the_same_call_gives_the_same_answer():
    first, second = (
        find_lr(linear, quadratic(), "rmsprop", seeds=2, steps=20, progress=False) for _ in "ab"
    )
    assert first == second


def test_seeds_by_number():
    asked = {"rule": "rmsprop", "lrs": [0.01, 0.1, 1.0], "steps": 20, "progress": False}
    both, first, last = (
        np.array(find_lr(linear, quadratic(), seeds=seeds, **asked).losses)
        for seeds in ([3, 0, 1, 7], 2, [3, 7])
    )
    np.testing.assert_allclose(both[:, [1, 2]], first, rtol=1e-5)
    np.testing.assert_allclose(both[:, [0, 3]], last, rtol=1e-5)


class Pressed(nn.Module):
    """Ctrl-C comes at one of its calls."""

    at: float = float("inf")
    calls = 0

    def __init__(self):
        super().__init__()
        self.linear = linear()

    def forward(self, x):
        Pressed.calls += 1
        if Pressed.calls == Pressed.at:
            signal.raise_signal(signal.SIGINT)
        return self.linear(x)


@pytest.fixture
def pressed(monkeypatch):
    """To be called with the share of a search's calls after which Ctrl-C comes."""
    asked = {"seeds": 4, "steps": 40, "progress": False, "strategy": "serial"}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def search(share: float):
        monkeypatch.setattr(Pressed, "calls", 0)
        monkeypatch.setattr(Pressed, "at", float("inf"))
        whole = find_lr(Pressed, quadratic(), "sgd", batch_size=None, **asked)
        monkeypatch.setattr(Pressed, "at", int(share * Pressed.calls))
        monkeypatch.setattr(Pressed, "calls", 0)
        return whole, find_lr(Pressed, quadratic(), "sgd", batch_size=None, **asked)

    yield search
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_leaves_what_is_known_by_then(pressed):
    # Lanes run seed by seed: about three of four first lots are done, and the edge not refined.
    whole, part = pressed(0.6)
    assert part.interrupted
    assert not whole.interrupted
    assert part.seeds == 3
    assert part.steps == 40
    assert part.lr == whole.lr
    assert part.edge[0] <= whole.edge[0] < whole.edge[1] <= part.edge[1]
    assert "interrupted" in part.sentences[-1]
    # Means of the last epoch, here a step, instead of the last tenth.
    rows = dict(zip(whole.rates, whole.losses, strict=True))
    for lr, row in zip(part.rates, part.losses, strict=True):
        np.testing.assert_allclose(row, rows[lr][:3], rtol=0.5)


def test_ctrl_c_while_the_edge_is_refined(pressed):
    whole, part = pressed(0.95)
    assert part.interrupted
    assert part.seeds == 4
    assert len(part.rates) == len(whole.rates) - 7
    assert part.lr == whole.lr


def test_ctrl_c_too_early_is_ctrl_c(pressed):
    with pytest.raises(KeyboardInterrupt):
        pressed(0.1)


def test_stacked_lanes_tell_after_ten_steps(monkeypatch):
    ticks = []

    def stop_after(steps):
        def tick(_bar, _task, _made):
            ticks.append(_made)
            if len(ticks) == steps + 1:
                raise KeyboardInterrupt

        ticks.clear()
        monkeypatch.setattr("rich.progress.Progress.advance", tick)
        return find_lr(linear, quadratic(), "sgd", seeds=3, batch_size=None, progress=False)

    found = stop_after(25)
    assert (found.steps, found.seeds, found.interrupted) == (25, 3, True)
    assert found.edge[0] < 2 / 3 < found.edge[1]
    with pytest.raises(KeyboardInterrupt):
        stop_after(9)


def test_rates_that_are_given():
    found = find_lr(
        linear, quadratic(), rules.SGD(), lrs=[0.3, 0.01, 0.1, 5.0], seeds=2, steps=60,
        batch_size=None, progress=False,
    )  # fmt: skip
    assert found.rates == (0.01, 0.1, 0.3, 5.0)
    assert found.edge == (0.3, 5.0)
    assert found.lr == 0.3
    low = find_lr(
        linear, quadratic(), "sgd", lrs=[1e-5, 1e-4, 1e-3], seeds=2, steps=10, progress=False
    )
    assert low.edge is None
    assert "largest that was tried" in low.sentences[-1]
    assert "None diverged up to 0.001." in low.sentences


def test_the_suggestion_is_the_next_one_up_unless_that_diverged():
    rates = [0.1, 0.2, 0.4]
    safe = np.array([[3.0, 3.0], [1.0, 1.2], [1.5, 1.4]])
    assert suggestion(rates, safe) == (1, 2)
    lost = np.array([[3.0, 3.0], [1.0, 1.2], [1.5, np.inf]])
    assert suggestion(rates, lost) == (1, 1)
    # A resample that leaves the seed out that diverged goes one further.
    assert interval(rates, lost) == (0.2, 0.4)
    assert interval(rates, safe) == (0.4, 0.4)


def test_a_rate_whose_loss_is_larger_than_below_the_best_is_unstable():
    rates = [0.1, 0.2, 0.4]
    assert suggestion(rates, np.array([[1.4, 1.6], [1.0, 1.2], [1.2, 1.9]])) == (1, 1)
    assert suggestion(rates, np.array([[1.4, 1.6], [1.0, 1.2], [1.1, 1.8]])) == (1, 2)
    assert suggestion(rates, np.array([[1.0, 1.2], [1.2, 1.9], [3.0, 3.0]])) == (0, 1)
    assert suggestion(rates, np.array([[3.0, 3.0], [2.0, 2.1], [1.2, 1.9]])) == (2, 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rule": "adma"}, "did you mean 'adam'"),
        ({"seeds": 1}, "seeds must be .* at least 2"),
        ({"seeds": [4]}, r"at least 2 different numbers, got \[4\]"),
        ({"seeds": [4, 4]}, "at least 2 different numbers"),
        ({"seeds": [4, -1]}, "a seed must be .* at least 0"),
        ({"steps": 3}, "steps must be .* at least 10"),
        ({"lrs": [0.1, 0.1]}, "at least 3 different rates"),
        ({"lrs": [0.1, -1.0, 2.0]}, "lr must be a positive number"),
        ({"data": "digitz"}, "digits"),
        ({"loss": "huber(delta=0)"}, "delta must be"),
    ],
)
def test_bad_input_is_told_in_one_line(change, said):
    given = {"model": linear, "data": quadratic(), "progress": False} | change
    with pytest.raises(talweg.UserError, match=said):
        find_lr(**given)


def test_the_picture_is_one_file(tmp_path: Path):
    found = find_lr(linear, quadratic(), "sgd", seeds=2, steps=20, progress=False)
    text = found.picture(tmp_path / "rate.html").read_text()
    assert "diverges" in text
    assert f"start: {found.lr:.2g}" in text
    with pytest.raises(talweg.UserError, match="cannot write"):
        found.picture(tmp_path / "nowhere" / "rate.html")


COMMAND = ("talweg", "find-lr", "iris", "--rule", "sgd", "--seeds", "2", "-q")


def test_the_command(tmp_path, monkeypatch, capsys):
    arguments = [*COMMAND, "--steps", "20"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--out", str(tmp_path / "rate.html")])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert "← start" in shown
    assert "start from" in shown
    assert (tmp_path / "rate.html").is_file()
    monkeypatch.setattr(sys, "argv", [*arguments, "--json"])
    with pytest.raises(SystemExit):
        main()
    told = json.loads(capsys.readouterr().out)
    assert told["lr"] in told["rates"]
    assert len(told["losses"]) == len(told["rates"])


def test_the_command_tells_what_ctrl_c_left(monkeypatch, capsys):
    ticks = []

    def tick(_bar, _task, made):
        ticks.append(made)
        if len(ticks) == 8:
            raise KeyboardInterrupt

    monkeypatch.setattr("rich.progress.Progress.advance", tick)
    monkeypatch.setattr(sys, "argv", [*COMMAND])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr()
    assert ended.value.code == 130
    assert "← start" in shown.out
    assert "interrupted" in shown.out
    monkeypatch.setattr(sys, "argv", [*COMMAND, "--batch-size", "full"])
    ticks.clear()
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "talweg: interrupted\n")


def test_training_batches_may_be_augmented():
    def doubled(x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    x, y = quadratic()
    asked = {"lrs": [0.001, 0.01, 0.1], "seeds": 2, "steps": 20, "progress": False}
    ours = find_lr(linear, (x, y), "sgd", augment=doubled, **asked)
    theirs = find_lr(linear, (2 * x, y), "sgd", **asked)
    assert ours.losses == theirs.losses


def test_products_may_be_in_fewer_bits():
    asked = {"lrs": [0.001, 0.01, 0.1], "seeds": 2, "steps": 20, "progress": False}
    ours, theirs = (
        find_lr(linear, quadratic(), "sgd", precision=precision, **asked)
        for precision in ("bf16", None)
    )
    assert ours.losses != theirs.losses
    assert np.allclose(ours.losses, theirs.losses, rtol=0.05, atol=0.05)
