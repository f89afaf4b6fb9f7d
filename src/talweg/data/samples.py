"""Prepared samples: the inputs and targets that training reads."""

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from talweg.core import UserError
from talweg.data.inputs import Inputs
from talweg.data.stored import Stored

OneInput: TypeAlias = Tensor | Stored
"""An input ``[N, …]`` in memory, or in a file that batches are read from."""


@dataclass(frozen=True)
class Samples:
    """Inputs and targets that belong together row by row.

    Args:
        x: Inputs ``[N, …]``: numbers, or int64 where they are indices (tokens). `Stored` where
            they are too large for the memory, `Inputs` where the model takes several.
        y: Targets: class numbers ``[N]`` (int64), or values ``[N]`` or ``[N, K]``.

    Raises:
        UserError: If the two, or several inputs, are of different lengths, or empty.

    >>> len(Samples(torch.zeros(3, 2), torch.tensor([0, 1, 1])))
    3
    """

    x: OneInput | Inputs
    y: Tensor

    def __post_init__(self) -> None:
        if isinstance(self.x, Inputs):
            self.x.check()
        elif self.x.dim() == 0:
            raise UserError("samples need one row per sample, got a single number")
        if self.y.dim() == 0:
            raise UserError("samples need one row per sample, got a single number")
        if len(self.x) != len(self.y):
            raise UserError(
                f"features and target must have the same number of rows, "
                f"got {len(self.x)} and {len(self.y)}"
            )
        if len(self.x) == 0:
            raise UserError("there are no samples: features and target have 0 rows")

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device | str) -> "Samples":
        """The same samples on another device."""
        return Samples(self.x.to(device), self.y.to(device))

    def only_input(self, taker: str) -> OneInput:
        """The inputs, for what takes a single one.

        Args:
            taker: What it is called.

        Raises:
            UserError: If there are several.
        """
        if not isinstance(self.x, Inputs):
            return self.x
        given = ", ".join(self.x.by_name)
        raise UserError(f"{taker} takes one input, got several ({given}): pass a model of your own")
