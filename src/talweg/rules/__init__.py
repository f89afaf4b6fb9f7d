"""Update rules: the maths of gradient descent, one rule per file, each written once.

`RULES` names them. To add one: write its file here and its oracle in ``tests/rules/oracles``.
"""

from dataclasses import dataclass

import numpy as np

from talweg.core import Registry, Rule, UserError, check_promises, choose, parse_call
from talweg.rules.adabelief import AdaBelief
from talweg.rules.adadelta import AdaDelta
from talweg.rules.adafactor import Adafactor
from talweg.rules.adagrad import AdaGrad
from talweg.rules.adam import Adam
from talweg.rules.adamax import AdaMax
from talweg.rules.adan import Adan
from talweg.rules.asgd import ASGD
from talweg.rules.lamb import LAMB
from talweg.rules.lion import Lion
from talweg.rules.momentum import Momentum
from talweg.rules.muon import Muon
from talweg.rules.nadam import NAdam
from talweg.rules.nesterov import Nesterov
from talweg.rules.prodigy import Prodigy
from talweg.rules.radam import RAdam
from talweg.rules.rmsprop import RMSProp
from talweg.rules.rprop import Rprop
from talweg.rules.schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD
from talweg.rules.sgd import SGD
from talweg.rules.soap import SOAP
from talweg.rules.yogi import Yogi
from talweg.transforms import Transform, WeightDecay

__all__ = [
    "ASGD",
    "LAMB",
    "RULES",
    "SGD",
    "SOAP",
    "STANDARD",
    "AdaBelief",
    "AdaDelta",
    "AdaGrad",
    "AdaMax",
    "Adafactor",
    "Adam",
    "Adan",
    "Lion",
    "Momentum",
    "Muon",
    "NAdam",
    "NamedRule",
    "Nesterov",
    "Prodigy",
    "RAdam",
    "RMSProp",
    "Rprop",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Yogi",
    "default_lrs",
    "named",
    "rule_label",
]


@dataclass(frozen=True)
class NamedRule:
    """A rule under the name and label that people know it by.

    Args:
        name: What is typed, such as ``"rmsprop-nesterov"``; options that differ are in brackets.
        label: What is shown, such as ``"RMSProp + Nesterov"``.
        rule: The rule with its hyperparameters.
    """

    name: str
    label: str
    rule: Rule

    def with_lr(self, lr: float) -> Rule:
        """The rule with another learning rate.

        Raises:
            UserError: If it is out of range.
        """
        return self.rule.changed(lr=lr)


RULES: Registry[NamedRule] = Registry("rule", "talweg list rules")
for _name, _label, _rule in (
    ("sgd", "SGD", SGD()),
    ("momentum", "Momentum", Momentum()),
    ("nesterov", "Nesterov", Nesterov()),
    ("adagrad", "AdaGrad", AdaGrad()),
    ("rmsprop", "RMSProp", RMSProp()),
    ("rmsprop-nesterov", "RMSProp + Nesterov", RMSProp(momentum=0.9, nesterov=True)),
    ("adam", "Adam", Adam()),
    ("adamw", "AdamW", WeightDecay(Adam())),
    ("amsgrad", "AMSGrad", Adam(amsgrad=True)),
    ("adamax", "AdaMax", AdaMax()),
    ("nadam", "NAdam", NAdam()),
    ("radam", "RAdam", RAdam()),
    ("adabelief", "AdaBelief", AdaBelief()),
    ("adan", "Adan", Adan()),
    ("yogi", "Yogi", Yogi()),
    ("lion", "Lion", Lion()),
    ("lamb", "LAMB", LAMB()),
    ("muon", "Muon", Muon()),
    ("adafactor", "Adafactor", Adafactor()),
    ("soap", "SOAP", SOAP()),
    ("prodigy", "Prodigy", Prodigy()),
    ("adadelta", "AdaDelta", AdaDelta()),
    ("rprop", "Rprop", Rprop()),
    ("asgd", "ASGD", ASGD()),
    ("schedule-free-sgd", "Schedule-Free SGD", ScheduleFreeSGD()),
    ("schedule-free-adamw", "Schedule-Free AdamW", ScheduleFreeAdamW()),
):
    RULES.add(_name, NamedRule(_name, _label, _rule))

STANDARD: tuple[str, ...] = (
    "sgd",
    "momentum",
    "nesterov",
    "adagrad",
    "rmsprop",
    "rmsprop-nesterov",
    "adam",
)
"""The rules that `talweg.compare` trains when none are named."""


def named(rule: str | Rule | NamedRule) -> NamedRule:
    """A rule with its name, from a name, a name with options, or a rule.

    Raises:
        UserError: If the name or an option is unknown or a value out of range.

    >>> named("momentum(form=average)").label
    'Momentum (form=average)'
    >>> named(Adam(beta1=0.8)).name
    'adam(beta1=0.8)'
    """
    if isinstance(rule, NamedRule):
        return rule
    if isinstance(rule, Rule):
        check_promises(rule)
        return _name_of(rule)
    if not isinstance(rule, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"a rule is a name or a talweg.rules object, got {type(rule).__name__}")
    name, options = parse_call(rule)
    known = RULES[name]
    for key in options:
        if key not in known.rule.settings:
            raise choose(f"option of {name}", key, known.rule.settings)
    return _label_with(known, known.rule.changed(**options))


def rule_label(rule: Rule) -> str:
    """What to call a rule in a picture: ``"Adam"``, ``"Adam (beta1=0.8)"``."""
    return _name_of(rule).label


def default_lrs(rule: Rule, count: int = 9) -> list[float]:
    """``count`` learning rates, evenly spaced in the logarithm over the rule's own range.

    >>> default_lrs(SGD(), count=3), default_lrs(SGD(), count=1)
    ([0.001, 0.1, 10.0], [0.1])
    """
    low, high = np.log10(rule.lr_range)
    exponents = np.linspace(low, high, count) if count > 1 else [(low + high) / 2]
    return [float(f"{10**exponent:.4g}") for exponent in exponents]


def _name_of(rule: Rule) -> NamedRule:
    """The registered rule that differs least from this one, with the differences spelled out."""
    same_class = [known for known in RULES.values() if _kind(known.rule) == _kind(rule)]
    if not same_class:
        name = type(rule).__name__
        return NamedRule(name.lower(), name, rule)
    return min(
        (_label_with(known, rule) for known in same_class), key=lambda entry: len(entry.name)
    )


def _kind(rule: Rule) -> tuple[type, ...]:
    """The rule's class, and of a transform those inside too."""
    return (type(rule), *(_kind(rule.rule) if isinstance(rule, Transform) else ()))


def _label_with(known: NamedRule, rule: Rule) -> NamedRule:
    usual = known.rule.settings
    differences = [
        f"{key}={_shortest(value)}"
        for key, value in rule.settings.items()
        if key != "lr" and value != usual[key]
    ]
    inside = ", ".join(differences)
    if not inside:
        return NamedRule(known.name, known.label, rule)
    return NamedRule(f"{known.name}({inside})", f"{known.label} ({inside})", rule)


def _shortest(value: object) -> str:
    """The shortest text that reads back as the same value."""
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return f"{value}"
