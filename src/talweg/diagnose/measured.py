"""A measured step, from its first forward pass to its numbers."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.optimizer import Optimizer

from talweg.diagnose.calls import Call, again, aside
from talweg.diagnose.moment import WHOLE, Setting
from talweg.diagnose.rounds import rate_of
from talweg.diagnose.stability import rule_in_use
from talweg.diagnose.start import constant_loss
from talweg.diagnose.taking import BACKWARD, Taking, Values, named_weights
from talweg.diagnose.trace import Trace
from talweg.diagnose.updates import Updates
from talweg.diagnose.wrappers import plain, plain_name


class Measured:
    """Measures one step after another, where it is told to.

    Args:
        model: The model.
        fail: Told if it cannot be done.

    Attributes:
        is_on: Whether the step that goes on is measured.
        is_probed: Whether the model is evaluated once more, as it is compiled.
        is_hidden: Whether its modules were not called where they can be seen.
        trace: Follows its passes.
        taking: Gathers the measurements.
        updates: Sees its weights.
    """

    def __init__(self, model: nn.Module, fail: Callable[[Exception], None]) -> None:
        self.is_on = False
        self.is_probed = False
        self.is_hidden = False
        self._inner = plain(model)
        self.taking = Taking()
        self.trace = Trace(self._inner, self.taking, fail)
        self.updates = Updates(self.taking)
        self._weights: dict[str, Tensor] = {}
        self._is_first = True

    def refresh(self, *, is_compiled: bool) -> None:
        """Looks up the model's parts once more: they are others than before.

        Args:
            is_compiled: Whether any of them is compiled.
        """
        named = {plain_name(name): value for name, value in self._inner.named_parameters()}
        self._weights = named_weights(named, type(self._inner).__name__)
        self.is_probed = is_compiled
        self.trace.refresh()

    def begin(self) -> None:
        """Before the first forward pass."""
        self.is_on = True
        self.is_hidden = not (self._is_first or self.is_probed or self.trace.was_called)
        if not self.is_probed and not self.is_hidden:
            self.trace.attach()

    def before(self, optimizer: Optimizer, has_closure: bool) -> None:
        """Before an optimizer's step."""
        self.updates.begin(optimizer, self._weights, has_closure)

    def probe(self, calls: Sequence[Call]) -> None:
        """Evaluates a compiled model as it was written, to see what its layers give."""
        with aside(self._inner), torch.enable_grad(), self.trace.attached():
            for call in calls:
                again(call)

    def finish(
        self, optimizer: Optimizer, scaler: GradScaler | None, loss: Tensor | None
    ) -> Values:
        """All numbers of the step, which is over.

        Args:
            optimizer: What made it.
            scaler: What scaled its loss.
            loss: Its loss, if it is one.
        """
        self.is_on = False
        self.trace.detach()
        grad = self.taking.grad
        values = self.taking.finish()
        self.updates.order(values, list(self._weights))
        scale = scaler.get_scale() if scaler else 1.0
        if scale != 1:
            norms = values.get(BACKWARD, {})
            values[BACKWARD] = {layer: norm / scale for layer, norm in norms.items()}
        outputs, self.trace.outputs = self.trace.outputs, None
        if self._is_first and outputs is not None and grad is not None and loss is not None:
            constant = constant_loss(outputs, grad / scale, loss)
            if constant is not None:
                values["constant loss"] = {WHOLE: constant}
        values["lr"] = {WHOLE: rate_of(optimizer)}
        self._is_first = False
        return values

    def setting(self, known: Setting, optimizer: Optimizer) -> Setting:
        """What is known of the run by now."""
        if known.rule is None:
            known = replace(known, rule=rule_in_use(optimizer))
        layers = self.trace.layers
        return replace(known, layers=layers) if len(layers) > len(known.layers) else known
