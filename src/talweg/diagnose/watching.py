"""What happens beside a training run while it is watched."""

import inspect
import threading
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.optimizer import Optimizer

from talweg.core import UserError, first_line
from talweg.diagnose.backward import listening
from talweg.diagnose.beside import beside, cadence, caller
from talweg.diagnose.calls import Calls
from talweg.diagnose.counting import Counting
from talweg.diagnose.full import Full
from talweg.diagnose.graph import Graph
from talweg.diagnose.health import Health
from talweg.diagnose.heard import Heard, Loss
from talweg.diagnose.losses import Losses
from talweg.diagnose.measured import Measured
from talweg.diagnose.moment import Moment
from talweg.diagnose.overhead import FEW, Overhead
from talweg.diagnose.parts import Parts
from talweg.diagnose.rounds import Rounds, bare
from talweg.diagnose.stepping import stepping
from talweg.diagnose.updates import closure_in
from talweg.diagnose.wrappers import is_compiled, plain

HIDDEN = (
    "no layer was seen: the model is not called, is in TorchScript, or within a function that is "
    "compiled"
)
NO_STEP = "no step of an optimizer of this model was seen; one that is compiled is not"


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
        panel: What shows the run while it is watched.
    """

    def __init__(self, model: nn.Module, health: Health, every: int | None, is_full: bool) -> None:
        self.is_on = False
        self.own = 0.0
        self.panel: AbstractContextManager[object] = nullcontext()
        self._model = model
        self._health = health
        self._every = every
        self._parts = Parts(model)
        self._measured = Measured(model, self.give_up)
        self._full: Full | None = None
        if is_full:
            compiled = any(is_compiled(module) for module in model.modules())
            self._full = Full(plain(model), compiled, self._measured.taking, health.notes)
        self._graph = Graph(plain(model))
        self._rounds = Rounds(model)
        self._heard = Heard(self._rounds)
        self._calls = Calls(model)
        self._losses = Losses(plain(model), self._calls, health, self._note)
        self._overhead = Overhead()
        self._counting = Counting(self._heard, self._losses, self._calls)
        self._steps = 0
        self._next = 0
        self._is_void = False
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
        self.own = self._counting.seconds = self._measured.trace.seconds = 0.0
        self._overhead = Overhead()
        self._health.clock = lambda: self._overhead.seconds(self._seconds)
        self.is_on = True
        self._closing.enter_context(stepping(self._pre_step, self._post_step))
        self._closing.enter_context(listening(self._backward))
        self._closing.enter_context(self.panel)
        self._closing.callback(self._measured.trace.detach)
        self._closing.callback(self._calls.detach)
        self._calls.attach()
        self._start()
        return self._health

    def __exit__(self, *error: object) -> None:
        self._end()
        if not self._steps and error[0] is None:
            self._health.notes.append(NO_STEP)
        self._closing.close()
        self.is_on = False
        self._health.seconds = self._overhead.seconds(self._seconds)

    @beside
    def _start(self) -> None:
        self._prepare()

    @beside
    def _end(self) -> None:
        """Takes in what is left."""
        if self._rounds.stepped:
            self._end_round()
        self._losses.read()
        self._health.diagnose()

    @property
    def _seconds(self) -> float:
        return self.own + self._counting.seconds + self._measured.trace.seconds

    def give_up(self, error: Exception) -> None:
        """Measures no more; the run goes on."""
        self.is_on, self._counting.only = False, None
        self._measured.trace.detach()
        self._note(f"not measured from step {self._steps} on: {first_line(error)}")

    def _note(self, note: str) -> None:
        self._health.notes.append(note)
        warnings.warn(f"talweg.watch: {note}", RuntimeWarning, stacklevel=2)

    def _prepare(self) -> None:
        """Before the first forward pass of a step."""
        if self._steps < self._next:
            return
        every = self._every or cadence(self._steps)
        is_measured = self._calls.is_cast_asked = self._steps % every == 0
        self._next = self._steps + (every if is_measured else 1)
        if is_measured:
            if self._parts.have_changed():
                self._rounds.refresh()
                self._measured.refresh(is_compiled=self._parts.is_compiled)
            self._rounds.forget_others()
            self._measured.begin()
            if self._measured.is_hidden and HIDDEN not in self._health.notes:
                self._health.notes.append(HIDDEN)
        if self._full is not None:
            self._full.prepare(self._steps, is_measured, self._next)

    def _backward(self, loss: Tensor, scaler: GradScaler | None) -> None:
        """A gradient is about to be taken: of most steps only the loss is heard."""
        if not self._counting.hears(loss, scaler):
            self._look(loss, scaler)

    @beside
    def _look(self, loss: Tensor, scaler: GradScaler | None) -> None:
        # Gradients must not be looked at from a thread while those of another are being taken.
        if self._calls.thread != threading.get_ident() and not self._heard.is_own(loss):
            return
        if self._measured.is_on and self._heard.is_open and self._heard.is_afresh:
            self._measured.taking.afresh()
        value = self._heard.note(loss, scaler, self._measured.is_on)
        if value is None:
            return
        is_leap = self._losses.look(value, self._steps)
        if self._full is not None and self._full.is_due:
            with self._calls.looking():
                self._full.backward(loss, self.optimizer, self._calls.last[-1:])
        if self._measured.is_on:
            self._measured.trace.look_back(loss)
        if is_leap:
            self._counting.only = None
        if self._measured.is_on or is_leap:
            self._graph.follow(loss, is_needed=is_leap)
        if self._measured.is_on:
            self._calls.keep()
        else:
            self._calls.forget()

    def _pre_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        """An optimizer makes a step; most of them are only counted, when they are over."""
        if optimizer is self._counting.only and len(args) == 1 and not kwargs:
            return None
        if self._rounds.is_other(optimizer):
            return None
        return self._enter_step(optimizer, args, kwargs)

    @beside
    def _enter_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        """An optimizer makes a step; a closure it is given is listened to."""
        if not self._rounds.enter(optimizer, caller(inspect.currentframe(), 4)):
            return None
        self._counting.only = None
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
        if self._measured.is_on:
            found = getattr(optimizer, "found_inf", None)
            self._is_void = isinstance(found, Tensor) and bool(found > 0)
            if not self._is_void:
                self._measured.before(optimizer, has_closure)
        if self._full is not None and not has_closure and not self._rounds.stepped:
            self._full.before_step(self._steps, optimizer)
        if not has_closure:
            self._close_ears(is_last=False)

    @beside
    def _after_closure(self) -> None:
        if self._heard.is_open:
            self._close_ears(is_last=len(self._rounds.known) == 1)
            self._measured.updates.after_closure()

    def _close_ears(self, is_last: bool) -> None:
        """The gradients of a step are there; whether no other passes belong to it."""
        self._heard.close_ears()
        if not self._measured.is_on:
            self._calls.forget()
        elif self._measured.is_probed:
            if not self._rounds.stepped:
                with self._calls.calling():
                    self._measured.probe(self._calls.kept)
        elif is_last:
            self._measured.trace.detach()

    def _post_step(self, optimizer: Optimizer) -> None:
        if optimizer is not self._counting.only:
            self._leave_step(optimizer)
            return
        self._counting.count()
        self._steps += 1
        to_come = self._next - self._steps
        if to_come == FEW:
            self._overhead.begin(self._seconds)
        elif to_come < FEW:
            self._overhead.step(self._seconds, is_measured=False)
            if to_come <= 0 or not self._is_idle:
                self._turn()

    @beside
    def _leave_step(self, optimizer: Optimizer) -> None:
        if not self._rounds.leave(optimizer):
            return
        self._heard.settle()
        if self._is_void:
            self._is_void = False
            self._heard.last.clear()
            return
        self._measured.updates.end()
        self._rounds.stepped.append(optimizer)
        if self._rounds.is_over():
            self._end_round()

    def _end_round(self) -> None:
        """All optimizers have made their step."""
        losses = self._heard.last
        self._losses.add(self._heard.total())
        is_measured = self._measured.is_on
        if is_measured:
            self._close(losses)
        elif self._graph.has_heard:
            self._health.add(Moment(self._steps, self._graph.finish()))
        self._overhead.step(self._seconds, is_measured=is_measured)
        self._steps += 1
        self._rounds.next()
        self._go_on()

    @beside
    def _turn(self) -> None:
        """From steps that are only counted to others."""
        self._go_on()

    def _go_on(self) -> None:
        """To the next step, which is only counted if there is nothing to measure."""
        self._prepare()
        is_counted = self._is_idle and not self._measured.is_on
        self._counting.only = self._rounds.only if is_counted else None

    @property
    def _is_idle(self) -> bool:
        """Whether the full tier has nothing to do at this step."""
        return self._full is None or self._full.is_idle(self._steps)

    def _close(self, losses: Sequence[Loss]) -> None:
        """Ends a measured step.

        Args:
            losses: What it was made of.
        """
        optimizer = self._rounds.stepped[0]
        loss = losses[0] if len(losses) == 1 and isinstance(losses[0], Tensor) else None
        values = self._graph.finish()
        values |= self._measured.finish(optimizer, self._heard.scaler, loss)
        self._health.setting = self._measured.setting(self._health.setting, optimizer)
        self._losses.close(values)
        if self._full is not None:
            self._full.finish(values, self._health, optimizer, len(losses))
        self._health.add(Moment(self._steps, values))
        self._calls.forget()
