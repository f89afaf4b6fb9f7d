"""What torch is asked to differentiate while a model is watched."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler


@contextmanager
def listening(tell: Callable[[Tensor], None]) -> Generator[None]:
    """Inside, every loss is told right before ``backward`` takes its gradient.

    Both ``loss.backward()`` and ``torch.autograd.backward(loss)``; a loss that a `GradScaler`
    scaled is told as it was before. What they do is not changed.

    Args:
        tell: Told of each loss of one number.
    """
    backward, scale = torch.autograd.backward, GradScaler.scale
    scaled: list[tuple[Any, Any]] = []

    def own_scale(scaler: GradScaler, outputs: Any) -> Any:
        found = scale(scaler, outputs)
        scaled[:] = [(found, outputs)]
        return found

    def own_backward(tensors: Any, *args: Any, **kwargs: Any) -> Any:
        loss = next((given for found, given in scaled if found is tensors), tensors)
        scaled.clear()
        if isinstance(loss, Tensor) and loss.numel() == 1 and loss.requires_grad:
            tell(loss)
        return backward(tensors, *args, **kwargs)

    torch.autograd.backward = own_backward
    GradScaler.scale = own_scale  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        torch.autograd.backward, GradScaler.scale = backward, scale


def hooked(model: nn.Module) -> str:
    """Why a model's loss is not to be differentiated more often than the loop does it.

    Returns:
        Empty if nothing is against it, as far as can be seen.
    """
    for module in model.modules():
        if module._backward_hooks or module._backward_pre_hooks:  # pyright: ignore[reportPrivateUsage]
            return "hooks of the model's modules would be called more often"
    if any(value._backward_hooks for value in model.parameters()):
        return "hooks of the model's parameters would be called more often"
    return ""
