"""Models that take several inputs: in order or by name, of one type or of several."""

from typing import Any

import numpy as np
import pytest
import torch
from tests.lanes.common import needs_compiler
from tests.two_inputs import Joined, Two
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from talweg import data, find_lr, lanes, rules
from talweg.core import UserError
from talweg.data import Inputs, Samples, as_samples

COUNT = 48
DRAW = torch.Generator().manual_seed(3)
A, B = (torch.randn(COUNT, size, generator=DRAW, dtype=torch.float64) for size in (4, 2))
Y = (A.sum(1) > B.sum(1)).long()
IDS = torch.randint(0, 7, (COUNT, 5), generator=DRAW)
MASK = torch.rand(COUNT, 5, generator=DRAW) < 0.7


class Tokens(nn.Module):
    """The mean of embeddings that a mask leaves, beside numbers."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(7, 6), nn.Linear(8, 2)
        self.to(dtype)

    def forward(self, ids: Tensor, *, mask: Tensor, bias: Tensor) -> Tensor:
        assert mask.dtype == torch.bool
        kept = self.table(ids).masked_fill(~mask[..., None], 0).sum(1)
        return self.last(torch.cat([kept / 5, bias], 1))


class Pairs(Dataset[Any]):
    """Samples ``(x, y)`` whose x is a row of each input."""

    def __init__(self, x: tuple[Any, ...] | dict[str, Any], y: Any) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, row: int) -> Any:
        if isinstance(self.x, dict):
            return {name: values[row] for name, values in self.x.items()}, self.y[row]
        return tuple(values[row] for values in self.x), self.y[row]


def trained(model: Any, given: Any, strategy: str = "stacked", **more: Any) -> lanes.Run:
    chosen = [rules.Adam(lr=0.01), rules.SGD(lr=0.1), rules.Adam(lr=0.1)]
    more = {"steps": 20, "batch_size": 20, "compile": False, **more}
    return lanes.train(model, given, chosen, [0, 1, 1], strategy=strategy, **more)


def assert_same(ours: lanes.Run, theirs: lanes.Run, atol: float = 1e-10) -> None:
    assert set(ours.status) == {"ok"}
    torch.testing.assert_close(ours.losses, theirs.losses, rtol=0, atol=atol)
    for lane in range(len(ours.status)):
        torch.testing.assert_close(ours.params(lane), theirs.params(lane), rtol=0, atol=atol)


TOKENS = {"ids": IDS, "mask": MASK, "bias": B}


@pytest.mark.parametrize(("model", "x"), [(Two, (A, B)), (Tokens, TOKENS)])
def test_stacked_and_serial_lanes_are_the_same(model: type[nn.Module], x: Any):
    found: dict[str, list[lanes.Reading]] = {"stacked": [], "serial": []}
    runs = [
        trained(model, (x, Y), strategy, evaluate={"held": (x, Y)}, each=readings.append)
        for strategy, readings in found.items()
    ]
    assert [run.strategy for run in runs] == ["stacked", "serial"]
    assert_same(*runs)
    last = {
        (strategy, lane): loss
        for strategy, readings in found.items()
        for reading in readings
        if reading.step == 20
        for lane, loss in zip(reading.lanes, reading.values["held", "loss"], strict=True)
    }
    for lane in range(3):
        assert last["stacked", lane] == pytest.approx(last["serial", lane], abs=1e-10)
        own = model()
        own.load_state_dict(runs[0].params(lane))
        output = own(**x) if isinstance(x, dict) else own(*x)
        wanted = nn.functional.cross_entropy(output, Y).item()
        assert last["stacked", lane] == pytest.approx(wanted, abs=1e-10)


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
@pytest.mark.parametrize(
    "given",
    [
        ((A, B), Y),
        ({"b": B, "a": A}, Y),
        ((A.numpy(), B.numpy()), Y.numpy()),
        ({"a": A.tolist(), "b": B}, Y.tolist()),
        Pairs((A, B), Y),
        Pairs({"a": A, "b": B}, Y),
        Samples(Inputs((A,), {"b": B}), Y),
    ],
)
def test_several_inputs_are_as_good_as_one_of_all(given: Any, strategy: str):
    joined = trained(Joined, (torch.cat([A, B], 1), Y), strategy)
    assert_same(trained(Two, given, strategy), joined, atol=1e-12)


@pytest.mark.parametrize("given", [(TOKENS, Y), Pairs(TOKENS, Y)])
def test_each_input_keeps_its_type(given: Any):
    x = as_samples(given).x
    assert isinstance(x, Inputs)
    types = {name: values.dtype for name, values in x.named.items()}
    assert types == {"ids": torch.int64, "mask": torch.bool, "bias": torch.float64}
    single = trained(lambda: Tokens(torch.float32), given)
    assert single.strategy == "stacked"
    assert single.losses.dtype == torch.float32
    run = trained(Tokens, ({"ids": IDS.numpy(), "mask": MASK.numpy(), "bias": B}, Y))
    torch.testing.assert_close(single.losses.double(), run.losses, rtol=0, atol=1e-3)


@needs_compiler
def test_lanes_compiled_once_give_the_same():
    def single() -> nn.Module:
        return Tokens(torch.float32)

    plain, compiled = (trained(single, (TOKENS, Y), compile=how) for how in (False, True))
    assert "compiled" in compiled.notes[0]
    assert not any("uncompiled" in note for note in compiled.notes)
    assert_same(compiled, plain, atol=1e-4)


def test_a_layer_of_two_inputs_as_the_model():
    def bilinear() -> nn.Module:
        return nn.Bilinear(4, 2, 2, dtype=torch.float64)

    runs = [trained(bilinear, ((A, B), Y), strategy) for strategy in ("stacked", "serial")]
    assert_same(*runs)


def test_rates_are_found_for_several_inputs():
    found = find_lr(Two, ((A, B), Y), "adam", seeds=2, steps=30, progress=False)
    assert 1e-5 < found.lr < 10


def test_a_tuple_of_one_tensor_per_target_is_rows():
    x = as_samples((tuple(A), Y)).x
    torch.testing.assert_close(x, A)
    assert isinstance(as_samples(((A[:2], B[:2]), Y[:2])).x, Inputs)


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        (Two, ((A, B[:-1]), Y), r"same number of rows, got x\[0\] 48, x\[1\] 47"),
        (Two, ({"a": A, "b": B}, Y[:-1]), "same number of rows, got 48 and 47"),
        (
            Two,
            ((A, B, B), Y),
            r"a batch of shape x\[0\] \[2, 4\], x\[1\] \[2, 2\], x\[2\] \[2, 2\]",
        ),
        (Two, ({"a": A, "c": B}, Y), r"x\['a'\] \[2, 4\], x\['c'\] \[2, 2\]: .*argument 'c'"),
        (Two, ((B, B), Y), r"a batch of shape x\[0\] \[2, 2\], x\[1\] \[2, 2\]: "),
        (Two, ((), Y), "x must hold at least one input, got none"),
        (Two, ({}, Y), "x must hold at least one input, got none"),
        (Two, ({"a": A, 3: B}, Y), "inputs must be named by arguments of the model, got 3"),
        (Two, ({"a": A, "b": 3.0}, Y), r"x\['b'\] must be an array of numbers with one row"),
        (Two, ({"a": A, "b": ["word"] * COUNT}, Y), r"x\['b'\] must be an array of numbers"),
        (Two, ({"a": A, "b": B / 0}, Y), r"x\['b'\] must be finite numbers, but hold 96 values"),
        (Two, Samples(Inputs((A, B)), Y), None),
        (Two, Pairs({"a": A, "b": ["word"] * COUNT}, Y), r"must yield \(x, y\) pairs"),
        (Two, Pairs({"a": [A[0], B[0]] * 24, "b": B}, Y), r"must yield \(x, y\) pairs"),
        (Two, DataLoader(Pairs((A, B), Y), batch_size=2), "a stream must give one input x per s"),
        (Two, iter(Pairs({"a": A}, Y)), "a stream must give one input x per sample"),
        (Two, DataLoader(Pairs((A, B), Y)), "a stream must give one input x per sample"),
        (Two, DataLoader(Pairs({"a": A}, Y)), "a stream must give one input x per sample"),
        ("mlp", ((A, B), Y), r"mlp takes one input, got several \(x\[0\], x\[1\]\)"),
    ],
)
def test_inputs_that_cannot_be_used(model: Any, given: Any, said: str | None):
    if said is None:
        trained(model, given)
        return
    with pytest.raises(UserError, match=said) as caught:
        trained(model, given)
    assert "\n" not in str(caught.value)


def test_what_is_evaluated_has_the_same_inputs():
    trained(Two, ({"a": A, "b": B}, Y), evaluate={"held": ({"b": B, "a": A}, Y)})
    with pytest.raises(UserError, match=r"x\['mask'\] \[5\], x.* but .* x\['mask'\] \[5\] bool, x"):
        trained(Tokens, (TOKENS, Y), evaluate={"held": ({**TOKENS, "mask": MASK.float()}, Y)})
    with pytest.raises(
        UserError, match=r"x of 'held' has samples of shape x\['a'\] \[4\], but x\["
    ):
        trained(Two, ((A, B), Y), evaluate={"held": ({"a": A}, Y)})
    with pytest.raises(
        UserError, match=r"x of 'held' has samples of shape \[4\], but x\[0\] \[4\]"
    ):
        trained(Two, ((A, B), Y), evaluate={"held": (A, Y)})


def test_prepared_data_of_several_inputs_is_trained_on_as_it_is():
    given = ({"a": A.numpy(), "b": B.numpy()}, Y)
    prepared = data.everything(data.load(given))
    assert_same(trained(Two, data.load(given)), trained(Two, prepared), atol=0)
    assert prepared.x.named["a"].mean().abs() < 1e-6
    pair = (Inputs((), {"a": A, "b": B}), Y)
    assert_same(trained(Two, pair), trained(Two, given), atol=0)


def test_images_as_bytes_are_numbers():
    pixels = np.zeros((COUNT, 3), np.uint8)
    x = as_samples(((pixels, A), Y)).x
    assert isinstance(x, Inputs)
    assert x.positional[0].dtype == torch.float32
