"""What happens beside a training run while it is watched."""

import inspect
import math
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import wraps
from types import FrameType
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from talweg.core import UserError, first_line
from talweg.diagnose.backward import listening
from talweg.diagnose.calls import Calls, again, aside
from talweg.diagnose.finite import GRADIENT, first_not_finite
from talweg.diagnose.graph import Graph, Leaps
from talweg.diagnose.health import Health
from talweg.diagnose.heard import Heard
from talweg.diagnose.moment import WHOLE, Moment
from talweg.diagnose.rounds import Rounds, bare
from talweg.diagnose.rule_in_use import rule_in_use
from talweg.diagnose.start import constant_loss
from talweg.diagnose.taking import BACKWARD, Taking, Values, named_weights, read
from talweg.diagnose.trace import Trace
from talweg.diagnose.updates import Updates, closure_in
from talweg.diagnose.wrappers import is_compiled, plain, plain_name

EVERY = 20
"""Steps from one measured step to the next, unless asked for; see `cadence`."""
Given = ParamSpec("Given")
Result = TypeVar("Result")


def cadence(step: int) -> int:
    """Steps from one measured step to the next by default: 20, and more the longer a run is.

    >>> cadence(0), cadence(9_999), cadence(10_000), cadence(1_000_000)
    (20, 20, 200, 20000)
    """
    return EVERY * 10 ** max(len(str(step)) - 4, 0)


def _beside(
    function: "Callable[Concatenate[Watch, Given], Result]",
) -> "Callable[Concatenate[Watch, Given], Result | None]":
    """What happens beside the run: timed, without gradients, and never its end."""

    @wraps(function)
    def call(self: "Watch", *args: Given.args, **kwargs: Given.kwargs) -> Result | None:
        if not self.is_on or torch.compiler.is_compiling():
            return None
        began = time.perf_counter()
        try:
            return function(self, *args, **kwargs)
        except Exception as error:
            self.give_up(error)
            return None
        finally:
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
        is_on: Whether anything is measured.
        own: Seconds that measuring took.
    """

    def __init__(self, model: nn.Module, health: Health, every: int | None, is_full: bool) -> None:
        self.is_on = False
        self.own = 0.0
        self._model = model
        self._inner = plain(model)
        self._health = health
        self._every = every
        self._is_full = is_full
        self._taking = Taking(is_full)
        self._trace = Trace(self._inner, self._taking, self.give_up)
        self._graph, self._leaps = Graph(self._inner), Leaps()
        self._rounds = Rounds(model)
        self._heard = Heard(self._rounds)
        self._calls = Calls(model, lambda: self._is_beside)
        self._updates = Updates(self._taking)
        self._weights: dict[str, Tensor] = {}
        self._steps = 0
        self._next = 0
        self._is_measured = False
        self._is_probed = False
        self._is_void = False
        self._is_beside = False
        self._unread: list[Tensor] = []
        self._was_finite = True
        self._can_look = True
        self._closing = ExitStack()

    @property
    def optimizer(self) -> Optimizer | None:
        """What trains the model, the first of several; None until one makes a step."""
        return self._rounds.known[0] if self._rounds.known else None

    def expect(self, optimizer: Optimizer) -> bool:
        """Expects steps of an optimizer; whether it holds parameters of the model."""
        optimizer = bare(optimizer)
        self._rounds.known = [optimizer]
        return self._rounds.trains(optimizer)

    def __enter__(self) -> Health:
        if self.is_on:
            raise UserError("this watch is on already: talweg.watch makes another for a second run")
        self._began = time.perf_counter()
        self.is_on = True
        for handle in (
            register_optimizer_step_pre_hook(self._pre_step),
            register_optimizer_step_post_hook(self._post_step),
        ):
            self._closing.callback(handle.remove)
        self._closing.enter_context(listening(self._backward))
        self._closing.callback(self._trace.detach)
        self._closing.callback(self._calls.detach)
        self._calls.attach()
        self._prepare()
        return self._health

    def __exit__(self, *error: object) -> None:
        self._end()
        self._closing.close()
        self.is_on = False
        self._tell_time()

    @_beside
    def _end(self) -> None:
        """Takes in what is left."""
        if self._rounds.stepped:
            self._end_round()
        if self._unread:
            self._read_losses()

    def _tell_time(self) -> None:
        own = self.own + self._trace.seconds
        self._health.seconds = (time.perf_counter() - self._began, own)

    def give_up(self, error: Exception) -> None:
        """Measures no more; the run goes on."""
        self.is_on = False
        self._trace.detach()
        self._note(f"not measured from step {self._steps} on: {first_line(error)}")

    def _note(self, note: str) -> None:
        self._health.notes.append(note)
        warnings.warn(f"talweg.watch: {note}", RuntimeWarning, stacklevel=2)

    @_beside
    def _prepare(self) -> None:
        """Before the first forward pass of a step."""
        if self._steps < self._next:
            return
        every = self._every or cadence(self._steps)
        self._is_measured = self._steps % every == 0
        self._next = self._steps + (every if self._is_measured else 1)
        if self._is_measured:
            self._rounds.refresh()
            named = {plain_name(name): value for name, value in self._inner.named_parameters()}
            self._weights = named_weights(named, type(self._inner).__name__)
            self._is_probed = any(is_compiled(module) for module in self._model.modules())
            if not self._is_probed:
                self._trace.attach()

    @_beside
    def _backward(self, loss: Tensor, scaler: GradScaler | None) -> None:
        if self._is_measured and self._heard.is_open and self._heard.is_afresh:
            self._taking.afresh()
        value = self._heard.note(loss, scaler)
        if value is None:
            return
        is_leap = False
        if value.device.type == "cpu" and self._was_finite:
            number = float(value)
            if math.isfinite(number):
                is_leap = self._leaps.is_one(number)
            else:
                self._find_origin()
        if self._is_measured or is_leap:
            self._graph.follow(loss, is_needed=is_leap)
        if self._is_measured and self._is_probed:
            self._calls.keep()
        else:
            self._calls.forget()

    def _find_origin(self) -> None:
        """Looks for the module that made numbers which are not finite."""
        calls = self._calls.last
        if not calls or not self._can_look:
            return
        self._is_beside = True
        try:
            layer, kind = first_not_finite(self._inner, calls)
        except Exception as error:
            self._can_look = False
            self._note(
                f"the loss is not finite; what made it so was not found: {first_line(error)}"
            )
            return
        finally:
            self._is_beside = False
        self._was_finite = False
        values = {"not finite": {layer: kind}}
        known = [value for value in self._read_losses() if math.isfinite(value)]
        if known:
            values["last loss"] = {WHOLE: known[-1]}
        self._health.add(Moment(self._steps, values))

    @_beside
    def _pre_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        """An optimizer makes a step; a closure it is given is listened to."""
        if not self._rounds.enter(optimizer, _caller(inspect.currentframe(), 2)):
            return None
        closure, put = closure_in(args, kwargs)
        self._begin_step(optimizer, closure is not None)
        if closure is None:
            return None

        def told(*given: Any, **more: Any) -> Any:
            loss = closure(*given, **more)
            self._after_closure()
            return loss

        return put(told)

    def _begin_step(self, optimizer: Optimizer, has_closure: bool) -> None:
        self._heard.settle()
        if self._rounds.is_second(optimizer):
            self._end_round()
        if self._is_measured:
            found = getattr(optimizer, "found_inf", None)
            self._is_void = isinstance(found, Tensor) and bool(found > 0)
            if not self._is_void:
                self._updates.begin(optimizer, self._weights, has_closure)
        if not has_closure:
            self._close_ears(is_last=False)

    @_beside
    def _after_closure(self) -> None:
        if self._heard.is_open:
            self._close_ears(is_last=len(self._rounds.known) == 1)
            self._updates.after_closure()

    def _close_ears(self, is_last: bool) -> None:
        """The gradients of a step are there; whether no other passes belong to it."""
        self._heard.close_ears()
        if self._is_measured:
            if self._is_probed and not self._rounds.stepped:
                self._probe()
            elif is_last:
                self._trace.detach()
        self._calls.forget()

    def _probe(self) -> None:
        """Evaluates a compiled model as it was written, to see what its layers give."""
        calls, self._is_beside = self._calls.kept, True
        try:
            with aside(self._inner), torch.enable_grad(), self._trace.attached():
                for call in calls:
                    again(call)
        finally:
            self._is_beside = False

    @_beside
    def _post_step(self, optimizer: Optimizer, *_: object) -> None:
        if not self._rounds.leave(optimizer):
            return
        self._heard.settle()
        if self._is_void:
            self._is_void = False
            self._heard.last.clear()
            return
        self._updates.end()
        self._rounds.stepped.append(optimizer)
        if self._rounds.is_over():
            self._end_round()

    def _end_round(self) -> None:
        """All optimizers have made their step."""
        is_one = len(self._heard.last) == 1
        self._unread.append(self._heard.total())
        if self._is_measured:
            self._is_measured = False
            self._close(is_one)
        elif values := self._graph.finish():
            self._health.add(Moment(self._steps, values))
        self._steps += 1
        self._rounds.next()
        self._prepare()

    def _close(self, is_one: bool) -> None:
        """Ends a measured step."""
        optimizer = self._rounds.stepped[0]
        outputs, grad = self._trace.outputs, self._taking.grad
        self._trace.detach()
        values = {**self._graph.finish(), **self._taking.finish()}
        self._updates.order(values, list(self._weights))
        scale = self._heard.scaler.get_scale() if self._heard.scaler else 1.0
        if scale != 1:
            norms = values.get(BACKWARD, {})
            values[BACKWARD] = {layer: norm / scale for layer, norm in norms.items()}
        if self._steps == 0 or self._health.setting.rule is None:
            rule = rule_in_use(optimizer)
            self._health.setting = replace(self._health.setting, rule=rule)
        if len(self._trace.layers) > len(self._health.setting.layers):
            self._health.setting = replace(self._health.setting, layers=self._trace.layers)
        if self._steps == 0 and outputs is not None and grad is not None and is_one:
            constant = constant_loss(outputs, grad / scale, self._unread[0])
            if constant is not None:
                values["constant loss"] = {WHOLE: constant}
        values["lr"] = {WHOLE: _rate(optimizer)}
        losses = self._read_losses()
        known = [value for value in losses if not math.isnan(value)]
        if known:
            values["loss"] = {WHOLE: sum(known) / len(known)}
        self._look_at_gradients(values)
        self._health.add(Moment(self._steps, values))
        self._tell_time()

    def _look_at_gradients(self, values: Values) -> None:
        gradients = values.get("gradient rms", {})
        bad = [name for name, value in gradients.items() if not math.isfinite(value)]
        if bad and self._was_finite:
            self._was_finite = False
            values["not finite"] = {bad[-1]: GRADIENT}

    def _read_losses(self) -> list[float]:
        unread, self._unread = self._unread, []
        losses = read(unread)
        self._health.losses += losses
        return losses


def _caller(frame: FrameType | None, above: int) -> FrameType | None:
    """The frame that many calls above one."""
    for _ in range(above):
        frame = frame and frame.f_back
    return frame


def _rate(optimizer: Optimizer) -> float:
    """The rate of an optimizer's first group; 0 where it has none of its own."""
    rate = optimizer.param_groups[0].get("lr")
    return float(rate) if isinstance(rate, (int, float, Tensor)) else 0.0
