"""Recurrent layers over all their time steps, forward and backward, for many lanes at once.

The compiler sees each as one operation, whatever the number of time steps: unrolled, a graph of 8
of them takes 6 seconds to compile, one of 32 some 25, and is no faster, for products of matrices
are what takes the time. The backward pass is written out, so that the gradient of the recurrent
weights is one product over all time steps and not a sum of one for each.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

Tensors: TypeAlias = Sequence[Tensor]
Forward: TypeAlias = Callable[[Tensors, bool], list[Tensor]]
Backward: TypeAlias = Callable[[Tensors, Tensors, Tensors, bool], list[Tensor]]

_into_sigmoid = torch.ops.aten.sigmoid_backward.grad_input
_into_tanh = torch.ops.aten.tanh_backward.grad_input
_into_relu = torch.ops.aten.threshold_backward.grad_input


class Cell(NamedTuple):
    """What a layer does at each time step.

    It is given the inputs' share of its gates ``[lane, time, batch, gate]``, the recurrent weights
    ``[lane, gate, output]`` and the first output ``[lane, batch, output]``, then what is its own;
    it gives the outputs ``[lane, time, batch, output]``, then what is its own.
    """

    forward: Forward
    """What is given, whether time runs backwards → results."""
    backward: Backward
    """What is given but for the first, results, gradients of the leading results, whether time runs
    backwards → gradients of all that is given."""
    shapes: Callable[[Tensors], list[tuple[int, ...]]]
    """What is given → the shapes of the results, after the lanes."""
    leading: int = 1
    """How many results have a gradient; the others are kept for the backward pass."""


def _times(count: int, reverse: bool) -> list[int]:
    return list(range(count))[:: -1 if reverse else 1]


def _recurrent_grad(gates: Tensor, outputs: Tensor, first: Tensor, reverse: bool) -> Tensor:
    """Gradient of the recurrent weights: all time steps but the first in one product."""
    start = -1 if reverse else 0
    found = torch.bmm(gates[:, start].mT, first)
    later, earlier = (slice(0, -1), slice(1, None)) if reverse else (slice(1, None), slice(0, -1))
    return found.baddbmm_(gates[:, later].flatten(1, 2).mT, outputs[:, earlier].flatten(1, 2))


def _lstm(given: Tensors, reverse: bool) -> list[Tensor]:
    each, weight, output, cell, *project = given
    gates, units = torch.empty_like(each), cell.shape[-1]
    outputs = each.new_empty(*each.shape[:-1], output.shape[-1])
    cells, tops = (each.new_empty(*each.shape[:-1], units) for _ in range(2))
    for t in _times(each.shape[1], reverse):
        now = torch.baddbmm(each[:, t], output, weight.mT, out=gates[:, t])
        enter, keep, new, leave = now.chunk(4, -1)
        now[..., : 2 * units].sigmoid_()
        new.tanh_()
        leave.sigmoid_()
        cell = torch.mul(keep, cell, out=cells[:, t]).addcmul_(enter, new)
        top = torch.tanh(cell, out=tops[:, t])
        output = outputs[:, t]
        if project:
            torch.bmm(leave * top, project[0].mT, out=output)
        else:
            torch.mul(leave, top, out=output)
    return [outputs, cell.clone(), cells, gates, tops]


def _lstm_back(given: Tensors, results: Tensors, grads: Tensors, reverse: bool) -> list[Tensor]:
    weight, output, cell, *project = given
    outputs, _, cells, gates, tops = results
    changes, to_outputs = torch.empty_like(gates), torch.empty_like(outputs)
    times = _times(gates.shape[1], reverse)
    to_output, to_cell = torch.zeros_like(output), grads[1].clone()
    for t, before in zip(times[::-1], [*times[-2::-1], None], strict=True):
        enter, keep, new, leave = gates[:, t].chunk(4, -1)
        to_enter, to_keep, to_new, to_leave = changes[:, t].chunk(4, -1)
        to_output = torch.add(to_output, grads[0][:, t], out=to_outputs[:, t])
        through = torch.bmm(to_output, project[0]) if project else to_output
        top = tops[:, t]
        _into_sigmoid(through * top, leave, grad_input=to_leave)
        to_cell += torch.ops.aten.tanh_backward(through * leave, top)
        _into_sigmoid(to_cell * new, enter, grad_input=to_enter)
        _into_sigmoid(
            to_cell * (cell if before is None else cells[:, before]), keep, grad_input=to_keep
        )
        _into_tanh(to_cell * enter, new, grad_input=to_new)
        to_cell *= keep
        to_output = torch.bmm(changes[:, t], weight)
    found = [changes, _recurrent_grad(changes, outputs, output, reverse), to_output, to_cell]
    if project:
        raw = gates[..., -tops.shape[-1] :] * tops
        found.append(torch.bmm(to_outputs.flatten(1, 2).mT, raw.flatten(1, 2)))
    return found


def _gru(given: Tensors, reverse: bool) -> list[Tensor]:
    each, weight, output, bias = given
    gates, units = torch.empty_like(each), output.shape[-1]
    outputs, remembered = (each.new_empty(*each.shape[:-1], units) for _ in range(2))
    for t in _times(each.shape[1], reverse):
        drive, now, past = each[:, t], gates[:, t], torch.bmm(output, weight.mT)
        torch.add(drive[..., : 2 * units], past[..., : 2 * units], out=now[..., : 2 * units])
        now[..., : 2 * units].sigmoid_()
        reset, keep, new = now.chunk(3, -1)
        past = torch.add(past[..., 2 * units :], bias[:, None], out=remembered[:, t])
        torch.addcmul(drive[..., 2 * units :], reset, past, out=new).tanh_()
        output = torch.addcmul(new, output - new, keep, out=outputs[:, t])
    return [outputs, gates, remembered]


def _gru_back(given: Tensors, results: Tensors, grads: Tensors, reverse: bool) -> list[Tensor]:
    weight, output, _ = given
    outputs, gates, remembered = results
    units = output.shape[-1]
    changes, to_past = torch.empty_like(gates), torch.empty_like(gates)
    times = _times(gates.shape[1], reverse)
    to_output = torch.zeros_like(output)
    for t, before in zip(times[::-1], [*times[-2::-1], None], strict=True):
        reset, keep, new = gates[:, t].chunk(3, -1)
        to_reset, to_keep, to_new = changes[:, t].chunk(3, -1)
        last = output if before is None else outputs[:, before]
        to_output = to_output + grads[0][:, t]
        _into_sigmoid(to_output * (last - new), keep, grad_input=to_keep)
        _into_tanh(to_output * (1 - keep), new, grad_input=to_new)
        _into_sigmoid(to_new * remembered[:, t], reset, grad_input=to_reset)
        past = to_past[:, t].copy_(changes[:, t])
        past[..., 2 * units :] *= reset
        to_output = (to_output * keep).baddbmm_(past, weight)
    to_weight = _recurrent_grad(to_past, outputs, output, reverse)
    return [changes, to_weight, to_output, to_past[..., 2 * units :].sum((1, 2))]


def _plain(squash: Callable[[Tensor], Tensor]) -> Forward:
    def forward(given: Tensors, reverse: bool) -> list[Tensor]:
        each, weight, output = given
        outputs = torch.empty_like(each)
        for t in _times(each.shape[1], reverse):
            output = squash(torch.baddbmm(each[:, t], output, weight.mT, out=outputs[:, t]))
        return [outputs]

    return forward


def _plain_back(into: Callable[[Tensor, Tensor, Tensor], object]) -> Backward:
    def backward(given: Tensors, results: Tensors, grads: Tensors, reverse: bool) -> list[Tensor]:
        weight, output = given
        changes = torch.empty_like(results[0])
        to_output = torch.zeros_like(output)
        for t in _times(changes.shape[1], not reverse):
            into(to_output + grads[0][:, t], results[0][:, t], changes[:, t])
            to_output = torch.bmm(changes[:, t], weight)
        return [changes, _recurrent_grad(changes, results[0], output, reverse), to_output]

    return backward


def _like_outputs(given: Tensors) -> tuple[int, ...]:
    return (*given[0].shape[-3:-1], given[2].shape[-1])


CELLS = {
    "lstm": Cell(
        _lstm,
        _lstm_back,
        lambda given: [
            _like_outputs(given),
            given[3].shape[-2:],
            (*given[0].shape[-3:-1], given[3].shape[-1]),
            given[0].shape[-3:],
            (*given[0].shape[-3:-1], given[3].shape[-1]),
        ],
        leading=2,
    ),
    "gru": Cell(
        _gru,
        _gru_back,
        lambda given: [_like_outputs(given), given[0].shape[-3:], _like_outputs(given)],
    ),
    "tanh": Cell(
        _plain(Tensor.tanh_),
        _plain_back(lambda grad, out, into: _into_tanh(grad, out, grad_input=into)),
        lambda given: [_like_outputs(given)],
    ),
    "relu": Cell(
        _plain(Tensor.relu_),
        _plain_back(lambda grad, out, into: _into_relu(grad, out, 0, grad_input=into)),
        lambda given: [_like_outputs(given)],
    ),
}
"""Name → cell, with its gates in PyTorch's order.

An LSTM is also given its first cell ``[lane, batch, unit]`` and, if its outputs are projected, the
weights of that ``[lane, output, unit]``; it also gives its last cell. A GRU is also given the bias
of what its reset gate lets through ``[lane, unit]``.
"""
