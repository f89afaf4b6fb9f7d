"""Compiled programs with our operators in place of torch's, where they are faster."""

import math
import operator
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._inductor import inductor_prims
from torch._inductor.custom_graph_pass import CustomGraphPass, get_hash_for_files
from torch.fx import Graph, Node

from talweg.lanes.operators import RECUR, RECUR_BACK

aten: Any = torch.ops.aten
POOL: Any = inductor_prims._low_memory_max_pool_with_offsets  # pyright: ignore[reportPrivateUsage]
INDICES: Any = inductor_prims._low_memory_max_pool_offsets_to_indices  # pyright: ignore[reportPrivateUsage]
VIEWS = (aten.view.default, aten.reshape.default, aten.permute.default)
REPEATS = 5


class Replace(CustomGraphPass):
    """A pass over a graph that is about to be compiled.

    Batched products, grouped convolutions and recurrent layers in float32 on a processor are timed
    with made-up numbers, by torch and by our operators, and the faster one stays. Compiled programs
    are cached on disk, and with them the choice: the same call gives the same numbers from then on.
    """

    def __call__(self, graph: Graph) -> None:
        """Puts our operators where they are faster."""
        for node in list(graph.nodes):
            find = REPLACEMENTS.get(node.target)
            if find is not None and _suits(node):
                find(graph, node)
        graph.eliminate_dead_code()

    def uuid(self) -> Any:
        """Changes whenever one of these files does."""
        files = sorted(
            p for p in Path(__file__).parent.iterdir() if p.suffix in (".py", ".h", ".cpp")
        )
        return get_hash_for_files(tuple(map(str, files)))


def _suits(node: Node) -> bool:
    """Whether all tensors of a node are float32, or indices, on a processor, of known shapes."""
    values = [each.meta.get("val") for each in node.all_input_nodes]
    if isinstance(node.meta["val"], Tensor) and node.meta["val"].dtype is not torch.float32:
        return False
    return all(
        isinstance(value, Tensor)
        and value.dtype in (torch.float32, torch.int64)
        and value.device.type == "cpu"
        and all(type(side) is int for side in (*value.shape, *value.stride()))
        for value in values
    )


def _like(node: Any) -> Tensor:
    """A tensor of made-up numbers, laid out as a node's will be."""
    value = node.meta["val"]
    draw = torch.Generator().manual_seed(0)  # not the numbers that lanes are to draw
    room = torch.empty_strided(value.shape, value.stride()).untyped_storage().nbytes() // 4
    return torch.empty(room).normal_(generator=draw).as_strided(value.shape, value.stride())


def _seconds(call: Callable[[], object]) -> float:
    call()
    times: list[float] = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def _is_faster(ours: Callable[[], object], theirs: Callable[[], object]) -> bool:
    return _seconds(ours) < _seconds(theirs)


def _product(graph: Graph, node: Node) -> None:
    ours: Any = torch.ops.talweg.bmm.default
    a, b = (_like(each) for each in node.args)
    if a.shape[0] == 0 or not _is_faster(lambda: ours(a, b), lambda: torch.bmm(a, b)):
        return
    _put(graph, node, ours, node.args)


def _put(graph: Graph, node: Node, target: Any, arguments: Any) -> Node:
    """Puts a call in a node's place."""
    with graph.inserting_before(node):
        new = graph.call_function(target, tuple(arguments))
    new.meta.update(node.meta)
    node.replace_all_uses_with(new)
    graph.erase_node(node)
    return new


def _max_pool(graph: Graph, node: Node) -> None:
    """Max pooling, for which the compiler finds no vectors."""
    x, *window, ceil = node.args
    values: tuple[Tensor, Tensor] = node.meta["val"]
    if ceil or values[0].dim() != 4 or not all(each.is_contiguous() for each in values):
        return
    settings: Any = [list(each) for each in window]  # type: ignore[call-overload]
    if math.prod(settings[0]) > torch.iinfo(torch.int8).max:  # taps are numbered by int8
        return
    _put(graph, node, torch.ops.talweg.max_pool.default, (x, *settings))


def _max_pool_backward(graph: Graph, node: Node) -> None:
    """What hands max pooling's gradient back: it adds to rows of zeros, one atomic add each."""
    into, dim, index, source = node.args
    assert isinstance(into, Node)
    zeros = into.target is aten.full.default and into.args[1] == 0
    if not zeros or dim != 1 or node.meta["val"].dim() != 2:
        return
    views: list[Node] = []
    at: Any = index
    while at.target in VIEWS:
        views.append(at)
        at = at.args[0]
    if at.target is not INDICES or at.args[0].target is not operator.getitem:
        return
    taps: Node = at.args[0]
    pool: Any = taps.args[0]
    if pool.target is not torch.ops.talweg.max_pool.default:
        return
    places: Tensor = at.meta["val"]
    count = places.shape[-2] * places.shape[-1]
    if node.meta["val"].shape[0] * count != places.numel() or not all(map(_keeps, views[1:])):
        return
    with graph.inserting_before(node):
        for view in reversed(views):
            moved = graph.call_function(view.target, (taps, *view.args[1:]))  # type: ignore[arg-type]
            moved.meta["val"] = view.target(taps.meta["val"], *view.args[1:])  # type: ignore[operator, misc]
            taps = moved
    settings = (list(at.args[2]), *pool.args[1:])
    _put(graph, node, torch.ops.talweg.max_pool_backward.default, (source, taps, *settings))


def _keeps(view: Node) -> bool:
    """Whether a view leaves planes, the last two dimensions, as they are."""
    before, after = (each.meta["val"].shape for each in (view.args[0], view))  # type: ignore[union-attr]
    if view.target is aten.permute.default:
        last = len(before)
        return list(view.args[1][-2:]) == [last - 2, last - 1]  # type: ignore[index, arg-type]
    return before[-2:] == after[-2:]


def _fits(stride: list[int], transposed: bool, weight: Node, x: Node) -> bool:
    return (
        not transposed
        and len(stride) == 2
        and all(step == 1 for step in stride)
        and x.meta["val"].dim() == weight.meta["val"].dim() == 4
    )


def _convolution(graph: Graph, node: Node) -> None:
    x, weight, bias, stride, padding, dilation, transposed, _, groups = node.args
    if bias is not None or not _fits(stride, transposed, weight, x):  # type: ignore[arg-type]
        return
    if not node.meta["val"].is_contiguous():
        return
    ours: Any = torch.ops.talweg.convolution.default
    settings = (list(padding), list(dilation), groups)  # type: ignore[arg-type]
    a, b = _like(x), _like(weight)
    theirs = (None, *node.args[3:])
    if _is_faster(lambda: ours(a, b, *settings), lambda: aten.convolution(a, b, *theirs)):
        _put(graph, node, ours, (x, weight, *settings))


def _convolution_backward(graph: Graph, node: Node) -> None:
    dy, x, weight, _, stride, padding, dilation, transposed, _, groups, mask = node.args
    pads: Any = padding
    steps: Any = dilation
    if mask[2] or not _fits(stride, transposed, weight, x):  # type: ignore[index, arg-type]
        return
    kernel = weight.meta["val"].shape[2:]  # type: ignore[union-attr]
    turns = all(p <= d * (k - 1) for p, d, k in zip(pads, steps, kernel, strict=True))
    settings = (list(pads), list(steps), groups)
    given = tuple(_like(each) for each in (dy, x, weight))
    kept = [user for user in node.users if user.args[1] < 2]  # type: ignore[operator]
    for user in kept:
        which: Any = user.args[1]
        if which == 0 and not turns:
            continue
        name = ("convolution_input", "convolution_weight")[which]
        ours: Any = getattr(torch.ops.talweg, name).default
        if not user.meta["val"].is_contiguous():
            continue
        alone = [which == 0, which == 1, False]
        theirs = (*node.args[3:10], alone)

        def with_ours(ours: Any = ours) -> object:
            return ours(*given, *settings)

        def with_torch(theirs: Any = theirs) -> object:
            return aten.convolution_backward(*given, *theirs)

        if _is_faster(with_ours, with_torch):
            with graph.inserting_before(node):
                new = graph.call_function(ours, (dy, x, weight, *settings))
            new.meta.update(user.meta)
            user.replace_all_uses_with(new)
            graph.erase_node(user)
            left = [bool(mask[i]) and i != which for i in range(3)]  # type: ignore[index]
            mask = left
            node.args = (*node.args[:10], left)


def _recurrence(graph: Graph, node: Node) -> None:
    """A recurrent layer, forward or backward, but for LSTMs with projected outputs."""
    cell, reverse, *groups = node.args
    given: Any = groups[0]
    if (cell == "lstm" and len(given) > 6) or given[0].meta["val"].dim() != 4:
        return
    is_back = len(groups) > 1
    ours: Any = (torch.ops.talweg.recurrence, torch.ops.talweg.recurrence_back)[is_back].default
    theirs: Any = node.target
    tensors = [[_like(each) for each in group] for group in groups]  # type: ignore[union-attr]
    if _is_faster(lambda: ours(cell, reverse, *tensors), lambda: theirs(cell, reverse, *tensors)):
        _put(graph, node, ours, node.args)


REPLACEMENTS: dict[Any, Callable[[Graph, Node], None]] = {
    aten.bmm.default: _product,
    POOL: _max_pool,
    aten.scatter_add.default: _max_pool_backward,
    aten.convolution.default: _convolution,
    aten.convolution_backward.default: _convolution_backward,
    RECUR: _recurrence,
    RECUR_BACK: _recurrence,
}
