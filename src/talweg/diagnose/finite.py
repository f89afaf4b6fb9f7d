"""Where numbers that are not finite come from."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from talweg.diagnose.calls import Call, again, aside
from talweg.diagnose.recognise import first_tensor, tensors
from talweg.diagnose.trace import called, is_followed

INPUTS, WEIGHTS, OUTPUTS, LOSS, GRADIENT = 1.0, 2.0, 3.0, 4.0, 5.0
"""What was not finite first: the model's inputs, a module's parameters, what it gives of finite
inputs, the loss of finite outputs, or a gradient."""


def first_not_finite(model: nn.Module, calls: Sequence[Call]) -> tuple[str, float]:
    """The first module that makes numbers which are not finite, and of what.

    The calls are made once more, in the mode in which the model is; buffers and random numbers are
    left as they were.

    Args:
        model: The model.
        calls: Its calls, or those of its parts.

    Returns:
        The module's path, `INPUTS` and the like; no path where it is no module.
    """
    found: list[tuple[str, float]] = []

    def look(name: str, value: Tensor | None, kind: float) -> None:
        if value is not None and not found and not bool(_is_known(value, kind).all()):
            found.append((name, kind))

    handles: list[Any] = []
    for name, module in model.named_modules():
        if is_followed(module) or any(module is part for part, _, _ in calls):
            path = called(name, model)

            def before(module: nn.Module, _: Any, path: str = path) -> None:
                for value in module.parameters(recurse=False):
                    look(path, value, WEIGHTS)

            def after(_: nn.Module, __: Any, gave: Any, path: str = path) -> None:
                look(path, first_tensor(gave), OUTPUTS)

            handles += [
                module.register_forward_pre_hook(before),
                module.register_forward_hook(after),
            ]
    try:
        with aside(model):
            for place, call in enumerate(calls):
                if place == 0:
                    for value in tensors([call[1], call[2]]):
                        look("", value, INPUTS)
                if found:
                    break
                again(call)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else ("", LOSS)


def _is_known(value: Tensor, kind: float) -> Tensor:
    """Where values are as they may be: an input of −∞ is a mask."""
    return value.isfinite() | (value == -math.inf) if kind == INPUTS else value.isfinite()
