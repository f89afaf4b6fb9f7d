"""How much data may take."""

import ctypes
import platform

import pyarrow as pa

from talweg.core import memory_size, usable_memory

RESERVED = 500_000_000
"""Bytes of the memory allowed that are left to PyTorch and its compiler."""
WHOLE = 16
"""Reading a table whole takes up to so many times what it takes as float32 in the end."""


def allowed_memory(asked: str | int | None) -> int:
    """The bytes that the whole process may take, as asked for or 80% of what is free.

    Raises:
        UserError: If what was asked for is no amount.
    """
    return usable_memory() if asked is None else memory_size(asked)


def room_of(memory: int) -> int:
    """The bytes that data may take where the whole process may take so many."""
    return max(memory - RESERVED, 0)


def fits_whole(cells: int, memory: int) -> bool:
    """Whether so many numbers can be read and prepared all at once."""
    return 4 * cells * WHOLE <= room_of(memory)


def give_back() -> None:
    """Returns to the system what reading took and freed, which arrow and glibc keep for later."""
    pa.default_memory_pool().release_unused()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
