"""Where each parameter of a model lies in a flat buffer ``[lane, parameter]``."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from talweg.core import UserError


@dataclass(frozen=True)
class Slot:
    """One parameter: its name, its shape and where it starts in a lane's row."""

    name: str
    shape: torch.Size
    start: int

    @property
    def stop(self) -> int:
        """One past its last element."""
        return self.start + self.shape.numel()


@dataclass(frozen=True)
class Layout:
    """The trainable parameters of a model in order, and everything else that lanes keep apart.

    Args:
        slots: Trainable parameters, tied ones once.
        fixed: Names of buffers and frozen parameters.
        dtype: Their common floating-point type.
    """

    slots: tuple[Slot, ...]
    fixed: tuple[str, ...]
    dtype: torch.dtype

    @property
    def size(self) -> int:
        """Elements in a lane's row."""
        return self.slots[-1].stop

    def flatten(self, module: nn.Module) -> Tensor:
        """A module's trainable parameters as one row, copied."""
        named = dict(module.named_parameters())
        return torch.cat([named[slot.name].detach().reshape(-1) for slot in self.slots])

    def rest(self, module: nn.Module) -> dict[str, Tensor]:
        """Copies of a module's buffers and frozen parameters by name."""
        named = {**dict(module.named_buffers()), **dict(module.named_parameters())}
        return {name: named[name].detach().clone() for name in self.fixed}

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Parameters by name, each ``[lane, *shape]``, as views of ``flat [lane, parameter]``."""
        return {
            slot.name: flat[:, slot.start : slot.stop].view(len(flat), *slot.shape)
            for slot in self.slots
        }


def layout_of(module: nn.Module) -> Layout:
    """The layout of a model.

    Raises:
        UserError: If it has nothing to train, trainable parameters of several types, or lazy ones.
    """
    slots: list[Slot] = []
    start = 0
    frozen: list[str] = []
    dtypes: set[torch.dtype] = set()
    for name, parameter in module.named_parameters():
        if is_lazy(parameter):
            raise UserError(
                f"{name} has no shape yet (a lazy layer): call the model once on a batch "
                f"in the function that builds it"
            )
        if not parameter.requires_grad:
            frozen.append(name)
            continue
        slots.append(Slot(name, parameter.shape, start))
        start = slots[-1].stop
        dtypes.add(parameter.dtype)
    if start == 0:
        raise UserError(f"{type(module).__name__} has no trainable parameters")
    if len(dtypes) > 1:
        names = ", ".join(sorted(str(dtype) for dtype in dtypes))
        raise UserError(f"all trainable parameters must share one type, got {names}")
    fixed = (*frozen, *(name for name, _ in module.named_buffers()))
    return Layout(tuple(slots), fixed, dtypes.pop())
