"""Races: paths equal to plain loops, fair choices of rates, and the same bits again."""

import pytest
import torch
from torch import optim

import talweg
from talweg import rules
from talweg.landscapes import LANDSCAPES, quadratic
from talweg.race import race
from talweg.race.descent import Noise, paths
from talweg.race.picture import figure
from talweg.rules import RULES

ROSENBROCK = LANDSCAPES["rosenbrock"]


def walked(rule_list, steps=60, landscape=ROSENBROCK, noise=Noise(), seeds=None):  # noqa: B008
    seeds = seeds or [0] * len(rule_list)
    return paths(landscape, rule_list, seeds, landscape.start, steps, noise, lambda _: None)


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        (rules.SGD(lr=1e-3), lambda p: optim.SGD(p, lr=1e-3)),
        (rules.Momentum(lr=1e-3), lambda p: optim.SGD(p, lr=1e-3, momentum=0.9)),
        (rules.Adam(lr=0.05), lambda p: optim.Adam(p, lr=0.05)),
        (rules.AdaGrad(lr=0.3, eps=1e-10), lambda p: optim.Adagrad(p, lr=0.3)),
        (rules.NAdam(lr=0.05), lambda p: optim.NAdam(p, lr=0.05)),
    ],
)
def test_a_path_is_that_of_a_plain_loop(rule, make):
    point = torch.tensor(ROSENBROCK.start, dtype=torch.float64, requires_grad=True)
    optimizer = make([point])
    path = [point.detach().clone()]
    for _ in range(60):
        optimizer.zero_grad()
        ROSENBROCK(point).backward()
        optimizer.step()
        path.append(point.detach().clone())
    among = walked([rules.SGD(lr=1e-4), rule, rules.Adam(lr=0.3), rules.SGD(lr=1.0)])
    torch.testing.assert_close(among[:, 1], torch.stack(path), rtol=1e-8, atol=1e-8)


def test_nesterov_is_recorded_where_it_is_and_not_where_it_looks():
    path = walked([rules.Nesterov(lr=1e-3)])[:, 0]
    at, velocity = torch.tensor(ROSENBROCK.start, dtype=torch.float64), torch.zeros(2)
    for step in range(1, 61):
        velocity = 0.9 * velocity - 1e-3 * ROSENBROCK.gradient(at + 0.9 * velocity)
        at = at + velocity
        torch.testing.assert_close(path[step], at)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_races_and_lanes_do_not_notice_each_other(name):
    rule = RULES[name].rule
    low, high = rule.lr_range
    mine = rule.changed(lr=(low * high) ** 0.5)
    alone = walked([mine], steps=15)
    crowded = walked([rule.changed(lr=high), mine, rules.SGD(lr=100.0), mine], steps=15)
    torch.testing.assert_close(crowded[:, 1], alone[:, 0], equal_nan=True)
    assert torch.equal(crowded[:, 1].nan_to_num(), crowded[:, 3].nan_to_num())


def test_a_lane_that_diverges_ends_there():
    path = walked([rules.SGD(lr=1.0), rules.SGD(lr=1e-4)])
    assert path[:3, 0].isfinite().any()
    assert path[10:, 0].isnan().all()
    assert path[:, 1].isfinite().all()


def test_noise_is_shared_by_rules_of_a_seed():
    same = walked(
        [rules.SGD(lr=1e-4), rules.SGD(lr=1e-4), rules.SGD(lr=1e-4)],
        noise=Noise(scale=2.0),
        seeds=[3, 4, 3],
    )
    assert torch.equal(same[:, 0], same[:, 2])
    assert not torch.equal(same[:, 0], same[:, 1])


def test_the_same_race_gives_the_same_bits():
    first, second = (race("rosenbrock", steps=80, noise=0.5, progress=False) for _ in "ab")
    for one, other in zip(first.racers, second.racers, strict=True):
        assert torch.equal(one.path, other.path)
        assert (one.name, one.lr, one.steps, one.gap) == (
            other.name, other.lr, other.steps, other.gap,
        )  # fmt: skip


def test_the_order_is_by_steps_and_then_by_nearness():
    found = race("ravine", steps=100, progress=False)
    steps = [racer.steps for racer in found.racers if racer.steps is not None]
    assert steps == sorted(steps)
    late = [racer.gap for racer in found.racers if racer.steps is None]
    assert late == sorted(late)
    by_name = {racer.name: racer for racer in found.racers}
    assert by_name["momentum"].steps < (by_name["sgd"].steps or 1000)
    best = by_name["momentum"]
    gaps = found.landscape(best.path)
    near = found.tolerance * float(gaps[0])
    assert (gaps[int(best.steps) :] <= near).all()
    assert gaps[int(best.steps) - 1] > near


def test_at_one_rate_momentum_leaves_the_saddle_sooner():
    saddle = LANDSCAPES["saddle"]
    path = walked([rules.SGD(lr=0.1), rules.Momentum(lr=0.1)], steps=300, landscape=saddle)
    left = [(saddle(path[:, lane]) < -0.0025).int().argmax().item() for lane in (0, 1)]
    assert 0 < left[1] < left[0]


def test_batches_bend_the_path_of_a_line_fit():
    exact = race("line-fit", ["sgd"], steps=60, progress=False)
    drawn = race("line-fit", ["sgd"], steps=60, batch_size=8, progress=False)
    assert exact.seeds == 1
    assert drawn.seeds == 5
    assert exact.best.steps is not None
    assert exact.best.gap < 1e-8 < drawn.best.gap
    fit = exact.landscape
    assert fit.distance(exact.best.path[-1]) < 1e-4


def test_the_picture_has_a_frame_for_each_moment_and_a_line_for_each_rule(tmp_path):
    found = race("saddle", ["sgd", "adam"], steps=60, progress=False)
    drawn = figure(found)
    assert [trace.name.split(",")[0] for trace in drawn.data[2:]] == [
        racer.label for racer in found.racers
    ]
    assert drawn.frames[0].name == "0"
    assert drawn.frames[-1].name == "60"
    first = drawn.frames[0].data[0]
    assert (first.x[0], first.y[0]) == found.landscape.start
    last = drawn.frames[-1].data[0]
    assert len(last.x) == 61
    page = found.picture(tmp_path / "race.html").read_text()
    assert "pause" in page
    bowl = race(quadratic((1.0, 2.0, 3.0)), ["sgd"], steps=5, progress=False)
    with pytest.raises(talweg.UserError, match="two coordinates"):
        bowl.picture(tmp_path / "bowl.html")
    with pytest.raises(talweg.UserError, match="cannot write"):
        found.picture(tmp_path / "nowhere" / "race.html")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"landscape": "rosenbrok"}, "did you mean 'rosenbrock'"),
        ({"rules": ["adma"]}, "did you mean 'adam'"),
        ({"rules": []}, "at least one rule"),
        ({"steps": 0}, "steps must be"),
        ({"noise": -1.0}, "noise must be a number of at least 0"),
        ({"batch_size": 4}, "batch_size is for line-fit"),
        ({"start": (1.0,)}, "start must be 2 finite numbers"),
        ({"rates": 1}, "rates must be"),
        ({"seeds": 0}, "seeds must be"),
    ],
)
def test_bad_input_is_told_in_one_line(change, said):
    with pytest.raises(talweg.UserError, match=said):
        race(**({"steps": 5, "progress": False} | change))
