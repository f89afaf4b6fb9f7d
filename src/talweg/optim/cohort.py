"""Parameters that take a step with the same scalars."""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter, is_, itemgetter
from typing import Any

import torch
from torch import Tensor

from talweg.core import Rule, UserError
from talweg.optim.kernels import Kernel, address, kernel_of
from talweg.optim.layout import bundled, flat, here, is_dense, laid_out_like, layers, spread

State = dict[str, Any]

_DTYPE = attrgetter("dtype")


class Cohort:
    """Parameters of any dtypes and devices, with where they and their states lie in memory.

    Args:
        rule: A rule of the structure that steps them.
        params: The parameters.
        names: The rule's name of a state → its key in a parameter's state.
    """

    def __init__(self, rule: Rule, params: Sequence[Tensor], names: Mapping[str, str]) -> None:
        self.params = list(params)
        self._rule = rule
        self._keys = {name: names.get(name, name) for name in rule.init(torch.empty(0))}
        self._states: list[State] = []
        self._marks: list[list[Any]] = []
        self._is_sharded = any(here(param) is not param for param in params)
        self._blocks: list[tuple[list[int], Block]] = []

    def holds(self, states: Sequence[State]) -> bool:
        """Whether parameters and states are those of the last step, and where they were."""
        if len(states) != len(self._states):
            return False
        if self._keys and not all(map(is_, states, self._states)):
            return False
        try:
            return self._marks == self._found(states)
        except (TypeError, KeyError):  # a state was taken away
            return False

    def _found(self, states: Sequence[State]) -> list[list[Any]]:
        """Where everything lies and how: ``param.data = …`` changes it under the same name."""
        rows = (map(itemgetter(key), states) for key in self._keys.values())
        params = list(self._here(self.params))
        tensors = params + list(self._here(chain.from_iterable(rows)))
        marks: list[list[Any]] = [
            list(map(Tensor.data_ptr, tensors)),
            list(map(Tensor.numel, tensors)),
        ]
        if not all(map(Tensor.is_contiguous, params)):
            marks.append(list(map(Tensor.stride, params)))
        return marks  # another dtype is another place or size, or what the gradients are not in

    def _here(self, tensors: Iterable[Tensor]) -> Iterable[Tensor]:
        return map(here, tensors) if self._is_sharded else tensors

    def arrange(self, states: Sequence[State]) -> None:
        """Looks at how parameters and states lie in memory, and lays states out alike.

        Raises:
            UserError: If a state has not the shape of its parameter.
        """
        kinds: dict[tuple[int, torch.dtype, torch.device], list[int]] = {}
        for place, layer in enumerate(layers(list(self._here(self.params)))):
            param = self.params[place]
            kinds.setdefault((layer, param.dtype, param.device), []).append(place)
        self._blocks = []
        for (_, dtype, device), places in sorted(kinds.items(), key=lambda pair: pair[0][0]):
            kernel = kernel_of(self._rule, dtype, device)
            params = list(self._here(self.params[place] for place in places))
            own, keys = [states[p] for p in places], [self._keys[name] for name in kernel.states]
            self._blocks.append((places, Block(kernel, params, own, keys)))
        self._states, self._marks = list(states), self._found(states)

    def step(self, grads: Sequence[Tensor], scalars: Mapping[str, Any]) -> None:
        """Steps every parameter.

        Args:
            grads: The gradient of each parameter.
            scalars: What the rule's step needs besides tensors.
        """
        grads = list(self._here(grads)) if self._is_sharded else grads
        for places, block in self._blocks:
            whole = len(places) == len(grads)
            block.step(grads if whole else [grads[place] for place in places], scalars)


class Block:
    """Parameters of one dtype and device, which one kernel steps.

    Args:
        kernel: What steps them.
        params: The parameters.
        states: The state of each, which is laid out as the parameter is.
        keys: The keys of the kernel's states.
    """

    def __init__(
        self,
        kernel: Kernel,
        params: Sequence[Tensor],
        states: Sequence[State],
        keys: Sequence[str],
    ) -> None:
        self._kernel = kernel
        self._stand_ins: list[tuple[Tensor, Tensor]] = []
        self._params: list[Tensor] = []
        for param in params:
            dense = param
            if not is_dense(param) or param.is_neg():
                dense = param.detach().resolve_neg().clone(memory_format=torch.contiguous_format)
                self._stand_ins.append((param, dense))
            self._params.append(dense)
        for key in keys:
            for param, state in zip(self._params, states, strict=True):
                held = here(state[key])
                if held.shape != param.shape:
                    raise UserError(
                        f"state {key!r} has shape {list(held.shape)}, its parameter "
                        f"{list(param.shape)}: was it loaded from another model?"
                    )
                laid_out = laid_out_like(held.to(param.device, kernel.exact), param)
                if laid_out is not held:
                    state[key] = laid_out
        self._held = [[here(state[key]) for state in states] for key in keys]
        self._dtypes = {param.dtype for param in params}
        self._numels = [param.numel() for param in params]
        self._are_contiguous = all(param.is_contiguous() for param in self._params)
        self._runs = bundled(self._params)
        self._sizes = array("q", self._numels)
        rows = [self._params, self._params, *self._held]  # the second is for the gradients
        self._table = array("q", [tensor.data_ptr() for row in rows for tensor in row])

    def step(self, grads: Sequence[Tensor], scalars: Mapping[str, Any]) -> None:
        """Steps every parameter.

        Args:
            grads: The gradient of each parameter.
            scalars: What the rule's step needs besides tensors.
        """
        for param, stand_in in self._stand_ins:
            stand_in.copy_(param)
        grads = self._laid_out(grads)
        native = self._kernel.native()
        if native is None or set(map(_DTYPE, grads)) != self._dtypes:
            self._step_plainly(grads, scalars)
        else:
            self._step_natively(native, grads, scalars)
        for param, stand_in in self._stand_ins:
            param.copy_(stand_in)

    def _laid_out(self, grads: Sequence[Tensor]) -> Sequence[Tensor]:
        """The gradients, laid out as the parameters are."""
        if list(map(Tensor.numel, grads)) != self._numels:
            raise UserError("a gradient has not the size of its parameter")
        if any(map(Tensor.is_neg, grads)):
            grads = [grad.resolve_neg() for grad in grads]
        if self._are_contiguous and all(map(Tensor.is_contiguous, grads)):
            return grads
        return [laid_out_like(g, param) for g, param in zip(grads, self._params, strict=True)]

    def _step_natively(
        self, step: Callable[..., None], grads: Sequence[Tensor], scalars: Mapping[str, Any]
    ) -> None:
        count = len(grads)
        self._table[count : 2 * count] = array("q", list(map(Tensor.data_ptr, grads)))
        numbers = self._kernel.numbers(scalars)
        places = (address(self._sizes), address(self._table), address(numbers))
        step(count, *places, torch.get_num_threads())
        torch.autograd.graph.increment_version(self._params)

    def _step_plainly(self, grads: Sequence[Tensor], scalars: Mapping[str, Any]) -> None:
        packed = self._kernel.packed(scalars)
        for run in self._runs:
            rows = [self._params, grads, *self._held]
            if len(run) == 1:
                params, grad, *states = (flat(row[run[0]]) for row in rows)
                self._kernel.step(params, grad, states, packed)
                continue
            chosen = [[row[place] for place in run] for row in rows]
            params, grad, *states = (torch.cat([flat(t) for t in row]) for row in chosen)
            self._kernel.step(params, grad, states, packed)
            for values, row in zip((params, *states), (chosen[0], *chosen[2:]), strict=True):
                spread(values, row)
