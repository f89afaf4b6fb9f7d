"""Every kind of layer, stacked, gives in double precision what it gives one lane at a time."""

import pytest
import torch
from tests.lanes.common import needs_compiler
from tests.lanes.layers import CASES
from torch import Tensor, nn

from talweg import lanes, rules
from talweg.lanes import Reading, Run
from talweg.lanes.gradients import stackable_copy

SERIAL = {"normed lstm"}
"""What runs one lane after another all the same."""
RUNS = [
    pytest.param(name, compiled, marks=needs_compiler if compiled else ())
    for name, case in CASES.items()
    for compiled in ((False, True) if case.compiled else (False,))
]


def samples_of(name: str) -> tuple[Tensor, Tensor]:
    case, generator = CASES[name], torch.Generator().manual_seed(3)
    size = (18, *case.shape)
    x = torch.randn(size, generator=generator, dtype=torch.float64)
    if case.words:
        x = torch.randint(case.words, size, generator=generator)
    return x, torch.randint(3, (18,), generator=generator)


def trained(name: str, strategy: str, compiled: bool) -> tuple[Run, dict[tuple[int, int], float]]:
    """The run, and the losses in evaluation by step and lane."""
    read: dict[tuple[int, int], float] = {}

    def note(reading: Reading) -> None:
        for lane, loss in zip(reading.lanes, reading.values["same", "loss"], strict=True):
            read[reading.step, lane] = loss

    run = lanes.train(
        lambda: CASES[name].make().double(),
        samples_of(name),
        [rules.Adam(lr=lr) for lr in (0.02, 0.005, 0.01)],
        seeds=[0, 1, 1],
        steps=20,
        batch_size=8,
        strategy=strategy,
        compile=compiled,
        evaluate={"same": samples_of(name)},
        each=note,
    )
    return run, read


def noisy() -> nn.Module:
    """Gives, of ones, what dropout leaves of them."""
    scale = nn.Linear(1, 64)
    nn.init.ones_(scale.weight)
    nn.init.zeros_(scale.bias)
    return nn.Sequential(scale, nn.Dropout(0.25), nn.Flatten(0)).double()


@pytest.mark.parametrize("strategy", ["stacked", "serial"])
def test_dropout_keeps_the_share_asked_for_and_nothing_is_dropped_in_evaluation(strategy: str):
    def mean_square(output: Tensor, target: Tensor) -> Tensor:  # of kept 16/9, of dropped 0
        return (output.view(len(target), 64) ** 2).mean(1)

    read: list[float] = []
    x = torch.ones(50, 1, dtype=torch.float64)
    run = lanes.train(
        lambda: nn.Sequential(noisy(), nn.Unflatten(0, (-1, 64))), (x, x[:, 0]),
        [rules.SGD(lr=1e-12)] * 2, steps=20, batch_size=None, loss=mean_square, strategy=strategy,
        evaluate={"same": (x, x[:, 0])},
        each=lambda reading: read.extend(reading.values["same", "loss"]),
    )  # fmt: skip
    assert run.strategy == strategy
    assert run.losses.mean(1).tolist() == pytest.approx([4 / 3] * 2, abs=0.02)
    assert len(set(run.losses[0].tolist())) == 20
    assert read == pytest.approx([1.0] * len(read), abs=1e-9)
    if strategy == "stacked":
        assert not (run.losses[0] == run.losses[1]).any()


def test_a_recurrent_layer_has_no_second_derivative_once_stacked():
    """Its module stays PyTorch's own, and so do serial lanes."""
    layer = nn.LSTM(3, 4)
    stacked = stackable_copy(layer)
    assert type(layer) is nn.LSTM
    assert list(stacked.state_dict()) == list(layer.state_dict())
    x = torch.randn(5, 2, 3, requires_grad=True)
    torch.testing.assert_close(stacked(x)[0], layer(x)[0])
    slope = torch.autograd.grad(stacked(x)[0].sum(), x, create_graph=True)[0]
    with pytest.raises(NotImplementedError, match="no second derivative"):
        slope.sum().backward()


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("name", "compiled"), RUNS)
def test_stacked_is_serial(name: str, compiled: bool):
    stacked, theirs = trained(name, "auto", compiled)
    if name in SERIAL:
        assert stacked.strategy == "serial"
        return
    assert stacked.strategy == "stacked", stacked.notes
    assert not any("failed" in note for note in stacked.notes), stacked.notes
    serial, ours = trained(name, "serial", False)
    close = {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(stacked.losses, serial.losses, **close)
    assert theirs == pytest.approx(ours, rel=1e-9)
    for lane in range(3):
        torch.testing.assert_close(stacked.params(lane), serial.params(lane), **close)
