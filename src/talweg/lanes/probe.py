"""What looks into the models of lanes while they are evaluated."""

import math
from contextlib import AbstractContextManager
from typing import Protocol

from torch import Tensor, nn

SAMPLES = 128
"""How many a probe looks at."""


class Probe(Protocol):
    """Looks into a model while it is evaluated.

    Attributes:
        split: What its readings are filed under, in place of a part of the data.
    """

    split: str

    def attached(self, module: nn.Module) -> AbstractContextManager[dict[str, Tensor]]:
        """Inside, a forward pass fills in numbers by name; under `vmap` or not."""
        ...


def is_probed(reading: float) -> bool:
    """Whether models are looked into at a reading: the first three, and fewer and fewer later.

    >>> [number for number in range(40) if is_probed(number)]
    [0, 1, 2, 4, 8, 16, 32]
    """
    return reading == 0 or math.log2(reading).is_integer()
