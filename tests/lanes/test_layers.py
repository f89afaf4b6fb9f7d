"""Every kind of layer, stacked, gives in double precision what it gives one lane at a time."""

import pytest
import torch
from tests.lanes.common import needs_compiler
from tests.lanes.layers import CASES
from torch import Tensor

from talweg import lanes, rules
from talweg.lanes import Reading, Run

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
