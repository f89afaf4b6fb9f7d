"""Products in fewer bits: on where asked for, the same stacked and alone, the rest in float32."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from tests.lanes.common import needs_compiler, small
from tests.lanes.layers import CASES
from torch import Tensor, nn
from torch.backends import cuda, cudnn

from talweg import lanes, rules
from talweg.core import UserError
from talweg.data import Samples
from talweg.lanes import Engine, Plan, strategy
from talweg.lanes.compiling import Compiler
from talweg.lanes.gradients import OneModule, Stacked
from talweg.lanes.layout import layout_of
from talweg.lanes.precision import Precision
from talweg.losses import LOSSES
from talweg.metrics import METRICS
from talweg.models import source_of

ROUNDING = 2.0**-8
"""The most that rounding to bfloat16 changes a number by, as a share of it."""
WAYS = [
    ("stacked", False),
    ("serial", False),
    pytest.param("stacked", True, marks=needs_compiler),
]
LINE = "products in bfloat16, sums and updates in float32"


class Scale(nn.Module):
    """``w·x``; 1 + 2⁻¹⁰ is 1 in bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.line.weight, 1 + 2.0**-10)

    def forward(self, x: Tensor) -> Tensor:
        return self.line(x)


@pytest.mark.parametrize(("how", "compiled"), WAYS)
def test_products_are_rounded_and_updates_are_not(how: str, compiled: bool):
    read: list[float] = []
    data = torch.ones(4, 1), torch.zeros(4)
    asked: dict[str, Any] = {"strategy": how, "compile": compiled, "batch_size": None, "steps": 1}
    each = {"evaluate": {"same": data}, "each": lambda found: read.append(found.values)}
    ours = lanes.train(Scale, data, [rules.SGD(lr=2.0**-12)], precision="bf16", **asked, **each)
    theirs = lanes.train(Scale, data, [rules.SGD(lr=2.0**-12)], **asked)
    assert ours.losses.item() == 1
    assert theirs.losses.item() == (1 + 2.0**-10) ** 2
    assert [found["same", "loss"] for found in read] == [[1], [1]]
    # The gradient is 2·w·x: 2, as w is 1 in the product. A step of 2⁻¹¹ is lost on bfloat16.
    weight = ours.params(0)["line.weight"]
    assert weight.dtype is torch.float32
    assert weight.item() == 1 + 2.0**-10 - 2.0**-11


def samples_of(name: str) -> tuple[Tensor, Tensor]:
    case, generator = CASES[name], torch.Generator().manual_seed(3)
    size = (18, *case.shape)
    x = torch.randn(size, generator=generator)
    if case.words:
        x = torch.randint(case.words, size, generator=generator)
    return x, torch.randint(3, (18,), generator=generator)


def trained(name: str, how: str, precision: str | None, compiled: bool = False) -> lanes.Run:
    return lanes.train(
        CASES[name].make,
        samples_of(name),
        [rules.SGD(lr=lr) for lr in (0.02, 0.05, 0.1)],
        seeds=[0, 1, 1],
        steps=10,
        batch_size=8,
        strategy=how,
        compile=compiled,
        precision=precision,
    )


@pytest.mark.filterwarnings("ignore:Mismatch dtype", "ignore:LSTM with projections")
@pytest.mark.parametrize("name", [name for name in CASES if name != "normed lstm"])
def test_every_layer_stacked_ends_where_it_ends_alone(name: str):
    stacked, alone, whole = (
        trained(name, how, precision)
        for how, precision in (("stacked", "bf16"), ("serial", "bf16"), ("stacked", None))
    )
    size = whole.losses.abs().max()
    assert (stacked.losses - alone.losses).abs().max() <= 3 * ROUNDING * size
    assert (stacked.losses - whole.losses).abs().max() > 1e-5 * size  # 1e-7 in another order
    fresh = CASES[name].make().state_dict()
    for run in (stacked, alone):
        held = run.params(0)
        assert {key: value.dtype for key, value in held.items()} == {
            key: value.dtype for key, value in fresh.items()
        }


@needs_compiler
@pytest.mark.parametrize("name", ["cnn", "batch norm", "causal product", "three kinds"])
def test_compiled_it_ends_there_too(name: str):
    compiled, plain = (trained(name, "stacked", "bf16", compiled) for compiled in (True, False))
    assert not any("running uncompiled" in note for note in compiled.notes)
    difference = (compiled.losses - plain.losses).abs().max()
    assert difference <= 3 * ROUNDING * plain.losses.abs().max()


class Watched(nn.Module):
    """Notes the types that it computes in."""

    def __init__(self, seen: set[object]) -> None:
        super().__init__()
        self.line, self.seen = nn.Linear(6, 3, bias=False), seen

    def __deepcopy__(self, _memo: object) -> nn.Module:
        other = Watched(self.seen)
        other.load_state_dict(self.state_dict())
        return other

    def forward(self, x: Tensor) -> Tensor:
        found = self.line(x)
        self.seen.add((self.training, found.dtype))
        return found


@pytest.mark.parametrize("how", ["stacked", "serial"])
@pytest.mark.parametrize("precision", ["bf16", None])
def test_losses_and_metrics_get_whole_numbers(
    how: str, precision: str | None, data: tuple[Tensor, Tensor]
):
    inside: set[object] = set()
    outside: set[object] = set()

    def loss(output: Tensor, target: Tensor) -> Tensor:
        outside.add((output.dtype, torch.is_autocast_enabled("cpu")))
        return nn.functional.cross_entropy(output, target, reduction="none")

    engine = Engine(
        source_of(lambda: Watched(inside)), Samples(*data), loss=loss, batch_size=20,
        strategy=how, device="cpu", compiled=False, lane_counts=[2], lane_steps=4,
        say=lambda _: None, precision=precision,
    )  # fmt: skip
    inside.clear()
    held = {"same": Samples(*data)}
    asked = {"evaluate": held, "metrics": [METRICS["accuracy"]]}
    engine.train(Plan([rules.SGD(lr=0.1)] * 2, [0, 1], 2, (), **asked), lambda _: None)
    computed = torch.bfloat16 if precision else torch.float32
    assert inside == {(True, computed), (False, computed)}
    assert outside == {(torch.float32, False)}


def wide() -> nn.Module:
    return nn.Sequential(*(layer for _ in range(6) for layer in (nn.Linear(6, 6), nn.Tanh())))


@pytest.mark.parametrize("how", ["stacked", "serial"])
def test_activations_take_less_memory(how: str):
    x = torch.randn(2000, 6)
    found: list[int] = []
    for precision in ("bf16", None):
        engine = Engine(
            source_of(wide), Samples(x, x), loss=None, batch_size=200, strategy=how, device="cpu",
            compiled=False, lane_counts=[1], lane_steps=4, say=lambda _: None, precision=precision,
        )  # fmt: skip
        needs = engine.needs(Plan([rules.SGD(lr=0.1)], [0], 4, (), evaluate={}))
        found.append(needs.each[0].activations)
        assert needs.each[0].parameters == 4 * engine.layout.size
    assert found[0] < 0.9 * found[1]


def test_what_is_remembered_depends_on_it(
    monkeypatch: pytest.MonkeyPatch, data: tuple[Tensor, Tensor]
):
    told: list[tuple[object, ...]] = []

    def remembered(on: tuple[object, ...], _choose: Callable[[], str]) -> str:
        told.append(tuple(map(str, on)))
        return ""

    monkeypatch.setattr(strategy, "remembered", remembered)
    monkeypatch.setattr(strategy, "missing_compiler", lambda: None)
    for precision in (None, "bf16", "bf16"):
        Engine(
            source_of(small), Samples(*data), loss=None, batch_size=20, strategy="auto",
            device="cpu", compiled=None, lane_counts=[4], lane_steps=10**9, say=lambda _: None,
            precision=precision,
        )  # fmt: skip
    assert told[0] != told[1] == told[2]


def test_a_run_says_so(data: tuple[Tensor, Tensor]):
    asked: dict[str, Any] = {"rules": ["sgd"], "steps": 2, "batch_size": 20}
    assert LINE in lanes.train(small, data, precision="bf16", **asked).notes
    assert not any("float" in note for note in lanes.train(small, data, **asked).notes)


@pytest.mark.parametrize(
    ("precision", "make", "message"),
    [
        ("bf61", small, r"unknown precision 'bf61'; did you mean 'bf16'\? \(allowed: bf16, tf32\)"),
        (16, small, r"unknown precision 16 \(allowed: bf16, tf32\)"),
        (["bf16"], small, r"unknown precision \['bf16'\] \(allowed: bf16, tf32\)"),
        ("tf32", small, "precision='tf32' needs a GPU, and lanes are on cpu"),
        (
            "bf16",
            lambda: small().double(),
            "precision='bf16' is for models in float32, got one in float64",
        ),
    ],
)
def test_what_cannot_be(
    precision: Any, make: Callable[[], nn.Module], message: str, data: tuple[Tensor, Tensor]
):
    with pytest.raises(UserError, match=message):
        lanes.train(make, data, ["sgd"], steps=1, batch_size=20, device="cpu", precision=precision)


def state() -> list[object]:
    """Torch's switches of TF32; "mixed" where its older and younger names disagree."""

    def told(switch: Any) -> object:
        try:
            return switch.allow_tf32
        except RuntimeError:
            return "mixed"

    parts: tuple[Any, ...] = (cuda.matmul, cudnn.conv, cudnn.rnn)
    return [told(cuda.matmul), told(cudnn), *(part.fp32_precision for part in parts)]


@pytest.fixture
def switches() -> Iterator[None]:
    before = [part.fp32_precision for part in (cuda.matmul, cudnn.conv, cudnn.rnn)]
    yield
    cuda.matmul.allow_tf32, cudnn.allow_tf32 = False, True
    for part, value in zip((cuda.matmul, cudnn.conv, cudnn.rnn), before, strict=True):
        part.fp32_precision = value


@pytest.mark.parametrize(
    "settings",
    [
        [],
        [(cuda.matmul, "allow_tf32", True)],
        [(cuda.matmul, "allow_tf32", False), (cudnn, "allow_tf32", False)],
        [(cuda.matmul, "fp32_precision", "tf32")],
        [(cuda.matmul, "fp32_precision", "ieee"), (cudnn.conv, "fp32_precision", "ieee")],
        [(cuda.matmul, "allow_tf32", True), (cuda.matmul, "fp32_precision", "ieee")],
    ],
)
@pytest.mark.usefixtures("switches")
def test_torch_is_left_as_it_was(settings: list[tuple[Any, str, Any]]):
    for switch, name, value in settings:
        setattr(switch, name, value)
    before = state()
    with Precision("tf32", "cuda").machine():
        assert state()[2:] == ["tf32"] * 3
    assert state() == before
    with pytest.raises(ZeroDivisionError), Precision("tf32", "cuda").machine():
        _ = 1 / 0
    assert state() == before
    with Precision("bf16").machine(), Precision().machine():
        assert state() == before


class Switches(nn.Module):
    """Notes how torch's switches are while it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        SEEN.append(cuda.matmul.allow_tf32)
        return x * self.weight


SEEN: list[bool] = []


@pytest.mark.parametrize("name", ["tf32", None])
def test_they_are_set_while_the_model_computes(name: str | None):
    module, precision = Switches(), Precision(name, "cuda")
    layout, loss = layout_of(module), LOSSES["mean-squared-error"]
    ways = (
        Stacked(module, layout, loss, (), Compiler(False, lambda _: None), precision),
        OneModule(module, layout, loss, precision),
    )
    for gradients in ways:
        SEEN.clear()
        at = layout.flatten(module)[None].clone()
        grads = torch.zeros_like(at)
        x = torch.randn(4, 3)
        gradients.stepper(at, {}, grads)(x[None], x[None])
        gradients.outputs(at, {}, x)
        assert [name == "tf32"] * 2 == SEEN
        assert not cuda.matmul.allow_tf32
