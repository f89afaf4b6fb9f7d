"""Where to start: a learning rate with its uncertainty, from all rates and seeds at once."""

from talweg.rates.find import find_lr
from talweg.rates.found import FoundRate

__all__ = ["FoundRate", "find_lr"]
