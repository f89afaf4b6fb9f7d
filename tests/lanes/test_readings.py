"""What is measured of lanes while they train."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from talweg import lanes, rules
from talweg.lanes import Reading
from talweg.metrics import ACCURACY, R2, RMSE


def test_readings_come_at_the_start_and_after_each_epoch():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=generator)
    y = (x.sum(1) > 0).long()
    held_out = x[:20], y[:20]
    found: list[Reading] = []
    run = lanes.train(
        lambda: nn.Linear(4, 2), (x, y), [rules.SGD(lr=0.5), rules.SGD(lr=1e39)], epochs=2,
        batch_size=25, evaluate={"validation": held_out}, metrics=[ACCURACY], each=found.append,
    )  # fmt: skip
    assert run.status == ("ok", "diverged at step 1")
    first, death, *later = found
    assert (first.lanes, first.step, first.epoch) == ((0, 1), 0, 0.0)
    assert set(first.values) == {("validation", "loss"), ("validation", "accuracy")}
    assert death.values == {("train", "diverged"): [1.0]}
    assert (death.lanes, death.step) == ((1,), 1)
    assert [(r.lanes, r.step, r.epoch) for r in later] == [((0,), 3, 1.0), ((0,), 6, 2.0)]
    last = later[-1].values
    assert last["train", "loss"] == [pytest.approx(run.losses[0, 3:].mean().item(), rel=1e-5)]
    model = nn.Linear(4, 2)
    model.load_state_dict(run.params(0))
    output = model(held_out[0])
    loss = nn.functional.cross_entropy(output, held_out[1]).item()
    assert last["validation", "loss"] == [pytest.approx(loss, rel=1e-5)]
    accuracy = (output.argmax(1) == held_out[1]).float().mean().item()
    assert last["validation", "accuracy"] == [pytest.approx(accuracy)]


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_readings_every_few_steps(strategy: str):
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    y = (x.sum(1) > 0).long()
    arguments = {
        "model": lambda: nn.Linear(4, 2),
        "data": (x, y),
        "rules": [rules.SGD(lr=0.5), rules.Adam(lr=0.1)],
        "steps": 257,
        "batch_size": 8,
        "strategy": strategy,
    }
    found: list[Reading] = []
    run = lanes.train(**arguments, read_every=120, evaluate={"v": (x, y)}, each=found.append)
    for lane in (0, 1):
        read = [reading for reading in found if lane in reading.lanes]
        assert [reading.step for reading in read] == [0, 120, 240, 257]
        assert [reading.epoch for reading in read] == [0, 15, 30, 257 / 8]
        for before, after in pairwise(read):
            column = after.values["train", "loss"][after.lanes.index(lane)]
            mean = run.losses[lane, before.step : after.step].double().mean().item()
            assert column == pytest.approx(mean, rel=1e-12)
            assert ("v", "loss") in after.values
    plain = lanes.train(**arguments)
    torch.testing.assert_close(run.losses, plain.losses, rtol=0, atol=0)


def test_a_reading_longer_than_the_run_comes_at_its_end():
    found: list[Reading] = []
    data = torch.randn(9, 4), torch.randn(9)
    lanes.train(lambda: nn.Linear(4, 1), data, ["sgd"], steps=3, read_every=10, each=found.append)
    assert [reading.step for reading in found] == [0, 3]


def test_lanes_that_diverge_between_readings_are_told_at_the_next():
    found: list[Reading] = []
    data = torch.randn(9, 4), torch.randn(9)
    wild = [rules.SGD(lr=1e39), rules.SGD(lr=0.1), rules.SGD(lr=1e39)]
    for rule in (wild, wild[:1]):
        found.clear()
        run = lanes.train(
            lambda: nn.Linear(4, 1), data, rule, steps=300, read_every=150, each=found.append
        )
        deaths = [r for r in found if ("train", "diverged") in r.values]
        assert [(r.lanes, r.step) for r in deaths] == [((0,), 1), ((2,), 1)][: len(rule) - 1 or 1]
        living = [(r.lanes, r.step) for r in found[1:] if r not in deaths]
        assert living == ([((1,), 150), ((1,), 300)] if len(rule) > 1 else [])
        assert run.losses.shape == (len(rule), 300)


class Drops(nn.Module):
    """Draws random numbers in training."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5), nn.Linear(16, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_what_lanes_draw_is_not_moved_by_what_is_drawn_elsewhere(strategy: str):
    data = torch.randn(30, 4), torch.randn(30)

    def draw(_: Reading) -> None:
        torch.randn(7)

    arguments = {"steps": 50, "batch_size": 8, "strategy": strategy, "seeds": [0, 1]}
    runs = []
    for each in (None, draw):
        torch.manual_seed(len(runs))
        runs.append(lanes.train(Drops, data, ["sgd", "adam"], each=each, **arguments).losses)
    assert torch.equal(*runs)


def test_regression_metrics_equal_scikit_learns_in_the_targets_own_unit():
    from sklearn.metrics import r2_score, root_mean_squared_error

    generator = torch.Generator().manual_seed(1)
    y, output = torch.randn(2, 30, generator=generator)
    scale = torch.tensor(70.0)
    rmse = RMSE.finish(RMSE.per_sample(output[:, None], y, scale).mean(), y, scale)
    assert rmse.item() == pytest.approx(root_mean_squared_error(70 * y, 70 * output), rel=1e-5)
    r2 = R2.finish(R2.per_sample(output[:, None], y, scale).mean(), y, scale)
    assert r2.item() == pytest.approx(r2_score(y, output), rel=1e-5)
