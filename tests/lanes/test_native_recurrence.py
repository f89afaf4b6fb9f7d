"""Recurrent layers of our own against the Python version in double precision."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from talweg import lanes, rules
from talweg.core import missing_compiler
from talweg.lanes.native import Replace, load
from talweg.lanes.operators import RECUR, RECUR_BACK

pytestmark = pytest.mark.skipif(missing_compiler() is not None, reason="needs a C++ compiler")

GATES = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}


@pytest.fixture(scope="module")
def ops() -> Any:
    assert load() is None
    return torch.ops.talweg


def drawn(
    cell: str, lanes: int, times: int, batch: int, units: int, features: int = 3, seed: int = 0
) -> tuple[list[Tensor], list[Tensor]]:
    """What a layer is given, and gradients of what it gives."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(lanes, *shape, generator=draw)

    width = GATES[cell] * units
    tensors = [normal(times, batch, features), normal(width, features) / max(1, features) ** 0.5]
    tensors += [normal(width), normal(width, units) / max(1, units) ** 0.5, normal(batch, units)]
    if cell in ("lstm", "gru"):
        tensors.append(normal(batch, units) if cell == "lstm" else normal(units))
    grads = [normal(times, batch, units)]
    return tensors, [*grads, normal(batch, units)] if cell == "lstm" else grads


def both_ways(
    ops: Any, cell: str, reverse: bool, tensors: list[Tensor], grads: list[Tensor]
) -> list[tuple[Tensor, Tensor]]:
    """Results and gradients: ours, and in double precision."""
    found = ops.recurrence(cell, reverse, tensors)
    doubled, to = ([each.double() for each in some] for some in (tensors, grads))
    exact = RECUR(cell, reverse, doubled)
    found_back = ops.recurrence_back(cell, reverse, tensors, found, grads)
    exact_back = RECUR_BACK(cell, reverse, doubled, exact, to)
    return list(zip([*found, *found_back], [*exact, *exact_back], strict=True))


def close(found: Tensor, wanted: Tensor) -> None:
    assert found.shape == wanted.shape
    size = max(1.0, wanted.abs().max().item())  # what is smaller is what is left of a sum
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-5 * size)


@settings(deadline=None, max_examples=60)
@given(
    cell=st.sampled_from(list(GATES)),
    reverse=st.booleans(),
    lanes=st.integers(1, 3),
    times=st.integers(1, 9),
    batch=st.integers(1, 40),
    units=st.integers(1, 40),
    features=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_a_layer_and_its_gradients_at_every_size(
    ops: Any,
    cell: str,
    reverse: bool,
    lanes: int,
    times: int,
    batch: int,
    units: int,
    features: int,
    seed: int,
):
    tensors, grads = drawn(cell, lanes, times, batch, units, features, seed)
    for found, wanted in both_ways(ops, cell, reverse, tensors, grads):
        close(found, wanted)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", list(GATES))
def test_many_times_are_summed_once_each(ops: Any, cell: str, reverse: bool):
    """The recurrent weights' gradient is made from several times at once."""
    for batch in (1, 13, 64, 65, 130):
        for times in (1, 2, 3, 70):
            for found, wanted in both_ways(ops, cell, reverse, *drawn(cell, 2, times, batch, 7)):
                close(found, wanted)


@pytest.mark.parametrize("cell", list(GATES))
def test_tensors_may_lie_anyhow(ops: Any, cell: str):
    tensors, grads = drawn(cell, 2, 3, 5, 6)
    ways = [
        lambda x: x.transpose(0, -1).contiguous().transpose(0, -1),
        lambda x: x.transpose(1, -2).contiguous().transpose(1, -2),
        lambda x: torch.stack([x, x], -1)[..., 1],
        lambda x: x[:1].expand_as(x),
        lambda x: torch.cat([x, x], -1)[..., : x.shape[-1]],
    ]
    for way in ways:
        moved, to = [way(each) for each in tensors], [way(each) for each in grads]
        for found, wanted in both_ways(ops, cell, True, moved, to):
            close(found, wanted)


@pytest.mark.parametrize("cell", list(GATES))
@pytest.mark.parametrize(
    "sizes", [(0, 2, 3, 4, 3), (2, 2, 0, 4, 3), (2, 2, 3, 0, 3), (2, 2, 3, 4, 0)]
)
def test_layers_of_nothing(ops: Any, cell: str, sizes: tuple[int, int, int, int, int]):
    for found, wanted in both_ways(ops, cell, False, *drawn(cell, *sizes)):
        if wanted.numel():
            close(found, wanted)
        assert found.shape == wanted.shape


def test_sigmoid_and_tanh_at_all_sizes_of_numbers(ops: Any):
    bits = torch.arange(0, 2**31, 9973, dtype=torch.int64).to(torch.int32)
    sizes = bits.view(torch.float32)
    sizes = torch.cat([sizes[sizes.isfinite()], torch.linspace(0, 100, 20001)])
    x = torch.cat([sizes, -sizes])

    def given(width: int) -> list[Tensor]:
        """Gates that are x itself."""
        ones, zeros = torch.ones(1, width, 1), torch.zeros(1, width, 1)
        return [x.view(1, 1, -1, 1), ones, zeros[..., 0], zeros, torch.zeros(1, len(x), 1)]

    found = ops.recurrence("tanh", False, given(1))[0]
    wanted = x.double().tanh()
    torch.testing.assert_close(found.view(-1).double(), wanted, rtol=3e-7, atol=1e-44)
    gates = ops.recurrence("lstm", False, [*given(4), torch.zeros(1, len(x), 1)])[3]
    wanted = x.double().sigmoid()
    torch.testing.assert_close(gates[0, 0, :, 0].double(), wanted, rtol=3e-7, atol=2e-38)


@pytest.mark.parametrize("units", [3, 16, 21])
@pytest.mark.parametrize("cell", list(GATES))
def test_what_is_not_finite_comes_through(ops: Any, cell: str, units: int):
    """As in the Python version, so that lanes that diverge are seen to.

    Nothing that is finite overflows here: when it does depends on the order of a sum.
    """
    extreme = (torch.nan, torch.inf, -torch.inf, 0.0, -0.0, 1e-40, 30.0, -30.0)
    for seed in range(40):
        tensors, grads = drawn(cell, 2, 4, 6, units, seed=seed)
        draw = torch.Generator().manual_seed(seed)
        for each in (*tensors, *grads):
            if seed % 2 or each is tensors[seed // 2 % len(tensors)]:
                for value in (*extreme, *((1e25, -1e25) if each is tensors[0] else ())):
                    place = torch.randint(each.numel(), (), generator=draw)
                    each.view(-1)[place] = value
        found = ops.recurrence(cell, False, tensors)
        wanted = RECUR(cell, False, tensors)
        back = ops.recurrence_back(cell, False, tensors, wanted, grads)
        wanted_back = RECUR_BACK(cell, False, tensors, wanted, grads)
        for ours, theirs in zip([*found, *back], [*wanted, *wanted_back], strict=True):
            assert torch.equal(ours.isfinite(), theirs.isfinite())
            assert torch.equal(ours.isnan(), theirs.isnan())
            assert torch.equal(ours == torch.inf, theirs == torch.inf)


@pytest.mark.parametrize("cell", list(GATES))
def test_shapes_are_told_right(ops: Any, cell: str):
    tensors, grads = drawn(cell, 2, 3, 4, 5)
    results = ops.recurrence(cell, False, tensors)
    for call, arguments in (
        (ops.recurrence, (cell, False, tensors)),
        (ops.recurrence_back, (cell, False, tensors, results, grads)),
    ):
        torch.library.opcheck(
            call.default, arguments, test_utils=["test_schema", "test_faketensor"]
        )


class Net(nn.Module):
    """All the cells, both directions, and one that is left to the Python version."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
        self.projected = nn.LSTM(8, 4, batch_first=True, proj_size=2)
        self.gru, self.rnn = nn.GRU(2, 4, batch_first=True), nn.RNN(4, 4, batch_first=True)
        self.relu = nn.RNN(4, 3, nonlinearity="relu", batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.lstm, self.projected, self.gru, self.rnn, self.relu):
            x = layer(x)[0]
        return x[:, -1]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_a_compiled_program_learns_what_the_plain_one_does(monkeypatch: pytest.MonkeyPatch):
    from talweg.lanes.native import replacing

    used: list[tuple[str, str]] = []
    put = replacing._put
    monkeypatch.setattr(replacing, "_is_faster", lambda *_: True)

    def counted(graph: Any, node: Any, target: Any, arguments: Any) -> Any:
        used.append((target.__name__.split(".")[0], str(arguments[0])))
        return put(graph, node, target, arguments)

    monkeypatch.setattr(replacing, "_put", counted)
    monkeypatch.setattr(Replace, "uuid", lambda _: None)  # nothing cached
    draw = torch.Generator().manual_seed(0)
    data = torch.randn(30, 5, 3, generator=draw), torch.randint(3, (30,), generator=draw)
    chosen = [rules.SGD(lr=0.05), rules.Adam(lr=1e-2)] * 2
    runs = [
        lanes.train(Net, data, chosen, [0, 0, 1, 1], steps=12, batch_size=10, compile=compiled)
        for compiled in (False, True)
    ]
    for name in ("recurrence", "recurrence_back"):
        count = {cell: used.count((name, cell)) for cell in GATES}
        assert count == {"lstm": 2, "gru": 1, "tanh": 1, "relu": 1}
    torch.testing.assert_close(runs[1].losses, runs[0].losses, rtol=0, atol=1e-4)
    assert runs[1].losses[:, -1].isfinite().all()
