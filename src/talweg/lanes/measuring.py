"""What tensor operations allocate, counted while they run."""

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Allocations(TorchDispatchMode):
    """Counts the bytes of the tensors that operations inside make, while they are alive.

    What lies in memory before does not count, nor do an operator's own temporaries.

    Attributes:
        now: Bytes alive.
        peak: The most that there were at one time.

    >>> with Allocations() as found:
    ...     kept = torch.ones(100)
    ...     total = (kept + 1).sum().item()
    >>> found.now, found.peak
    (400, 804)
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, tuple[weakref.ref[Any], int]] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Runs an operation and enters what it made."""
        given = kwargs or {}
        for tensor in _tensors((args, given)):
            self._enter(tensor, was_there=True)
        made = func(*args, **given)
        for tensor in _tensors(made):
            self._enter(tensor, was_there=False)
        self.peak = max(self.peak, self.now)
        return made

    def _enter(self, tensor: Tensor, was_there: bool) -> None:
        if tensor.layout is not torch.strided:
            return
        storage = tensor.untyped_storage()
        place = id(storage)
        if place in self._known:
            return
        size = 0 if was_there else storage.nbytes()

        def leave(_: object) -> None:
            self.now -= self._known.pop(place)[1]

        self._known[place] = weakref.ref(storage, leave), size
        self.now += size


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
