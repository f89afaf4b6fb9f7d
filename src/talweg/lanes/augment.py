"""Batches that a function changes at random: once for each seed and step, for all of its lanes."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from talweg.core import UserError, first_line, from_file, redrawn
from talweg.data import Inputs
from talweg.data.inputs import X, shown, stack
from talweg.lanes.ahead import row_bytes, steps_ahead
from talweg.lanes.feed import Batch, Feed, Supply
from talweg.lanes.plan import Lane, by_seeds

TRIED = 8
"""Samples that a function is tried on before anything is trained."""


@dataclass(frozen=True)
class Augmentation:
    """A function that changes the inputs of training batches.

    Args:
        name: What to call it.
        change: The function; it gets and gives a tensor ``[batch, …]``, or, where a model takes
            several, a tuple or a dict of these.
    """

    name: str
    change: Callable[[Any], Any]

    def __call__(self, x: X) -> X:
        """What the function makes of a batch.

        Raises:
            UserError: If it fails, or gives something of another kind, shape or type.
        """
        try:
            with torch.no_grad():
                found = _as_inputs(self.change(_as_given(x)), x)
        except Exception as error:
            raise UserError(
                f"augment ({self.name}) fails on a batch of shape {shown(x)}: "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error
        wanted, gave = _told(x), _told(found)
        if wanted != gave:
            raise UserError(
                f"augment ({self.name}) must give what it gets, of the same shape and type: it "
                f"got {wanted}, but gave {gave}"
            )
        return found


Augment: TypeAlias = str | Callable[[Any], Any]
"""A function, or ``"file.py:name"`` of one."""


def augmentation_of(augment: Augment | None) -> Augmentation | None:
    """The augmentation asked for, if there is one.

    Raises:
        UserError: If it is no function, or there is no such file or name.

    >>> augmentation_of(torch.nn.Dropout(0.1)).name
    'Dropout(p=0.1, inplace=False)'
    """
    if augment is None or isinstance(augment, Augmentation):
        return augment
    found: Any = augment
    if isinstance(augment, str):
        if ".py:" not in augment:
            raise UserError(f"augment must be a function or 'file.py:name' of one, got {augment!r}")
        found = from_file(augment, "function")
    if not callable(found):
        raise UserError(f"augment must be a function of a batch of inputs, got {found!r}")
    # What an object shows of itself may tell its settings, on several lines, and where it lies.
    shown_as = " ".join(re.sub(" at 0x[0-9a-f]+", "", repr(found)).split())
    return Augmentation(getattr(found, "__name__", shown_as), found)


class Augmented:
    """A supply whose batches are augmented; see `feed.Supply`.

    Args:
        supply: What gives the batches.
        augmentation: What changes them.
        device: Where they lie.

    Raises:
        UserError: If they cannot be changed so.
    """

    can_be_copied = False  # each batch is to be changed once

    def __init__(self, supply: Supply, augmentation: Augmentation, device: torch.device) -> None:
        self._supply, self._augmentation, self._device = supply, augmentation, device
        self.samples, self.batch, self.tail = supply.samples, supply.batch, supply.tail
        self.epoch_steps, self.leaves_one = supply.epoch_steps, supply.leaves_one
        with redrawn(device) as begin:
            begin(0)
            augmentation(self.samples.x[: min(self.batch, TRIED)].clone())

    def together(self, packs: Sequence[Sequence[Lane]]) -> list[list[Sequence[Lane]]]:
        """See `Supply.together`: lanes of the same seeds."""
        return by_seeds(packs)

    def feed(self, seeds: Sequence[int]) -> Feed:
        """See `Supply.feed`."""
        step_bytes = len(seeds) * self.batch * row_bytes(self.samples.x)
        feed = self._supply.feed(seeds)
        return _Changed(feed, seeds, self._augmentation, self._device, steps_ahead(step_bytes))


class _Changed:
    """Batches of some seeds, augmented a block of steps at a time.

    That is done on the thread that asks for them, while no lane makes a step: the generators that
    functions draw from are those of the whole process, and dropout draws from them too.
    """

    def __init__(
        self,
        feed: Feed,
        seeds: Sequence[int],
        augmentation: Augmentation,
        device: torch.device,
        most: int,
    ) -> None:
        self._feed, self._seeds = feed, seeds
        self._augmentation, self._device, self._most = augmentation, device, most
        self._places = torch.arange(len(seeds), device=device)

    def block(self, first: int, most: float) -> list[Batch]:
        """See `Feed.block`."""
        batches = self._feed.block(first, min(most, self._most))
        with redrawn(self._device) as begin, torch.no_grad():
            return [self._batch(first + i, batch, begin) for i, batch in enumerate(batches)]

    def _batch(self, step: int, batch: Batch, begin: Callable[..., None]) -> Batch:
        given, y = batch(self._places)
        parts: list[X] = []
        for place, seed in enumerate(self._seeds):
            begin(seed, step, 0)  # orders of batches follow from the seed and an epoch alone
            parts.append(self._augmentation(given[place]))
        x = stack(parts)

        def changed(places: Tensor) -> tuple[X, Tensor]:
            return x[places], y[places]

        return changed


def _as_given(x: X) -> Any:
    """Inputs as users give them: one alone, several as a tuple or a dict."""
    if isinstance(x, Tensor) or (x.named and x.positional):
        return x
    return dict(x.named) if x.named else x.positional


def _as_inputs(found: Any, x: X) -> Any:
    """What a function gave, as inputs such as it got if it can be."""
    if isinstance(x, Inputs) and isinstance(found, Mapping):
        return Inputs(named=dict(found))  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(x, Inputs) and isinstance(found, (tuple, list)):
        return Inputs(tuple(found))  # pyright: ignore[reportUnknownArgumentType]
    return found


def _told(x: Any) -> str:
    """All that must stay the same, in words."""
    if isinstance(x, Inputs):
        parts: dict[str, Any] = x.by_name
        return ", ".join(f"{name} {_told(parts[name])}" for name in sorted(parts)) or "nothing"
    if not isinstance(x, Tensor):
        return type(x).__name__
    return f"{str(x.dtype).removeprefix('torch.')} {list(x.shape)} on {x.device}"
