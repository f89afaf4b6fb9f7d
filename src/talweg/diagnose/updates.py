"""What updates do to a model's weights, seen before and after them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim.optimizer import Optimizer

from talweg.diagnose.measures import OF_STEP, Step
from talweg.diagnose.rounds import held_by
from talweg.diagnose.taking import Taking, Values, part, part_of, whole


class Updates:
    """Sees the weights that an optimizer holds before and after its step.

    Args:
        taking: Told of each.
    """

    def __init__(self, taking: Taking) -> None:
        self._taking = taking
        self._held: dict[str, Tensor] = {}
        self._before: dict[str, Tensor] = {}
        self._grads: dict[str, Tensor] = {}
        self._scale: Tensor | None = None
        self._ended = 0

    def begin(self, optimizer: Optimizer, weights: Mapping[str, Tensor], has_closure: bool) -> None:
        """An optimizer's step begins.

        Args:
            optimizer: Which.
            weights: The model's, by name.
            has_closure: Whether gradients are taken within the step.
        """
        own = held_by(optimizer)
        self._held = {
            name: value
            for name, value in weights.items()
            if id(value) in own and (has_closure or value.grad is not None)
        }
        self._before = {name: part(value) for name, value in self._held.items()}
        scale = getattr(optimizer, "grad_scale", None)
        self._scale = scale if isinstance(scale, Tensor) else None
        self._grads = {} if has_closure else self._gradients()

    def after_closure(self) -> None:
        """The first gradients are there; what is taken besides takes their place later."""
        self._grads = {name: grad.clone() for name, grad in self._gradients().items()}

    def _gradients(self) -> dict[str, Tensor]:
        found = {
            name: whole(value.grad) for name, value in self._held.items() if value.grad is not None
        }
        if self._scale is None:
            return found
        return {name: grad / self._scale.to(grad.device) for name, grad in found.items()}

    def end(self) -> None:
        """The step is over."""
        if not self._held:
            return
        self._ended += 1
        names = list(self._grads)
        if names:
            grads = [self._grads[name] for name in names]
            before = [self._before[name] for name in names]
            after = [part_of(self._held[name]) for name in names]
            self._taking.step(names, Step(grads, before, after))
        self._held, self._before, self._grads = {}, {}, {}

    def order(self, values: Values, names: Sequence[str]) -> None:
        """Puts what was measured of several optimizers' weights in the model's order."""
        ended, self._ended = self._ended, 0
        if ended < 2:
            return
        place = {name: place for place, name in enumerate(names)}
        for measure in OF_STEP:
            found = values.get(measure, {})
            if found:
                values[measure] = dict(sorted(found.items(), key=lambda each: place[each[0]]))


def closure_in(
    args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Callable[..., Any] | None, Callable[[Callable[..., Any]], Any]]:
    """The closure that an optimizer's ``step`` is given, if any, and how to put another there.

    Args:
        args: The optimizer, and what else it is given.
        kwargs: Likewise.
    """
    if callable(kwargs.get("closure")):
        return kwargs["closure"], lambda other: (args, {**kwargs, "closure": other})
    if len(args) > 1 and callable(args[1]):
        return args[1], lambda other: ((args[0], other, *args[2:]), kwargs)
    return None, lambda _: None
