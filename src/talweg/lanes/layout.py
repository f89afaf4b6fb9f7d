"""Where each parameter of a model lies in a flat buffer ``[lane, parameter]``."""

from collections.abc import Mapping
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
        keys: ``(key of the state dict, name)`` for what a state dict of the model holds; tied
            parameters have several keys, a buffer that is not persistent has none.
    """

    slots: tuple[Slot, ...]
    fixed: tuple[str, ...]
    dtype: torch.dtype
    keys: tuple[tuple[str, str], ...]

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

    def state_dict(self, flat: Tensor, rest: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A lane's row ``[parameter]`` and everything else as a state dict for the model, copied.

        Tied parameters are there under each of their names, without sharing memory.
        """
        own = {name: value[0] for name, value in self.views(flat[None]).items()} | dict(rest)
        return {key: own[name].detach().clone() for key, name in self.keys}

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
    return Layout(tuple(slots), fixed, dtypes.pop(), _keys(module))


def _keys(module: nn.Module) -> tuple[tuple[str, str], ...]:
    name_of = {id(value): name for name, value in module.named_buffers()}
    name_of |= {id(value): name for name, value in module.named_parameters()}
    held = module.state_dict(keep_vars=True).items()
    return tuple((key, name_of[id(value)]) for key, value in held if id(value) in name_of)
