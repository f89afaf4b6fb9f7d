"""Healthy runs, and what runs with a planted disease have in common."""

from collections.abc import Callable
from random import Random
from typing import Any

from runs import DATA, RATES, Run, between, linears, optimizer_of, samples, stack
from torch import nn

from talweg.models import cnn, transformer

AFTER = 80
"""Steps that a run goes on after a disease is planted."""


def healthy(draw: Random) -> Run:
    """A usual model, at a rate that is usual for its rule."""
    kind = draw.choice(("mlp",) * 6 + ("cnn", "transformer"))
    rule = draw.choice(list(RATES))
    if kind == "cnn":
        name = "digits"
        hidden = draw.choice(((8,), (8, 16), (16, 16), (8, 8, 16)))
        model = cnn((64,), 10, hidden, draw.choice(("relu", "relu", "gelu")))
        about = f"cnn {hidden}"
    elif kind == "transformer":
        name, rule = "digits", "adam"
        model = transformer((64,), 10, (draw.choice((16, 32)),) * draw.choice((1, 2)))
        about = "transformer"
    else:
        name = draw.choice(DATA)
        model, about = perceptron(
            draw, name, draw.choice(("relu", "relu", "relu", "gelu", "tanh")), True
        )
    lr = between(draw, *usual(rule, name, model))
    batch = draw.choice((16, 32, 64, 128))
    steps = draw.choice((100, 150, 200, 300, 500))
    about = f"{name} {about} {rule} {lr:.1g}, batch {batch}"
    return Run(model, optimizer_of(model, rule, lr), name, batch, steps, about)


def perceptron(
    draw: Random,
    name: str,
    activation: str,
    extras: bool = False,
    depth: tuple[int, int] = (1, 6),
    gains: tuple[float | None, ...] = (None, 0),
) -> tuple[nn.Sequential, str]:
    """A multilayer perceptron, and what it is in words."""
    x, _, outputs, _ = samples(name)
    layers, units = draw.randint(*depth), draw.choice((16, 32, 64, 128))
    gain = draw.choice(gains)
    norm = draw.choice(("", "", "", "batch", "layer")) if extras else ""
    dropout = draw.choice((0.0, 0.0, 0.1, 0.3, 0.5)) if extras else 0.0
    model = stack(
        [x.shape[1], *[units] * layers, outputs], activation, gain=gain, norm=norm, dropout=dropout
    )
    drawing = "default" if gain == 0 else "drawn"
    return model, f"mlp {layers}×{units} {activation} {drawing} {norm} {dropout or ''}"


def usual(rule: str, name: str, model: nn.Module) -> tuple[float, float]:
    """Rates that are usual: without Adam's scaling less for squared errors and for many layers."""
    low, high = RATES[rule]
    if rule == "adam":
        return low, high
    share = (0.1 if name == "diabetes" else 1.0) * min(1.0, 4 / max(len(linears(model)) - 1, 1))
    return share * low, share * high


def onset_of(draw: Random) -> int:
    """Half of all diseases are there from the start."""
    return draw.choice((0, draw.randint(1, 200)))


def planted(
    draw: Random,
    disease: str,
    name: str,
    model: nn.Module,
    about: str,
    layer: str,
    plant: Callable[[], None] | None = None,
    rule: str = "",
    **more: Any,
) -> Run:
    """A run at a usual rate with a disease that is planted at some step."""
    rule = rule or draw.choice(list(RATES))
    lr = between(draw, *usual(rule, name, model))
    onset = onset_of(draw) if plant else 0
    batch = draw.choice((16, 32, 64, 128))
    about = f"{name} {about}, {rule} {lr:.1g}, batch {batch}, from step {onset}"
    return Run(
        model,
        optimizer_of(model, rule, lr),
        name,
        batch,
        onset + AFTER,
        about,
        disease,
        layer,
        onset,
        plant or (lambda: None),
        **more,
    )
