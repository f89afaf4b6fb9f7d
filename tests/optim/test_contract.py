"""What users of torch.optim count on, for every class."""

import copy
import io
import pickle
import warnings

import pytest
import torch
from tests.optim.common import apart, network, samples, train, twins
from torch import nn

from talweg import optim

TORCHS = [
    "SGD",
    "Adam",
    "AdamW",
    "Adagrad",
    "RMSprop",
    "Adadelta",
    "Adamax",
    "NAdam",
    "RAdam",
    "Rprop",
    "ASGD",
    "Adafactor",
]
OWN = [
    "Momentum",
    "Nesterov",
    "RMSpropNesterov",
    "AMSGrad",
    "AdaBelief",
    "Adan",
    "Yogi",
    "Lion",
    "LAMB",
    "SOAP",
    "Prodigy",
    "ScheduleFreeSGD",
    "ScheduleFreeAdamW",
]
ALL = TORCHS + OWN
WHOLE = ["LAMB", "Adafactor", "SOAP", "Prodigy"]
"""What steps whole tensors; Muon, which takes matrices only, has tests of its own."""


def made(name: str, params, **options) -> torch.optim.Optimizer:
    first = {"d0": 1.0} if name == "Prodigy" else {}  # Prodigy's rate is lr·d
    return getattr(optim, name)(params, **{"lr": 1e-3, **first, **options})


def weights(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(3)
    params = [nn.Parameter(torch.randn(s, generator=generator).to(dtype)) for s in shapes]
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator).to(dtype)
    return params


def test_every_optimizer_of_the_room_is_in_these_tests():
    classes = {n for n in optim.__all__ if isinstance(getattr(optim, n), type)}
    assert classes - {"RuleOptimizer", "OfRule", "Muon"} == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_groups_have_their_own_numbers(name):
    alone, other, a, b = weights((5, 3), (4,), (5, 3), (4,))
    a.data, a.grad, b.data, b.grad = alone.data.clone(), alone.grad, other.data.clone(), other.grad
    together = made(name, [{"params": [a]}, {"params": [b], "lr": 1e-2}])
    apart_ = [made(name, [alone]), made(name, [other], lr=1e-2)]
    for _ in range(3):
        together.step()
        for optimizer in apart_:
            optimizer.step()
    assert torch.equal(a, alone)
    assert torch.equal(b, other)


@pytest.mark.parametrize("name", ALL)
def test_a_parameter_without_a_gradient_is_left_alone_and_joins_later(name):
    a, b = weights((40,), (30,))
    start, grad = b.detach().clone(), b.grad
    b.grad = None
    optimizer = made(name, [a, b])
    optimizer.step()
    optimizer.step()
    assert torch.equal(b, start)
    assert optimizer.state[b].get("step", 0) == 0
    b.grad = grad
    optimizer.step()
    fresh = nn.Parameter(start.clone())
    fresh.grad = grad
    made(name, [fresh]).step()
    assert torch.allclose(b, fresh, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ALL)
def test_maximize_climbs(name):
    (a,), (b,) = weights((7,)), weights((7,))
    b.grad = -b.grad
    down, up = made(name, [a]), made(name, [b], maximize=True)
    for _ in range(4):
        down.step()
        up.step()
    assert torch.equal(a, b)


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_not_changed(name):
    options = {} if name == "Rprop" else {"weight_decay": 0.1}
    params = weights((300, 200), (20,))
    before = [param.grad.clone() for param in params]
    optimizer = made(name, params, maximize=True, **options)
    for _ in range(3):
        optimizer.step()
    assert all(torch.equal(p.grad, g) for p, g in zip(params, before, strict=True))


@pytest.mark.parametrize("name", ALL)
def test_a_closure_is_evaluated_once_with_gradients_on_and_its_value_returned(name):
    (weight,) = weights((6,))
    optimizer = made(name, [weight])
    seen = []

    def closure():
        seen.append(torch.is_grad_enabled())
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    with torch.no_grad():
        losses = [optimizer.step(closure).item() for _ in range(20)]
    assert seen == [True] * 20
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ALL)
def test_a_tensor_rate_is_a_rate(name):
    (a,), (b,) = weights((9,)), weights((9,))
    rate = torch.tensor(1e-3, dtype=torch.float64)
    one, other = made(name, [a], lr=rate), made(name, [b])
    for i in range(5):
        if i == 3:
            rate.fill_(5e-3)
            other.param_groups[0]["lr"] = 5e-3
        one.step()
        other.step()
    assert torch.equal(a, b)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("way", ["deepcopy", "pickle", "save"])
def test_copies_go_on_as_the_original_would(name, way):
    model, _ = twins()
    optimizer = made(name, model.parameters())
    train(model, optimizer, 3)
    if way == "deepcopy":
        other, copied = copy.deepcopy((model, optimizer))
    elif way == "pickle":
        other, copied = pickle.loads(pickle.dumps((model, optimizer)))
    else:
        file = io.BytesIO()
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
        file.seek(0)
        saved = torch.load(file, weights_only=True)
        other = network()
        copied = made(name, other.parameters())
        other.load_state_dict(saved["model"])
        copied.load_state_dict(saved["optimizer"])
    train(model, optimizer, 4)
    assert apart(model, other) > 0
    train(other, copied, 4)
    assert apart(model, other) == 0


@pytest.mark.parametrize("name", ALL)
def test_a_group_can_be_added_later(name):
    a, b = weights((5,), (6,))
    optimizer = made(name, [a])
    optimizer.step()
    optimizer.add_param_group({"params": [b], "lr": 0.01})
    start = b.detach().clone()
    optimizer.step()
    optimizer.step()  # SOAP's first moves nothing
    assert not torch.equal(b, start)
    assert optimizer.param_groups[1]["lr"] == 0.01


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_stepped_in_float32(name, dtype):
    low, exact = weights((300, 200), (20,), dtype=dtype), weights((300, 200), (20,))
    for a, b in zip(low, exact, strict=True):
        b.data, b.grad = a.detach().float(), a.grad.float()
    one, other = made(name, low), made(name, exact)
    one.step()
    other.step()
    for a, b in zip(low, exact, strict=True):
        assert torch.equal(a, b.to(dtype))
        floats = [s for s in one.state[a].values() if isinstance(s, torch.Tensor) and s.dim()]
        assert all(state.dtype == torch.float32 for state in floats)
    saved = copy.deepcopy(one.state_dict())
    one.load_state_dict(saved)
    for number, state in one.state_dict()["state"].items():
        for key, value in state.items():
            assert value.dtype == saved["state"][number][key].dtype
            assert torch.equal(value, saved["state"][number][key])


@pytest.mark.parametrize("name", ALL)
def test_any_layout_in_memory(name):
    """Channels-last, transposed, strided and expanded-from tensors, and gradients laid out anew."""
    shapes = [(16, 8, 5, 5), (200, 300), (30, 20), (4, 3, 2, 2), ()]
    straight = weights(*shapes)
    twisted = weights(*shapes)
    twisted[0].data = twisted[0].data.to(memory_format=torch.channels_last)
    twisted[1].data = twisted[1].data.t().contiguous().t()
    twisted[2].data = torch.zeros(60, 40)[::2, ::2].copy_(twisted[2].data)
    twisted[3].data = twisted[3].data.to(memory_format=torch.channels_last)
    one, other = made(name, straight), made(name, twisted)
    for _ in range(3):
        one.step()
        other.step()
    for a, b in zip(straight, twisted, strict=True):
        if name in WHOLE:  # norms add up in another order
            assert torch.allclose(a, b, rtol=1e-6, atol=1e-7)
        else:
            assert torch.equal(a, b)
    assert twisted[1].stride() == (1, 200)


@pytest.mark.parametrize("name", ALL)
def test_an_empty_tensor_among_the_parameters(name):
    empty, full = weights((0, 3), (4,))
    optimizer = made(name, [empty, full])
    start = full.detach().clone()
    optimizer.step()
    optimizer.step()
    assert not torch.equal(full, start)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad(name, set_to_none):
    params = weights((4,), (5,))
    optimizer = made(name, params)
    optimizer.step()
    optimizer.zero_grad(set_to_none=set_to_none)
    if set_to_none:
        assert all(param.grad is None for param in params)
        optimizer.step()
    else:
        assert all(not param.grad.any() for param in params)


@pytest.mark.parametrize("name", ALL)
def test_hooks_are_called(name):
    optimizer = made(name, weights((4,)))
    calls = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    optimizer.register_state_dict_post_hook(lambda *_: calls.append("saved"))
    optimizer.register_load_state_dict_post_hook(lambda *_: calls.append("loaded"))
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert calls == ["before", "after", "saved", "loaded"]


@pytest.mark.parametrize("name", ALL)
def test_what_a_user_puts_into_the_state_is_used(name):
    a, b = weights((4,), (3,))
    optimizer = made(name, [a, b])
    optimizer.step()
    keys = [k for k, v in optimizer.state[a].items() if v.shape == a.shape]
    for key in keys:
        optimizer.state[a][key] = torch.full_like(a, 7.0)
    optimizer.step()
    state = optimizer.state[a]
    for key in set(keys) - {"max_exp_avg_sq", "p0"}:  # 7 is and stays the largest, or the first
        assert not torch.equal(state[key], torch.full_like(a, 7.0))
    assert all(state[key].abs().max() < 60 for key in keys)
    optimizer.state.clear()
    optimizer.step()
    assert set(optimizer.state[a]) == set(state)


@pytest.mark.parametrize("name", ALL)
def test_a_changed_rate_or_momentum_takes_effect(name):
    """As schedulers change them: in the group's dict."""
    (a,), (b,) = weights((8,)), weights((8,))
    one, other = made(name, [a]), made(name, [b])
    one.step()
    other.step()
    one.param_groups[0]["lr"] = 0.5
    for _ in range(2):  # ASGD takes up a rate a step later, as in torch
        one.step()
        other.step()
    assert torch.equal(a, b) == (name == "Rprop")  # Rprop's rate is where its steps start


@pytest.mark.parametrize("name", ALL)
def test_memory_is_not_shared_between_optimizers(name):
    a, b = weights((8,), (9,))
    one, other = made(name, [a]), made(name, [b])
    one.step()
    other.step()
    kept = {k: v.clone() for k, v in one.state[a].items() if isinstance(v, torch.Tensor)}
    other.step()
    assert all(torch.equal(one.state[a][key], value) for key, value in kept.items())


def test_weight_decay_can_be_a_tensor():
    (a,), (b,) = weights((8,)), weights((8,))
    optim.AdamW([a], weight_decay=torch.tensor(0.1, dtype=torch.float64)).step()
    optim.AdamW([b], weight_decay=0.1).step()
    assert torch.equal(a, b)


def test_numbers_that_torch_allows_to_be_0():
    (a,), (b,) = weights((8,)), weights((8,))
    optim.Adam([a], lr=0.0, eps=0.0).step()
    assert torch.equal(a, b)


def test_a_step_of_more_parameters_than_fit_together():
    many, alike = weights(*[(1000,)] * 300), weights(*[(1000,)] * 300)
    ours, theirs = optim.Adam(many), torch.optim.Adam(alike)
    for _ in range(3):
        ours.step()
        theirs.step()
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(many, alike, strict=True))


def test_a_model_whose_parameters_change_their_memory_goes_on():
    """`model.to(…)` and `param.data = …` give a parameter new memory under the old name."""
    model, other = twins()
    ours, theirs = optim.Adam(model.parameters()), torch.optim.Adam(other.parameters())
    train(model, ours, 3)
    train(other, theirs, 3)
    for param in (*model.parameters(), *other.parameters()):
        param.data = param.data.clone()
    train(model, ours, 3)
    train(other, theirs, 3)
    assert apart(model, other) <= 1e-6


def test_nothing_is_warned_of_in_an_ordinary_run():
    model, _ = twins()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(model, optim.AdamW(model.parameters()), 3)
    assert len(samples()) == 2
