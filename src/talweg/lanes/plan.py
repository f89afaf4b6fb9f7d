"""What an engine is asked to do, and what comes of it."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from torch import Tensor

from talweg.core import Rule, UserError, whole_number
from talweg.data import Samples
from talweg.lanes.probe import Probe
from talweg.metrics import Metric
from talweg.schedules import Schedule

T = TypeVar("T")


class Lane(NamedTuple):
    """One training run.

    Args:
        number: Among those of the plan, from its first lane.
        rule: Its rule.
        seed: Of its start and of the order of its batches.
        schedules: Hyperparameter name → schedule.
    """

    number: int
    rule: Rule
    seed: int
    schedules: Mapping[str, Schedule]


@dataclass(frozen=True)
class Plan:
    """What a call of `Engine.train` is asked to do.

    Args:
        rules: One rule per lane.
        seeds: One seed per lane.
        steps: Updates; of a stream, at most so many, or None for as many as it has batches.
        schedules: Hyperparameter name → schedule, for each lane; empty if none has any.
        evaluate: Split name → samples to evaluate on at each reading.
        metrics: What to evaluate besides the loss.
        scale: Standard deviation that regression targets were divided by.
        first_lane: The number of the first lane.
        keep: Whether to keep what lanes end with; tuning has no use for it.
        read_every: Steps between readings; None for those of an epoch. The last step is always
            followed by one.
        stop: Asked after each reading but the last, by the number of steps made, for the lanes
            that are to make no more; None if there are none. With it, lanes that run one after
            another take turns instead, from reading to reading.
        probe: Looks into the models at some of the readings; None if nobody does.
    """

    rules: Sequence[Rule]
    seeds: Sequence[int]
    steps: int | None
    schedules: Sequence[Mapping[str, Schedule]]
    evaluate: Mapping[str, Samples]
    metrics: Sequence[Metric] = ()
    scale: Tensor | None = None
    first_lane: int = 0
    keep: bool = True
    read_every: int | None = None
    stop: Callable[[int], Collection[int]] | None = None
    probe: Probe | None = None

    @property
    def lanes(self) -> list[Lane]:
        """The lanes in order."""
        schedules = self.schedules or [{}] * len(self.rules)
        return [
            Lane(self.first_lane + i, *each)
            for i, each in enumerate(zip(self.rules, self.seeds, schedules, strict=True))
        ]


@dataclass(frozen=True)
class Result:
    """What came of a plan.

    Attributes:
        losses: ``[lane, step]``, of the steps asked for; of a stream, of those made.
        died: Lane → step at which it diverged.
        stopped: Lane → steps it had made when the plan stopped it.
        states: Lane → its last parameters ``[parameter]`` and everything else; empty if the plan
            said not to keep them.
    """

    losses: Tensor
    died: dict[int, int]
    stopped: dict[int, int]
    states: dict[int, tuple[Tensor, dict[str, Tensor]]]


class Ended(NamedTuple):
    """What came of some lanes of a plan: as in `Result`, and who they are.

    Args:
        lanes: Their numbers.
        losses: ``[lane, step]``.
        died: Lane → step.
        stopped: Lane → steps.
        states: Lane → what it ended with.
    """

    lanes: list[int]
    losses: Tensor
    died: dict[int, int]
    stopped: dict[int, int]
    states: dict[int, tuple[Tensor, dict[str, Tensor]]]


def merged(parts: Iterable[Mapping[int, T]]) -> dict[int, T]:
    """What is known of lanes, from what is known of some each."""
    return {lane: value for part in parts for lane, value in part.items()}


def by_structure(lanes: Iterable[Lane]) -> list[list[Lane]]:
    """Lanes whose rules share one structure, in the order of the first of each."""
    groups: dict[tuple[object, ...], list[Lane]] = {}
    for lane in lanes:
        groups.setdefault(lane.rule.structure, []).append(lane)
    return list(groups.values())


def by_seeds(packs: Iterable[Sequence[Lane]]) -> list[list[Sequence[Lane]]]:
    """Packs of lanes of the same seeds, in the order of the first of each."""
    found: dict[tuple[int, ...], list[Sequence[Lane]]] = {}
    for pack in packs:
        found.setdefault(tuple(seeds_among(pack)), []).append(pack)
    return list(found.values())


def seeds_among(lanes: Iterable[Lane]) -> list[int]:
    """The seeds of some lanes, each once, ascending."""
    return sorted({lane.seed for lane in lanes})


def steps_of(steps: int | None, epochs: int | None, epoch_steps: int) -> int:
    """The number of steps from one of two ways to ask for it.

    Raises:
        UserError: If both or none are given, or one is no whole number.
    """
    if (steps is None) == (epochs is None):
        raise UserError("give either steps or epochs")
    if steps is not None:
        return whole_number("steps", steps, at_least=0)
    return whole_number("epochs", epochs, at_least=0) * epoch_steps


def stream_steps_of(steps: int | None, epochs: int | None) -> int | None:
    """The largest number of steps on a stream; None for as many as it has batches.

    Raises:
        UserError: If epochs are given, or steps are no whole number.
    """
    if epochs is not None:
        raise UserError(
            "a stream is passed over once and has no epochs: give steps, or neither to go on "
            "until it ends"
        )
    return None if steps is None else whole_number("steps", steps, at_least=0)
