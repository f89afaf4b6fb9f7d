"""Steps of any optimizer, while a model is watched."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeAlias

from torch.compiler import is_dynamo_compiling
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

Before: TypeAlias = Callable[[Optimizer, Any, Any], Any]
After: TypeAlias = Callable[[Optimizer], None]

_lock = threading.Lock()
_listeners: list[tuple[Before, After]] = []
"""Never changed in place: somebody may go through it."""
_is_registered = False


@contextmanager
def stepping(before: Before, after: After) -> Generator[None]:
    """Inside, every step of every optimizer is told, in any thread.

    torch goes through its own list of such hooks while optimizers make their steps, and raises
    where it changes meanwhile. So one hook is put there for good, and tells whoever listens.

    Args:
        before: Given the optimizer, ``args`` and ``kwargs`` of its ``step``; what it returns takes
            the place of these, unless it is None.
        after: Given the optimizer.
    """
    global _listeners, _is_registered
    pair = before, after
    with _lock:
        if not _is_registered:
            register_optimizer_step_pre_hook(_before)
            register_optimizer_step_post_hook(_after)
            _is_registered = True
        _listeners = [*_listeners, pair]
    try:
        yield
    finally:
        with _lock:
            _listeners = [each for each in _listeners if each is not pair]


def _before(optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
    changed = None
    if not is_dynamo_compiling():
        for before, _ in _listeners:
            told = before(optimizer, args, kwargs)
            if told is not None:
                args, kwargs = changed = told
    return changed


def _after(optimizer: Optimizer, _: object, __: object) -> None:
    if not is_dynamo_compiling():
        for _, after in _listeners:
            after(optimizer)
