"""Where lanes begin: the modules of a model, one for each seed."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from talweg.core import UserError
from talweg.lanes.layout import layout_of
from talweg.models import ModelSource


@dataclass(frozen=True)
class Start:
    """Where the lanes of one seed begin: parameters ``[parameter]`` and everything else."""

    params: Tensor
    rest: dict[str, Tensor]


class Starts:
    """The modules of a model and what they begin with.

    Args:
        source: Makes modules.
        device: Where they are to be.

    Attributes:
        module: That of seed 0.
        layout: Its layout, and that of all others.

    Raises:
        UserError: If there is nothing to train, or the same module comes for every seed.
    """

    def __init__(self, source: ModelSource, device: torch.device) -> None:
        self.source = source
        self.device = device
        self._known: dict[int, Start] = {}
        self.module = self.build(0)
        self.layout = layout_of(self.module)

    def build(self, seed: int) -> nn.Module:
        """A new module of that seed, on the device."""
        module = self.source.build(seed).to(self.device)
        if seed != 0 and layout_of(module) != self.layout:
            raise UserError("the model must have the same parameters every time it is built")
        return module

    def start(self, seed: int) -> Start:
        """Where the lanes of a seed begin."""
        if seed not in self._known:
            module = self.build(seed)
            self._known[seed] = Start(self.layout.flatten(module), self.layout.rest(module))
        return self._known[seed]

    def all_alike(self) -> bool:
        """Whether all seeds begin with the same parameters.

        Raises:
            UserError: If they are even the same module, which training would change.
        """
        other = self.build(1)
        pairs = list(zip(self.module.parameters(), other.parameters(), strict=True))
        if any(a.numel() and a.data_ptr() == b.data_ptr() for a, b in pairs):
            raise UserError(
                f"{self.source.name} gives the same module at every call, which training would "
                f"change: build a new one, or pass the module itself to have it re-initialised"
            )
        return bool(pairs) and all(torch.equal(a, b) for a, b in pairs)
