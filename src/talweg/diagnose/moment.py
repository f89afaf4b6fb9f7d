"""What a diagnosis is made from: the layers of a model, the rule, and what was measured when."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

WHOLE = ""
"""The layer name of what is measured of the whole model."""


@dataclass(frozen=True)
class Layer:
    """A part of a model that has parameters of its own, and what its outputs go through next.

    Attributes:
        name: The module's path in the model, such as ``"encoder.0"``.
        kind: The module's class, such as ``"Linear"``.
        weight: Its own name of the parameter that multiplies inputs; empty for norms and the like.
        activation: The registered name of the activation after it; empty if there is none, or none
            that is known.
        units: How many features or channels its outputs have.
        straight_from: The layer whose outputs are its inputs, with nothing between that is not
            linear; empty if there is none, or it is none that multiplies.
        inputs: How many features or channels its inputs have; 0 where that is not known.
    """

    name: str
    kind: str
    weight: str = ""
    activation: str = ""
    units: int = 0
    straight_from: str = ""
    inputs: int = 0


@dataclass(frozen=True)
class RuleInUse:
    """What an optimizer does, as far as a diagnosis goes by it.

    Attributes:
        name: Its class, or the rule's name.
        is_adaptive: Whether its stability edge is that of the preconditioned Hessian.
        momentum: The decay of its momentum; 0 for none.
    """

    name: str
    is_adaptive: bool = False
    momentum: float = 0.0


@dataclass(frozen=True)
class Setting:
    """What does not change during a run.

    Attributes:
        layers: Those with parameters, in the order in which a forward pass comes to them.
        rule: The rule in use; None before the first step.
    """

    layers: Sequence[Layer] = ()
    rule: RuleInUse | None = None

    @property
    def last(self) -> str:
        """The layer whose outputs are the model's predictions; empty where there is one layer."""
        return self.layers[-1].name if len(self.layers) > 1 else ""

    def layer(self, name: str) -> Layer | None:
        """The layer of a name."""
        return next((layer for layer in self.layers if layer.name == name), None)


@dataclass(frozen=True)
class Moment:
    """What was measured of one step.

    Attributes:
        step: Its number, from 0.
        values: Measure → layer, in the order of a forward pass → value; `WHOLE` for the model's.
    """

    step: int
    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, dict[str, float]])

    def of(self, measure: str) -> Mapping[str, float]:
        """A measure's value in each layer; nothing where it was not taken."""
        return self.values.get(measure, {})

    def one(self, measure: str) -> float | None:
        """A measure of the whole model; None if it was not taken."""
        return self.of(measure).get(WHOLE)


class Past:
    """The measured steps of a run up to now, as far as diagnoses look back.

    Args:
        setting: The model and the rule.

    Attributes:
        setting: As given; it may be replaced as more becomes known.
        now: The last measured step.
        before: The one before that.
        count: Measured steps with a loss.
        first_loss: The first loss.
        early_loss: The loss at the second measured step: the mean of the first few.
        least_loss: The least one at a measured step before.
        highest_lr: The highest rate so far.
        last_lr: The rate at the measured step before.
        full: The last two moments at which the costly measurements were made too.
        not_finite: Where numbers that are not finite began, until gradients and weights are finite.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.now = Moment(0)
        self.before = Moment(0)
        self.count = 0
        self.first_loss: float | None = None
        self.early_loss: float | None = None
        self.least_loss = math.inf
        self.highest_lr = 0.0
        self.last_lr: float | None = None
        self.full: list[Moment] = []
        self.not_finite: Mapping[str, float] = {}

    def add(self, moment: Moment) -> None:
        """Goes on to the next measured step."""
        loss, lr = self.now.one("loss"), self.now.one("lr")
        self.least_loss = min(self.least_loss, math.inf if loss is None else loss)
        self.last_lr = self.last_lr if lr is None else lr
        self.before, self.now = self.now, moment
        loss, lr = moment.one("loss"), moment.one("lr")
        if moment.of("edge") or moment.of("bound"):
            self.full = [*self.full[-1:], moment]
        if loss is not None:
            self.count += 1
            self.first_loss = loss if self.count == 1 else self.first_loss
            self.early_loss = loss if self.count == 2 else self.early_loss
        self.highest_lr = max(self.highest_lr, lr or 0.0)
        sizes = [*moment.of("gradient rms").values(), *moment.of("weight rms").values()]
        is_finite_again = bool(sizes) and all(map(math.isfinite, sizes))
        known: Mapping[str, float] = {} if is_finite_again else self.not_finite
        self.not_finite = moment.of("not finite") or known
