"""Every numeric field of every registered rule is checked against its range, in words."""

import math
from dataclasses import dataclass, fields

import pytest
import torch

from talweg.core import Rule, UserError, hyper, option
from talweg.core.fields import check
from talweg.rules import RULES, Adam, Momentum, RMSProp
from talweg.transforms import Transform

KINDS = [
    kind
    for kind in dict.fromkeys(type(known.rule) for known in RULES.values())
    if not issubclass(kind, Transform)
]
POSITIVE = "a positive number"
SHARE = "a number of at least 0 and below 1"


def message_of(kind, **settings) -> str:
    with pytest.raises(UserError) as caught:
        kind(**settings)
    return str(caught.value)


def allowed_of(spec) -> tuple[str, list[float]]:
    """The words for a field's range, and numbers just outside it."""
    bounds = spec.metadata
    if bounds["above"] == 0 and bounds["below"] == math.inf:
        return POSITIVE, [0, 0.0, -1e-300]
    if bounds["at_least"] == 0 and bounds["below"] == math.inf:
        return "a number of at least 0", [-1e-300]
    if bounds["above"] == 1:
        return "a number above 1", [1, 1.0, 0.5]
    if bounds["at_least"] == 1:
        return "a number of at least 1", [0.9]
    if bounds["above"] == 0:
        return "a number above 0 and below 1", [0, -1e-300, 1]
    assert (bounds["at_least"], bounds["below"]) == (0, 1)
    return "a number of at least 0 and below 1", [1, 1.0, -1e-300]


HYPERS = [
    pytest.param(kind, spec, id=f"{kind.__name__}.{spec.name}")
    for kind in KINDS
    for spec in fields(kind)
    if spec.metadata["kind"] == "hyper"
]


@pytest.mark.parametrize(("kind", "spec"), HYPERS)
def test_what_is_outside_the_range_or_no_number_is_refused(kind, spec):
    allowed, outside = allowed_of(spec)
    for value in (*outside, math.nan, math.inf, -math.inf, True, False, "0.1", None, [0.1]):
        assert message_of(kind, **{spec.name: value}) == (
            f"{spec.name} must be {allowed}, got {value!r}"
        )


@pytest.mark.parametrize(("kind", "spec"), HYPERS)
def test_what_is_inside_the_range_is_kept_as_it_is(kind, spec):
    inside = [spec.default, torch.tensor([[0.5], [0.25]])]
    if spec.metadata["at_least"] == 0:
        inside += [0, 0.0]
    if spec.metadata["below"] == 1:
        inside.append(math.nextafter(1, 0))
    else:
        inside += [5, 1e300]
    for value in inside:
        assert getattr(kind(**{spec.name: value}), spec.name) is value


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (Adam, {"lr": -1}, "lr must be a positive number, got -1"),
        (Adam, {"eps": 0}, "eps must be a positive number, got 0"),
        (
            Momentum,
            {"momentum": 1.0},
            "momentum must be a number of at least 0 and below 1, got 1.0",
        ),
        (Adam, {"beta2": -0.5}, "beta2 must be a number of at least 0 and below 1, got -0.5"),
        (Adam, {"lr": True}, "lr must be a positive number, got True"),
        (Adam, {"lr": math.nan}, "lr must be a positive number, got nan"),
        (Adam, {"lr": "0.1"}, "lr must be a positive number, got '0.1'"),
        (Adam, {"eps_inside": "yes"}, "eps_inside must be true or false, got 'yes'"),
        (Adam, {"eps_inside": 0}, "eps_inside must be true or false, got 0"),
        (
            Momentum,
            {"form": "average "},
            "unknown form 'average '; did you mean 'average'? "
            "(allowed: velocity, accumulate, average)",
        ),
        (RMSProp, {"form": True}, "unknown form 'True' (allowed: velocity, accumulate)"),
        (RMSProp, {"nesterov": True}, "nesterov=True needs momentum above 0, got momentum=0"),
    ],
)
def test_messages_word_by_word(kind, settings, message):
    assert message_of(kind, **settings) == message


@dataclass(frozen=True)
class Example:
    """Fields of every kind, without the rest of a rule."""

    count: float = hyper(1.0, "at least 0", at_least=0)
    angle: float = hyper(0.5, "an open interval", above=0, below=2)
    free: float = hyper(0.0, "any number")
    mode: str = option("a", "a word", ("a", "b"))

    def __post_init__(self) -> None:
        check(self)


def test_settings_by_kind():
    assert tuple(Adam().hypers) == ("lr", "beta1", "beta2", "eps")
    assert tuple(Adam().options) == ("eps_inside", "amsgrad", "eps_hat")


def test_ranges_that_no_rule_has_yet():
    assert message_of(Example, count=-1) == "count must be a number of at least 0, got -1"
    assert Example(count=0, free=-3.5).free == -3.5


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_says_what_it_does(kind):
    for spec in fields(kind):
        assert spec.metadata["doc"]
    assert fields(kind)[0].name == "lr"


def test_a_rule_is_frozen():
    with pytest.raises(AttributeError):
        Adam().lr = 0.5


def test_a_rule_has_to_say_how_it_steps():
    with pytest.raises(TypeError, match="abstract"):
        Rule()
