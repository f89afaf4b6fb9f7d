"""How tensors lie in memory."""

from collections.abc import Sequence

import torch
from torch import Tensor

SMALL = 1 << 15
"""Tensors below this number of elements are stepped together where steps are not native."""
BUNDLE = 1 << 18
"""Elements that are stepped together at most."""


def here(tensor: Tensor) -> Tensor:
    """The part of a sharded tensor (a `DTensor`) that lies in this process; others as they are."""
    return getattr(tensor, "_local_tensor", tensor)


def is_dense(tensor: Tensor) -> bool:
    """Whether its elements fill a stretch of memory, in whatever order."""
    if tensor.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size == 1:
            continue
        if stride != expected:
            return False
        expected *= size
    return True


def layers(tensors: Sequence[Tensor]) -> list[int]:
    """Numbers such that tensors of one number share no memory; mostly 0 for all.

    Two parameters on the same memory must be stepped one after another.
    """
    found = [0] * len(tensors)
    reached, last = 0, 0
    for begin, place in sorted((t.data_ptr(), place) for place, t in enumerate(tensors)):
        size = _reach(tensors[place])
        if size and begin < reached:
            last += 1
            found[place] = last
        reached = max(reached, begin + size)
    return found


def _reach(tensor: Tensor) -> int:
    """Bytes from its first element to the end of its last."""
    if tensor.numel() == 0:
        return 0
    last = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
    return (last + 1) * tensor.element_size()


def flat(tensor: Tensor) -> Tensor:
    """A dense tensor's elements as they lie in memory, ``[n]``, without a copy."""
    if tensor.is_contiguous():
        return tensor.view(-1)
    return tensor.as_strided((tensor.numel(),), (1,))


def laid_out_like(tensor: Tensor, other: Tensor) -> Tensor:
    """The tensor with the elements in the order in memory that ``other`` has; a copy if needed."""
    if tensor.stride() == other.stride():
        return tensor
    return torch.empty_like(other, dtype=tensor.dtype).copy_(tensor)


def spread(values: Tensor, over: Sequence[Tensor]) -> None:
    """Copies the elements of ``values``, ``[n]``, over dense tensors of ``n`` elements in all."""
    parts = values.split([tensor.numel() for tensor in over])
    flats = [flat(tensor) for tensor in over]
    torch._foreach_copy_(flats, list(parts))  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]


def bundled(tensors: Sequence[Tensor]) -> list[list[int]]:
    """Which tensors are stepped together: places, the large ones alone, others in runs."""
    runs: list[list[int]] = []
    filled = BUNDLE + 1
    for place, tensor in enumerate(tensors):
        size = tensor.numel()
        if size >= SMALL:
            runs.insert(0, [place])
            continue
        if filled + size > BUNDLE:
            runs.append([])
            filled = 0
        runs[-1].append(place)
        filled += size
    return runs
