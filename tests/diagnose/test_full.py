"""The full tier beside training loops."""

from contextlib import nullcontext
from functools import partial

import pytest
import torch
from tests.diagnose.loops import digits, mlp, trained
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

import talweg
from talweg.diagnose.health import Health


class Checkpointed(nn.Module):
    """Batch norm and dropout are evaluated once more on the way back."""

    def __init__(self, use_reentrant: bool = False) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3)
        )
        self.last = nn.Linear(32, 10)
        self.use_reentrant = use_reentrant

    def forward(self, x: Tensor) -> Tensor:
        x.requires_grad_()
        found = checkpoint(self.first, x, use_reentrant=self.use_reentrant)
        return self.last(found)


def normed() -> nn.Module:
    return nn.Sequential(
        nn.Linear(64, 32), nn.BatchNorm1d(32), nn.Dropout(0.3), nn.ReLU(), nn.Linear(32, 10)
    )


def convolved() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(144, 10),
    )


def end(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[bytes]:
    state = [value for each in optimizer.state.values() for value in each.values()]
    values = [*model.state_dict().values(), *state, torch.rand(3)]
    return [torch.as_tensor(value).detach().numpy().tobytes() for value in values]


def plain_step(model: nn.Module, x: Tensor, y: Tensor) -> None:
    nn.functional.cross_entropy(model(x), y).backward()


def step_in_parts(model: nn.Module, x: Tensor, y: Tensor) -> None:
    for rows in range(0, len(x), 8):
        (nn.functional.cross_entropy(model(x[rows : rows + 8]), y[rows : rows + 8]) / 4).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)


def mixed_step(model: nn.Module, x: Tensor, y: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()


@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize("step", [plain_step, step_in_parts, mixed_step])
@pytest.mark.parametrize("make", [normed, convolved, Checkpointed])
@pytest.mark.usefixtures("thorough")
def test_the_run_is_the_same_to_the_bit(make, step, rule):
    ends: list[list[bytes]] = []
    x, y = digits()
    for tier in (None, "full"):
        torch.manual_seed(3)
        model = make()
        parameters = model.parameters()
        optimizer = (
            torch.optim.Adam(parameters) if rule == "adam" else torch.optim.SGD(parameters, 0.1)
        )
        watched = talweg.watch(model, optimizer, every=2, tier=tier) if tier else nullcontext()
        with watched as health:
            for number in range(8):
                rows = slice(32 * number, 32 * number + 32)
                optimizer.zero_grad()
                step(model, x[rows].clone(), y[rows])
                optimizer.step()
        if health is not None:
            assert health.notes == []
            assert health.moments[-1].one("sharpness") is not None
        ends.append(end(model, optimizer))
    assert ends[0] == ends[1]


@pytest.mark.usefixtures("thorough")
def test_what_light_measures_is_the_same_in_full():
    found: list[list[tuple[int, str, str, float]]] = []
    for tier in ("light", "full"):
        torch.manual_seed(0)
        model = mlp(nn.ReLU)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        watched = partial(talweg.watch, every=3, tier=tier)
        health = trained(model, optimizer, 12, watched)
        found.append(health.rows())
    assert set(found[0]) < set(found[1])


def test_full_measurements_are_made_at_the_measured_steps_from_every_50th_on():
    model = mlp(nn.ReLU)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    health = trained(model, optimizer, 130, lambda m, o: talweg.watch(m, o, tier="full"))
    assert [moment.step for moment in health.moments if moment.of("bound")] == [0, 50, 100]
    assert [moment.step for moment in health.moments if moment.of("signal to noise")] == [50, 100]


def sharpness(health: Health) -> float:
    value = health.moments[0].one("sharpness")
    assert value is not None
    return value


@pytest.mark.usefixtures("thorough")
def test_micro_batches_and_clipping_are_reckoned_with():
    torch.manual_seed(0)
    model = mlp(nn.Tanh)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    x, y = digits()
    x, y = x[:32], y[:32]
    found: list[Health] = []
    for parts, clip in ((1, None), (4, None), (1, 0.1)):
        with talweg.watch(model, optimizer, tier="full") as health:
            optimizer.zero_grad()
            for _ in range(parts):
                (nn.functional.cross_entropy(model(x), y) / parts).backward()
            norm = float(nn.utils.clip_grad_norm_(model.parameters(), clip)) if clip else 0.0
            optimizer.step()
        found.append(health)
    whole, parts, clipped = found
    assert sharpness(parts) == pytest.approx(sharpness(whole), rel=0.01)
    assert sharpness(clipped) == pytest.approx(sharpness(whole), rel=0.01)
    edges = [each.moments[0].one("edge") or 0.0 for each in found]
    assert edges[1] == pytest.approx(edges[0], rel=0.01)
    assert edges[2] == pytest.approx(edges[0] * norm / 0.1, rel=0.01)


class Once(torch.autograd.Function):
    """Cannot be differentiated twice."""

    @staticmethod
    def forward(_, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    @once_differentiable
    def backward(_, grad: Tensor) -> Tensor:
        return grad.clone()


class Through(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Once.apply(x)


def with_hook() -> nn.Module:
    model = mlp(nn.ReLU)
    model[2].register_full_backward_hook(lambda *_: None)
    return model


def with_tensor_hook() -> nn.Module:
    model = mlp(nn.ReLU)
    model[0].weight.register_hook(lambda grad: grad / 2)
    return model


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.Sequential(nn.Linear(64, 10), Through()), "does not depend on the weights"),
        (lambda: nn.Sequential(mlp(nn.Tanh), Through(), nn.Linear(10, 10)), "not those of a symm"),
        (lambda: Checkpointed(use_reentrant=True), "weights are hidden from it"),
        (lambda: torch.compile(mlp(nn.ReLU), backend="eager"), "compiled"),
        (with_hook, "hooks of the model's modules"),
        (with_tensor_hook, "hooks of the model's parameters"),
    ],
)
@pytest.mark.usefixtures("thorough")
def test_a_loss_that_cannot_be_differentiated_twice_is_one_note(make, says: str):
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    health = trained(model, optimizer, 6, lambda m, o: talweg.watch(m, o, every=1, tier="full"))
    (note,) = health.notes
    assert note.startswith("the curvature is not measured: ")
    assert says in note
    assert health.moments[-1].one("sharpness") is None
    assert health.moments[-1].one("signal to noise") is not None


@pytest.mark.usefixtures("thorough")
def test_a_rule_whose_edge_is_not_known_is_one_note():
    model = mlp(nn.ReLU)
    optimizer = torch.optim.Adamax(model.parameters(), 1e-3)
    health = trained(model, optimizer, 4, lambda m, o: talweg.watch(m, o, every=1, tier="full"))
    assert health.notes == ["the stability edge of Adamax is not known"]
    assert health.moments[-1].one("sharpness") is not None
    assert health.moments[-1].one("edge") is None


@pytest.mark.parametrize(("lr", "is_found"), [(0.1, False), (3.0, True)])
def test_a_rate_far_above_the_edge_is_told_with_it(lr: float, is_found: bool):
    torch.manual_seed(1)
    model = mlp(nn.Tanh)
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    health = trained(model, optimizer, 160, lambda m, o: talweg.watch(m, o, tier="full"))
    found = [one for one in health.findings if one.name == "learning rate too large"]
    assert bool(found) == is_found
    if found:
        assert found[0].severity == "problem"
        assert "SGD at 3: above 3.8/λmax = " in found[0].text
        assert found[0].evidence["lr"] > found[0].evidence["edge"]


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize("is_given", [True, False])
def test_an_adaptive_rule_has_no_edge_before_its_first_step(is_given: bool):
    torch.manual_seed(0)
    model = mlp(nn.Tanh)
    optimizer = torch.optim.Adam(model.parameters())
    watched = talweg.watch(model, optimizer if is_given else None, every=1, tier="full")
    health = trained(model, optimizer, 3, lambda *_: watched)
    first, second, _ = health.moments
    assert first.one("sharpness") is None
    assert second.one("edge") is not None


@pytest.mark.parametrize("tier", ["light", "full"])
def test_buffers_that_are_put_back_do_not_stop_the_way_back(tier: str):
    model = convolved()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, y = digits()
    with talweg.watch(model, optimizer, every=1, tier=tier) as health:
        for _ in range(2):
            plain_step(model, x[:32] / 0, y[:32])
            optimizer.step()
    assert [one.name for one in health.findings] == ["not finite"]
    assert health.notes == []


@pytest.mark.parametrize("tier", ["light", "full"])
def test_double_precision_is_measured(tier: str):
    model = mlp(nn.ReLU).double()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, y = digits()
    with talweg.watch(model, optimizer, tier=tier) as health:
        plain_step(model, x[:32].double(), y[:32])
        optimizer.step()
    assert health.notes == []
    assert health.moments[0].of("backward norm")
    assert (health.moments[0].one("sharpness") is not None) == (tier == "full")
