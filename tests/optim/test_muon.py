"""Muon, which steps matrices only; its equality with torch's is in test_torch.py."""

import copy
import pickle

import pytest
import torch
from tests.optim.common import apart, samples, train, twins
from torch import nn

from talweg import optim, rules


def matrices(dtype: torch.dtype = torch.float32, count: int = 2) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(3)
    params = [
        nn.Parameter(torch.randn(6, 4 + i, generator=generator).to(dtype)) for i in range(count)
    ]
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator).to(dtype)
    return params


def steps(optimizer: torch.optim.Optimizer, count: int) -> None:
    for _ in range(count):
        optimizer.step()


def test_a_step_is_as_long_as_the_shape_says():
    """An orthogonal matrix of rank 4 has length 2, here to within what five iterations leave."""
    param, _ = matrices()
    start = param.detach().clone()
    optim.Muon([param], lr=0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw").step()
    moved = (start - param) / (0.1 * 0.2 * 6**0.5)
    values = torch.linalg.svdvals(moved)
    assert ((values > 0.6) & (values < 1.25)).all()


@pytest.mark.parametrize("way", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_copies_go_on_as_the_original_would(way):
    params = matrices()
    optimizer = optim.Muon(params, lr=0.1)
    steps(optimizer, 3)
    other = way(optimizer)
    for param, twin in zip(params, other.param_groups[0]["params"], strict=True):
        twin.grad = param.grad
    steps(optimizer, 3)
    steps(other, 3)
    for param, twin in zip(params, other.param_groups[0]["params"], strict=True):
        assert torch.equal(param, twin)


def test_groups_have_their_own_numbers_and_can_be_added_later():
    one, other = matrices()
    alone = matrices()
    together = optim.Muon([one], lr=0.1)
    together.add_param_group({"params": [other], "lr": 0.01, "nesterov": False, "ns_steps": 3})
    apart_ = (
        optim.Muon([alone[0]], lr=0.1),
        optim.Muon([alone[1]], 0.01, nesterov=False, ns_steps=3),
    )
    steps(together, 3)
    for optimizer in apart_:
        steps(optimizer, 3)
    assert torch.equal(one, alone[0])
    assert torch.equal(other, alone[1])


def test_what_is_no_matrix_is_refused_and_nothing_is_kept():
    vector = nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match=r"Muon steps matrices, got a parameter of shape \[3\]"):
        optim.Muon([vector])
    optimizer = optim.Muon(matrices())
    with pytest.raises(ValueError, match="steps matrices"):
        optimizer.add_param_group({"params": [vector]})
    assert len(optimizer.param_groups) == 1
    for wrong in ({"adjust_lr_fn": "no"}, {"ns_steps": 0}, {"ns_coefficients": (1.0, 2.0)}):
        with pytest.raises(ValueError, match=r"Adjust|ns_steps|ns_coefficients"):
            optim.Muon(matrices(), **wrong)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_keeps_its_state_in_float32(dtype):
    low, exact = matrices(dtype), matrices()
    for a, b in zip(low, exact, strict=True):
        b.data, b.grad = a.detach().float(), a.grad.float()
    first, second = optim.Muon(low, lr=0.1), optim.Muon(exact, lr=0.1)
    steps(first, 1)
    steps(second, 1)
    assert first.state[low[0]]["momentum_buffer"].dtype == torch.float32
    assert torch.equal(low[0], exact[0].to(dtype))


def test_any_layout_gradients_that_come_later_and_closures():
    straight, twisted = matrices(), matrices()
    twisted[0].data = twisted[0].data.t().contiguous().t()
    one, other = optim.Muon(straight, lr=0.1), optim.Muon(twisted, lr=0.1)
    kept = straight[1].grad, twisted[1].grad
    for optimizer, param in ((one, straight[1]), (other, twisted[1])):
        param.grad = None
        start = param.detach().clone()
        optimizer.step()
        assert torch.equal(param, start)
    straight[1].grad, twisted[1].grad = kept
    before = [param.grad.clone() for param in straight]
    assert one.step(lambda: 3.0) == 3.0
    assert other.step(lambda: 3.0) == 3.0
    assert all(torch.equal(p.grad, b) for p, b in zip(straight, before, strict=True))
    assert torch.allclose(straight[0], twisted[0], rtol=0, atol=1e-2)  # half precision, other sums
    assert torch.equal(straight[1], twisted[1])


def test_of_a_whole_model_vectors_are_stepped_as_adam_steps_them():
    ours, theirs = twins(torch.float64)
    rule = rules.Muon(0.01, ns_steps=3)
    train(ours, optim.OfRule(ours.parameters(), rule), 10)
    groups = {
        True: [param for param in theirs.parameters() if param.ndim >= 2],
        False: [param for param in theirs.parameters() if param.ndim < 2],
    }
    matrix = optim.OfRule(groups[True], rule)
    vector = torch.optim.Adam(groups[False], 0.01, betas=(0.9, 0.95))
    x, y = samples(torch.float64)
    for _ in range(10):
        theirs.zero_grad()
        nn.functional.cross_entropy(theirs(x), y).backward()
        matrix.step()
        vector.step()
    assert apart(ours, theirs) < 1e-12
