"""Recurrent modules that can be stacked: PyTorch has no batching rule for its own."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence

from talweg.lanes.operators import recur

KINDS: tuple[type[nn.RNNBase], ...] = (nn.LSTM, nn.GRU, nn.RNN)


def stack_recurrent(module: nn.Module) -> None:
    """Has the recurrent layers inside a module compute by operations that can be batched.

    Names and shapes of parameters stay. Their classes do not, for the compiler refuses whatever is
    an `torch.nn.LSTM`; a class of the user's that writes ``forward`` anew is left alone.

    Args:
        module: It is changed.
    """
    for layer in module.modules():
        own = type(layer)
        kind = next((kind for kind in KINDS if issubclass(own, kind)), None)
        if kind is None or own.forward is not kind.forward:
            continue
        members: dict[str, Any] = {}
        for base in reversed(own.__mro__[: own.__mro__.index(kind)]):
            members |= {name: value for name, value in vars(base).items() if name[:2] != "__"}
        layer.__class__ = type(own.__name__, (nn.Module,), members | _MEMBERS)


def is_stacked(layer: nn.Module) -> bool:
    """Whether a layer is one of those that `stack_recurrent` has changed."""
    return type(layer).forward is _forward


def _forward(
    self: nn.RNNBase,
    x: Tensor | PackedSequence,
    hx: Tensor | tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor | tuple[Tensor, Tensor]]:
    """As the ``forward`` of `torch.nn.LSTM`, `torch.nn.GRU` and `torch.nn.RNN`."""
    if isinstance(x, PackedSequence):
        raise NotImplementedError("packed sequences cannot be batched")
    is_batched = x.dim() == 3
    if not is_batched:
        x = x.unsqueeze(1)
    elif self.batch_first:
        x = x.transpose(0, 1)
    states = _states(self, x, hx, is_batched)
    directions = 2 if self.bidirectional else 1
    lasts: list[tuple[Tensor, ...]] = []
    for layer in range(self.num_layers):
        if layer and self.dropout:
            x = dropout(x, self.dropout, self.training)
        ways: list[Tensor] = []
        for way in range(directions):
            row = layer * directions + way
            outputs, *last = _one_way(self, x, row, [state[row] for state in states])
            ways.append(outputs)
            lasts.append((outputs[0 if way else -1], *last))
        x = torch.cat(ways, -1)
    ends = tuple(torch.stack(rows) for rows in zip(*lasts, strict=True))
    if not is_batched:
        x, ends = x.squeeze(1), tuple(end.squeeze(1) for end in ends)
    elif self.batch_first:
        x = x.transpose(0, 1)
    return x, (ends[0], ends[1]) if self.mode == "LSTM" else ends[0]


def _states(
    layer: nn.RNNBase, x: Tensor, hx: Tensor | tuple[Tensor, Tensor] | None, is_batched: bool
) -> tuple[Tensor, ...]:
    """What all layers start from, each ``[layer·direction, batch, …]``: outputs, cells."""
    if hx is None:
        rows = layer.num_layers * (2 if layer.bidirectional else 1)
        sizes = [layer.proj_size or layer.hidden_size]
        sizes += [layer.hidden_size] if layer.mode == "LSTM" else []
        return tuple(x.new_zeros(rows, x.shape[1], size) for size in sizes)
    given = (hx,) if isinstance(hx, Tensor) else tuple(hx)
    return given if is_batched else tuple(state.unsqueeze(1) for state in given)


def _one_way(layer: nn.RNNBase, x: Tensor, row: int, states: list[Tensor]) -> tuple[Tensor, ...]:
    """A layer in one direction: ``x [time, batch, feature]`` → outputs, the LSTM's last cell."""
    weights: dict[str, Tensor] = {
        name.split("_l")[0]: getattr(layer, name)
        for name in layer._all_weights[row]  # pyright: ignore[reportPrivateUsage]
    }
    bias = weights.get("bias_ih", x.new_zeros(len(weights["weight_ih"])))
    past = weights.get("bias_hh", torch.zeros_like(bias))
    more = states[1:]
    if layer.mode == "GRU":
        kept = 2 * layer.hidden_size
        more = [past[kept:]]
        past = torch.cat([past[:kept], torch.zeros_like(past[kept:])])
    if "weight_hr" in weights:
        more.append(weights["weight_hr"])
    cell = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}.get(layer.mode, layer.mode.lower())
    is_reverse = layer.bidirectional and row % 2 == 1
    given = (weights["weight_ih"], bias + past, weights["weight_hh"], *states[:1], *more)
    found = recur(cell, is_reverse, x, *given)
    return found[:2] if layer.mode == "LSTM" else found[:1]


_MEMBERS = {"forward": _forward, "flatten_parameters": lambda _: None}
