"""Compiled steps: the same bits as plain ones, whatever comes."""

import math

import pytest
import torch
from tests.optim.test_contract import ALL, made, weights
from torch import nn

from talweg import optim
from talweg.optim import kernels, library
from talweg.optim.source import written
from talweg.rules import RULES
from talweg.transforms import Ascent, ClipValue, Lookahead, WeightAverage, WeightDecay

SHAPES = [(300, 200), (20,), (), (0, 3), (7, 5), (33000,)]


@pytest.fixture
def compiled():
    optim.use_compiler(True)
    yield
    optim.use_compiler(None)


def stepped(name: str, wanted: bool, dtype: torch.dtype, values: list | None = None, **options):
    optim.use_compiler(wanted)
    params = weights(*SHAPES, dtype=dtype)
    if values is not None:
        extremes = torch.tensor(values, dtype=torch.float64)
        table = torch.cartesian_prod(extremes, extremes).to(dtype)
        params = [nn.Parameter(table[:, 0].clone())]
        params[0].grad = table[:, 1].clone()
    optimizer = made(name, params, **options)
    for i in range(5):
        for param in params:
            param.grad = param.grad * (-1) ** i * 0.7
        optimizer.step()
    return params, [optimizer.state[param] for param in params]


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a.nan_to_num(nan=12345.0), b.nan_to_num(nan=12345.0))


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("extreme", [False, True])
def test_compiled_steps_are_plain_steps_to_the_bit(name, dtype, extreme):
    values = [0.0, -0.0, 1.0, -1e-30, 1e30, 3.0, math.inf, -math.inf, math.nan] if extreme else None
    options = {} if name == "Rprop" else {"weight_decay": 0.1}
    (one, kept), (other, held) = (
        stepped(name, wanted, dtype, values, **options) for wanted in (False, True)
    )
    for a, b in zip(one, other, strict=True):
        assert same(a, b)
    for first, second in zip(kept, held, strict=True):
        assert first.keys() == second.keys()
        for key in first:
            assert same(torch.as_tensor(first[key]), torch.as_tensor(second[key])), key


@pytest.mark.parametrize("name", [n for n, known in RULES.items() if not known.rule.is_per_tensor])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_rule_can_be_written(name, dtype):
    rule = WeightDecay(Ascent(RULES[name].rule))
    scalars, _ = rule.recall(rule.scalars(1), rule.memory())
    assert written(rule, list(scalars), list(rule.init(torch.empty(0))), dtype)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("around", [ClipValue, Lookahead, WeightAverage, WeightDecay])
def test_transforms_compile_to_the_same_bits(around):
    found = []
    for wanted in (False, True):
        optim.use_compiler(wanted)
        params = weights(*SHAPES)
        optimizer = optim.OfRule(params, around(RULES["nadam"].rule))
        for _ in range(7):
            optimizer.step()
        found.append(params)
    assert all(map(same, *found))


@pytest.mark.usefixtures("compiled")
def test_every_step_is_native_and_a_new_rate_compiles_nothing(monkeypatch):
    asked = []
    real = library.Library.__init__
    monkeypatch.setattr(
        library.Library,
        "__init__",
        lambda self, source: (asked.append(source), real(self, source))[1],
    )
    monkeypatch.setattr(kernels, "_kernels", {})
    monkeypatch.setattr(kernels.Kernel, "step", lambda *_: pytest.fail("a plain step"))
    for sizes in ([(5,)], [(300, 200), (3,)]):
        params = weights(*sizes)
        optimizer = optim.Adam(params)
        for i in range(3):
            optimizer.param_groups[0]["lr"] = 0.1 / (i + 1)
            optimizer.step()
    assert len(asked) == 1


def test_without_a_compiler_it_is_said_once_and_steps_are_plain(monkeypatch):
    monkeypatch.setattr(library, "compiler", lambda: None)
    monkeypatch.setattr(kernels, "_kernels", {})
    monkeypatch.setattr(kernels.Compiling, "_told", False)
    (a,), (b,) = weights((4,)), weights((4,))
    one, other = optim.Adam([a]), optim.Adam([b])
    with pytest.warns(RuntimeWarning, match="runs uncompiled: no C\\+\\+ compiler found"):
        one.step()
    other.step()  # a second warning would be an error
    optim.SGD([*weights((3,))]).step()
    assert torch.equal(a, b)


def test_a_compiler_that_fails_is_told_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("TALWEG_CACHE", str(tmp_path))
    library.folder.cache_clear()
    broken = library.Library("this is no C++")
    assert broken.step(wait=True) is None
    assert broken.failure is not None
    assert broken.failure.startswith("the C++ compiler failed (")
    assert "\n" not in broken.failure
    assert not list(tmp_path.iterdir())
    library.folder.cache_clear()


def test_a_library_is_kept_for_the_next_process(monkeypatch, tmp_path):
    monkeypatch.setenv("TALWEG_CACHE", str(tmp_path))
    library.folder.cache_clear()
    source = 'extern "C" void step() {}'
    assert library.Library(source).step(wait=True) is not None
    monkeypatch.setattr(library.subprocess, "Popen", lambda *_, **__: pytest.fail("compiled again"))
    assert library.Library(source).step() is not None
    library.folder.cache_clear()


def test_a_damaged_library_is_made_anew(monkeypatch, tmp_path):
    monkeypatch.setenv("TALWEG_CACHE", str(tmp_path))
    library.folder.cache_clear()
    source = 'extern "C" void step() { /* once more */ }'
    assert library.Library(source).step(wait=True) is not None
    (found,) = tmp_path.iterdir()
    found.unlink()  # what is loaded stays mapped
    found.write_bytes(b"\x7fELF and then nothing")
    again = library.Library(source)
    assert again.step(wait=True) is not None
    assert again.failure is None
    library.folder.cache_clear()


def test_a_cache_that_cannot_be_written_is_no_obstacle(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TALWEG_CACHE", str(tmp_path / "file"))
    library.folder.cache_clear()
    assert library.folder().is_dir()
    library.folder.cache_clear()


@pytest.mark.usefixtures("compiled")
def test_autograd_notices_that_parameters_have_changed():
    (weight,) = weights((4,))
    optimizer = optim.SGD([weight], lr=0.1)
    loss = weight.square().sum()
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads_gives_the_same(threads):
    before = torch.get_num_threads()
    (a, b), (c, d) = weights((50_000,), (3,)), weights((50_000,), (3,))
    optim.Adam([a, b]).step()
    try:
        torch.set_num_threads(threads)
        optim.Adam([c, d]).step()
    finally:
        torch.set_num_threads(before)
    assert torch.equal(a, c)
    assert torch.equal(b, d)


@pytest.mark.usefixtures("compiled")
def test_a_model_may_change_its_precision_between_steps():
    (weight,) = weights((40, 30))
    optimizer = optim.Adam([weight])
    optimizer.step()
    for dtype in (torch.bfloat16, torch.float64):
        weight.data = weight.data.to(dtype)
        weight.grad = torch.ones_like(weight)
        before = weight.detach().clone()
        optimizer.step()
        assert weight.dtype == dtype
        assert (before - weight).abs().max() < 0.1
        assert not torch.equal(before, weight)
