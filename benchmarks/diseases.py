"""Runs in which a disease is planted at a known step and layer."""

from collections.abc import Callable
from random import Random

import torch
from planting import perceptron, planted, usual
from runs import DATA, RATES, Reader, Run, between, drawn, linears, samples, stack
from torch import Tensor, nn

from talweg.models import cnn


def vanishing(draw: Random) -> Run:
    """Deep, with weights that are too small for the activation, or a recurrent net that forgets."""
    kind = draw.choice(("sigmoid", "tanh", "relu", "rnn"))
    if kind == "rnn":
        return _recurrent(draw, "vanishing gradient", "tanh", 0.05, 0.4)
    name = draw.choice(DATA)
    depth = draw.randint(4 if kind == "sigmoid" else 5, 10)
    units = draw.choice((16, 32, 64))
    x, _, outputs, _ = samples(name)
    gain = between(draw, 0.3, 1.5) if kind == "sigmoid" else between(draw, 0.05, 0.3)
    about = f"{depth}×{units} {kind} × {gain:.2g}"
    if kind == "sigmoid":  # vanishes with any weights
        model = stack([x.shape[1], *[units] * depth, outputs], kind, gain=gain)
        return planted(draw, "vanishing gradient", name, model, about, "0")
    model = stack([x.shape[1], *[units] * depth, outputs], kind)
    return planted(
        draw, "vanishing gradient", name, model, about, "0", lambda: _redrawn(model, gain)
    )


def _recurrent(draw: Random, disease: str, activation: str, low: float, high: float) -> Run:
    """Weights between steps that multiply each state by a gain within bounds."""
    rows = draw.choice((8, 16, 32))
    model = Reader(rows, 64 // rows, draw.choice((16, 32, 64)), 10, activation)
    gain = between(draw, low, high)

    def plant() -> None:
        weight = model.states.weight_hh_l0
        with torch.no_grad():
            nn.init.orthogonal_(weight)
            weight *= gain

    about = f"rnn of {rows} steps × {gain:.2g}"
    return planted(draw, disease, "digits", model, about, "states", plant, "adam")


def _redrawn(model: nn.Module, gain: float) -> None:
    """All hidden layers but the first with new weights."""
    for _, layer in linears(model)[1:-1]:
        drawn(layer, gain)


def exploding(draw: Random) -> Run:
    """Deep, with weights that are too large."""
    kind = draw.choice(("relu", "nearly linear", "tanh", "rnn"))
    if kind == "rnn":
        return _recurrent(draw, "exploding gradient", "relu", 3, 6)
    name = draw.choice(DATA)
    depth = draw.randint(8 if kind == "tanh" else 6, 12)
    units = draw.choice((32, 64))
    x, _, outputs, _ = samples(name)
    low, high = {"relu": (3.0, 8.0), "nearly linear": (2.5, 6.0), "tanh": (8.0, 12.0)}[kind]
    gain = between(draw, low, high)
    model = stack([x.shape[1], *[units] * depth, outputs], kind)
    return planted(
        draw, "exploding gradient", name, model, f"{depth}×{units} {kind} × {gain:.2g}", "0",
        lambda: _redrawn(model, gain),
    )  # fmt: skip


def dead(draw: Random) -> Run:
    """Biases of at least half of a layer's units far below 0."""
    share = draw.uniform(0.5, 1.0)
    low = -between(draw, 10, 100)
    if draw.random() < 0.2:
        name, about = "digits", "cnn"
        model: nn.Module = cnn((64,), 10, (8, 16))
        layer, chosen = draw.choice(
            [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d)]
        )
    else:
        name = draw.choice(DATA)
        # PyTorch's own drawing leaves units of deep layers dead by itself.
        model, about = perceptron(draw, name, "relu", gains=(None,))
        layer, chosen = draw.choice(linears(model)[:-1])

    def plant() -> None:
        with torch.no_grad():
            count = -int(-share * len(chosen.bias) // 1)
            chosen.bias[torch.randperm(len(chosen.bias))[:count]] = low

    about += f" {100 * share:.0f}% of {layer}"
    return planted(draw, "dead units", name, model, about, layer, plant)


def saturated(draw: Random) -> Run:
    """Weights of a layer, or the inputs of the first, many times too large."""
    name, kind = draw.choice(DATA), draw.choice(("tanh", "sigmoid"))
    model, about = perceptron(draw, name, kind, depth=(1, 4))
    layer, chosen = draw.choice(linears(model)[:-1])
    std = between(draw, 12, 50) * (1 if kind == "tanh" else 2)

    def plant() -> None:
        drawn(chosen, std)

    return planted(draw, "saturation", name, model, f"{about} {layer} × {std:.2g}", layer, plant)


def off_centre(draw: Random) -> Run:
    """Sigmoid layers, and layers with something added to what they give."""
    name = draw.choice(DATA)
    kind = draw.choice(("sigmoid", "relu", "nearly linear"))
    model, about = perceptron(draw, name, kind, depth=(1, 4))
    layer, chosen = draw.choice(linears(model)[:-1])
    if kind == "sigmoid":
        return planted(draw, "off-centre", name, model, about, layer)
    by = between(draw, 3, 10) * (1 if kind == "relu" else draw.choice((1, -1)))

    def plant() -> None:
        with torch.no_grad():
            chosen.bias += by * model[: int(layer) + 1](samples(name)[0]).std()

    return planted(draw, "off-centre", name, model, f"{about} {by:+.1f} at {layer}", layer, plant)


def no_activation(draw: Random) -> Run:
    """One activation left out."""
    name = draw.choice(DATA)
    x, _, outputs, _ = samples(name)
    depth, units = draw.randint(2, 6), draw.choice((32, 64))
    skip = draw.randrange(depth)
    kind = draw.choice(("relu", "gelu", "tanh", "sigmoid"))
    model = stack(
        [x.shape[1], *[units] * depth, outputs], kind, gain=draw.choice((None, 0)), skip=skip
    )
    layer, _ = linears(model)[skip + 1]
    return planted(draw, "no activation", name, model, f"{depth}×{units} {kind}", layer)


def _any_model(draw: Random) -> tuple[str, nn.Module, str]:
    """A data set, a model for it, and what that is in words."""
    if draw.choice(("mlp", "mlp", "mlp", "cnn")) == "cnn":
        return "digits", cnn((64,), 10, (8, 16)), "cnn"
    name = draw.choice(DATA)
    activation = draw.choice(("relu", "relu", "tanh", "gelu"))
    return name, *perceptron(draw, name, activation, depth=(1, 4))


def too_hot(draw: Random) -> Run:
    """A rate 10 to 100 times what is usual at most."""
    rule = draw.choice(list(RATES))
    name, model, about = _any_model(draw)
    run = planted(draw, "learning rate too large", name, model, about, "", lambda: None, rule)
    times = between(draw, 10, 100)
    low, high = usual(rule, name, model)
    lr = high * times
    run.about += f" × {times:.0f}: {lr:.2g}"

    def plant() -> None:
        for group in run.optimizer.param_groups:
            group["lr"] = lr

    run.plant, run.usual_lr = plant, (low * high) ** 0.5
    return run


def too_cold(draw: Random) -> Run:
    """A rate that is 100 to 1,000 times smaller than what is usual."""
    rule = draw.choice(list(RATES))
    name, model, about = _any_model(draw)
    run = planted(draw, "learning rate too small", name, model, about, "", None, rule)
    low, high = usual(rule, name, model)
    run.usual_lr = (low * high) ** 0.5
    lr = run.usual_lr / between(draw, 100, 1000)
    run.about += f": {lr:.2g}"
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    return run


def wrong_start(draw: Random) -> Run:
    """Last weights that are too large, or targets as they come."""
    if draw.random() < 0.3:
        model, about = perceptron(draw, "diabetes", draw.choice(("relu", "tanh")), depth=(1, 4))
        return planted(
            draw, "wrong start", "diabetes", model, f"{about} targets as they come", "",
            rule="adam", scale=77.0, shift=draw.choice((152.0, -200.0, 400.0)),
        )  # fmt: skip
    name = draw.choice(DATA)
    x, _, outputs, _ = samples(name)
    depth, units = draw.randint(1, 4), draw.choice((32, 64, 128))
    kind = draw.choice(("relu", "tanh"))
    model = stack([x.shape[1], *[units] * depth, outputs], kind)
    times = between(draw, 10, 50)
    drawn(linears(model)[-1][1], times)
    return planted(
        draw, "wrong start", name, model, f"{depth}×{units} {kind} last × {times:.0f}", ""
    )


class Failing(nn.Module):
    """Gives something else in place of one of its outputs, once it is told what."""

    def __init__(self) -> None:
        super().__init__()
        self.gives: float | None = None

    def forward(self, x: Tensor) -> Tensor:
        """What it is given, but for one value."""
        if self.gives is None:
            return x
        mask = torch.zeros_like(x, dtype=torch.bool)
        mask[-1, -1] = True
        return torch.where(mask, torch.full_like(x, self.gives), x)


def not_finite(draw: Random) -> Run:
    """A weight, an output, the loss or the data are not finite from a step on."""
    name = draw.choice(DATA)
    function = draw.choice(("relu", "tanh"))
    model, about = perceptron(draw, name, function)
    value = torch.nan if function == "tanh" else draw.choice((torch.inf, torch.nan))
    kind = draw.choice(("weight", "output", "loss", "data"))
    layer, chosen = draw.choice(linears(model))
    run = planted(draw, "not finite", name, model, f"{about} {kind} {value}", "", lambda: None)
    if kind == "weight":
        run.layer = layer

        def plant() -> None:
            with torch.no_grad():
                chosen.weight[0, 0] = torch.nan

    elif kind == "output":
        place = int(layer)
        failing = Failing()
        run.layer = f"{place}.1"
        run.model[place] = nn.Sequential(chosen, failing)  # pyright: ignore[reportIndexIssue]

        def plant() -> None:
            failing.gives = value

    elif kind == "loss":
        usual = samples(name)[3]

        def plant() -> None:
            run.loss = lambda output, y: usual(output, y) + (0 * output.sum()).log()

    else:

        def plant() -> None:
            run.given = value

    run.plant = plant
    return run


PLANTED: dict[str, Callable[[Random], Run]] = {
    "vanishing gradient": vanishing,
    "exploding gradient": exploding,
    "dead units": dead,
    "saturation": saturated,
    "off-centre": off_centre,
    "no activation": no_activation,
    "learning rate too large": too_hot,
    "learning rate too small": too_cold,
    "wrong start": wrong_start,
    "not finite": not_finite,
}
