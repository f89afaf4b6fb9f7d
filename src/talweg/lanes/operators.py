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
    return [value.reshape(lanes.numel(), *value.shape[len(lanes) :]) for value in given]


def _recur(cell: str, reverse: bool, given: Tensors) -> list[Tensor]:
    lanes = given[0].shape[:-3]
    x, weight, bias, *more = _one_lane_axis(given, lanes)
    each = torch.baddbmm(bias[:, None], x.flatten(1, 2), weight.mT).unflatten(1, x.shape[1:3])
    found = CELLS[cell].forward([each, *more], reverse)
    return [value.view(*lanes, *value.shape[1:]) for value in found]


def _recur_back(
    cell: str, reverse: bool, given: Tensors, results: Tensors, grads: Tensors
) -> list[Tensor]:
    lanes = results[0].shape[:-3]
    given, results, grads = (_one_lane_axis(some, lanes) for some in (given, results, grads))
    changes, *more = CELLS[cell].backward(given[3:], results, grads, reverse)
    flat = changes.flatten(1, 2)
    found = [changes, torch.bmm(flat.mT, given[0].flatten(1, 2)), flat.sum(1), *more]
    return [value.reshape(*lanes, *value.shape[1:]).contiguous() for value in found]


def recur_shapes(cell: str, _reverse: bool, given: Tensors) -> list[Tensor]:
    """Empty tensors, as a layer gives them."""
    x, _, bias, *more = given
    each = x.new_empty(*x.shape[:-1], bias.shape[-1])
    return [x.new_empty(*x.shape[:-3], *shape) for shape in CELLS[cell].shapes([each, *more])]


def recur_back_shapes(
    _cell: str, _reverse: bool, given: Tensors, _results: Tensors, _grads: Tensors
) -> list[Tensor]:
    """Empty tensors, as a layer's gradients are."""
    x, *more = given
    gates = (*x.shape[:-1], more[1].shape[-1])
    return [x.new_empty(shape) for shape in (gates, *(value.shape for value in more))]


def _batched(operator: Any) -> Any:
    """The rule of `vmap` for an operator that takes any number of leading axes of lanes."""

    def rule(
        info: Any, in_dims: tuple[Any, ...], *arguments: Any
    ) -> tuple[list[Tensor], list[int]]:
        cell, reverse, *groups = arguments
        moved = [
            [
                value.contiguous().expand(info.batch_size, *value.shape)
                if at is None
                else value.movedim(at, 0)
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
        ctx.cell, ctx.reverse, *given = inputs
        ctx.count = len(given)
        ctx.save_for_backward(*given, *output)
        ctx.mark_non_differentiable(*output[CELLS[ctx.cell].leading :])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        kept, count = ctx.saved_tensors, ctx.count
        leading = grads[: CELLS[ctx.cell].leading]
        changes, *found = _Backward.apply(ctx.cell, ctx.reverse, count, *kept, *leading)  # pyright: ignore[reportGeneralTypeIssues, reportOptionalIterable]
        to_x = changes @ kept[1] if ctx.needs_input_grad[2] else None
        return (None, None, to_x, *found)


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
        given: Inputs ``[time, batch, feature]``, their weights ``[gate, feature]``, the bias
            ``[gate]``, then what the cell is given besides the inputs' share of gates: see `Cell`.

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
