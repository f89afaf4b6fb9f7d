"""In what numbers lanes multiply: as the model has them, or in fewer bits."""

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from talweg.core import UserError, choose

PRECISIONS = {
    "bf16": "products in bfloat16, sums and updates in float32",
    "tf32": "products of gradients in TF32, sums and updates in float32",
}
"""What may be asked for → what it does."""


@dataclass(frozen=True)
class Precision:
    """How a model's forward and backward pass compute; all else stays in the model's own type.

    Args:
        name: One of `PRECISIONS`; None for the model's own type throughout.
        device: Where lanes compute: ``"cpu"`` or ``"cuda"``.
    """

    name: str | None = None
    device: str = "cpu"

    @property
    def is_mixed(self) -> bool:
        """Whether a model computes in two types: its own and bfloat16."""
        return self.name == "bf16"

    def forward(self) -> AbstractContextManager[Any]:
        """Surrounds a model's forward pass, inside of what is compiled."""
        if not self.is_mixed:
            return nullcontext()
        # A cast that was kept would sum gradients of weights used twice in bfloat16, and be kept
        # from one transform of functions to another.
        return torch.autocast(self.device, torch.bfloat16, cache_enabled=False)

    def whole(self, output: Tensor) -> Tensor:
        """What a model gave, for losses and metrics: these are computed in float32."""
        return output.float() if self.is_mixed else output

    def machine(self) -> AbstractContextManager[None]:
        """Surrounds forward and backward pass, outside of what is compiled."""
        return _tf32() if self.name == "tf32" else nullcontext()


def precision_of(asked: str | None, device: torch.device, dtype: torch.dtype) -> Precision:
    """The precision asked for.

    Args:
        asked: One of `PRECISIONS`, or None.
        device: Where lanes compute.
        dtype: Of the model's parameters.

    Raises:
        UserError: If there is none of that name, or not for such a device or model.
    """
    if asked is None:
        return Precision(None, device.type)
    if asked not in tuple(PRECISIONS):  # which may be asked for what has no hash
        raise choose("precision", asked, PRECISIONS)
    if asked == "tf32" and device.type != "cuda":
        raise UserError(f"precision='tf32' needs a GPU, and lanes are on {device.type}")
    if dtype is not torch.float32:
        given = str(dtype).removeprefix("torch.")
        raise UserError(f"precision={asked!r} is for models in float32, got one in {given}")
    return Precision(asked, device.type)


@contextmanager
def _tf32() -> Generator[None]:
    """Has float32 products and convolutions on a GPU use TF32, and puts back what was."""
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    with ExitStack() as both:
        both.enter_context(_switched_on(cuda, [cuda]))
        both.enter_context(_switched_on(cudnn, [cudnn.conv, cudnn.rnn]))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType]
        yield


@contextmanager
def _switched_on(switch: Any, parts: Sequence[Any]) -> Generator[None]:
    """A switch of torch's, ``allow_tf32``, and its younger names, ``fp32_precision``.

    Torch complains wherever it reads the old name after the young one said something else. So the
    old one is used, which sets both, but where they differ already.
    """
    try:
        before = bool(switch.allow_tf32)
    except RuntimeError:
        before = None
    kept = [part.fp32_precision for part in parts]
    try:
        if before is None:
            _tell(parts, ["tf32"] * len(parts))
        elif not before:
            switch.allow_tf32 = True
        yield
    finally:
        if before is False:
            switch.allow_tf32 = False
        _tell(parts, kept)


def _tell(parts: Sequence[Any], values: Sequence[str]) -> None:
    for part, value in zip(parts, values, strict=True):
        if part.fp32_precision != value:
            part.fp32_precision = value
