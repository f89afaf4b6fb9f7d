"""Every rule that has a name goes through a whole comparison."""

import torch

import talweg
from talweg.rules import RULES


def test_a_comparison_of_all_rules_by_name(tmp_path):
    x = torch.randn(90, 4, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    study = talweg.compare(
        lambda: torch.nn.Linear(4, 2), (x, y), rules=[*RULES], lrs=[1e-3, 1e-2], seeds=2,
        tune_seeds=1, epochs=2, out=tmp_path / "run", progress=False,
    )  # fmt: skip
    assert {row.rule for row in study.ranking} == set(RULES)
