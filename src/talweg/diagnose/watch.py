"""`watch`: measures a training run from beside it, and says what goes wrong."""

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import torch
from torch import Tensor, nn
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from talweg.core import UserError, choose, first_line, whole_number
from talweg.diagnose.backward import listening
from talweg.diagnose.findings import DIAGNOSES
from talweg.diagnose.findings.finding import settled
from talweg.diagnose.finite import GRADIENT, aside, first_not_finite
from talweg.diagnose.graph import Graph
from talweg.diagnose.health import Health
from talweg.diagnose.measures import Step
from talweg.diagnose.moment import WHOLE, Moment
from talweg.diagnose.rule_in_use import rule_in_use
from talweg.diagnose.start import constant_loss
from talweg.diagnose.taking import Taking, named_weights, part, read, whole
from talweg.diagnose.taps import Tap
from talweg.diagnose.trace import Trace

EVERY = 20
"""Steps from one measured step to the next, unless asked for; see `cadence`."""
TIERS = ("light", "full")
LEAP = 10.0
"""A loss of so many times the mean of those before is looked at, between measured steps too."""
Given = ParamSpec("Given")


def cadence(step: int) -> int:
    """Steps from one measured step to the next by default: 20, and more the longer a run is.

    >>> cadence(0), cadence(9_999), cadence(10_000), cadence(1_000_000)
    (20, 20, 200, 20000)
    """
    return EVERY * 10 ** max(len(str(step)) - 4, 0)


def watch(
    model: nn.Module,
    optimizer: Optimizer | None = None,
    *,
    every: int | None = None,
    tier: str = "light",
    silence: Sequence[str] = (),
    thresholds: Mapping[str, Mapping[str, float]] | None = None,
) -> "Watch":
    """Watches a training run: ``with talweg.watch(model, optimizer) as health:`` around any loop.

    At every few steps it measures gradients, weights, updates and what layers give, and says what
    goes wrong as soon as it persists. The run is not changed by a bit: nothing is drawn, nothing
    written, and what is measured twice is put back.

    A step is a call of the optimizer's ``step``. Gradients are measured right before it: unscaled,
    clipped and summed up as the loop does it.

    Args:
        model: The model; also one that is compiled, wrapped for several processes, or in parts that
            are called one by one.
        optimizer: What trains it; None for whatever optimizer steps its parameters, for loops that
            make their own (Lightning, Transformers).
        every: Steps from one measured step to the next; None for 20, and from step 10,000 on 200,
            and so on.
        tier: ``"light"``, or ``"full"`` with curvature and gradient noise, which take a few more
            passes at every fifth measured step.
        silence: Names of findings that are not wanted.
        thresholds: Name of a finding → threshold → another value.

    Returns:
        A context manager that gives a `Health`, which grows meanwhile and stays afterwards.

    Raises:
        UserError: If an argument cannot be used.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with watch(model, optimizer) as health:
    ...     for _ in range(30):
    ...         optimizer.zero_grad()
    ...         model(torch.randn(16, 4)).square().mean().backward()
    ...         optimizer.step()
    >>> health.steps, len(health.moments)
    (30, 2)
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"model must be an nn.Module, got {type(model).__name__}")
    if not any(value.requires_grad for value in model.parameters()):
        raise UserError("the model has no parameters that are trained")
    if tier not in TIERS:
        raise choose("tier", tier, TIERS)
    if every is not None:
        every = whole_number("every", every)
    if isinstance(silence, str):
        silence = [silence]
    diagnoses = settled(DIAGNOSES, silence, thresholds or {})
    watching = Watch(model, Health(diagnoses, every or EVERY, tier), every, tier == "full")
    if optimizer is not None:
        if not isinstance(optimizer, Optimizer):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(
                f"optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}"
            )
        if not watching.trains(optimizer):
            raise UserError("the optimizer holds none of the model's parameters")
        watching.optimizer = optimizer
    return watching


def _beside(
    function: "Callable[Concatenate[Watch, Given], None]",
) -> "Callable[Concatenate[Watch, Given], None]":
    """What happens beside the run: timed, without gradients, and never its end."""

    @wraps(function)
    def call(self: "Watch", *args: Given.args, **kwargs: Given.kwargs) -> None:
        if not self.is_on or torch.compiler.is_compiling():
            return
        began = time.perf_counter()
        try:
            function(self, *args, **kwargs)
        except Exception as error:
            self.give_up(error)
        self.own += time.perf_counter() - began

    return call


class Watch:
    """Watches a model while it is entered; see `watch`.

    Args:
        model: The model.
        health: What is told of it.
        every: Steps from one measured step to the next; None for `cadence`.
        is_full: Whether the costly measurements are made too.

    Attributes:
        optimizer: Whose steps are counted; None until one steps the model's parameters.
        is_on: Whether anything is measured.
        own: Seconds that measuring took.
    """

    def __init__(self, model: nn.Module, health: Health, every: int | None, is_full: bool) -> None:
        self.optimizer: Optimizer | None = None
        self.is_on = False
        self.own = 0.0
        self._model = model
        self._inner, self._is_compiled = plain(model)
        self._health = health
        self._every = every
        self._is_full = is_full
        self._taking = Taking(is_full)
        self._graph = Graph(self._inner)
        self._mean_loss = math.nan
        self._trace = Trace(self._inner, self._taking, self.give_up)
        self._trainable = {id(value) for value in model.parameters() if value.requires_grad}
        root = type(self._inner).__name__
        self._weights = named_weights(dict(self._inner.named_parameters()), root)
        self._steps = 0
        self._next = 0
        self._is_measured = False
        self._losses: list[Tensor] = []
        self._unread: list[Tensor] = []
        self._given: tuple[Any, Any] | None = None
        self._before: tuple[list[str], Step] | None = None
        self._was_finite = True
        self._closing = ExitStack()

    def trains(self, optimizer: Optimizer) -> bool:
        """Whether an optimizer holds parameters of the model."""
        return any(
            id(value) in self._trainable
            for group in optimizer.param_groups
            for value in group["params"]
        )

    def __enter__(self) -> Health:
        assert not self.is_on, "it is watching already"
        self._began = time.perf_counter()
        self.is_on = True
        for handle in (
            self._model.register_forward_pre_hook(
                Tap(self._model, self._forward), with_kwargs=True, prepend=True
            ),
            register_optimizer_step_pre_hook(self._pre_step),
            register_optimizer_step_post_hook(self._post_step),
        ):
            self._closing.callback(handle.remove)
        self._closing.enter_context(listening(self._backward))
        self._closing.callback(self._trace.detach)
        self._prepare()
        return self._health

    def __exit__(self, *error: object) -> None:
        self._closing.close()
        if self.is_on and self._unread:
            self._read_losses()
        self.is_on = False
        self._tell_time()

    def _tell_time(self) -> None:
        own = self.own + self._trace.seconds
        self._health.seconds = (time.perf_counter() - self._began, own)

    def give_up(self, error: Exception) -> None:
        """Measures no more; the run goes on."""
        self.is_on = False
        self._trace.detach()
        note = f"not measured from step {self._steps} on: {first_line(error)}"
        self._health.notes.append(note)
        warnings.warn(f"talweg.watch: {note}", RuntimeWarning, stacklevel=2)

    def _prepare(self) -> None:
        """Before the first forward pass of a step."""
        if self._steps < self._next:
            return
        every = self._every or cadence(self._steps)
        self._is_measured = self._steps % every == 0
        self._next = self._steps + (every if self._is_measured else 1)
        if self._is_measured and not self._is_compiled:
            self._trace.attach()

    def _forward(self, module: nn.Module, *given: Any) -> None:
        if module.training and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            self._given = given

    @_beside
    def _backward(self, loss: Tensor) -> None:
        value = loss.detach()
        self._losses.append(value)
        is_leap = False
        if value.device.type == "cpu" and self._was_finite:
            number = float(value)
            if not math.isfinite(number):
                self._find_origin()
                return
            is_leap = abs(number) > LEAP * self._mean_loss
            before = number if math.isnan(self._mean_loss) else self._mean_loss
            self._mean_loss = 0.9 * before + 0.1 * abs(number)
        if self._is_measured or is_leap:
            self._graph.follow(loss, is_needed=is_leap)

    def _find_origin(self) -> None:
        """Looks for the module that made numbers which are not finite."""
        self._was_finite = False
        if self._given is None:
            return
        layer, kind = first_not_finite(self._inner, *self._given)
        values = {"not finite": {layer: kind}}
        known = [value for value in self._read_losses() if math.isfinite(value)]
        if known:
            values["last loss"] = {WHOLE: known[-1]}
        self._health.add(Moment(self._steps, values))

    @_beside
    def _pre_step(self, optimizer: Optimizer, *_: object) -> None:
        if self.optimizer is None and self.trains(optimizer):
            self.optimizer = optimizer
        if optimizer is not self.optimizer or not self._is_measured:
            return
        if self._is_compiled and self._given is not None:
            self._probe()
        own = {id(value) for group in optimizer.param_groups for value in group["params"]}
        names = [
            name
            for name, value in self._weights.items()
            if id(value) in own and value.grad is not None
        ]
        if names:
            values = [self._weights[name] for name in names]
            grads = [whole(value.grad) for value in values if value.grad is not None]
            scale = getattr(optimizer, "grad_scale", None)
            if isinstance(scale, Tensor):
                grads = [grad / scale.to(grad.device) for grad in grads]
            self._before = names, Step(grads, [part(value) for value in values], [])

    def _probe(self) -> None:
        """Evaluates a compiled model as it was written, to see what its layers give."""
        assert self._given is not None
        args, kwargs = self._given
        with aside(self._inner), self._trace.attached():
            self._inner.forward(*args, **kwargs)

    @_beside
    def _post_step(self, optimizer: Optimizer, *_: object) -> None:
        if optimizer is not self.optimizer:
            return
        losses, self._losses = self._losses, []
        self._unread.append(_total(losses))
        if self._is_measured:
            self._is_measured = False
            self._close(optimizer)
        elif values := self._graph.finish():
            self._health.add(Moment(self._steps, values))
        self._steps += 1
        self._prepare()

    def _close(self, optimizer: Optimizer) -> None:
        """Ends a measured step."""
        outputs, grad = self._trace.outputs, self._taking.grad
        self._trace.detach()
        if self._before is not None:
            names, step = self._before
            after = [part(self._weights[name]) for name in names]
            self._taking.step(names, replace(step, after=after))
            self._before = None
        values = {**self._graph.finish(), **self._taking.finish()}
        if self._steps == 0 or self._health.setting.rule is None:
            rule = rule_in_use(optimizer)
            self._health.setting = replace(self._health.setting, rule=rule)
        if len(self._trace.layers) > len(self._health.setting.layers):
            self._health.setting = replace(self._health.setting, layers=self._trace.layers)
        if self._steps == 0 and outputs is not None and grad is not None and self._unread:
            constant = constant_loss(outputs, grad, self._unread[0])
            if constant is not None:
                values["constant loss"] = {WHOLE: constant}
        values["lr"] = {WHOLE: float(optimizer.param_groups[0]["lr"])}
        losses = self._read_losses()
        known = [value for value in losses if not math.isnan(value)]
        if known:
            values["loss"] = {WHOLE: sum(known) / len(known)}
        gradients = values.get("gradient rms", {})
        bad = [name for name, value in gradients.items() if not math.isfinite(value)]
        if bad and self._was_finite:
            self._was_finite = False
            values["not finite"] = {bad[-1]: GRADIENT}
        self._health.add(Moment(self._steps, values))
        self._tell_time()

    def _read_losses(self) -> list[float]:
        unread, self._unread = self._unread, []
        losses = read(unread)
        self._health.losses += losses
        return losses


def _total(losses: Sequence[Tensor]) -> Tensor:
    """The loss of a step: the sum of those whose gradients were added up; NaN if there is none."""
    if not losses:
        return torch.tensor(math.nan)
    return losses[0] if len(losses) == 1 else torch.stack([x.reshape(()) for x in losses]).sum()


def plain(model: nn.Module) -> tuple[nn.Module, bool]:
    """A model without what compiles it or spreads it over processes, and whether it is compiled."""
    is_compiled = False
    while True:
        is_compiled |= getattr(model, "_compiled_call_impl", None) is not None
        inner = getattr(model, "_orig_mod", None)
        is_compiled |= inner is not None
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model, is_compiled
        model = inner
