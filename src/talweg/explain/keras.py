"""Keras' optimizers, and TensorFlow's, which are the same. Keras itself is not imported.

Checked against Keras 3 (`tests/explain`). Every class decays weights apart from the gradient:
``p ← p·(1 − learning_rate·weight_decay)`` before its step.
"""

import struct
from typing import Any

from talweg.core import Rule, UserError
from talweg.explain.counterpart import Counterpart, Framework, Settings, maker, without_momentum
from talweg.rules import (
    LAMB,
    AdaDelta,
    AdaGrad,
    Adam,
    AdaMax,
    Lion,
    Momentum,
    NAdam,
    RMSProp,
)
from talweg.transforms import ClipNorm, ClipValue, Transform, WeightAverage, WeightDecay

SHARED: Settings = {
    "weight_decay": None,
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
    "name": None,
}
NAMES = {
    "learning_rate": "lr",
    "beta_1": "beta1",
    "beta_2": "beta2",
    "epsilon": "eps",
    "initial_accumulator_value": "initial",
}
REFUSED = {
    "ema_overwrite_frequency": "talweg's average never replaces the parameters in mid-training",
    "gradient_accumulation_steps": "train with batches that many times as large",
}
HAT = "epsilon is added before the bias of the mean square is corrected"
BETAS = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
_counterpart = maker(SHARED, NAMES, REFUSED)


def _rule_of(optimizer: str, settings: Settings) -> Rule:
    known = OPTIMIZERS[optimizer]
    rule = without_momentum(known.rule.changed(**known.fields(settings)))
    known_clips = ("clipnorm", "global_clipnorm", "clipvalue")
    clips = [name for name in known_clips if settings[name] is not None]
    if len(clips) > 1:
        raise UserError(f"Keras takes one of {' and '.join(clips)}, not both")
    if settings["clipvalue"] is not None:
        rule = ClipValue(rule, settings["clipvalue"])
    if settings["clipnorm"] is not None:
        rule = ClipNorm(rule, settings["clipnorm"], slack=0.0, over="tensor")
    if settings["global_clipnorm"] is not None:
        rule = ClipNorm(rule, settings["global_clipnorm"], slack=0.0)
    if settings["weight_decay"]:
        rule = WeightDecay(rule, settings["weight_decay"])
    if settings["use_ema"]:
        rule = WeightAverage(rule, settings["ema_momentum"])
    return rule


def _around(transform: Transform) -> Settings:
    match transform:
        case WeightDecay():
            return {"weight_decay": transform.weight_decay}
        case ClipValue():
            return {"clipvalue": transform.limit}
        case ClipNorm():
            name = "clipnorm" if transform.over == "tensor" else "global_clipnorm"
            return {name: transform.max_norm}
        case WeightAverage(kind="exponential", start=0):
            return {"use_ema": True, "ema_momentum": transform.decay}
        case _:
            return {}


def read(optimizer: Any) -> tuple[str, dict[str, Any]]:
    """The name and the settings of a Keras optimizer.

    Raises:
        UserError: If they do not say all that the optimizer does.
    """
    kind = type(optimizer)
    if ".optimizers." not in kind.__module__ or ".legacy" in kind.__module__:
        raise UserError(f"{kind.__module__}.{kind.__name__} is no optimizer of Keras 3")
    if kind.__name__ not in OPTIMIZERS:
        return kind.__name__, {}
    spared = getattr(optimizer, "_exclude_from_weight_decay", None)
    pattern = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    if optimizer.weight_decay and (spared or pattern):
        raise UserError(
            f"{kind.__name__} spares some variables its weight decay: convert it by name, once "
            "with the weight decay and once without"
        )
    config = dict(optimizer.get_config())
    rate = config["learning_rate"]
    if isinstance(rate, float):
        config["learning_rate"] = _shortest(rate)
    return kind.__name__, config


def _shortest(rate: float) -> float:
    """The number that was typed, for one that went through float32, in which Keras keeps rates."""

    def rounded(value: float) -> float:
        return struct.unpack("f", struct.pack("f", value))[0]

    if rounded(rate) != rate:
        return rate
    candidates = (float(f"{rate:.{digits}g}") for digits in range(1, 18))
    return next(value for value in candidates if rounded(value) == rate)


OPTIMIZERS: dict[str, Counterpart] = {
    "SGD": _counterpart(
        Momentum(momentum=0.0),
        {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False},
        {
            "sgd": {},
            "momentum": {"momentum": 0.9},
            "nesterov": {"momentum": 0.9, "nesterov": True},
        },
        "Momentum is of the velocity form: what was gathered keeps the old rate when it changes. "
        "With nesterov the variables are the look-ahead point.",
    ),
    "RMSprop": _counterpart(
        RMSProp(eps_inside=True),
        {
            "learning_rate": 0.001,
            "rho": 0.9,
            "momentum": 0.0,
            "epsilon": 1e-7,
            "centered": False,
        },
        {"rmsprop": {}},
        "epsilon is under the root.",
    ),
    "Adam": _counterpart(
        Adam(eps_hat=True),
        {"learning_rate": 0.001, **BETAS, "amsgrad": False},
        {"adam": {}, "amsgrad": {"amsgrad": True}},
        f"{HAT}.",
    ),
    "AdamW": _counterpart(
        Adam(eps_hat=True),
        {"learning_rate": 0.001, "weight_decay": 0.004, **BETAS, "amsgrad": False},
        {"adamw": {}},
        f"{HAT}.",
    ),
    "Adamax": _counterpart(
        AdaMax(eps_inside=False),
        {"learning_rate": 0.001, **BETAS},
        {"adamax": {}},
        "epsilon is added to the largest gradient, not inside the maximum.",
    ),
    "Nadam": _counterpart(
        NAdam(psi=1.0),
        {"learning_rate": 0.001, **BETAS},
        {"nadam": {}},
        "The momentum grows by 0.96^t, 250 times as fast as the paper's 0.96^(0.004·t).",
    ),
    "Adagrad": _counterpart(
        AdaGrad(eps_inside=True),
        {"learning_rate": 0.001, "initial_accumulator_value": 0.1, "epsilon": 1e-7},
        {"adagrad": {}},
        "epsilon is under the root.",
    ),
    "Adadelta": _counterpart(
        AdaDelta(),
        {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-7},
        {"adadelta": {}},
        "The paper's rate is 1; the default here is a thousandth of it.",
    ),
    "Lion": _counterpart(
        Lion(), {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.99}, {"lion": {}}
    ),
    "Lamb": _counterpart(
        LAMB(),
        {"learning_rate": 0.001, **BETAS},
        {"lamb": {}},
        "",
        {"weight_decay": "Keras takes it off the parameters, LAMB here adds it to the direction"},
    ),
}
MISSING = {
    "Adafactor": "talweg has PyTorch's form, with other steps and another eps",
    "Ftrl": "",
    "Muon": "it leaves some variables to Adam by their names and places",
    "ScheduleFreeAdamW": "Keras makes other numbers of it on PyTorch than on JAX",
    "LossScaleOptimizer": "it is around another optimizer: convert that one, its inner_optimizer",
    "MultiOptimizer": "it holds several optimizers: convert each of them",
}

KERAS = Framework(
    "Keras",
    "keras.optimizers",
    "learning_rate",
    lambda: OPTIMIZERS,
    MISSING,
    _rule_of,
    frozenset({"name", "loss_scale_factor"}),
    "weight_decay is decoupled and around the rule, as WeightDecay; clipvalue is ClipValue, "
    "clipnorm ClipNorm of each tensor, global_clipnorm of the model, use_ema WeightAverage.",
    {"weight_decay": (0,)},
    _around,
)
