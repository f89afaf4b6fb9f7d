"""Elementwise functions that keep nothing but their input for the backward pass."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad


class _Lean(torch.autograd.Function):
    """Keeps the inputs, and computes the function again where its derivative is asked for."""

    generate_vmap_rule = True

    @staticmethod
    def forward(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return function(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004 # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.function = inputs[0]
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        pull = torch.func.vjp(ctx.function, *ctx.saved_tensors)[1]
        return (None, *pull(grad))


def lean(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function of tensors that keeps its inputs alone for the backward pass.

    It is computed in float32 where its first input is below that, and rounded once. The compiler
    chooses by itself what to keep, so it gets the function as it stands, and so does forward-mode
    differentiation.

    Args:
        function: Built of differentiable operations; all its arguments are tensors.
    """

    def exact(x: Tensor, *more: Tensor) -> Tensor:
        if x.dtype.itemsize >= 4 or not x.is_floating_point():
            return function(x, *more)
        return function(x.float(), *(other.float() for other in more)).to(x.dtype)

    @functools.wraps(function)
    def either(*tensors: Tensor) -> Tensor:
        if torch.compiler.is_compiling() or forward_ad._current_level >= 0:  # pyright: ignore[reportPrivateUsage]
            return exact(*tensors)
        return _Lean.apply(exact, *tensors)  # pyright: ignore[reportReturnType]

    return either
