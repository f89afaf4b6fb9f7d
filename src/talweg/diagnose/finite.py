"""Where numbers that are not finite come from."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from talweg.diagnose.recognise import first_tensor
from talweg.diagnose.trace import called, is_followed

INPUTS, WEIGHTS, OUTPUTS, LOSS, GRADIENT = 1.0, 2.0, 3.0, 4.0, 5.0
"""What was not finite first: the model's inputs, a module's parameters, what it gives of finite
inputs, the loss of finite outputs, or a gradient."""


def first_not_finite(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[str, float]:
    """The first module that makes numbers which are not finite, and of what.

    The model is evaluated once more, in the mode in which it is; buffers and random numbers are
    left as they were.

    Args:
        model: The model.
        args: What it was given.
        kwargs: Likewise.

    Returns:
        The module's path, `INPUTS` and the like; no path where it is no module.
    """
    found: list[tuple[str, float]] = []

    def look(name: str, value: Tensor | None, kind: float) -> None:
        if value is not None and not found and not bool(value.isfinite().all()):
            found.append((name, kind))

    handles: list[Any] = []
    for name, module in model.named_modules():
        if is_followed(module):
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
    look("", first_tensor([list(args), dict(kwargs)]), INPUTS)
    try:
        if not found:
            with aside(model):
                model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else ("", LOSS)


class aside:  # noqa: N801 - used as a function is
    """Inside, a model can be evaluated and nobody notices: no gradient, buffers and draws put back.

    Args:
        model: The model.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def __enter__(self) -> None:
        self._held = [(value, value.detach().clone()) for value in self._model.buffers()]
        self._draws = torch.random.fork_rng(devices=_devices(self._model))
        self._off = torch.no_grad()
        self._draws.__enter__()
        self._off.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._off.__exit__(*error)
        self._draws.__exit__(*error)
        for value, held in self._held:
            value.data.copy_(held)  # a graph that holds the buffer notes no change


def _devices(model: nn.Module) -> list[torch.device]:
    return list({value.device for value in model.parameters() if value.is_cuda})
