"""The full tier: what is measured of a step at the cost of a few more passes."""

import math

from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from talweg.diagnose.health import Health
from talweg.diagnose.layers import called
from talweg.diagnose.measures.bound import attenuation, bounds
from talweg.diagnose.measures.noise import Smoothed, fall, noise_and_signal
from talweg.diagnose.moment import WHOLE
from talweg.diagnose.recognise import batch_size
from talweg.diagnose.sharpness import Sharpness, has_begun
from talweg.diagnose.taking import BACKWARD, Taking, Values, gradients, named_weights

EVERY_FULL = 50
"""Steps from one full measurement to the next, which is made at the measured step that follows."""


class Full:
    """Measures curvature, gradient noise and bounds, at every 50th step or so.

    Args:
        model: The model, without what compiles or spreads it.
        is_compiled: Whether something compiles it.
        taking: Takes nothing of what is differentiated here.
        notes: Told what cannot be measured, once.

    Attributes:
        is_due: Whether the step that goes on is measured.
    """

    def __init__(
        self, model: nn.Module, is_compiled: bool, taking: Taking, notes: list[str]
    ) -> None:
        self._model = model
        self._taking = taking
        self._notes = notes
        self._named: dict[str, Tensor] = {
            name: value for name, value in model.named_parameters() if value.requires_grad
        }
        names = {id(value): name for name, value in self._named.items()}
        weights = named_weights(self._named, called("", model))
        self._layer_of = {names[id(value)]: layer for layer, value in weights.items()}
        self._sharpness = Sharpness(model, is_compiled, self._named, taking, self._say)
        self._next = 0
        self._following = 0
        self.is_due = False
        self._is_heard = False
        self._samples = 0
        self._before: dict[str, Tensor] = {}
        self._smoothed = Smoothed()
        self._starts: dict[str, Tensor] = {}

    def prepare(self, step: int, is_measured: bool, following: int) -> None:
        """Before the first forward pass of a step.

        Args:
            step: Its number.
            is_measured: Whether it is measured at all.
            following: The next step that may be.
        """
        self.is_due, self._is_heard = is_measured and step >= self._next, False
        if self.is_due:
            every = full_cadence(step)
            self._next = (step // every + 1) * every
        self._taking.is_full = self.is_due
        self._following = following

    def is_idle(self, step: int) -> bool:
        """Whether nothing is to be done at a step, not even for a measurement that follows."""
        return not self.is_due and not self._is_before(step)

    def _is_before(self, step: int) -> bool:
        return step == self._following - 1 and self._following >= self._next

    def backward(self, loss: Tensor, optimizer: Optimizer | None, given: object) -> None:
        """Before the gradient of a loss of the step is taken.

        Args:
            loss: The loss; all but the first are left alone.
            optimizer: What will make the step, if that is known.
            given: What the model was given.
        """
        if self.is_due and not self._is_heard:
            self._is_heard = True
            self._samples = batch_size(given)
            if has_begun(optimizer):
                self._sharpness.backward(loss, optimizer)
            else:
                self._next = 0

    def before_step(self, step: int, optimizer: Optimizer) -> None:
        """Before an update: measures what the gradients of two steps in a row have in common."""
        grads: dict[str, Tensor] = {}
        if self.is_due:
            grads = gradients(optimizer, self._named)
            self._sharpness.compare(grads)
            both = [name for name in grads if name in self._before]
            if both:
                self._noise(both, [self._before[x] for x in both], [grads[x] for x in both])
        self._before = {}
        if self._is_before(step):
            grads = grads or gradients(optimizer, self._named)
            self._before = {name: grad.clone() for name, grad in grads.items()}

    def _noise(self, names: list[str], first: list[Tensor], second: list[Tensor]) -> None:
        noise, signal = (
            dict(zip(names, each.tolist(), strict=True)) for each in noise_and_signal(first, second)
        )
        of_layers = [name for name in names if name in self._layer_of]
        joined = [
            {
                **{self._layer_of[name]: values[name] for name in of_layers},
                WHOLE: math.fsum(values.values()),
            }
            for values in (noise, signal)
        ]
        self._smoothed.add(*joined)

    def finish(
        self,
        values: Values,
        health: Health,
        optimizer: Optimizer,
        count: int,
    ) -> None:
        """Ends a measured step: adds what was measured.

        Args:
            values: What is known of the step.
            health: What is known of the run.
            optimizer: What made the step.
            count: Losses that the step was made of.
        """
        if not self.is_due:
            return
        self.is_due = False
        values.update(self._sharpness.finish(optimizer, count))
        ratios = self._smoothed.signal_to_noise()
        if ratios:
            values["signal to noise"] = ratios
            values["pairs"] = {WHOLE: self._smoothed.pairs}
            ratio = ratios.get(WHOLE, 0.0)
            if self._samples and ratio > 0:
                values["noise scale"] = {WHOLE: self._samples * max(count, 1) / ratio}
        trend = fall(health.losses[-2 * EVERY_FULL :])
        if trend is not None:
            values["fall"] = {WHOLE: trend}
        layers = health.setting.layers
        limits = bounds(layers, dict(self._model.named_modules()), self._starts)
        if limits:
            values["bound"] = limits
            values["attenuation"] = attenuation(values.get(BACKWARD, {}), list(limits), layers)

    def _say(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)


def full_cadence(step: int) -> int:
    """Steps from one full measurement to the next: 50, and more the longer a run is.

    >>> full_cadence(0), full_cadence(9_999), full_cadence(10_000)
    (50, 50, 500)
    """
    return EVERY_FULL * 10 ** max(len(str(step)) - 4, 0)
