"""What holds for every model that has a name."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from tests.lanes.common import needs_compiler
from tests.models.oracles import ORACLES
from torch import Tensor, nn, optim

from talweg import lanes, rules
from talweg.data import BatchOrder, as_samples
from talweg.models import MODELS, ModelSource, ready_source, source_of

SHAPES = [(36,), (6, 6), (5, 7), (1, 6, 6), (3, 4, 5)]


def outputs_of(name: str) -> int:
    return 1 if MODELS[name].is_binary else 3


def source(name: str, shape: tuple[int, ...] = (36,), **options: object) -> ModelSource:
    """A small one, in double precision."""
    if MODELS[name].hidden:
        options.setdefault("hidden", (8,))
    outputs = 2 if MODELS[name].is_binary else 3
    made = ready_source(name, shape, outputs, **options)
    return ModelSource(made.name, lambda: made.make().double())


def few(shape: tuple[int, ...], count: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, *shape, generator=generator, dtype=torch.float64)


def task(name: str, count: int = 20) -> tuple[Tensor, Tensor]:
    return few((36,), count), torch.arange(count) % (2 if MODELS[name].is_binary else 3)


def drawn(state: dict[str, Tensor]) -> list[str]:
    """What a seed decides: not biases, nor the scales of a normalisation."""
    return [key for key in state if "bias" not in key and "norm" not in key]


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_gives_a_model_again_and_leaves_torch_alone(name: str):
    torch.manual_seed(11)
    before = torch.get_rng_state()
    one, again, other = (source(name).build(seed).state_dict() for seed in (4, 4, 5))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not any(torch.equal(one[key], other[key]) for key in one if key in drawn(one))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_it_gives_what_its_oracle_does(name: str, shape: tuple[int, ...]):
    model = source(name, shape).build(0)
    with torch.no_grad():
        for parameter in model.parameters():  # biases too are to make a difference
            parameter += 0.1 * torch.randn_like(parameter)
        x = few(shape)
        found = model(x)
    seen = MODELS[name].seen(shape)
    image = x.numpy().reshape(len(x), -1, *shape[-2:])
    rows = image.transpose(0, 2, 1, 3) if len(shape) == 3 and len(seen) == 2 else x.numpy()
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    expected = ORACLES[name][0](state, rows.reshape(len(x), *seen))
    assert found.shape == (4, outputs_of(name))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("layers", [1, 3])
def test_its_parameters_are_as_many_as_the_formula_says(name: str, layers: int):
    hidden = (8,) * layers if MODELS[name].hidden else ()
    options = {"hidden": hidden} if hidden else {}
    model = source(name, **options).build(0)
    expected = ORACLES[name][1](MODELS[name].seen((36,)), hidden, outputs_of(name))
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


@pytest.mark.parametrize("name", MODELS)
def test_a_gradient_reaches_every_parameter(name: str):
    model = source(name, **({"layers": 3} if MODELS[name].hidden else {})).build(0)
    (model(few((36,), 30)).sin() ** 2).sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 1e-6, key


@pytest.mark.parametrize("name", MODELS)
def test_it_travels(name: str):
    model, x = source(name).build(0), few((36,))
    loaded = source(name).build(9)
    assert not torch.equal(model(x), loaded(x))
    loaded.load_state_dict(model.state_dict())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), loaded):
        assert torch.equal(model(x), other(x))


@pytest.mark.parametrize("name", MODELS)
def test_a_module_is_drawn_anew_as_it_was_drawn(name: str):
    model = ready_source(name, (64,), 2).build(0)
    anew = source_of(model).build(1).state_dict()
    for key, value in model.state_dict().items():
        if key not in drawn(anew):
            assert torch.equal(anew[key], value)
        else:
            assert not torch.equal(anew[key], value)
            spread = 5 / math.sqrt(2 * value.numel())
            assert anew[key].std() / value.std() == pytest.approx(1, abs=spread)


@pytest.mark.parametrize("name", MODELS)
def test_lanes_take_the_path_of_a_plain_loop(name: str):
    x, y = task(name)
    run = lanes.train(
        source(name), (x, y), [rules.SGD(lr=0.1), rules.SGD(lr=0.02)], seeds=[3, 4], steps=8,
        batch_size=8, evaluate={"all": (x, y)},
    )  # fmt: skip
    assert run.strategy == "stacked"
    for lane, (seed, lr) in enumerate(((3, 0.1), (4, 0.02))):
        model, order = source(name).build(seed), BatchOrder(len(x), 8, seed)
        optimizer = optim.SGD(model.parameters(), lr=lr)
        for step in range(8):
            rows = order.batch(step)
            optimizer.zero_grad()
            output = model(x[rows])
            if MODELS[name].is_binary:
                target = y[rows, None].double()
                loss = nn.functional.binary_cross_entropy_with_logits(output, target)
            else:
                loss = nn.functional.cross_entropy(output, y[rows])
            loss.backward()
            optimizer.step()
            assert run.losses[lane, step].item() == pytest.approx(loss.item(), abs=1e-9)
        for key, value in model.state_dict().items():
            torch.testing.assert_close(run.params(lane)[key], value, rtol=0, atol=1e-9)


@needs_compiler
@pytest.mark.parametrize("name", ["maxout", "cnn", "gru", "transformer"])
def test_compiled_lanes_take_the_same_path(name: str):
    both = [
        lanes.train(
            source(name), task(name), ["sgd"] * 2, [1, 2], steps=10, batch_size=10, compile=compiled
        )
        for compiled in (False, True)
    ]
    assert not any("failed" in note for note in both[1].notes)
    assert both[1].notes[0].endswith(", compiled")
    torch.testing.assert_close(both[0].losses, both[1].losses, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_falls_on_real_data(name: str):
    data = as_samples("breast_cancer" if MODELS[name].is_binary else "digits")
    run = lanes.train(name, data, [rules.Adam(lr=0.01)], epochs=3)
    assert run.status == ("ok",)
    assert run.losses[0, -5:].mean() < 0.5 * run.losses[0, :5].mean()


@pytest.mark.parametrize("name", [name for name in MODELS if "regression" in MODELS[name].kinds])
def test_regression_by_name(name: str):
    x = few((6, 6), 200)
    run = lanes.train(name, (x, x.mean((1, 2))), [rules.Adam(lr=0.01)], epochs=10)
    assert run.losses[0, -5:].mean() < 0.5 * run.losses[0, :5].mean()
