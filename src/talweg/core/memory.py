"""Amounts of memory: as people write them, and what is free."""

import re

import psutil
import torch

from talweg.core.errors import UserError

UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
SHARE = 0.8
"""Of the memory that is free, what may be used unless told otherwise."""


def memory_size(value: str | int) -> int:
    """An amount of memory in bytes.

    Args:
        value: Bytes, or a number with a unit: K, M, G and T are powers of 1000, with an ``i``
            (``"1.5GiB"``) powers of 1024; a final ``B`` says nothing more.

    Raises:
        UserError: If it is no positive amount.

    >>> memory_size("300M"), memory_size("1.5 GiB"), memory_size(2_000_000)
    (300000000, 1610612736, 2000000)
    """
    found = re.fullmatch(r"\s*([\d_]*\.?\d+)\s*([KMGT]?)(i?)B?\s*", str(value), re.IGNORECASE)
    unit = found[2].upper() if found else ""
    number = float(found[1].replace("_", "")) if found else 0.0
    amount = int(number * (1024 if found and found[3] else 1000) ** UNITS[unit])
    if isinstance(value, bool) or amount <= 0 or (found and found[3] and not unit):
        raise UserError(f"memory must be an amount such as 300M or 1.5GiB, got {value!r}")
    return amount


def usable_memory(device: torch.device | str = "cpu") -> int:
    """The bytes that may be used on a device unless told otherwise: 80% of what is free."""
    if torch.device(device).type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(SHARE * (torch.cuda.mem_get_info(device)[0] + kept))
    return int(SHARE * psutil.virtual_memory().available)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory for something."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # The processor's allocator raises plain RuntimeErrors, in the words of Linux, then Windows.
    said = isinstance(error, RuntimeError) and str(error)
    return bool(said and ("can't allocate memory" in said or "not enough memory" in said))


def in_bytes(amount: float) -> str:
    """An amount in words.

    >>> in_bytes(1_234_567), in_bytes(999), in_bytes(42_300_000_000)
    ('1.2 MB', '999 B', '42 GB')
    """
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 9.95 else f"{amount:.1f} {unit}"
