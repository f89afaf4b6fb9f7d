"""A rule's step on tensors, in place: compiled as soon as it can be, plain until then."""

import ctypes
import warnings
from array import array
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from talweg.core import Compiled, Rule, Scalars, State, UserError
from talweg.optim.library import Library
from talweg.optim.source import written

CHUNK = 1 << 18
"""Elements that the plain path works on at a time: what stays in a processor's cache."""


class Compiling:
    """Whether steps are compiled, for the whole process.

    Attributes:
        wanted: True for at the first step, False for never, None for as soon as the compiler,
            which works beside the training, is done. Compiled and plain steps give the same bits.
    """

    wanted: bool | None = None
    _told = False

    @classmethod
    def tell(cls, reason: str) -> None:
        """Says once a process why steps stay uncompiled."""
        if not cls._told:
            cls._told = True
            warnings.warn(f"talweg.optim runs uncompiled: {reason}", RuntimeWarning, stacklevel=6)


def use_compiler(wanted: bool | None) -> None:
    """Sets whether the optimizers of this process compile their steps.

    Args:
        wanted: True for at the first step, which then waits for the compiler, False for never,
            None (the start) for as soon as the compiler is done, beside the training.

    Raises:
        UserError: If it is none of these.
    """
    if not isinstance(wanted, (bool, type(None))):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"wanted must be True, False or None, got {wanted!r}")
    Compiling.wanted = wanted


def exact_dtype(dtype: torch.dtype) -> torch.dtype:
    """What a parameter of that dtype is stepped in, and its state kept in: at least float32."""
    return torch.float32 if dtype.itemsize < 4 else dtype


def step_in_place(rule: Rule, params: Tensor, grad: Tensor, state: State, scalars: Scalars) -> None:
    """A rule's step, which overwrites ``params`` and ``state``.

    Args:
        rule: The rule.
        params: Any shape; stepped in `exact_dtype` and then rounded.
        grad: As ``params``; it is not changed.
        state: In that dtype.
        scalars: What the rule's step needs besides tensors.
    """
    exact = exact_dtype(params.dtype)
    now, slope = (x if x.dtype is exact else x.to(exact) for x in (params, grad))
    new_params, new = rule.step(now, slope, state, scalars)
    # What is handed on unchanged is read before it is overwritten.
    given = list(map(Tensor.data_ptr, (params, *state.values())))
    made = [new[name] for name in state]
    made = [x.clone() if x.data_ptr() in given else x for x in made]
    params.copy_(new_params)
    for tensor, value in zip(state.values(), made, strict=True):
        tensor.copy_(value)


class _RoundedRoots(TorchFunctionMode):
    """Square roots to the last bit, as compiled steps have them; PyTorch's, by MKL, are not."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        is_root = func is Tensor.sqrt or func is torch.sqrt
        if is_root and len(args) == 1 and args[0].is_floating_point() and not kwargs:
            with np.errstate(invalid="ignore"):
                return torch.from_numpy(np.asarray(np.sqrt(args[0].numpy())))
        return func(*args, **(kwargs or {}))


class Kernel:
    """One rule structure's step for parameters of one dtype and kind of device.

    Args:
        rule: Any rule of the structure; its numbers are not read.
        dtype: Of the parameters.
        device: Of the parameters.

    Attributes:
        scalars: The names of the rule's scalars, in a fixed order.
        states: The names of its states, in a fixed order.
        exact: The dtype that it computes in.
    """

    def __init__(self, rule: Rule, dtype: torch.dtype, device: torch.device) -> None:
        scalars, _ = rule.recall(rule.scalars(1), rule.memory())
        self.scalars = tuple(scalars)
        self.states = tuple(rule.init(torch.empty(0)))
        self.exact = exact_dtype(dtype)
        self._device = device
        self._plain = self._function(rule)
        self._is_native = device.type == "cpu"
        self._source = None
        if self._is_native:
            self._source = written(rule, self.scalars, self.states, dtype)
        self._library: Library | None = None
        self._compiled: Compiled | None = None

    def _function(self, rule: Rule) -> Callable[..., None]:
        scalars, states = self.scalars, self.states

        def step(params: Tensor, grad: Tensor, state: list[Tensor], packed: Tensor) -> None:
            now = {name: packed[place] for place, name in enumerate(scalars)}
            step_in_place(rule, params, grad, dict(zip(states, state, strict=True)), now)

        return step

    def native(self) -> Callable[..., None] | None:
        """The step of many tensors by their addresses, or None as long as there is none.

        It takes the number of tensors, their sizes, a table of addresses with a row for the
        parameters, one for the gradients and one for each state, the scalars, and threads.
        """
        if self._source is None or Compiling.wanted is False:
            return None
        if self._library is None:
            self._library = Library(self._source)
        step = self._library.step(wait=bool(Compiling.wanted))
        if self._library.failure:
            Compiling.tell(self._library.failure)
            self._source = None
        return step

    def numbers(self, scalars: Mapping[str, Any]) -> "array[float]":
        """The scalars as the native step takes them."""
        return array("d", [float(scalars[name]) for name in self.scalars])

    def packed(self, scalars: Mapping[str, Any]) -> Tensor:
        """The scalars as `step` takes them."""
        values = [scalars[name] for name in self.scalars]
        if not any(isinstance(value, Tensor) for value in values):
            return torch.tensor(values, dtype=self.exact, device=self._device)
        rows = [torch.as_tensor(v, dtype=torch.float64, device=self._device) for v in values]
        return torch.stack([row.reshape(()) for row in rows]).to(self.exact)

    def step(self, params: Tensor, grad: Tensor, state: Sequence[Tensor], packed: Tensor) -> None:
        """Steps ``params`` and ``state`` in place.

        Args:
            params: ``[n]``.
            grad: ``[n]``; it is not changed.
            state: One tensor ``[n]`` for each of ``states``.
            packed: The values of ``scalars``, ``[k]``.
        """
        states, size = list(state), params.numel()
        if self._is_native:
            with _RoundedRoots():
                for begin in range(0, size, CHUNK):
                    part = slice(begin, begin + CHUNK)
                    held = [tensor[part] for tensor in states]
                    self._plain(params[part], grad[part], held, packed)
        elif size > 1 and self._is_compiled(params.dtype):  # a size of 1 is compiled for itself
            assert self._compiled is not None
            self._compiled(params, grad, states, packed)
        else:
            self._plain(params, grad, states, packed)

    def _is_compiled(self, dtype: torch.dtype) -> bool:
        """Whether the step runs as torch.compile has it: on a GPU."""
        if Compiling.wanted is False:
            return False
        if self._compiled is None:
            self._compiled = Compiled(self._plain, dynamic=True)
            small = torch.ones(1000, dtype=dtype, device=self._device)
            states = [small.to(self.exact, copy=True) for _ in self.states]
            packed = torch.ones(len(self.scalars), dtype=self.exact, device=self._device)
            self._compiled.prepare(small, small.clone(), states, packed)
        if self._compiled.failure:
            Compiling.tell(f"the compiler failed ({self._compiled.failure})")
        return not self._compiled.failure


_kernels: dict[Hashable, Kernel] = {}


def kernel_of(rule: Rule, dtype: torch.dtype, device: torch.device) -> Kernel:
    """The kernel of a rule's structure; all optimizers of a process share it."""
    key = (rule.structure, dtype, device)
    if key not in _kernels:
        _kernels[key] = Kernel(rule, dtype, device)
    return _kernels[key]


def address(values: "array[Any]") -> ctypes.c_void_p:
    """Where an array's numbers lie."""
    return ctypes.c_void_p(values.buffer_info()[0])
