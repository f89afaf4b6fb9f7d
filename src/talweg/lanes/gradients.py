"""Losses and gradients of several lanes at once: stacked by `vmap`, or one module at a time."""

import copy
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from talweg.data.inputs import Arguments, X, arguments, call, each
from talweg.lanes.attention import plain_attention
from talweg.lanes.compiling import Compiler
from talweg.lanes.layout import Layout
from talweg.lanes.operators import keep_own_gradients
from talweg.lanes.precision import Precision
from talweg.lanes.probe import Probe
from talweg.lanes.substitutes import keep_whole, substitute
from talweg.losses import Loss

Buffers: TypeAlias = dict[str, Tensor]
"""Name → ``[lane, *shape]``: what lanes keep apart besides trainable parameters."""

Stepper: TypeAlias = Callable[[X, Tensor], Tensor]
"""Inputs and targets of a batch → each lane's loss; see `Gradients.stepper`."""


class Gradients(Protocol):
    """How a group of lanes gets its losses, gradients and outputs."""

    def ready(self) -> AbstractContextManager[None]:
        """Surrounds all other calls, on whatever thread they are made."""
        ...

    def stepper(self, at: Tensor, rest: Buffers, grads: Tensor) -> Stepper:
        """What gives each lane's batch loss ``[lane]`` and writes its gradient to ``grads``.

        Args:
            at: Where to take the gradient, ``[lane, parameter]``; it may change between calls.
            rest: Buffers and frozen parameters; the buffers are brought up to date in place.
            grads: ``[lane, parameter]``, overwritten at each call.

        Returns:
            A function of a batch: inputs ``[lane, batch, …]`` and targets ``[lane, batch, …]``.
        """
        ...

    def outputs(self, at: Tensor, rest: Buffers, x: X) -> Tensor:
        """What each lane's model gives for ``x [n, …]`` in evaluation: ``[lane, n, …]``."""
        ...

    def probed(self, at: Tensor, rest: Buffers, x: X, probe: Probe) -> dict[str, Tensor]:
        """What a probe takes in each lane while it is evaluated on ``x [n, …]``: ``[lane]``."""
        ...


def stackable_copy(module: nn.Module) -> nn.Module:
    """A copy of a module, of the same names and numbers, whose layers can be batched."""
    own = copy.deepcopy(module)
    substitute(own)
    return own


class Stacked:
    """All lanes in one tensor program.

    Args:
        module: A module with the architecture; its own parameters are never read.
        layout: Its layout.
        loss: The loss to differentiate.
        batches: The sizes of batch that programs are compiled for; others run uncompiled.
        compiler: What may compile the program.
        precision: What the model computes in.
    """

    def __init__(
        self,
        module: nn.Module,
        layout: Layout,
        loss: Loss,
        batches: Sequence[int],
        compiler: Compiler,
        precision: Precision,
    ) -> None:
        self._layout = layout
        self._precision = precision
        self._module = stackable_copy(module)
        if precision.is_mixed:
            keep_whole(self._module)
        self._loss = loss
        # A program as it is written puts each call's parameters into its module.
        self._own = threading.local()
        self._compiler = compiler
        self._has_compiled = False
        compiled = self._program(copy.deepcopy(self._module))
        self._compiled = {batch: compiler(compiled, dynamic=False) for batch in batches}
        if any(program.may_compile for program in self._compiled.values()):
            keep_own_gradients()

    def compile_now(self) -> None:
        """Has the next call compile, however few steps were made."""
        self._compiler.start()

    def _program(self, module: nn.Module) -> Callable[..., tuple[Any, Tensor, Buffers]]:
        """What gives gradients, losses and buffers of all lanes by a module's forward."""
        training, loss, layout = module.train(), self._loss, self._layout
        precision = self._precision

        def lane_loss(
            params: dict[str, Tensor], rest: Buffers, given: Arguments, y: Tensor
        ) -> tuple[Tensor, Buffers]:
            # A layer may change its buffers in place, which must not reach the lane's own.
            own = {name: value.clone() for name, value in rest.items()}
            own |= params
            with precision.forward():
                output = functional_call(training, own, *given)
            # Or it may have put new ones in their place, which `functional_call` leaves in `own`.
            value = loss(precision.whole(output), y)
            return value, {name: own[name].detach() for name in rest}

        differentiate = vmap(grad_and_value(lane_loss, has_aux=True), randomness="different")

        def program(
            at: Tensor, rest: Buffers, given: Arguments, y: Tensor
        ) -> tuple[Any, Tensor, Buffers]:
            params = layout.views(at)
            grads, (losses, new_rest) = differentiate(params, rest, given, y)
            return [grads[slot.name] for slot in layout.slots], losses, new_rest

        return program

    def _compile_smaller(self, at: Tensor, rest: Buffers, x: X, y: Tensor) -> None:
        """Compiles for smaller batches too, as soon as for one: a run has its pauses together."""
        self._has_compiled = True
        for size, program in self._compiled.items():
            if size < y.shape[1]:
                few = each(x, lambda values, size=size: values[:, :size].contiguous())
                with self._precision.machine():
                    program(at, rest, arguments(few), y[:, :size].contiguous())

    @property
    def _plain(self) -> Callable[..., tuple[Any, Tensor, Buffers]]:
        """The program of this thread, as it is written."""
        if not hasattr(self._own, "program"):
            self._own.program = self._program(copy.deepcopy(self._module))
        return self._own.program

    @property
    def _evaluation(self) -> nn.Module:
        """The module that this thread evaluates."""
        if not hasattr(self._own, "evaluation"):
            self._own.evaluation = copy.deepcopy(self._module).eval()
        return self._own.evaluation

    def ready(self) -> AbstractContextManager[None]:
        """See `Gradients.ready`."""
        return plain_attention(self._precision.is_mixed)

    def stepper(self, at: Tensor, rest: Buffers, grads: Tensor) -> Stepper:
        """See `Gradients.stepper`."""
        slots = list(self._layout.views(grads).values())
        # Copied here and not inside the program, where a compiler makes one masked loop of it.
        copy_all = torch._foreach_copy_  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]

        def losses(x: X, y: Tensor) -> Tensor:
            program = self._compiled.get(y.shape[1])
            run = program if program is not None and program.has_started else self._plain
            if run is program and not self._has_compiled:
                self._compile_smaller(at, rest, x, y)
            with self._precision.machine():
                parts, found, new_rest = run(at, rest, arguments(x), y)
            copy_all(slots, parts)
            for name, value in new_rest.items():
                rest[name].copy_(value)
            return found

        return losses

    def outputs(self, at: Tensor, rest: Buffers, x: X) -> Tensor:
        """See `Gradients.outputs`."""
        module, given, precision = self._evaluation, arguments(x), self._precision

        def forward(params: dict[str, Tensor], rest: Buffers) -> Tensor:
            with precision.forward():
                output = functional_call(module, {**params, **rest}, *given)
            return precision.whole(output)

        with torch.no_grad(), precision.machine():
            return vmap(forward, randomness="different")(self._layout.views(at), rest)

    def probed(self, at: Tensor, rest: Buffers, x: X, probe: Probe) -> dict[str, Tensor]:
        """See `Gradients.probed`."""
        module, given, precision = self._evaluation, arguments(x), self._precision

        def look(params: dict[str, Tensor], rest: Buffers) -> dict[str, Tensor]:
            with precision.forward(), probe.attached(module) as taken:
                functional_call(module, {**params, **rest}, *given)
            return taken

        with torch.no_grad(), precision.machine():
            return vmap(look, randomness="different")(self._layout.views(at), rest)


class OneModule:
    """One lane through PyTorch's own autograd: any model that PyTorch can train.

    Args:
        module: The lane's module; it is changed.
        layout: Its layout.
        loss: The loss to differentiate.
        precision: What the model computes in.
    """

    def __init__(self, module: nn.Module, layout: Layout, loss: Loss, precision: Precision) -> None:
        self._module = module
        self._precision = precision
        self._layout = layout
        self._loss = loss
        named = dict(self._module.named_parameters())
        self._trainable = [named[slot.name] for slot in layout.slots]

    def ready(self) -> AbstractContextManager[None]:
        """See `Gradients.ready`."""
        return nullcontext()

    def stepper(self, at: Tensor, rest: Buffers, grads: Tensor) -> Stepper:
        """See `Gradients.stepper`; takes one lane, and is used until the next one is asked for."""
        self._load(at, rest)
        self._module.train()
        rows = [view[0] for view in self._layout.views(grads).values()]

        def losses(x: X, y: Tensor) -> Tensor:
            for parameter in self._trainable:
                parameter.grad = None
            with self._precision.machine():
                loss = self._loss(self._forward(x[0]), y[0])
                loss.backward()
            for parameter, row in zip(self._trainable, rows, strict=True):
                if parameter.grad is None:
                    row.zero_()
                else:
                    row.copy_(parameter.grad)
            self._store(rest)
            return loss.detach()[None]

        return losses

    def outputs(self, at: Tensor, rest: Buffers, x: X) -> Tensor:
        """See `Gradients.outputs`; takes one lane."""
        self._load(at, rest)
        self._module.eval()
        with torch.no_grad(), self._precision.machine():
            return self._forward(x)[None]

    def probed(self, at: Tensor, rest: Buffers, x: X, probe: Probe) -> dict[str, Tensor]:
        """See `Gradients.probed`; takes one lane."""
        with probe.attached(self._module) as taken:
            self.outputs(at, rest, x)
        return {name: value[None] for name, value in taken.items()}

    def _forward(self, x: X) -> Tensor:
        with self._precision.forward():
            output = call(self._module, x)
        return self._precision.whole(output)

    def _load(self, at: Tensor, rest: Buffers) -> None:
        for parameter, value in zip(self._trainable, self._layout.views(at).values(), strict=True):
            parameter.data = value[0]
        own = {**dict(self._module.named_buffers()), **dict(self._module.named_parameters())}
        for name, value in rest.items():
            own[name].data.copy_(value[0])

    def _store(self, rest: Buffers) -> None:
        for name, value in self._module.named_buffers():
            rest[name][0].copy_(value)
