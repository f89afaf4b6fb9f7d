"""Recurrences as operators that `vmap`, autograd and the compiler take for one operation.

The compiler does not look into them.
"""

from typing import Any

import torch
from torch import Tensor

from talweg.lanes.recurrence import CELLS, Tensors

_library = torch.library.Library("talweg", "DEF")
_library.define("recur(str cell, bool reverse, Tensor[] given) -> Tensor[]")
_library.define(
    "recur_back(str cell, bool reverse, Tensor[] given, Tensor[] results, Tensor[] grads)"
    " -> Tensor[]"
)


def _one_lane_axis(given: Tensors, lanes: torch.Size) -> list[Tensor]:
    """Tensors with all their axes of lanes, or none, as a single one."""
    return [value.reshape(-1, *value.shape[len(lanes) :]) for value in given]


def _recur(cell: str, reverse: bool, given: Tensors) -> list[Tensor]:
    lanes = given[0].shape[:-3]
    found = CELLS[cell].forward(_one_lane_axis(given, lanes), reverse)
    return [value.view(*lanes, *value.shape[1:]) for value in found]


def _recur_back(
    cell: str, reverse: bool, given: Tensors, results: Tensors, grads: Tensors
) -> list[Tensor]:
    lanes = results[0].shape[:-3]
    given, results, grads = (_one_lane_axis(some, lanes) for some in (given, results, grads))
    found = CELLS[cell].backward(given, results, grads, reverse)
    return [value.reshape(*lanes, *value.shape[1:]).contiguous() for value in found]


def recur_shapes(cell: str, _reverse: bool, given: Tensors) -> list[Tensor]:
    """Empty tensors, as a layer gives them."""
    lanes = given[0].shape[:-3]
    return [given[0].new_empty(*lanes, *shape) for shape in CELLS[cell].shapes(given)]


def recur_back_shapes(
    _cell: str, _reverse: bool, given: Tensors, results: Tensors, _grads: Tensors
) -> list[Tensor]:
    """Empty tensors, as a layer's gradients are."""
    gates = (*results[0].shape[:-1], given[0].shape[-2])
    return [results[0].new_empty(shape) for shape in (gates, *(value.shape for value in given))]


def _batched(operator: Any) -> Any:
    """The rule of `vmap` for an operator that takes any number of leading axes of lanes."""

    def rule(
        info: Any, in_dims: tuple[Any, ...], *arguments: Any
    ) -> tuple[list[Tensor], list[int]]:
        cell, reverse, *groups = arguments
        moved = [
            [
                value.expand(info.batch_size, *value.shape) if at is None else value.movedim(at, 0)
                for value, at in zip(group, dims, strict=True)
            ]
            for group, dims in zip(groups, in_dims[2:], strict=True)
        ]
        found = operator(cell, reverse, *moved)
        return found, [0] * len(found)

    return rule


for _name, _plain, _fake in (
    ("recur", _recur, recur_shapes),
    ("recur_back", _recur_back, recur_back_shapes),
):
    _library.impl(_name, _plain, "CompositeExplicitAutograd")
    _library.impl(_name, torch.library.fallthrough_kernel, "Autograd")
    torch.library.register_fake(f"talweg::{_name}", _fake, lib=_library)
    torch.library.register_vmap(
        f"talweg::{_name}", _batched(getattr(torch.ops.talweg, _name)), lib=_library
    )

RECUR: Any = torch.ops.talweg.recur.default
RECUR_BACK: Any = torch.ops.talweg.recur_back.default


class _Forward(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(cell: str, reverse: bool, *given: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return tuple(torch.ops.talweg.recur(cell, reverse, given))

    @staticmethod
    def setup_context(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]
    ) -> None:
        ctx.cell, ctx.reverse, _, *given = inputs
        ctx.count = len(given)
        ctx.save_for_backward(*given, *output)
        ctx.mark_non_differentiable(*output[CELLS[ctx.cell].leading :])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        kept, count = ctx.saved_tensors, ctx.count
        leading = grads[: CELLS[ctx.cell].leading]
        found = _Backward.apply(ctx.cell, ctx.reverse, count, *kept, *leading)
        return (None, None, *found)  # pyright: ignore[reportGeneralTypeIssues, reportOptionalIterable]


class _Backward(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(cell: str, reverse: bool, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        first_grad = len(tensors) - CELLS[cell].leading
        given, results = tensors[:count], tensors[count:first_grad]
        grads = tensors[first_grad:]
        return tuple(torch.ops.talweg.recur_back(cell, reverse, given, results, grads))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise NotImplementedError("a stacked recurrent layer has no second derivative")


def recur(cell: str, reverse: bool, *given: Tensor) -> tuple[Tensor, ...]:
    """A recurrent layer in one direction.

    Args:
        cell: A name in `CELLS`.
        reverse: Whether it runs from the last time step to the first.
        given: What the cell is given, see `Cell`.

    Returns:
        What the cell gives; the gradient of the leading results only.
    """
    return _Forward.apply(cell, reverse, *given)  # pyright: ignore[reportReturnType]


def keep_own_gradients() -> None:
    """Has the compiler leave functions that define their own gradient to autograd.

    It looks into them otherwise, and inside a `vmap` of a gradient, where one is applied to a
    parameter itself, it then takes the gradient of what they compute: zero where that is a sign.
    """
    classes = list(torch.autograd.Function.__subclasses__())
    for function in classes:
        classes += function.__subclasses__()
        if not function.__module__.startswith("torch."):
            torch.compiler.allow_in_graph(function)
