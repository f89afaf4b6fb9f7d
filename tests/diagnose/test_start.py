"""The loss of a constant prediction, beside the least that a search finds."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import talweg
from talweg.diagnose.start import constant_loss


def least(loss: Callable[[Tensor], Tensor], shape: torch.Size) -> float:
    """The least loss of one prediction for all samples, by going down from 0."""
    one = torch.zeros(1, *shape[1:], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([one], max_iter=500, line_search_fn="strong_wolfe",
        tolerance_grad=1e-12, tolerance_change=1e-15)  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(one.expand(shape))
        value.backward()
        return value

    optimizer.step(closure)
    return closure().item()


CLASSES = torch.tensor([0, 1, 1, 2, 2, 2, 0, 1, 3, 3, 2, 1])
LABELS = torch.tensor([0.0, 1, 1, 0, 1, 1, 0, 1, 0, 0, 1, 1])
MANY = torch.stack([LABELS, LABELS.flip(0), (LABELS + LABELS.roll(1) > 1).double()], 1)
VALUES = torch.randn(12, 3, generator=torch.Generator().manual_seed(1))
LOSSES: dict[str, tuple[torch.Size, Callable[[Tensor], Tensor]]] = {
    "cross-entropy": (torch.Size([12, 4]), lambda z: functional.cross_entropy(z, CLASSES)),
    "negative log": (
        torch.Size([12, 4]), lambda z: functional.nll_loss(z.log_softmax(1), CLASSES)),
    "binary": (
        torch.Size([12, 1]),
        lambda z: functional.binary_cross_entropy_with_logits(z[:, 0], LABELS.to(z.dtype))),
    "binary, sigmoid": (
        torch.Size([12, 1]),
        lambda z: functional.binary_cross_entropy(z.sigmoid()[:, 0], LABELS.to(z.dtype))),
    "several labels": (
        torch.Size([12, 3]),
        lambda z: functional.binary_cross_entropy_with_logits(z, MANY.to(z.dtype))),
    "squares": (torch.Size([12, 3]), lambda z: functional.mse_loss(z, VALUES.to(z.dtype))),
    "squares of one": (
        torch.Size([12, 1]), lambda z: functional.mse_loss(z[:, 0], VALUES[:, 0].to(z.dtype))),
}  # fmt: skip


def given(name: str, dtype: torch.dtype, times: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    shape, loss = LOSSES[name]
    z = (2 * torch.randn(shape, generator=torch.Generator().manual_seed(2))).to(dtype)
    z.requires_grad_()
    value = times * loss(z)
    value.backward()
    assert z.grad is not None
    return z, z.grad, value


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", LOSSES)
def test_it_is_the_least_that_is_found(name: str, dtype: torch.dtype):
    if dtype == torch.bfloat16 and "squares" in name:
        pytest.skip("a loss in 8 bits is not known well enough")
    found = constant_loss(*given(name, dtype))
    shape, loss = LOSSES[name]
    assert found == pytest.approx(least(loss, shape), rel=1e-4, abs=1e-4)


OTHERS: dict[str, Callable[[Tensor], Tensor]] = {
    "absolute": lambda z: functional.l1_loss(z, VALUES.repeat(1, 2)[:, :4]),
    "smoothed": lambda z: functional.cross_entropy(z, CLASSES, label_smoothing=0.2),
    "hinge": lambda z: functional.multi_margin_loss(z, CLASSES),
    "weighted": lambda z: functional.cross_entropy(z, CLASSES, torch.tensor([1.0, 5, 2, 9])),
    "summed": lambda z: functional.cross_entropy(z, CLASSES, reduction="sum"),
    "half": lambda z: functional.cross_entropy(z, CLASSES) / 2,
    "fourth powers": lambda z: z.pow(4).mean(),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_loss_is_not_taken_for_one_of_them(name: str):
    z = (2 * torch.randn(12, 4, generator=torch.Generator().manual_seed(2))).requires_grad_()
    value = OTHERS[name](z)
    value.backward()
    assert z.grad is not None
    assert constant_loss(z, z.grad, value) is None


def test_shapes_that_do_not_fit():
    z, grad, value = given("cross-entropy", torch.float32)
    assert constant_loss(z[:0], grad[:0], value) is None
    assert constant_loss(z, grad[:, 0], value) is None
    assert constant_loss(z.sum(), grad.sum(), value) is None


def test_a_start_that_is_sure_of_what_is_wrong_is_found():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    with torch.no_grad():
        model[2].weight.mul_(100)
    optimizer = torch.optim.SGD(model.parameters(), 1e-4)
    with talweg.watch(model, optimizer, every=1) as health:
        functional.cross_entropy(model(torch.randn(12, 6)), CLASSES).backward()
        optimizer.step()
    (found,) = [one for one in health.findings if one.name == "wrong start"]
    shape, loss = LOSSES["cross-entropy"]
    assert found.evidence["constant loss"] == pytest.approx(least(loss, shape), abs=1e-5)
    assert found.evidence["loss"] == pytest.approx(health.losses[0])


@pytest.mark.parametrize("target", [0.0, 3.7])
def test_a_constant_prediction_of_targets_that_are_the_same_has_no_loss(target: float):
    torch.manual_seed(0)
    outputs = torch.randn(64, 1, requires_grad=True)
    loss = nn.functional.mse_loss(outputs, torch.full((64, 1), target))
    loss.backward()
    assert constant_loss(outputs.detach(), outputs.grad, loss.detach()) == 0.0
