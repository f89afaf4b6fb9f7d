"""Where models start: signals of the same size at any depth, whatever the activation."""

import pytest
import torch
from torch import Tensor, nn

from talweg.activations import ACTIVATIONS, Maxout
from talweg.models import Feedforward, ready_source

SEVERAL = ["relu", "tanh", "gelu", "sigmoid", "selu", "softplus", "sinusoid"]
HIGHEST = {"silu": 1.7, "hard-swish": 3.0}
"""After ten layers, not 1.25: they pass on a large signal better than a small one, so that the
deviation of a finite width grows from layer to layer."""
SEEDS = 8


def sizes(
    name: str, shape: tuple[int, ...], kinds: tuple[type[nn.Module], ...], **options: object
) -> Tensor:
    """The mean square of what each layer of these kinds gives, ``[layer]``, at standard inputs."""
    source = ready_source(name, shape, 100, **options)
    x = torch.randn(64, *shape, generator=torch.Generator().manual_seed(1))
    means = []
    for seed in range(SEEDS):
        model, own = source.build(seed), []

        def read(_: nn.Module, __: object, output: Tensor, own: list[Tensor] = own) -> None:
            inner = output[..., 4:-4, 4:-4] if output.dim() == 4 else output
            own.append(inner.square().mean())

        for layer in model.modules():
            if isinstance(layer, kinds):
                layer.register_forward_hook(read)
        with torch.no_grad():
            model(x)
        means.append(torch.stack(own))
    return torch.stack(means).mean(0)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_mlp_keeps_the_size_of_its_signal(activation: str):
    found = sizes("mlp", (100,), (nn.Linear,), hidden=(300,), layers=10, activation=activation)
    assert len(found) == 11
    assert found.min() > 0.8
    assert found.max() < HIGHEST.get(activation, 1.25)
    assert found[:4].max() < 1.25


def test_a_maxout_network_keeps_the_size_of_its_signal():
    found = sizes("maxout", (100,), (nn.Linear,), hidden=(300,), layers=10)
    assert found.min() > 0.8
    assert found.max() < 1.25


@pytest.mark.parametrize("activation", SEVERAL)
def test_convolutions_keep_the_size_of_their_signal_away_from_the_border(activation: str):
    found = sizes("cnn", (4, 16, 16), (nn.Conv2d,), hidden=(64,), layers=4, activation=activation)
    assert found.min() > 0.8
    assert found.max() < 1.25


@pytest.mark.parametrize("activation", SEVERAL)
def test_a_transformer_starts_every_part_at_the_same_size(activation: str):
    found = sizes(
        "transformer", (12, 16), (nn.Linear,), hidden=(64,), layers=3, activation=activation
    )
    embedded, *blocks, _ = found.tolist()
    look, widen, narrow = blocks[0::4], blocks[2::4], blocks[3::4]
    for one in (embedded, *look, *widen, *narrow):
        assert 0.75 < one < 1.3


def test_another_scale_is_seen():
    """ReLU halves the square at each layer without its gain."""
    plain = ready_source("mlp", (100,), 10, hidden=(300,), layers=10, activation="relu")
    model = plain.build(0)
    assert isinstance(model, Feedforward)
    model.gain = 1.0
    model.reset_parameters()
    with torch.no_grad():
        assert model(torch.randn(64, 100)).square().mean() < 0.01


@pytest.mark.parametrize(("name", "gates"), [("lstm", 4), ("gru", 3)])
@pytest.mark.parametrize("layers", [1, 2])
def test_recurrent_weights_are_orthogonal_and_the_rest_sized_by_their_inputs(
    name: str, gates: int, layers: int
):
    inner = ready_source(name, (50, 20), 3, hidden=(60,), layers=layers).build(0).layers
    for layer in range(layers):
        recurrent = getattr(inner, f"weight_hh_l{layer}").detach().split(60)
        assert len(recurrent) == gates
        for gate in recurrent:
            torch.testing.assert_close(gate @ gate.T, torch.eye(60), rtol=0, atol=1e-5)
        inputs = getattr(inner, f"weight_ih_l{layer}").detach()
        assert inputs.std() == pytest.approx(inputs.shape[1] ** -0.5, rel=0.05)
        biases = getattr(inner, f"bias_ih_l{layer}"), getattr(inner, f"bias_hh_l{layer}")
        total = sum(biases).detach().reshape(gates, 60)
        wanted = torch.zeros(gates, 60)
        if name == "lstm":
            wanted[1] = 1  # the forget gate's
        assert torch.equal(total, wanted)


def test_an_activation_that_learns_starts_where_it_does():
    model = ready_source("mlp", (5,), 3, hidden=(4,), activation="prelu").build(0)
    assert model[2].weight.item() == 0.25


def test_maxout_can_be_the_activation_of_an_mlp():
    model = ready_source("mlp", (5,), 3, hidden=(4,), activation="maxout").build(0)
    assert isinstance(model[1], Maxout)
