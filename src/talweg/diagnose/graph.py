"""The loss's gradient where weights are used, told from autograd's graph."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from talweg.diagnose.layers import called
from talweg.diagnose.taking import BACKWARD, Values, read

THROUGH_TIME, TIME_STEPS = "through time", "time steps"
"""What arrives at the first use of a weight of what starts at the last, as a share; its uses."""
RECURRENT = 4
"""Uses of a weight in one pass, from which on it is a recurrent one."""
MULTIPLYING = ("Addmm", "Mm", "Bmm", "Addbmm", "Baddbmm", "Linear", "Convolution")
"""Nodes of a graph that multiply a weight."""
WRAPPING = 4
"""Nodes that may lie between a weight and what multiplies it: it is transposed, or cast."""


class Graph:
    """Listens to a backward pass in the graph that it goes through.

    It needs no hooks on modules, so that a pass can be listened to after its forward pass; and it
    sees every single use of a weight, as by the time steps of a plain recurrent network.

    Args:
        model: Whose weights are looked for.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._names: dict[int, str] = {}
        self._norms: dict[int, list[Tensor]] = {}
        self._is_recurrent: bool | None = None

    def follow(self, loss: Tensor, is_needed: bool = False) -> None:
        """Listens to the next backward pass from a loss.

        Args:
            loss: Before its gradient is taken.
            is_needed: Whether to listen in models too that use no weight again and again.
        """
        if self._norms or (self._is_recurrent is False and not is_needed):
            return
        self._names = {
            id(value): called(name, self._model)
            for name, module in self._model.named_modules()
            for value in module.parameters(recurse=False)
            if not is_lazy(value) and value.dim() > 1
        }
        uses = self._uses(loss)
        self._is_recurrent = any(len(nodes) >= RECURRENT for nodes in uses.values())
        for weight, nodes in uses.items():
            if is_needed or len(nodes) >= RECURRENT:
                for node in nodes:
                    node.register_prehook(self._teller(weight))

    @property
    def has_heard(self) -> bool:
        """Whether anything was told since the last time."""
        return bool(self._norms)

    def finish(self) -> Values:
        """What was told since the last time."""
        norms, self._norms = self._norms, {}
        values: Values = {}
        for weight, parts in norms.items():
            sizes, name = read(parts), self._names[weight]
            values.setdefault(BACKWARD, {})[name] = sum(size**2 for size in sizes) ** 0.5
            if len(sizes) >= RECURRENT and sizes[0] > 0:
                total = sizes[-1] / sizes[0]
                values.setdefault(THROUGH_TIME, {})[name] = total
                values.setdefault(TIME_STEPS, {})[name] = float(len(sizes))
        return values

    def _uses(self, loss: Tensor) -> dict[int, list[Any]]:
        """Nodes that multiply a weight, by the weight."""
        found: dict[int, list[Any]] = {}
        todo: list[Any] = [loss.grad_fn]
        seen: set[Any] = {None}
        while todo:
            node = todo.pop()
            if node in seen:
                continue
            seen.add(node)
            before = [each for each, _ in node.next_functions]
            todo += before
            if node.name().removesuffix("0").removesuffix("Backward") in MULTIPLYING:
                for each in before:
                    weight = _leaf(each)
                    if weight in self._names:
                        found.setdefault(weight, []).append(node)
        return found

    def _teller(self, weight: int) -> Callable[..., None]:
        def tell(grads: tuple[Tensor | None, ...]) -> None:
            if grads[0] is not None:
                norm = torch.linalg.vector_norm(grads[0].detach(), dtype=torch.float32)
                self._norms.setdefault(weight, []).append(norm)

        return tell


def _leaf(node: Any) -> int:
    """The identity of the weight that a node of a graph leads to in a few steps; 0 for none."""
    for _ in range(WRAPPING):
        if node is None or hasattr(node, "variable"):
            break
        before = node.next_functions
        node = before[0][0] if len(before) == 1 else None
    return id(getattr(node, "variable", None)) if node is not None else 0
