"""What is measured of lanes while they train."""

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


def test_regression_metrics_equal_scikit_learns_in_the_targets_own_unit():
    from sklearn.metrics import r2_score, root_mean_squared_error

    generator = torch.Generator().manual_seed(1)
    y, output = torch.randn(2, 30, generator=generator)
    scale = torch.tensor(70.0)
    rmse = RMSE.finish(RMSE.per_sample(output[:, None], y, scale).mean(), y, scale)
    assert rmse.item() == pytest.approx(root_mean_squared_error(70 * y, 70 * output), rel=1e-5)
    r2 = R2.finish(R2.per_sample(output[:, None], y, scale).mean(), y, scale)
    assert r2.item() == pytest.approx(r2_score(y, output), rel=1e-5)
