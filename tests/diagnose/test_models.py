"""Which layers models of many kinds are found to have, and what comes after them."""

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.diagnose.following import Lambda, Unknown, flat, followed
from tests.diagnose.tiny import trained
from torch import Tensor, nn
from torch.nn import functional

import talweg

os.environ["HF_HUB_OFFLINE"] = "1"


def block(down: bool = False) -> Lambda:
    """As torchvision's, with one activation module for all places."""

    def forward(m: Any, x: Tensor) -> Tensor:
        out = m.norm1(m.conv1(x))
        out = m.norm2(m.conv2(m.relu(out)))
        out += m.down(x) if down else x
        return m.relu(out)

    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(4, 4, 3, padding=1, bias=False), "norm1": nn.BatchNorm2d(4),
        "conv2": nn.Conv2d(4, 4, 3, padding=1, bias=False), "norm2": nn.BatchNorm2d(4),
        "relu": nn.ReLU(inplace=True),
    }  # fmt: skip
    if down:
        layers["down"] = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4))
    return Lambda(forward, **layers)


def attention() -> Lambda:
    def forward(m: Any, x: Tensor) -> Tensor:
        q, k, v = m.q(x), m.k(x), m.v(x)
        return m.out(functional.scaled_dot_product_attention(q, k, v)) + x

    return Lambda(forward, **{name: nn.Linear(8, 8) for name in ("q", "k", "v", "out")})


def low_rank() -> Lambda:
    def forward(m: Any, x: Tensor) -> Tensor:
        return m.head((m.base(x) + m.up(m.down(m.drop(x)))).relu())

    return Lambda(
        forward, base=nn.Linear(8, 8), drop=nn.Dropout(0.1), down=nn.Linear(8, 2, bias=False),
        up=nn.Linear(2, 8, bias=False), head=nn.Linear(8, 3),
    )  # fmt: skip


def branches() -> Lambda:
    def forward(m: Any, x: Tensor) -> Tensor:
        left = m.left(x)
        right = m.right(m.act(x))
        return m.head(functional.elu(left + right))

    return Lambda(
        forward, left=nn.Linear(8, 8), act=nn.ReLU(), right=nn.Linear(8, 8), head=nn.Linear(8, 3)
    )


def experts() -> Lambda:
    def forward(m: Any, x: Tensor) -> Tensor:
        weights = m.gate(x).softmax(-1)
        chosen = weights.argmax(-1)
        out = torch.zeros_like(x)
        for place in range(4):
            rows = (chosen == place).nonzero()[:, 0]
            out[rows] = weights[rows, place, None] * getattr(m, f"expert{place}")(x[rows])
        return m.head(out)

    def expert() -> nn.Module:
        return nn.Sequential(nn.Linear(8, 16), nn.SiLU(), nn.Linear(16, 8))

    layers = {f"expert{place}": expert() for place in range(4)}
    return Lambda(forward, gate=nn.Linear(8, 4), **layers, head=nn.Linear(8, 3))


def gated() -> Lambda:
    def forward(m: Any, x: Tensor) -> Tensor:
        return m.down(m.act(m.gate(x)) * m.up(x))

    return Lambda(
        forward, gate=nn.Linear(8, 16), up=nn.Linear(8, 16), down=nn.Linear(16, 8), act=nn.SiLU()
    )


def tokens() -> Lambda:
    def forward(m: Any, x: Tensor) -> Tensor:
        hidden, _ = m.rnn(m.norm(m.table(x)))
        return m.head(hidden[:, -1])

    return Lambda(
        forward, table=nn.Embedding(5, 8), norm=nn.LayerNorm(8),
        rnn=nn.LSTM(8, 6, batch_first=True), head=nn.Linear(6, 3),
    )  # fmt: skip


def separable() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), nn.ReLU6(),
        nn.Conv2d(8, 8, (1, 3)), nn.Conv2d(8, 8, (3, 1)), nn.Hardswish(),
    )  # fmt: skip


def encoder() -> nn.Module:
    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)


IMAGES, SEQUENCES = torch.randn(6, 4, 5, 5), torch.randn(6, 5, 8)


MODELS: dict[str, tuple[Callable[[], nn.Module], Tensor, str]] = {
    "block": (block, IMAGES, "conv1 norm1:relu conv2 norm2:relu"),
    "block down": (lambda: block(True), IMAGES,
        "conv1 norm1:relu conv2 norm2 down.0 down.1:relu"),
    "attention": (attention, SEQUENCES, "q k v out"),
    "encoder": (encoder, SEQUENCES, "self_attn norm1 linear1:relu linear2 norm2"),
    "low rank": (low_rank, SEQUENCES, "base down up:relu head"),
    "branches": (branches, SEQUENCES, "left right:elu head"),
    "experts": (experts, torch.randn(40, 8),
        "gate expert0.0:silu expert0.2 expert1.0:silu expert1.2 expert2.0:silu expert2.2 "
        "expert3.0:silu expert3.2 head"),
    "gated": (gated, SEQUENCES, "gate:silu up down"),
    "tokens": (tokens, torch.randint(5, (6, 5)), "table norm rnn head"),
    "separable": (separable, IMAGES, "0 1 2:relu6 4 5:hard-swish"),
    "RNN": (lambda: nn.RNN(8, 6, nonlinearity="relu"), SEQUENCES, "RNN:relu"),
    "GRU": (lambda: nn.GRU(8, 6, 2), SEQUENCES, "GRU"),
    "multihead": (lambda: Lambda(lambda m, x: m.a(x, x, x), a=nn.MultiheadAttention(8, 2)),
        SEQUENCES, "a"),
    "group norm": (lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.GroupNorm(2, 6), nn.Mish()),
        IMAGES, "0 1:mish"),
    "transposed": (lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3), nn.LeakyReLU()),
        IMAGES, "0:leaky-relu"),
    "pooled": (lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.MaxPool2d(2), nn.Conv2d(6, 5, 1)),
        IMAGES, "0 2"),
    "unknown gelu": (lambda: nn.Sequential(nn.Linear(8, 6), Unknown(functional.gelu),
        nn.Linear(6, 2)), SEQUENCES, "0:gelu 2"),
    "unknown square": (lambda: nn.Sequential(nn.Linear(8, 6), Unknown(torch.square),
        nn.Linear(6, 2)), SEQUENCES, "0 2"),
    "dropout": (lambda: nn.Sequential(nn.Linear(8, 6), nn.Dropout(0.5), nn.ReLU(),
        nn.Linear(6, 2)), SEQUENCES, "0:relu 3"),
    "prelu": (lambda: nn.Sequential(nn.Linear(8, 6), nn.PReLU(), nn.Linear(6, 2)), SEQUENCES,
        "0:prelu 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_the_layers_of_a_model(name: str):
    make, x, expected = MODELS[name]
    trace, listening = followed(make(), x, times=2)
    found = [f"{each.name}:{each.activation}".rstrip(":") for each in trace.layers]
    assert found == expected.split()
    straight = {each.name for each in trace.layers if each.straight_from}
    assert straight == ({"up"} if name == "low rank" else set())
    units = {each.name: each.units for each in trace.layers}
    for layer, seen in listening.activities.items():
        assert all(each.values.shape[each.dim] == units[layer] for each in seen)
        assert bool(next(each.activation for each in trace.layers if each.name == layer)) == bool(
            seen[0].activation
        )
    assert set(listening.grads) == {each.name for each in trace.layers}


@pytest.mark.parametrize("name", MODELS)
def test_no_model_is_said_to_lack_an_activation(name: str):
    make, x, _ = MODELS[name]
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), 1e-4)
    with talweg.watch(model, optimizer, every=1) as health:
        for _ in range(3):
            optimizer.zero_grad()
            sum(value.square().mean() for value in flat(model(x))).backward()
            optimizer.step()
    assert health.notes == []
    bad = [one for one in health.findings if one.name == "no activation"]
    assert not [one for one in bad if one.severity != "note"]
    assert [one.layer for one in bad] == (["up"] if name == "low rank" else [])
    assert not [one for one in health.findings if one.name == "dead units"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("tier", ["light", "full"])
@pytest.mark.parametrize("is_whole", [True, False])
def test_modules_in_torchscript_take_no_hooks_and_are_measured_by_their_weights(
    is_whole: bool, tier: Any
):
    torch.manual_seed(0)
    inner = torch.jit.script(nn.Sequential(nn.Linear(12, 8), nn.ReLU()))
    model = nn.Sequential(inner, nn.Linear(8, 4))
    health = trained(torch.jit.script(model) if is_whole else model, tier=tier)
    names = ("0.0", "1")
    assert all(tuple(one.of("update ratio")) == names for one in health.moments)
    assert ("TorchScript" in str(health)) == is_whole
    assert any(moment.of("one-signed") for moment in health.moments) == (tier == "full")


def test_units_that_give_nothing_are_dead_behind_a_pool():
    model = Lambda(
        lambda m, x: m.b(functional.relu(functional.max_pool2d(m.a(x), 2)).flatten(1)),
        a=nn.Conv2d(4, 5, 2), b=nn.Linear(20, 3),
    )  # fmt: skip
    with torch.no_grad():
        model.a.bias[:4] = -100
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    with talweg.watch(model, optimizer, every=1) as health:
        for _ in range(4):
            optimizer.zero_grad()
            model(IMAGES).square().mean().backward()
            optimizer.step()
    assert health.moments[-1].of("dead")["a"] == pytest.approx(0.8)
    assert ("dead units", "a") in {(one.name, one.layer) for one in health.findings}


def bert() -> tuple[nn.Module, dict[str, Tensor]]:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=9, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24,
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    ids = torch.randint(9, (4, 7))
    return model, {"input_ids": ids, "labels": torch.tensor([0, 1, 0, 1])}


def gpt2() -> tuple[nn.Module, dict[str, Tensor]]:
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=9, n_positions=8, n_embd=16, n_layer=2, n_head=2))
    ids = torch.randint(9, (4, 7))
    return model, {"input_ids": ids, "labels": ids}


@pytest.mark.parametrize(
    ("make", "activation"), [(bert, "intermediate.dense:gelu"), (gpt2, "mlp.c_fc:gelu-tanh")]
)
def test_hugging_faces_models(make: Any, activation: str):
    torch.manual_seed(0)
    model, batch = make()
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    with talweg.watch(model, optimizer, every=1) as health:
        for _ in range(5):
            optimizer.zero_grad()
            model(**batch).loss.backward()
            optimizer.step()
    assert health.notes == []
    assert [str(one) for one in health.findings if one.severity == "problem"] == []
    known = [f"{each.name}:{each.activation}" for each in health.setting.layers if each.activation]
    assert sum(each.endswith(activation) for each in known) == 2
    assert len(health.moments[0].of("backward norm")) == len(health.setting.layers)
    inputs = {each.name: (each.inputs, each.units) for each in health.setting.layers}
    assert inputs.get("transformer.h.0.mlp.c_fc", (16, 64)) == (16, 64)
