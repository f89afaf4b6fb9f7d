"""What is taken at a measured step: numbers that stay on their device until the step is over."""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy
from torch.optim.optimizer import Optimizer

from talweg.diagnose.measures import OF_ACTIVITY, OF_STEP, Activity, OfActivity, OfStep, Step

LARGE = 2**20
"""Values of a weight that are compared before and after an update, at most."""
BACKWARD = "backward norm"
"""The measure of how large the loss's gradient in a layer's outputs is."""

Values: TypeAlias = dict[str, dict[str, float]]
"""Measure → layer → value."""
Name = TypeVar("Name", str, int)


class Taking:
    """Gathers the measurements of one step after the other.

    Nothing is read from its device before `finish`, so that nobody waits for it earlier.

    Attributes:
        grad: The gradient that was told first of the step: in what the last layer gave.
        is_full: Whether those of the full tier are taken too.
        is_deaf: Whether gradients are not taken: those that the loop did not ask for.
    """

    def __init__(self) -> None:
        self._of_activity = list(OF_ACTIVITY.values())
        self._of_step = list(OF_STEP.values())
        self._passes: dict[tuple[OfActivity, str], Passes] = {}
        self._windows: dict[tuple[OfActivity, str], deque[Passes]] = {}
        self._norms: dict[str, list[Tensor]] = {}
        self._ready: list[tuple[OfActivity | OfStep, str, int, Tensor]] = []
        self.grad: Tensor | None = None
        self.is_full = False
        self.is_deaf = False

    def activity(self, layer: str, activity: Activity) -> None:
        """Takes what a layer's units gave in a forward pass."""
        count = activity.values.numel()
        for measure in self._of_activity:
            taken = measure.take(activity) if self.is_full or measure.tier != "full" else None
            if taken is not None:
                passes = self._passes.setdefault((measure, layer), Passes())
                passes.taken.append(taken)
                passes.count += count

    def backward(self, layer: str, grad: Tensor) -> None:
        """Takes the loss's gradient in a layer's outputs."""
        if self.is_deaf:
            return
        dtype = torch.float64 if grad.dtype == torch.float64 else torch.float32
        norm = torch.linalg.vector_norm(grad, dtype=dtype)
        self._norms.setdefault(layer, []).append(norm)
        self.grad = grad if self.grad is None else self.grad

    def afresh(self) -> None:
        """Forgets gradients that no update was made with: others are taken in their place."""
        self._norms, self.grad = {}, None

    def step(self, names: Sequence[str], step: Step) -> None:
        """Takes what an update did to the weights of these names."""
        for measure in self._of_step:
            if self.is_full or measure.tier != "full":
                each = zip(names, getattr(step, measure.of), measure.take(step), strict=True)
                self._ready += [
                    (measure, name, value.numel() or 1, taken) for name, value, taken in each
                ]

    def finish(self) -> Values:
        """All numbers of the step."""
        ready = self._ready
        for (measure, layer), passes in self._passes.items():
            joined = self._joined(measure, layer, passes)
            if joined is not None:
                count = passes.count if measure.of == "values" else passes.taken[0].numel()
                ready.append((measure, layer, count, joined))
        norms = {layer: _norm(parts) for layer, parts in self._norms.items()}
        numbers = read([*(taken for *_, taken in ready), *norms.values()])
        found: Values = {}
        known: dict[str, dict[str, float]] = {}
        for (measure, name, count, _), number in zip(ready, numbers, strict=False):
            told = known.setdefault(name, {})
            told[measure.name] = number = measure.tell(number, count, told)
            found.setdefault(measure.name, {})[name] = number
        if norms:
            found[BACKWARD] = dict(zip(norms, numbers[len(ready) :], strict=True))
        self._passes, self._norms, self._ready, self.grad = {}, {}, [], None
        return found

    def _joined(self, measure: OfActivity, layer: str, passes: "Passes") -> Tensor | None:
        """What was taken in several passes and moments; None where they are too few yet."""
        if measure.window == 1:
            return measure.join(passes.taken)
        window = self._windows.get((measure, layer))
        if window is None:
            window = self._windows[measure, layer] = deque(
                maxlen=max(measure.window, measure.samples)
            )
        window.append(passes)
        samples = sum(moment.samples for moment in window)
        while len(window) > measure.window and samples - window[0].samples >= measure.samples:
            samples -= window.popleft().samples
        if samples < measure.samples:
            return None
        return measure.join([each for moment in window for each in moment.taken])


@dataclass
class Passes:
    """What a measurement took of a layer in the passes of one moment.

    Attributes:
        taken: Of each pass.
        count: Values it was taken of.
    """

    taken: list[Tensor] = field(default_factory=list[Tensor])
    count: int = 0

    @property
    def samples(self) -> int:
        """Values for each number that was taken: samples, and places in them."""
        return self.count // max(self.taken[0].numel(), 1)


def _norm(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(list(parts)).norm()


def read(values: Sequence[Tensor]) -> list[float]:
    """The numbers of some tensors of one each, waiting for each device once."""
    if all(value.is_cpu for value in values):
        return [value.item() for value in values]
    places: defaultdict[torch.device, list[int]] = defaultdict(list)
    for place, value in enumerate(values):
        places[value.device].append(place)
    found = [0.0] * len(values)
    for there in places.values():
        numbers = torch.stack([values[place].reshape(()) for place in there]).tolist()
        for place, number in zip(there, numbers, strict=True):
            found[place] = number
    return found


def part(value: Tensor) -> Tensor:
    """A copy of a tensor's values, or of some of them where there are many, evenly apart."""
    return part_of(value).clone()


def part_of(value: Tensor) -> Tensor:
    """What `part` copies, as it lies here."""
    own = whole(value)
    size = own.numel()
    return own if size <= LARGE else own.reshape(-1)[:: size // LARGE]


def whole(value: Tensor) -> Tensor:
    """A tensor as it lies here: the own part of one that processes share, dense."""
    own = value.detach()
    if type(own) is not Tensor and hasattr(own, "to_local"):
        own = own.to_local()  # pyright: ignore[reportAttributeAccessIssue]
    return own.to_dense() if own.is_sparse else own


def gradients(optimizer: Optimizer, named: Mapping[Name, Tensor]) -> dict[Name, Tensor]:
    """The gradients that an optimizer is about to use, by name, as they are without a scale.

    Args:
        optimizer: It holds some of the parameters.
        named: Parameters by name.
    """
    own = {id(value) for group in optimizer.param_groups for value in group["params"]}
    found = {
        name: whole(value.grad)
        for name, value in named.items()
        if id(value) in own and value.grad is not None
    }
    scale = getattr(optimizer, "grad_scale", None)
    if isinstance(scale, Tensor):
        found = {name: grad / scale.to(grad.device) for name, grad in found.items()}
    return found


def named_weights(named: Mapping[str, Tensor], root: str) -> dict[str, Tensor]:
    """Weights by the layer's name where they are its ``weight``, else by their own.

    Args:
        named: A model's parameters by name.
        root: What the model itself is called.

    >>> model = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.LSTM(1, 1))
    >>> list(named_weights(dict(model.named_parameters()), "Net"))
    ['0', '1.weight_ih_l0', '1.weight_hh_l0']
    """
    return {
        (root if name == "weight" else name.removesuffix(".weight")): value
        for name, value in named.items()
        if not is_lazy(value)
        and value.dim() > 1
        and value.requires_grad
        and value.is_floating_point()
    }
