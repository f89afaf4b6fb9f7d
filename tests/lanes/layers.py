"""A small model for every kind of layer: name → what builds it, and a sample's shape."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations


@dataclass(frozen=True)
class Case:
    """A model that gives three numbers per sample.

    Args:
        make: Builds it.
        shape: Of a sample.
        words: How many, if samples are indices.
        compiled: Whether it is worth the seconds to compile it too.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    words: int = 0
    compiled: bool = False


CASES: dict[str, Case] = {}
IMAGE, SERIES, ROW = (2, 6, 6), (4, 6), (6,)


def net(shape: tuple[int, ...], *layers: nn.Module) -> nn.Module:
    """Layers, then a linear map of all they give."""
    body = nn.Sequential(*layers)
    with torch.no_grad():
        size = body.eval()(torch.zeros(2, *shape)).flatten(1).shape[1]
    return nn.Sequential(body, nn.Flatten(), nn.Linear(size, 3)).train()


def add(
    name: str, shape: tuple[int, ...], *layers: Callable[[], nn.Module], compiled: bool = False
) -> None:
    CASES[name] = Case(lambda: net(shape, *(layer() for layer in layers)), shape, 0, compiled)


def conv(*sizes: int, **options: object) -> Callable[[], nn.Module]:
    return lambda: nn.Conv2d(*sizes, **options)


add("mlp", ROW, lambda: nn.Linear(6, 8), nn.Tanh, lambda: nn.Linear(8, 8), nn.GELU)
add("cnn", IMAGE, conv(2, 4, 3, padding=1), nn.ReLU, lambda: nn.MaxPool2d(2))
add("strided", IMAGE, conv(2, 4, 3, stride=2), nn.SiLU, conv(4, 4, 2))
add("dilated", IMAGE, conv(2, 4, 3, dilation=2, padding="same"), lambda: nn.AvgPool2d(2))
add("grouped", IMAGE, conv(2, 6, 3, groups=2), nn.ELU, lambda: nn.AdaptiveAvgPool2d(2))
add("depthwise", IMAGE, conv(2, 2, 3, groups=2, bias=False), conv(2, 4, 1), nn.Mish)
add("reflected", IMAGE, conv(2, 4, 3, padding=1, padding_mode="reflect"), nn.Hardswish)
add("adaptive max", IMAGE, conv(2, 4, 3), lambda: nn.AdaptiveMaxPool2d(2))
add("transposed", IMAGE, lambda: nn.ConvTranspose2d(2, 3, 3, stride=2, output_padding=1), nn.Tanh)
add("conv1d", SERIES, lambda: nn.Conv1d(4, 5, 3, padding=1), nn.ReLU, lambda: nn.MaxPool1d(2))
add("conv3d", (1, 4, 4, 4), lambda: nn.Conv3d(1, 3, 3), nn.Tanh, lambda: nn.AvgPool3d(2))
add("upsampled", IMAGE, lambda: nn.Upsample(scale_factor=2, mode="bilinear"), conv(2, 2, 3))
add("shuffled", (4, 3, 3), lambda: nn.PixelShuffle(2), conv(1, 2, 3), nn.Softplus)

for _name, _norm in {
    "batch norm": lambda: nn.BatchNorm2d(4),
    "cumulative batch norm": lambda: nn.BatchNorm2d(4, momentum=None),
    "batch norm without statistics": lambda: nn.BatchNorm2d(4, track_running_stats=False),
    "plain batch norm": lambda: nn.BatchNorm2d(4, affine=False),
    "group norm": lambda: nn.GroupNorm(2, 4),
    "instance norm": lambda: nn.InstanceNorm2d(4, affine=True),
    "tracking instance norm": lambda: nn.InstanceNorm2d(4, track_running_stats=True),
    "local response norm": lambda: nn.LocalResponseNorm(2),
}.items():
    add(_name, IMAGE, conv(2, 4, 3, bias=False), _norm, nn.ReLU, compiled=_name == "batch norm")
for _name, _norm in {
    "batch norm 1d": lambda: nn.BatchNorm1d(8),
    "layer norm": lambda: nn.LayerNorm(8),
    "rms norm": lambda: nn.RMSNorm(8),
    "prelu": lambda: nn.PReLU(8),
    "weight norm": lambda: parametrizations.weight_norm(nn.Linear(8, 5)),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(8, 8)),
}.items():
    add(_name, ROW, lambda: nn.Linear(6, 8, bias=False), _norm, nn.Tanh)

for _name, _layer in {
    "encoder": lambda: nn.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=True),
    "encoder, norm first": lambda: nn.TransformerEncoderLayer(
        6, 2, 8, 0.0, "gelu", batch_first=True, norm_first=True
    ),
    "decoder": lambda: Calls(
        nn.TransformerDecoderLayer(6, 2, 8, 0.0, batch_first=True), lambda layer, x: layer(x, x)
    ),
    "masked encoder": lambda: Calls(
        nn.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=True),
        lambda layer, x: layer(x, torch.ones(4, 4, dtype=torch.bool).triu(1)),
    ),
    "padded encoder": lambda: Calls(
        nn.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=True),
        lambda layer, x: layer(x, src_key_padding_mask=(x[..., 0] > 1) & (x[..., 1] > 0)),
    ),
    "causal encoder": lambda: Calls(
        nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=True), 2),
        lambda layer, x: layer(
            x, nn.Transformer.generate_square_subsequent_mask(4), is_causal=True
        ),
    ),
    "attention": lambda: Calls(
        nn.MultiheadAttention(6, 2, batch_first=True), lambda layer, x: layer(x, x, x)[0]
    ),
    "attention without weights": lambda: Calls(
        nn.MultiheadAttention(6, 2, bias=False), lambda layer, x: layer(x, x, x, None, False)[0]
    ),
    "causal product": lambda: Calls(
        nn.Linear(6, 18),
        lambda layer, x: functional.scaled_dot_product_attention(
            *layer(x).chunk(3, -1), is_causal=True
        ),
    ),
}.items():
    add(_name, SERIES, _layer, compiled=_name == "causal product")

for _name, _layer in {
    "lstm": lambda: nn.LSTM(6, 5, batch_first=True),
    "deep lstm": lambda: nn.LSTM(6, 5, 2, batch_first=True, bidirectional=True),
    "projected lstm": lambda: nn.LSTM(6, 5, 2, False, True, proj_size=3, bidirectional=True),
    "gru": lambda: nn.GRU(6, 5, batch_first=True),
    "deep gru": lambda: nn.GRU(6, 5, 2, batch_first=True, bidirectional=True),
    "rnn": lambda: nn.RNN(6, 5, batch_first=True),
    "deep rnn": lambda: nn.RNN(6, 5, 2, "relu", False, batch_first=True, bidirectional=True),
    "three kinds": lambda: Three(),
    "normed lstm": lambda: parametrizations.weight_norm(nn.LSTM(6, 5), "weight_hh_l0"),
}.items():
    add(
        _name,
        SERIES,
        lambda layer=_layer: Calls(layer(), lambda layer, x: layer(x)[0]),
        compiled=_name == "three kinds",
    )
for _name, _layer in {
    "lstm cell": lambda: nn.LSTMCell(6, 5),
    "gru cell": lambda: nn.GRUCell(6, 5),
    "rnn cell": lambda: nn.RNNCell(6, 5),
}.items():
    add(_name, SERIES, lambda layer=_layer: Calls(layer(), unrolled))


class Three(nn.Module):
    """A recurrent layer of each kind; the first also gives what the others start from."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.gru, self.rnn = nn.GRU(5, 5, batch_first=True), nn.RNN(5, 5, batch_first=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x, (output, cell) = self.lstm(x)
        return self.rnn(self.gru(x, output)[0], cell)


class Calls(nn.Module):
    """A layer, and how to call it."""

    def __init__(self, layer: nn.Module, how: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.how = layer, how

    def forward(self, x: Tensor) -> Tensor:
        return self.how(self.layer, x)


def unrolled(cell: nn.Module, x: Tensor) -> Tensor:
    state = None
    for step in x.unbind(1):
        state = cell(step, state)
    return state[0] if isinstance(state, tuple) else state


class Straight(torch.autograd.Function):
    """A sign whose gradient is taken to be three times that of what it is given."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.sign()

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:  # noqa: ARG004
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return 3 * grad * (ctx.saved_tensors[0].abs() < 1)


class Tied(nn.Module):
    """Tells the next word by the embedding's own weights."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out = nn.Embedding(7, 5, padding_idx=0), nn.Linear(5, 7, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.embed(x).mean(1)))[:, :3]


class Decaying(nn.Module):
    """Changes a buffer in place, one by assignment, and has a frozen parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.first.bias.requires_grad_(False)
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("count", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first(x))
        if self.training:
            self.mean.mul_(0.9).add_(hidden.detach().mean(0), alpha=0.1)
            self.count = self.count + 1
        return self.last(hidden - self.mean)


class Residual(nn.Module):
    """Blocks in a list, each called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(6, 6), nn.Tanh()) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            for block in self.blocks:
                x = x + block(x)
        return x


class Apart(nn.Module):
    """The bilinear form of a sample's halves."""

    def __init__(self) -> None:
        super().__init__()
        self.form = nn.Bilinear(3, 3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.form(x[:, :3], x[:, 3:])


class Binary(nn.Module):
    """A linear map by the signs of its weights, then its outputs' signs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        return Straight.apply(x @ Straight.apply(self.layer.weight).mT + self.layer.bias)


add("own gradient", ROW, Binary, compiled=True)
add("residual", ROW, Residual)
add("bilinear", ROW, Apart)
CASES["buffers"] = Case(Decaying, ROW)
CASES["tied"] = Case(Tied, (5,), words=7)
CASES["embedding"] = Case(
    lambda: nn.Sequential(nn.Embedding(7, 5, max_norm=None), nn.Flatten(), nn.Linear(25, 3)),
    (5,),
    words=7,
)
CASES["embedding bag"] = Case(
    lambda: nn.Sequential(nn.EmbeddingBag(7, 5), nn.Linear(5, 3)), (5,), words=7
)
