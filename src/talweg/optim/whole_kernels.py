"""A rule's step on one whole tensor, compiled."""

from array import array
from collections.abc import Hashable, Mapping

import torch
from torch import Tensor

from talweg.core import Rule, Scalars
from talweg.optim.kernels import Compiling, address
from talweg.optim.library import Library
from talweg.optim.passes import BLOCK, written_whole


class WholeKernel:
    """One rule structure's step for tensors of one dtype, and of shapes that are alike to it.

    Args:
        library: The step as `written_whole` gives it, compiled or soon to be.
        columns: The length of a row.
        scalars: The names of the scalars, in the order in which it takes them.
        dtype: Of parameters and gradients.
    """

    def __init__(
        self, library: Library, columns: int, scalars: tuple[str, ...], dtype: torch.dtype
    ) -> None:
        self._library = library
        self._columns = columns
        self._scalars, self._dtype = scalars, dtype

    def step(
        self, param: Tensor, grad: Tensor, state: Mapping[str, Tensor], scalars: Scalars
    ) -> bool:
        """Steps a parameter and its states in place, or says that it cannot.

        Args:
            param: The parameter.
            grad: Its gradient; it is not changed.
            state: Its states.
            scalars: What the rule's step needs besides tensors.
        """
        tensors = [param, grad, *state.values()]
        if Compiling.wanted is False or grad.dtype != self._dtype or grad.is_neg():
            return False
        if grad.device != param.device:
            return False
        if param.is_neg() or not all(map(Tensor.is_contiguous, tensors)):
            return False
        native = self._library.step(wait=True)
        if native is None:
            Compiling.tell(self._library.failure or "the compiler's work was lost")
            return False
        sizes = array("q", [param.numel(), self._columns])
        table = array("q", list(map(Tensor.data_ptr, tensors)))
        numbers = array("d", [float(scalars[name]) for name in self._scalars])
        places = (address(sizes), address(table), address(numbers))
        native(1, *places, torch.get_num_threads())
        torch.autograd.graph.increment_version(param)
        return True


_libraries: dict[str, Library] = {}
_kernels: dict[Hashable, WholeKernel | None] = {}


def kernel_of(rule: Rule, param: Tensor) -> WholeKernel | None:
    """The compiled step of a rule's structure for such a parameter; all optimizers share it.

    None where it cannot be written, or where nothing is to be compiled.
    """
    if param.device.type != "cpu" or Compiling.wanted is False:
        return None
    key = (rule.structure, param.shape, param.dtype)
    if key not in _kernels:
        _kernels[key] = _written(rule, param)
    return _kernels[key]


def _written(rule: Rule, param: Tensor) -> WholeKernel | None:
    scalars, _ = rule.recall(rule.scalars(1), rule.memory())
    found = written_whole(rule, tuple(scalars), param.shape, param.dtype)
    if found is None:
        return None
    source, has_rows = found
    if source not in _libraries:
        _libraries[source] = Library(source)
    columns = param.shape[-1] if has_rows else BLOCK
    return WholeKernel(_libraries[source], columns, tuple(scalars), param.dtype)
