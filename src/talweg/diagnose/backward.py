"""What torch is asked to differentiate while a model is watched."""

import threading
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

Told = Callable[[Tensor, GradScaler | None], None]

_lock = threading.Lock()
_listeners: list[Told] = []
"""Never changed in place: somebody may go through it."""
_theirs: list[Any] = [None, None]
"""`torch.autograd.backward` and `GradScaler.scale`, while others stand in their place."""
_scaled = threading.local()


@contextmanager
def listening(tell: Told) -> Generator[None]:
    """Inside, every loss is told right before ``backward`` takes its gradient.

    Both ``loss.backward()`` and ``torch.autograd.backward(loss)``; a loss that a `GradScaler`
    scaled is told as it was before, with the scaler. What they do is not changed. Any number may
    listen at once, in any thread, and end in any order.

    Args:
        tell: Told of each loss of one number.
    """
    global _listeners
    with _lock:
        _listeners = [*_listeners, tell]
        if _theirs[0] is None:
            _theirs[:] = torch.autograd.backward, GradScaler.scale
            torch.autograd.backward = _backward
            GradScaler.scale = _scale  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        with _lock:
            _listeners = [each for each in _listeners if each is not tell]
            is_ours = torch.autograd.backward is _backward and GradScaler.scale is _scale
            if not _listeners and is_ours:
                torch.autograd.backward, GradScaler.scale = _theirs
                _theirs[:] = None, None


def _scale(scaler: GradScaler, outputs: Any) -> Any:
    found = _theirs[1](scaler, outputs)
    _scaled.last = found, outputs, scaler
    return found


def _backward(tensors: Any, grad_tensors: Any = None, *args: Any, **kwargs: Any) -> Any:
    outputs, scaler = tensors, None
    last = getattr(_scaled, "last", None)
    if last is not None:
        _scaled.last = None
        if last[0] is tensors:
            _, outputs, scaler = last
    if grad_tensors is None:
        loss = _loss_of(outputs)
        if loss is not None:
            for tell in _listeners:
                tell(loss, scaler)
    return _theirs[0](tensors, grad_tensors, *args, **kwargs)


def _loss_of(outputs: Any) -> Tensor | None:
    """What is differentiated, of one number; of several their sum."""
    if type(outputs) is Tensor:
        return outputs if outputs.requires_grad and outputs.numel() == 1 else None
    every = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    losses = [x for x in every if isinstance(x, Tensor) and x.requires_grad and x.numel() == 1]
    if len(losses) < 2 or len({loss.device for loss in losses}) > 1:
        return losses[0] if losses else None
    with torch.enable_grad():
        return torch.stack([loss.reshape(()) for loss in losses]).sum()


def is_of(loss: Tensor, own: Collection[int]) -> bool:
    """Whether a loss may be differentiated with respect to some parameters.

    It is not if its graph comes to other modules' parameters and to none of them.

    Args:
        loss: The loss.
        own: The identities of the parameters.

    >>> mine, other = nn.Linear(1, 1), nn.Linear(1, 1)
    >>> own = {id(value) for value in mine.parameters()}
    >>> is_of(other(mine(torch.ones(1))), own), is_of(other(torch.ones(1)), own)
    (True, False)
    """
    todo: list[Any] = [loss.grad_fn]
    seen: set[Any] = {None}
    comes_to_others = False
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        before = node.next_functions
        if before:
            seen.add(node)
            todo += [each for each, _ in before]
            continue
        leaf = getattr(node, "variable", None)
        if id(leaf) in own:
            return True
        comes_to_others |= isinstance(leaf, nn.Parameter)
    return not comes_to_others


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
