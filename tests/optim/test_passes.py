"""Steps on whole tensors as passes over them: what the rule gives, whoever computes it."""

import threading
import warnings

import pytest
import torch
from torch import nn

from talweg import optim, rules
from talweg.optim import whole_kernels
from talweg.optim.passes import BLOCK
from talweg.transforms import Centralise, ClipNorm, WeightDecay

WHOLE = {
    "adafactor": rules.Adafactor(0.1, weight_decay=0.1),
    "adafactor-eps": rules.Adafactor(0.1, eps=1e-3, clip=1.2, machine_eps=False),
    "lamb": rules.LAMB(0.1, weight_decay=0.1),
    "clip": ClipNorm(rules.Adam(0.1), max_norm=0.5, over="tensor"),
    "clip-lamb": ClipNorm(rules.LAMB(0.1), max_norm=0.5, over="tensor"),
    "centralise": Centralise(rules.Momentum(0.1)),
    "centralise-clip": Centralise(ClipNorm(rules.SGD(0.1), max_norm=0.5, over="tensor")),
    "spare": WeightDecay(rules.Adam(0.1), 0.1, spare_vectors=True),
    "muon": rules.Muon(0.1),
}
SHAPES = [
    (), (1,), (7,), (3 * BLOCK + 5,), (0,), (40, 30), (1, 9), (9, 1), (1, 1), (33, 3000), (0, 3),
    (8, 4, 3, 3), (2, 3, 4),
]  # fmt: skip


@pytest.fixture
def compiled(monkeypatch):
    monkeypatch.setattr(whole_kernels, "_kernels", {})
    yield
    optim.use_compiler(None)


def weights(dtype: torch.dtype) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(3)
    params = [nn.Parameter(torch.randn(s, generator=generator).to(dtype)) for s in SHAPES]
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator).to(dtype)
    return params


def stepped(rule, wanted: bool, dtype: torch.dtype, steps: int = 4):
    optim.use_compiler(wanted)
    params = weights(dtype)
    optimizer = optim.OfRule(params, rule)
    for _ in range(steps):
        optimizer.step()
    return params, [optimizer.state[param] for param in params]


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", WHOLE)
def test_compiled_steps_are_plain_steps_but_for_the_rounding_of_sums(name, dtype):
    near = {torch.float32: 2e-6, torch.float64: 1e-13, torch.bfloat16: 1e-2}[dtype]
    (one, kept), (other, held) = (stepped(WHOLE[name], wanted, dtype) for wanted in (False, True))
    for a, b, first, second in zip(one, other, kept, held, strict=True):
        torch.testing.assert_close(a, b, rtol=near, atol=near)
        assert first.keys() == second.keys()
        for key, value in first.items():
            # A state is in float32 at least, but what it is made of may be rounded.
            torch.testing.assert_close(value, second[key], rtol=near, atol=near)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", ["adafactor", "lamb", "clip", "centralise", "spare"])
def test_what_can_be_written_is_compiled(name, monkeypatch):
    """Adafactor of more than two dimensions and matrices of Muon are not; these are."""
    plain = []
    monkeypatch.setattr(
        "talweg.optim.whole.step_in_place", lambda *given: plain.append(given[1].shape)
    )
    stepped(WHOLE[name], True, torch.float32)
    more = name in ("adafactor", "centralise")  # what has rows and columns
    assert all(shape.numel() < 2 or 1 in shape or (more and len(shape) > 2) for shape in plain)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", ["adafactor", "lamb", "centralise-clip"])
def test_the_number_of_threads_changes_no_bit(name):
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(stepped(WHOLE[name], True, torch.float32)[0])
    finally:
        torch.set_num_threads(before)
    for a, b, c, shape in zip(*found, SHAPES, strict=True):
        if len(shape) < 3:  # more dimensions may be summed by PyTorch, who promises nothing
            assert torch.equal(a, b)
            assert torch.equal(a, c)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["adafactor", "lamb", "clip"])
def test_what_is_no_number_spoils_what_it_spoils_uncompiled(name, bad):
    found = []
    for wanted in (False, True):
        optim.use_compiler(wanted)
        params = [param for param in weights(torch.float32) if param.numel() and param.ndim < 3]
        for param in params:
            param.grad.view(-1)[0] = bad
        optimizer = optim.OfRule(params, WHOLE[name])
        optimizer.step()
        found.append([param.isfinite() for param in params])
    assert all(map(torch.equal, *found))


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("make", [optim.LAMB, optim.Adafactor, optim.SOAP, optim.Prodigy])
def test_memory_that_is_exchanged_between_steps(make):
    """Everything is looked at before an address is used."""
    optim.use_compiler(True)
    weight = nn.Parameter(torch.ones(6, 4))
    optimizer = make([weight])
    weight.grad = torch.ones(6, 4)
    optimizer.step()
    saved = optimizer.state_dict()
    weight.data = torch.ones(8, 12)
    weight.grad = torch.ones(8, 12)
    with pytest.raises(ValueError, match=r"has shape .*, its parameter \[8, 12\]"):
        optimizer.step()
    before = [held["step"].item() for held in optimizer.state.values()]
    with pytest.raises(ValueError, match="has shape"):
        optimizer.step()
    assert [held["step"].item() for held in optimizer.state.values()] == before  # nothing counted

    weight = nn.Parameter(torch.ones(6, 4))
    other = make([weight])
    other.load_state_dict(saved)
    weight.grad = torch.ones(6, 4)
    state = other.state[weight]
    for key, value in state.items():
        state[key] = value.double() if value.dim() else value
    other.step()
    assert all(value.dtype == torch.float32 for value in state.values() if value.dim())
    weight.data = weight.data.double()
    weight.grad = torch.ones(6, 4).double()
    other.step()
    assert weight.isfinite().all()
    assert weight.dtype == torch.float64


@pytest.mark.usefixtures("compiled")
def test_many_threads_wait_for_one_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("TALWEG_CACHE", str(tmp_path))
    monkeypatch.setattr(whole_kernels, "_libraries", {})
    optim.use_compiler(True)
    warned, ends = [], []

    def run() -> None:
        (weight,) = [nn.Parameter(torch.ones(50, 3))]
        weight.grad = torch.full((50, 3), 0.3)
        optimizer = optim.OfRule([weight], WHOLE["clip-lamb"])
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            optimizer.step()
        warned.extend(str(one.message) for one in found)
        ends.append(weight)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 8
    assert not warned
    assert all(torch.equal(ends[0], end) for end in ends)


@pytest.mark.usefixtures("compiled")
def test_layouts_that_are_not_contiguous_are_stepped_plainly():
    optim.use_compiler(True)
    straight, twisted = weights(torch.float32), weights(torch.float32)
    twisted[5].data = twisted[5].data.t().contiguous().t()
    twisted[9].grad = twisted[9].grad.t().contiguous().t()
    one, other = (optim.OfRule(params, WHOLE["adafactor"]) for params in (straight, twisted))
    for _ in range(3):
        one.step()
        other.step()
    for a, b in zip(straight, twisted, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-6, atol=2e-6)


@pytest.mark.usefixtures("compiled")
def test_a_gradient_graph_notices_the_step():
    optim.use_compiler(True)
    (weight,) = [nn.Parameter(torch.ones(4, 3))]
    loss = (weight * weight).sum()
    weight.grad = torch.ones(4, 3)
    optim.Adafactor([weight]).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
