"""One card for each activation."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from talweg.activations import ACTIVATIONS, Activation, Properties
from talweg.atlas.curves import Frame
from talweg.report.pieces import escape

FRAME = Frame(-4.0, 4.0, -2.0, 3.0)
KINDS = (
    (
        "Bounded",
        "No output is ever large. Where the line is level nothing passes back: saturation.",
    ),
    ("Bounded below", "Rectifiers, hard and soft: gradients pass on one side."),
    ("Unbounded", "Gradients pass on both sides."),
)


def kind_of(found: Properties) -> str:
    """The family that an activation belongs to, by its range."""
    if found.is_bounded:
        return "Bounded"
    return "Bounded below" if found.low > -math.inf else "Unbounded"


def sections() -> str:
    """All activations, family by family."""
    made: list[str] = []
    for kind, words in KINDS:
        cards = [card(one) for one in ACTIVATIONS.values() if kind_of(one.properties) == kind]
        made.append(
            f'<section><h2>{kind}</h2><p class="note">{words}</p>'
            f'<div class="cards">{"".join(cards)}</div></section>'
        )
    return "".join(made)


def card(one: Activation) -> str:
    """An activation's curve, derivative and properties."""
    found = one.properties
    facts = "".join(f"<li>{escape(fact)}</li>" for fact in facts_of(one))
    source = f"<small>{escape(one.source)}</small>" if one.source else ""
    drawn = FRAME.picture(_drawn(one), escape(f"{one.name} and its derivative"))
    return (
        f'<article class="card" id="{one.name}"><h3>{one.name}</h3>'
        f'<p class="formula">{escape(one.formula)}</p>{drawn}'
        f'<dl class="numbers-of">{_number("max |f′|", found.max_slope)}'
        f"{_number('gain', found.gain)}{_number('gradient gain', found.gradient_gain)}</dl>"
        f'<ul class="facts">{facts}</ul>{source}</article>'
    )


def facts_of(one: Activation) -> list[str]:
    """What an activation's properties say, in words."""
    found = one.properties
    if found.max_slope == 0:
        return [_range(found), "derivative 0: nothing before it can be trained"]
    words = [_range(found)]
    words += ["a layer with weights of its own"] if one.is_layer else []
    words.append("monotonic" if found.is_monotonic else "not monotonic")
    words.append("smooth" if found.is_smooth else "has a kink")
    words += ["zero-centred"] if found.is_zero_centred else []
    words += ["≈ x near 0"] if found.is_identity_near_0 else []
    return words


def _range(found: Properties) -> str:
    low, high = (f"{value:.3g}".replace("inf", "∞").replace("-", "−") for value in _ends(found))
    return f"{low} … {high}"


def _ends(found: Properties) -> tuple[float, float]:
    return found.low + 0.0, found.high + 0.0


def _number(name: str, value: float) -> str:
    shown = "∞" if math.isinf(value) else f"{value:.3g}"
    return f"<div><dt>{escape(name)}</dt><dd>{shown}</dd></div>"


def _drawn(one: Activation) -> str:
    x = FRAME.points()
    bell = torch.exp(-x.square() / 2) * 0.9
    ground = f"M0 {FRAME.y(FRAME.low)}" + "".join(
        f"L{FRAME.x(a)} {FRAME.y(FRAME.low + b)}"
        for a, b in zip(x[::8].tolist(), bell[::8].tolist(), strict=True)
    )
    parts = [f'<path class="bell" d="{ground}L{FRAME.x(FRAME.right)} {FRAME.y(FRAME.low)}Z"/>']
    parts.append(FRAME.axes((-2, 2), (-1, 1, 2)))
    for word, function in _functions(one).items():
        values, slopes = _with_slopes(function, x)
        aside = " aside" if word else ""
        parts.append(FRAME.path(x, slopes, f"slope{aside}"))
        parts.append(FRAME.path(x, values, f"value{aside}"))
    return "".join(parts)


def _functions(one: Activation) -> dict[str, Callable[[Tensor], Tensor]]:
    """What to draw: the function as it starts, and others of its family beside it."""
    if one.is_layer:
        return {"": _some_layer(one)}
    return {"": one.function(), **{word: make().double() for word, make in one.more.items()}}


def _some_layer(one: Activation) -> Callable[[Tensor], Tensor]:
    """A layer from one number to one, of four pieces: a convex line."""
    layer = one.make(1, 1, 4).double()
    weights, biases = layer.parameters()
    with torch.no_grad():
        weights.copy_(torch.tensor([[-0.9], [-0.25], [0.3], [1.1]], dtype=torch.float64))
        biases.copy_(torch.tensor([-1.6, -0.4, -0.3, -1.2], dtype=torch.float64))
    return lambda x: layer(x[:, None])[:, 0]


def _with_slopes(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    values = function(x)
    (slopes,) = torch.autograd.grad(values.sum(), x)
    return values.detach(), slopes
