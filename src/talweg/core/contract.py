"""What a rule promises and only a trial shows."""

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

from talweg.core.errors import UserError
from talweg.core.rule import Rule, Scalars

SHAPES = ((4,), (3, 4))


def check_promises(rule: Rule) -> None:
    """Complains of a rule that would be run otherwise than it is written.

    A step is computed once for all rules of a structure, and elementwise ones on many tensors at
    once, so it must read its numbers from the scalars, and elements must not know of each other.

    Args:
        rule: The rule; others of its structure need no trial of their own.

    Raises:
        UserError: If one of the two does not hold.
    """
    if rule.structure not in _complaints:
        _complaints[rule.structure] = _complaint(rule)
    if complaint := _complaints[rule.structure]:
        raise UserError(complaint)


_complaints: dict[Hashable, str] = {}


def _complaint(rule: Rule) -> str:
    name = type(rule).__name__
    try:
        with torch.no_grad():
            found = [_trial(rule, rule, shape) for shape in SHAPES]
            moved = _moved(rule)
            if not _alike(found, [_trial(rule, moved, shape) for shape in SHAPES]):
                return f"{name}.step must read its numbers from scalars, not from self"
            if not (rule.is_per_tensor or rule.gathers):
                part = [_trial(rule, rule, SHAPES[0], until=2)]
                if not _alike([[x[:2] for x in found[0]]], part):
                    return (
                        f"{name}.step must work on each element by itself; a rule that looks at "
                        f"whole tensors says so: is_per_tensor"
                    )
    except Exception:  # what it cannot do at all, it says when it is run
        return ""
    return ""


def _moved(rule: Rule) -> Rule:
    """The same with other numbers: a 0 that makes another form stays one."""
    for least in (0.11, 0.0):
        other = rule.moved(**{key: 0.37 * float(v) + least for key, v in rule.hypers.items()})
        if other.structure == rule.structure:
            return other
    return rule


def _trial(rule: Rule, stepping: Rule, shape: tuple[int, ...], until: int | None = None) -> Any:
    """The parameters and the states after a step.

    Args:
        rule: What gives states and scalars.
        stepping: What steps.
        shape: Of the parameter.
        until: How many of its elements to take; None for all.
    """
    count = torch.Size(shape).numel()
    params = torch.linspace(-0.9, 1.1, count, dtype=torch.float64).view(shape)[:until]
    grad = torch.linspace(0.7, -0.4, count, dtype=torch.float64).view(shape)[:until]
    state = rule.init(params)
    scalars, _ = rule.recall(rule.scalars(2), rule.memory())
    totals: Scalars = rule.sums(params, grad, state, scalars) if rule.gathers else {}
    moved, new = stepping.step(params, grad, state, {**scalars, **totals})
    return [moved, *new.values()]


def _alike(some: list[list[Tensor]], others: list[list[Tensor]]) -> bool:
    """Whether the tensors are the same, up to the rounding of sums in another order."""
    return all(
        one.shape == other.shape
        and torch.allclose(one.double(), other.double(), rtol=1e-9, atol=1e-12, equal_nan=True)
        for row, others_row in zip(some, others, strict=True)
        for one, other in zip(row, others_row, strict=True)
    )
