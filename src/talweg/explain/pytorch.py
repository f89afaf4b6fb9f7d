"""PyTorch's optimizers: what `talweg.optim` knows of them."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from talweg import optim
from talweg.core import Rule, UserError, first_line
from talweg.explain.counterpart import Counterpart, Framework, Settings, plain
from talweg.rules import RULES, named
from talweg.transforms import Ascent, Transform, WeightDecay

NAMES: dict[str, str | tuple[str, ...]] = {
    "betas": ("beta1", "beta2"),
    "etas": ("eta_minus", "eta_plus"),
    "step_sizes": ("step_min", "step_max"),
    "decoupled_weight_decay": "decoupled",
}
OWN_NAMES: dict[str, dict[str, str | tuple[str, ...]]] = {
    "Adafactor": {"beta2_decay": "-power", "eps": ("eps", "floor")},
    "Muon": {"adjust_lr_fn": "adjust"},
}
"""As `NAMES`, of one optimizer."""
IDLE = frozenset({"foreach", "fused", "capturable", "differentiable"})
FORMS: dict[str, dict[str, Settings]] = {
    "SGD": {
        "momentum": {"momentum": 0.9},
        "nesterov": {"momentum": 0.9, "nesterov": True},
    },
    "Adam": {"amsgrad": {"amsgrad": True}},
}
"""The settings that make an optimizer another rule than its defaults do."""
NOTES = {
    "SGD": "Momentum is of the accumulate form: a new rate holds for all that was gathered. With "
    "nesterov the parameters are the look-ahead point; dampening spares the first gradient.",
    "RMSprop": "eps is beside the root; momentum is of the accumulate form.",
    "Adam": "eps is added after the bias is corrected.",
    "AdamW": "eps is added after the bias is corrected.",
    "Adamax": "eps is added inside the maximum.",
    "Adagrad": "eps is beside the root.",
    "RAdam": "eps is added before the bias of the mean square is corrected.",
    "Muon": "For matrices only.",
    "Adafactor": "eps[0] is eps, None for the dtype's own; eps[1] is floor.",
    "ASGD": "The average is kept in the state, the model holds the last point.",
}
WHY = {
    "LBFGS": "it evaluates the model many times a step",
    "SparseAdam": "it is for sparse gradients",
}


def _optimizer(name: str, settings: Settings) -> optim.RuleOptimizer:
    """The optimizer of that name in `talweg.optim`, on a parameter that nobody needs."""
    try:
        return getattr(optim, name)([torch.zeros(2, 2)], **settings)
    except TypeError as error:  # torch compares before it looks
        raise UserError(first_line(error)) from error


def _followed(optimizer: optim.RuleOptimizer, group: dict[str, Any]) -> Rule:
    """The rule that a parameter group follows, with every number checked."""
    rule = optimizer.rule_of(group)
    rule = rule.changed(**rule.settings)
    return Ascent(rule) if group.get("maximize") else rule


def _rule_of(optimizer: str, settings: Settings) -> Rule:
    own = {name: value for name, value in settings.items() if name not in IDLE}
    twin = _optimizer(optimizer, own)
    return _followed(twin, twin.param_groups[0])


def _around(transform: Transform) -> Settings:
    match transform:
        case WeightDecay():
            decoupled = {"decoupled_weight_decay": True} if transform.decoupled else {}
            return {"weight_decay": transform.weight_decay, **decoupled}
        case Ascent():
            return {"maximize": True}
        case _:
            return {}


def rule_of_live(optimizer: torch.optim.Optimizer) -> Rule:
    """The rule that a PyTorch optimizer follows, or one of talweg's.

    Raises:
        UserError: If its parameter groups follow different ones, or it is not PyTorch's own.
    """
    first, *others = ({**group, "params": []} for group in optimizer.param_groups)
    for other in others:
        for name in optimizer.defaults:
            if other[name] != first[name]:
                raise UserError(f"the parameter groups differ in {name}: convert each by name")
    numbers = {name: plain(value) for name, value in first.items() if name != "params"}
    if isinstance(optimizer, optim.RuleOptimizer):
        return _followed(optimizer, numbers)
    kind = type(optimizer)
    if getattr(torch.optim, kind.__name__, None) is not kind:
        raise UserError(f"{kind.__module__}.{kind.__name__} is no optimizer of PyTorch's own")
    if kind.__name__ in MISSING:
        return PYTORCH.convert(kind.__name__, {})
    known = inspect.signature(kind).parameters
    return _rule_of(kind.__name__, {name: v for name, v in numbers.items() if name in known})


def _counterpart(name: str) -> Counterpart:
    kind = getattr(torch.optim, name)
    usual = inspect.signature(kind).parameters.items()
    settings = {key: spec.default for key, spec in usual if key != "params"}
    rule = _rule_of(name, {})
    same = named(rule).name.partition("(")[0]
    of: dict[str, Settings] = {same: {}} if same in RULES else {}
    spoken: Mapping[str, str] = getattr(optim, name).spoken
    said = {theirs: ours for ours, theirs in spoken.items() if theirs.isidentifier()}
    names: dict[str, str | tuple[str, ...]] = NAMES | said | OWN_NAMES.get(name, {})
    return Counterpart(rule, settings, of | FORMS.get(name, {}), names, NOTES.get(name, ""))


THEIRS = [
    name
    for name, kind in vars(torch.optim).items()
    if inspect.isclass(kind)
    and issubclass(kind, torch.optim.Optimizer)
    and kind is not torch.optim.Optimizer
]
MISSING = {name: WHY.get(name, "") for name in THEIRS if not hasattr(optim, name)}


def _counterparts() -> dict[str, Counterpart]:
    """Made when they are needed: an optimizer of torch's loads its compiler."""
    return {name: _counterpart(name) for name in THEIRS if name not in MISSING}


PYTORCH = Framework(
    "PyTorch",
    "torch.optim",
    "lr",
    _counterparts,
    MISSING,
    _rule_of,
    IDLE,
    "weight_decay is coupled but for AdamW and with decoupled_weight_decay; maximize is Ascent. "
    "talweg.optim has the same classes.",
    around=_around,
)
