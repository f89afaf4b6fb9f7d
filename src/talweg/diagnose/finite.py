"""Where numbers that are not finite come from."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from talweg.core import first_line
from talweg.diagnose.calls import Call, again, aside
from talweg.diagnose.layers import called, is_followed
from talweg.diagnose.recognise import first_tensor, tensors
from talweg.diagnose.taking import Values
from talweg.diagnose.taps import Pair

INPUTS, WEIGHTS, OUTPUTS, LOSS, GRADIENT, BETWEEN = 1.0, 2.0, 3.0, 4.0, 5.0, 6.0
"""What was not finite first: the model's inputs, a module's parameters, what it gives of finite
inputs, the loss of finite outputs, a gradient, or what a module is given by no other module."""


class Origin:
    """Looks for what made numbers that are not finite, the first time that there are some.

    Args:
        model: The model.
        note: Told if that cannot be done.

    Attributes:
        is_open: Whether it is still to be looked for.
    """

    def __init__(self, model: nn.Module, note: Callable[[str], None]) -> None:
        self._model = model
        self._note = note
        self._was_found = False
        self.is_open = True

    def of_loss(self, calls: Sequence[Call]) -> Values:
        """What made a loss so; nothing if that is not found.

        Args:
            calls: Those that the loss was made of.
        """
        if not calls:
            return {}
        self.is_open = False
        try:
            layer, kind = first_not_finite(self._model, calls)
        except Exception as error:
            self._note(
                f"the loss is not finite; what made it so was not found: {first_line(error)}"
            )
            return {}
        self._was_found = True
        return {"not finite": {layer: kind}}

    def of_gradients(self, values: Values) -> None:
        """Adds which weight's gradient is so, the one nearest to the loss, if none was found yet.

        Args:
            values: What was measured of a step.
        """
        gradients = values.get("gradient rms", {})
        bad = [name for name, value in gradients.items() if not math.isfinite(value)]
        if bad and not self._was_found:
            self._was_found, self.is_open = True, False
            values["not finite"] = {bad[-1]: GRADIENT}


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

    pairs: list[Pair] = []
    for name, module in model.named_modules():
        if is_followed(module) or any(module is part for part, _, _ in calls):
            path = called(name, model)

            def before(module: nn.Module, args: Any, kwargs: Any, path: str = path) -> None:
                look(path, first_tensor((args, kwargs)), BETWEEN)
                for value in module.parameters(recurse=False):
                    look(path, value, WEIGHTS)

            def after(_: nn.Module, __: Any, gave: Any, path: str = path) -> None:
                look(path, first_tensor(gave), OUTPUTS)

            pairs.append(Pair(module, before, after))
    try:
        for pair in pairs:
            pair.put()
        with aside(model):
            for place, call in enumerate(calls):
                if place == 0:
                    for value in tensors([call[1], call[2]]):
                        look("", value, INPUTS)
                if found:
                    break
                again(call)
    finally:
        for pair in pairs:
            pair.remove()
    return found[0] if found else ("", LOSS)


def _is_known(value: Tensor, kind: float) -> Tensor:
    """Where values are as they may be: an input of −∞ is a mask."""
    is_input = kind in (INPUTS, BETWEEN)
    return value.isfinite() | (value == -math.inf) if is_input else value.isfinite()
