"""The stability edge: the learning rate above which a rule overshoots ever farther.

On a quadratic of curvature λ the gradient then changes sign at every step. What such a gradient
moves weights by, as a share of ``lr``, is the rule's gain; training is stable while
``lr · gain · λ < 2``. It is 1 for SGD, 1/(1+a) with heavy-ball momentum a, (1+2a)/(1+a) with
Nesterov's, and (1−b)/(1+b) where the momentum is an average. For adaptive rules λ is the largest
eigenvalue of the preconditioned Hessian.

Source: Cohen et al., "Gradient descent on neural networks typically occurs at the edge of
stability" (2021), appendix B; "Adaptive gradient methods at the edge of stability" (2022),
equations 2 and 4.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from talweg.diagnose.measures.curvature import flat
from talweg.diagnose.moment import RuleInUse

State = Mapping[str, Any]
Group = Mapping[str, Any]


@dataclass(frozen=True)
class Stable:
    """What the edge of a rule follows from.

    Args:
        gain: A group's settings and a parameter's state → the rule's gain.
        divisor: Settings, state before the step and gradient → what the step is divided by; None
            for a rule that is not adaptive.
    """

    gain: Callable[[Group, State], float]
    divisor: Callable[[Group, State, Tensor], Tensor] | None = None


def _momentum(momentum: float, dampening: float = 0.0, nesterov: bool = False) -> float:
    """The gain of momentum that adds gradients up."""
    gain = (1 - dampening) / (1 + momentum)
    return 1 + momentum * gain if nesterov else gain


def _sgd(group: Group, _: State) -> float:
    a = float(group["momentum"])
    taken = float(group.get("dampening", 0.0)) if a else 0.0
    form = group.get("form", "accumulate")
    gain = _momentum(a, taken, bool(group.get("nesterov")))
    return gain * (1 - a) if form == "average" else gain


def _nesterov(group: Group, _: State) -> float:
    return _momentum(float(group["momentum"]), nesterov=True)


def _adam(group: Group, _: State) -> float:
    b = float(group["betas"][0])
    return (1 - b) / (1 + b)


def _nadam(group: Group, state: State) -> float:
    b, now, after = float(group["betas"][0]), *_momenta(group, state)
    return (1 - now) + after * (1 - b) / (1 + b)


def _momenta(group: Group, state: State) -> tuple[float, float]:
    """NAdam's momentum at this step and the next."""
    step, b = _steps(state) + 1, float(group["betas"][0])
    now, after = (b * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
    return now, after


def _steps(state: State) -> float:
    """Steps made before this one."""
    return float(state.get("step", 0))


def _average(state: State, key: str, keep: float, value: Tensor) -> Tensor:
    """A running average of the state, with this step's value in it."""
    before = state.get(key)
    return (1 - keep) * value if before is None else keep * before + (1 - keep) * value


def _adam_divisor(group: Group, state: State, grad: Tensor) -> Tensor:
    b1, b2 = map(float, group["betas"])
    step = _steps(state) + 1
    square = _average(state, "exp_avg_sq", b2, grad.square())
    if group.get("amsgrad") and "max_exp_avg_sq" in state:
        square = torch.maximum(square, state["max_exp_avg_sq"])
    return (1 - b1**step) * ((square / (1 - b2**step)).sqrt() + group["eps"])


def _rmsprop_divisor(group: Group, state: State, grad: Tensor) -> Tensor:
    keep = float(group["alpha"])
    square = _average(state, "r" if "r" in state else "square_avg", keep, grad.square())
    if group.get("centered"):
        mean = _average(state, "c" if "c" in state else "grad_avg", keep, grad)
        square = (square - mean.square()).clamp(min=0)
    if group.get("eps_inside"):
        return (square + group["eps"]).sqrt()
    return square.sqrt() + group["eps"]


def _adagrad_divisor(group: Group, state: State, grad: Tensor) -> Tensor:
    total = grad.square() + state.get("sum", 0.0)
    return (1 + _steps(state) * group["lr_decay"]) * (total.sqrt() + group["eps"])


SQUARES = {"exp_avg_sq", "max_exp_avg_sq", "square_avg", "grad_avg", "sum", "r", "c"}
"""The keys of a parameter's state that steps are divided by; some of them are talweg's."""
STABLE: Mapping[str, Stable] = {
    "SGD": Stable(_sgd),
    "Momentum": Stable(_sgd),
    "Nesterov": Stable(_nesterov),
    "Adam": Stable(_adam, _adam_divisor),
    "NAdam": Stable(_nadam, _adam_divisor),
    "RMSprop": Stable(lambda group, _: _momentum(float(group["momentum"])), _rmsprop_divisor),
    "RMSpropNesterov": Stable(_nesterov, _rmsprop_divisor),
    "Adagrad": Stable(lambda *_: 1.0, _adagrad_divisor),
}
"""The rules whose edge is known, by the class of the optimizer; so are those that inherit."""


def stable(optimizer: Optimizer) -> Stable | None:
    """What the edge of an optimizer's rule follows from; None if that is not known.

    >>> from torch import nn, optim
    >>> stable(optim.AdamW(nn.Linear(1, 1).parameters())) is STABLE["Adam"]
    True
    """
    if any(group.get("maximize") for group in optimizer.param_groups):
        return None
    known = (STABLE.get(each.__name__) for each in type(optimizer).__mro__)
    return next((each for each in known if each is not None), None)


def is_adaptive(optimizer: Optimizer) -> bool:
    """Whether an optimizer's edge is known to be that of the preconditioned Hessian."""
    rule = stable(optimizer)
    return rule is not None and rule.divisor is not None


def rule_in_use(optimizer: Optimizer) -> RuleInUse:
    """What is told of an optimizer's rule.

    >>> from torch import nn, optim
    >>> rule_in_use(optim.AdamW(nn.Linear(1, 1).parameters()))
    RuleInUse(name='AdamW', is_adaptive=True, momentum=0.9)
    """
    group: Group = optimizer.param_groups[0]
    momentum = group.get("momentum", (group.get("betas") or (0.0,))[0])
    return RuleInUse(
        type(optimizer).__name__,
        is_adaptive(optimizer),
        float(momentum) if isinstance(momentum, (int, float)) else 0.0,
    )


def gain(optimizer: Optimizer) -> float | None:
    """The gain of an optimizer's rule, as its first group has it; None if it is not known.

    >>> from torch import nn, optim
    >>> gain(optim.SGD(nn.Linear(1, 1).parameters(), momentum=0.6))
    0.625
    """
    rule, group = stable(optimizer), optimizer.param_groups[0]
    if rule is None:
        return None
    return rule.gain(group, optimizer.state.get(group["params"][0], {}))


def added_curvature(optimizer: Optimizer) -> float:
    """What weight decay that is part of the gradient adds to every curvature.

    0 for adaptive rules, which divide it as well.

    >>> from torch import nn, optim
    >>> added_curvature(optim.SGD(nn.Linear(1, 1).parameters(), weight_decay=0.1))
    0.1
    """
    decay = optimizer.param_groups[0].get("weight_decay", 0.0)
    is_apart = optimizer.param_groups[0].get("decoupled_weight_decay", False)
    return 0.0 if is_apart or is_adaptive(optimizer) else float(decay)


def divisors(
    optimizer: Optimizer, params: Sequence[Tensor], grads: Sequence[Tensor]
) -> Tensor | None:
    """What the coming step of each parameter is divided by, as one vector; None where all are 1.

    Groups with other rates than the first count as divided by what is between. The parameters of a
    group are taken to have made the same number of steps.

    Args:
        optimizer: Before the step.
        params: Parameters that it holds.
        grads: Their gradients.
    """
    rule = stable(optimizer)
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    if not is_adaptive(optimizer) and all(rate == rates[0] for rate in rates):
        return None
    numbers = {
        id(value): number
        for number, group in enumerate(optimizer.param_groups)
        for value in group["params"]
    }
    places = [numbers[id(value)] for value in params]
    found: list[Tensor] = []
    for number, members in groupby(zip(places, params, grads, strict=True), lambda each: each[0]):
        _, values, own = zip(*members, strict=True)
        grad = flat(own)
        divisor = torch.ones_like(grad)
        if rule is not None and rule.divisor is not None:
            state = _joined([optimizer.state.get(value, {}) for value in values], grad)
            divisor = rule.divisor(optimizer.param_groups[number], state, grad)
        share = rates[number] / rates[0] if rates[0] else 1.0
        found.append(divisor if share == 1 else divisor / share)
    return torch.cat(found)


def _joined(states: Sequence[State], like: Tensor) -> State:
    """The states of some parameters, as those of one vector."""
    joined: dict[str, Any] = {key: value for key, value in states[0].items() if key == "step"}
    for key in SQUARES & states[0].keys():
        values = [state.get(key) for state in states]
        if all(isinstance(value, Tensor) for value in values):
            joined[key] = flat([value.to(like) for value in values if value is not None])
    return joined
