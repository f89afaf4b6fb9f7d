"""Parameter groups made for a model."""

import torch
from torch import nn

from talweg import optim


def test_biases_and_norms_are_spared_and_nothing_is_lost_or_doubled():
    model = nn.Sequential(
        nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm((3, 4)), nn.Conv1d(3, 3, 1),
        nn.BatchNorm1d(3), nn.Linear(4, 5, bias=False),
    )  # fmt: skip
    model[5].weight = model[0].weight  # tied
    model[3].bias.requires_grad_(False)
    decayed, spared = optim.decay_groups(model, 0.1)
    assert decayed["weight_decay"] == 0.1
    assert spared["weight_decay"] == 0.0
    assert {id(p) for p in decayed["params"]} == {
        id(model[0].weight), id(model[1].weight), id(model[3].weight)
    }  # fmt: skip
    assert {id(p) for p in spared["params"]} == {
        id(p) for p in (model[1].bias, *model[2].parameters(), *model[4].parameters())
    }
    optimizer = optim.AdamW([decayed, spared], lr=1e-3)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]


def test_a_model_of_one_kind_has_one_group():
    assert len(optim.decay_groups(nn.Linear(2, 2, bias=False))) == 1
    assert optim.decay_groups(nn.ReLU()) == []
    groups = optim.decay_groups(nn.LayerNorm(3))
    assert [group["weight_decay"] for group in groups] == [0.0]
    assert isinstance(groups[0]["params"][0], torch.Tensor)
