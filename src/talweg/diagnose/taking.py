"""What is taken at a measured step: numbers that stay on their device until the step is over."""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy
from torch.optim.optimizer import Optimizer

from talweg.diagnose.measures import OF_ACTIVITY, OF_STEP, Activity, OfActivity, Step

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
        self._passes: dict[tuple[OfActivity, str], list[Tensor]] = {}
        self._samples: dict[tuple[OfActivity, str], int] = {}
        self._windows: dict[tuple[OfActivity, str], deque[tuple[list[Tensor], int]]] = {}
        self._norms: dict[str, list[Tensor]] = {}
        self._ready: list[tuple[str, Sequence[str], Tensor]] = []
        self.grad: Tensor | None = None
        self.is_full = False
        self.is_deaf = False

    def activity(self, layer: str, activity: Activity) -> None:
        """Takes what a layer's units gave in a forward pass."""
        for measure in self._of_activity:
            taken = measure.take(activity) if self.is_full or measure.tier != "full" else None
            if taken is not None:
                self._passes.setdefault((measure, layer), []).append(taken)
                if measure.window > 1:
                    size = activity.values.numel() // max(taken.numel(), 1)
                    before = self._samples.get((measure, layer), 0)
                    self._samples[measure, layer] = before + size

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
        self._ready += [
            (each.name, names, each.take(step))
            for each in self._of_step
            if self.is_full or each.tier != "full"
        ]

    def finish(self) -> Values:
        """All numbers of the step."""
        for (measure, layer), passes in self._passes.items():
            joined = self._joined(measure, layer, passes)
            if joined is not None:
                self._ready.append((measure.name, [layer], joined))
        norms = {layer: _norm(parts) for layer, parts in self._norms.items()}
        self._ready += [(BACKWARD, [layer], norm) for layer, norm in norms.items()]
        numbers = iter(read([value for _, _, value in self._ready]))
        found: Values = {}
        for measure, layers, _ in self._ready:
            found.setdefault(measure, {}).update((layer, next(numbers)) for layer in layers)
        self._passes, self._norms, self._ready, self.grad = {}, {}, [], None
        self._samples.clear()
        return found

    def _joined(self, measure: OfActivity, layer: str, passes: list[Tensor]) -> Tensor | None:
        """One number of several passes and moments; None where they are too few yet."""
        if measure.window == 1:
            return measure.join(passes)
        key = measure, layer
        window = self._windows.setdefault(key, deque(maxlen=max(measure.window, measure.samples)))
        window.append((passes, self._samples[key]))
        while (
            len(window) > measure.window
            and sum(count for _, count in window) - window[0][1] >= measure.samples
        ):
            window.popleft()
        if sum(count for _, count in window) < measure.samples:
            return None
        return measure.join([each for moment, _ in window for each in moment])


def _norm(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(list(parts)).norm()


def read(values: Sequence[Tensor]) -> list[float]:
    """All numbers of some tensors in order, waiting for each device once."""
    if len({value.device for value in values}) < 2:
        return torch.cat([value.reshape(-1) for value in values]).tolist() if values else []
    by_device: defaultdict[torch.device, list[int]] = defaultdict(list)
    for place, value in enumerate(values):
        by_device[value.device].append(place)
    found: list[list[float]] = [[] for _ in values]
    for places in by_device.values():
        numbers = iter(read([values[place] for place in places]))
        for place in places:
            found[place] = list(islice(numbers, values[place].numel()))
    return [number for numbers in found for number in numbers]


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
