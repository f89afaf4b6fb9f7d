"""Our own operators against torch's in double precision, and what they do to a compiled program."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from talweg import lanes, rules
from talweg.core import missing_compiler
from talweg.lanes.native import Replace, load

pytestmark = pytest.mark.skipif(missing_compiler() is not None, reason="needs a C++ compiler")


@pytest.fixture(scope="module")
def ops() -> Any:
    assert load() is None
    return torch.ops.talweg


def close(found: Tensor, wanted: Tensor) -> None:
    size = wanted.abs().max().item() + 1e-30
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=3e-6 * size)


SIZES = (1, 2, 3, 7, 8, 12, 13, 16, 17, 31, 32, 33, 50)


@pytest.mark.parametrize("kind", ["plain", "left turned", "right turned", "strided", "expanded"])
def test_products_of_every_size(ops: Any, kind: str):
    draw = torch.Generator().manual_seed(0)
    for m in SIZES:
        for n in SIZES:
            k = SIZES[(m * 5 + n) % len(SIZES)]
            a, b = torch.randn(3, m, k, generator=draw), torch.randn(3, k, n, generator=draw)
            if kind == "left turned":
                a = a.mT.contiguous().mT
            elif kind == "right turned":
                b = b.mT.contiguous().mT
            elif kind == "strided":
                a, b = torch.cat([a, a], 2)[..., ::2], torch.cat([b, b], 1)[:, ::2]
                b = torch.stack([b, b], 3)[..., 0]
            elif kind == "expanded":
                a = a[:1].expand(3, m, k)
            close(ops.bmm(a, b), a.double() @ b.double())


def test_a_product_over_nothing_is_zero(ops: Any):
    assert torch.equal(ops.bmm(torch.ones(2, 3, 0), torch.ones(2, 0, 4)), torch.zeros(2, 3, 4))
    assert ops.bmm(torch.ones(2, 0, 3), torch.ones(2, 3, 4)).shape == (2, 0, 4)
    assert ops.bmm(torch.ones(2, 5, 3), torch.ones(2, 3, 0)).shape == (2, 5, 0)
    assert ops.bmm(torch.ones(0, 5, 3), torch.ones(0, 3, 2)).shape == (0, 5, 2)


def test_what_is_not_finite_stays_in_its_row_and_column(ops: Any):
    a, b = torch.ones(1, 20, 5), torch.ones(1, 5, 20)
    a[0, 3, 2], b[0, 1, 17] = torch.nan, torch.inf
    found = ops.bmm(a, b)[0]
    assert found[3].isnan().all()
    assert not found[:3].isnan().any()
    assert found[0, 17] == torch.inf
    assert (found[0, :17] == 5).all()


IMAGES = [  # samples, groups, channels in and out of each, height, width, kernel, padding, dilation
    (4, 3, 1, 8, 8, 8, (3, 3), (1, 1), (1, 1)),
    (3, 2, 5, 7, 9, 6, (3, 2), (1, 0), (1, 1)),
    (2, 4, 3, 13, 5, 17, (5, 5), (2, 2), (1, 1)),
    (2, 2, 2, 3, 11, 9, (3, 3), (2, 2), (2, 2)),
    (5, 1, 16, 9, 4, 4, (1, 1), (0, 0), (1, 1)),
    (2, 3, 2, 2, 1, 40, (1, 7), (0, 3), (1, 1)),
    (1, 2, 1, 1, 3, 3, (3, 3), (0, 0), (1, 1)),
]


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("laid_out", ["plain", "channels last", "by lane"])
def test_convolutions_and_their_gradients(ops: Any, image: Any, laid_out: str):
    n, groups, inputs, outputs, height, width, kernel, padding, dilation = image
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(n, groups * inputs, height, width, generator=draw)
    if laid_out == "channels last":
        x = x.contiguous(memory_format=torch.channels_last)
    elif laid_out == "by lane":
        x = x.view(n, groups, inputs, height, width).transpose(0, 1).contiguous()
        x = x.transpose(0, 1).flatten(1, 2) if inputs == 1 else x.transpose(0, 1).reshape(
            n, groups * inputs, height, width
        )  # fmt: skip
    weight = torch.randn(groups * outputs, inputs, *kernel, generator=draw)
    exact = torch.conv2d(x.double(), weight.double(), None, 1, padding, dilation, groups)
    close(ops.convolution(x, weight, padding, dilation, groups), exact)
    dy = torch.randn(exact.shape, generator=draw)
    dx, dw, _ = torch.ops.aten.convolution_backward(
        dy.double(), x.double(), weight.double(), None, [1, 1], padding, dilation, False, [0, 0],
        groups, [True, True, False],
    )  # fmt: skip
    close(ops.convolution_input(dy, x, weight, padding, dilation, groups), dx)
    close(ops.convolution_weight(dy, x, weight, padding, dilation, groups), dw)


WINDOWS = [  # height, width, then kernel, stride, padding, dilation
    (8, 8, (2, 2), (2, 2), (0, 0), (1, 1)),
    (7, 35, (3, 2), (2, 1), (1, 1), (1, 1)),
    (9, 41, (3, 3), (3, 3), (1, 0), (1, 2)),
    (5, 70, (1, 3), (1, 2), (0, 1), (2, 1)),
    (6, 6, (6, 6), (1, 1), (0, 0), (1, 1)),
]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("values", ["distinct", "ties", "not finite"])
def test_max_pooling_and_its_gradient(ops: Any, window: Any, values: str):
    height, width, *settings = window
    x = torch.randn(3, 2, height, width, generator=torch.Generator().manual_seed(0))
    if values == "ties":
        x = x.clamp(min=0).round()
    elif values == "not finite":
        x[0, 0, 2, 3], x[1, 0, :, :], x[2, 1, 0, 1] = torch.nan, -torch.inf, torch.inf
    wanted, places = torch.nn.functional.max_pool2d(
        x, settings[0], settings[1], settings[2], settings[3], return_indices=True
    )
    found, taps = ops.max_pool(x, *settings)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0, equal_nan=True)
    dy = torch.randn(wanted.shape)
    dx = ops.max_pool_backward(dy.view(6, -1), taps.view(6, -1), [height, width], *settings)
    exact = torch.zeros(6, height * width)
    exact.scatter_add_(1, places.view(6, -1), dy.view(6, -1))
    if values == "not finite":  # which of several infinities is taken is anybody's choice
        assert dx.isfinite().all()
        dx, exact = dx[3:5], exact[3:5]
    torch.testing.assert_close(dx, exact)


@pytest.mark.parametrize("operator", ["bmm", "convolution", "max_pool"])
def test_shapes_are_told_right(ops: Any, operator: str):
    x, weight = torch.randn(2, 4, 6, 5), torch.randn(6, 2, 3, 3)
    settings = ([1, 1], [1, 1], 2)
    calls = {
        "bmm": [(ops.bmm, (torch.randn(2, 3, 4), torch.randn(2, 4, 5)))],
        "convolution": [
            (ops.convolution, (x, weight, *settings)),
            (ops.convolution_input, (torch.randn(2, 6, 6, 5), x, weight, *settings)),
            (ops.convolution_weight, (torch.randn(2, 6, 6, 5), x, weight, *settings)),
        ],
        "max_pool": [
            (ops.max_pool, (x, *WINDOWS[1][2:])),
            (
                ops.max_pool_backward,
                (
                    torch.ones(8, 18),
                    torch.zeros(8, 18, dtype=torch.int8),
                    [6, 5],
                    *WINDOWS[1][2:],
                ),
            ),
        ],
    }
    for call, arguments in calls[operator]:
        torch.library.opcheck(
            call.default, arguments, test_utils=["test_schema", "test_faketensor"]
        )


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3), nn.Tanh(),
        nn.Flatten(), nn.Linear(20, 3),
    )  # fmt: skip


def test_a_compiled_program_with_all_of_them_learns_what_the_plain_one_does(
    monkeypatch: pytest.MonkeyPatch,
):
    from talweg.lanes.native import replacing

    used: list[str] = []
    put = replacing._put
    monkeypatch.setattr(replacing, "_is_faster", lambda *_: True)
    monkeypatch.setattr(
        replacing, "_put", lambda *given: (used.append(str(given[2])), put(*given))[1]
    )
    monkeypatch.setattr(Replace, "uuid", lambda _: None)  # nothing cached
    draw = torch.Generator().manual_seed(0)
    data = torch.randn(30, 1, 8, 8, generator=draw), torch.randint(3, (30,), generator=draw)
    chosen = [rules.SGD(lr=0.05), rules.Adam(lr=1e-3)] * 2
    runs = [
        lanes.train(net, data, chosen, [0, 0, 1, 1], steps=12, batch_size=10, compile=compiled)
        for compiled in (False, True)
    ]
    assert {name.split(".")[1] for name in used} >= {
        "bmm",
        "convolution",
        "max_pool",
        "max_pool_backward",
    }
    torch.testing.assert_close(runs[1].losses, runs[0].losses, rtol=0, atol=1e-4)
    assert runs[1].losses[:, -1].isfinite().all()
