"""Where models come from."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from talweg.core import UserError, first_line


@dataclass(frozen=True)
class ModelSource:
    """Where models come from: one new module for each seed.

    Args:
        name: What to call it.
        make: Builds a module; what it draws at random follows from the seed.
    """

    name: str
    make: Callable[[], nn.Module]

    def build(self, seed: int) -> nn.Module:
        """The module that this seed starts from; torch's global generator is left as it was.

        Raises:
            UserError: If it cannot be built.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                return self.make()
            except UserError:
                raise
            except (Exception, SystemExit) as error:
                raise UserError(
                    f"{self.name} cannot be built: {type(error).__name__}: {first_line(error)}"
                ) from error
