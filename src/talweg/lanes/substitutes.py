"""Layers that PyTorch cannot batch, as they compute in the copy of a model that lanes share.

Each is a ``forward`` in operations that can be batched; names and shapes of parameters stay.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, embedding, linear
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase  # pyright: ignore[reportPrivateUsage]
from torch.nn.utils import parametrizations
from torch.utils._pytree import tree_leaves, tree_map

from talweg.lanes.recurrent import is_stacked, stack_recurrent


def substitute(module: nn.Module) -> None:
    """Has the layers inside a module compute by operations that can be batched.

    One whose ``forward`` the user has written anew is left alone.

    Args:
        module: It is changed.
    """
    stack_recurrent(module)
    for layer in module.modules():
        own = type(layer)
        for kind, forward in _FORWARDS.items():
            if issubclass(own, kind) and own.forward is kind.forward:
                layer.__class__ = type(own.__name__, (own,), {"forward": forward})


def keep_whole(module: nn.Module) -> None:
    """Has the layers inside a module compute in float32 that cannot be batched in two types.

    Their parameters and statistics are in float32, and under `torch.autocast` what they are given
    is not. What they give is of the type that they are given.

    Args:
        module: Its layers can be batched otherwise; it is changed.
    """
    layers: list[Any] = [
        layer
        for layer in module.modules()
        if isinstance(layer, (_NormBase, nn.LayerNorm, nn.RMSNorm, nn.PReLU)) or is_stacked(layer)
    ]
    for layer in layers:
        own = type(layer)
        layer.__class__ = type(own.__name__, (own,), {"forward": _whole(own.forward)})


def _whole(forward: Callable[..., Any]) -> Callable[..., Any]:
    def whole(self: nn.Module, *given: Any, **named: Any) -> Any:
        first = next(each for each in tree_leaves((given, named)) if isinstance(each, Tensor))
        given, named = _cast((given, named), torch.float32)
        with torch.autocast(first.device.type, enabled=False):
            return _cast(forward(self, *given, **named), first.dtype)

    return whole


def _cast(tree: Any, dtype: torch.dtype) -> Any:
    """The same with all tensors in one type."""
    return tree_map(lambda each: each.to(dtype) if isinstance(each, Tensor) else each, tree)


def _lstm_cell(
    self: nn.LSTMCell, x: Tensor, hx: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    output, cell = hx or [x.new_zeros(*x.shape[:-1], self.hidden_size)] * 2
    now = linear(x, self.weight_ih, self.bias_ih) + linear(output, self.weight_hh, self.bias_hh)
    enter, keep, new, leave = now.chunk(4, -1)
    cell = keep.sigmoid() * cell + enter.sigmoid() * new.tanh()
    return leave.sigmoid() * cell.tanh(), cell


def _gru_cell(self: nn.GRUCell, x: Tensor, hx: Tensor | None = None) -> Tensor:
    output = x.new_zeros(*x.shape[:-1], self.hidden_size) if hx is None else hx
    reset, keep, new = linear(x, self.weight_ih, self.bias_ih).chunk(3, -1)
    to_reset, to_keep, past = linear(output, self.weight_hh, self.bias_hh).chunk(3, -1)
    new = (new + (reset + to_reset).sigmoid() * past).tanh()
    return new + (keep + to_keep).sigmoid() * (output - new)


def _rnn_cell(self: nn.RNNCell, x: Tensor, hx: Tensor | None = None) -> Tensor:
    output = x.new_zeros(*x.shape[:-1], self.hidden_size) if hx is None else hx
    now = linear(x, self.weight_ih, self.bias_ih) + linear(output, self.weight_hh, self.bias_hh)
    return now.relu() if self.nonlinearity == "relu" else now.tanh()


def _bilinear(self: nn.Bilinear, first: Tensor, second: Tensor) -> Tensor:
    form = torch.einsum("...i,oij,...j->...o", first, self.weight, second)
    return form if self.bias is None else form + self.bias  # pyright: ignore[reportUnnecessaryComparison]


def _embedding_bag(
    self: nn.EmbeddingBag,
    x: Tensor,
    offsets: Tensor | None = None,
    per_sample_weights: Tensor | None = None,
) -> Tensor:
    plain = self.padding_idx is None and self.max_norm is None and self.mode != "max"
    if not plain or x.dim() != 2 or offsets is not None:
        return nn.EmbeddingBag.forward(self, x, offsets, per_sample_weights)
    each = embedding(x, self.weight)
    if per_sample_weights is not None:
        each = each * per_sample_weights[..., None]
    return each.mean(1) if self.mode == "mean" else each.sum(1)


def _batch_norm(self: _BatchNorm, x: Tensor) -> Tensor:
    """With a mean over all batches so far, whose number PyTorch reads in Python."""
    if not (self.momentum is None and self.training and self.track_running_stats):
        return _BatchNorm.forward(self, x)
    mean, variance, count = self.running_mean, self.running_var, self.num_batches_tracked
    assert mean is not None
    assert variance is not None
    assert count is not None
    self._check_input_dim(x)  # pyright: ignore[reportPrivateUsage]
    count.add_(1)
    over = [axis for axis in range(x.dim()) if axis != 1]
    mean.add_((x.detach().mean(over) - mean) / count)
    variance.add_((x.detach().var(over) - variance) / count)
    return batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)


def _weight_norm(self: Any, length: Tensor, direction: Tensor) -> Tensor:
    over = [axis for axis in range(direction.dim()) if axis != self.dim]  # -1 is for none
    return direction * (length / torch.linalg.vector_norm(direction, dim=over, keepdim=True))


_FORWARDS: dict[type[nn.Module], Callable[..., Any]] = {
    nn.LSTMCell: _lstm_cell,
    nn.GRUCell: _gru_cell,
    nn.RNNCell: _rnn_cell,
    nn.Bilinear: _bilinear,
    nn.EmbeddingBag: _embedding_bag,
    _BatchNorm: _batch_norm,
}
_norm = getattr(parametrizations, "_WeightNorm", None)
if _norm is not None:
    _FORWARDS[_norm] = _weight_norm
