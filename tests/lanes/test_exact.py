"""After 200 steps in double precision a lane is where its separate run is."""

import pytest
import torch
from tests.lanes.layers import CASES
from torch import nn

from talweg import lanes
from talweg.rules import RULES, STANDARD

RATES = {"sgd": 0.1, "momentum": 0.02, "nesterov": 0.02, "adagrad": 0.02}
ALONE = {2: "stacked", 7: "serial"}
"""Seed → how its separate runs are made."""


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_a_lane_among_others_is_its_separate_run(name: str):
    def make() -> nn.Module:
        return CASES[name].make().double()

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, *CASES[name].shape, generator=generator, dtype=torch.float64)
    data = x, torch.randint(3, (40,), generator=generator)
    given = [
        (RULES[rule].rule.changed(lr=RATES.get(rule, 0.003)), seed)
        for rule in STANDARD
        for seed in ALONE
    ]
    options = {"steps": 200, "batch_size": 16}
    among = lanes.train(make, data, *zip(*given, strict=True), strategy="stacked", **options)
    assert among.status == ("ok",) * len(given)
    for lane, (rule, seed) in enumerate(given):
        alone = lanes.train(make, data, rule, seed, strategy=ALONE[seed], **options)
        torch.testing.assert_close(
            among.params(lane), alone.params(0), rtol=1e-9, atol=1e-9, msg=f"{rule}"
        )
        assert among.losses[lane, -1] < 0.9 * among.losses[lane, 0]
