"""Contenders: the combinations of rule, model, activation, schedule and batch size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from talweg.rules import NamedRule

MODEL, ACTIVATION, SCHEDULE, BATCH, RULE = FACTORS = (
    "model",
    "activation",
    "schedule",
    "batch size",
    "rule",
)
"""What a comparison can vary, besides learning rates and seeds; the last varies fastest."""


@dataclass(frozen=True)
class Level:
    """One of the values that a factor takes.

    Args:
        name: What it is called in the record; no two levels of a factor share it.
        label: What it is called in a sentence.
        value: What it stands for.
    """

    name: str
    label: str
    value: Any


@dataclass(frozen=True)
class Contender:
    """One combination of levels; what is tuned, trained and ranked.

    Args:
        name: No two contenders of a study share it; where only rules vary it is the rule's.
        label: Name for people.
        levels: Factor → level.
        lrs: The learning rates that it is tuned over.
    """

    name: str
    label: str
    levels: Mapping[str, Level]
    lrs: Sequence[float]

    @property
    def rule(self) -> NamedRule:
        """The update rule."""
        return self.levels[RULE].value

    @property
    def engine_key(self) -> tuple[str, ...]:
        """What lanes of one engine share: all but rule and schedule."""
        return tuple(
            level.name for factor, level in self.levels.items() if factor not in (RULE, SCHEDULE)
        )


def cross(
    factors: Mapping[str, Sequence[Level]], grids: Mapping[str, Sequence[float]]
) -> list[Contender]:
    """Every combination of levels.

    Args:
        factors: Factor → levels; names of contenders tell those that vary alone.
        grids: Rule name → its learning rates.
    """
    varying = [factor for factor, levels in factors.items() if len(levels) > 1] or [RULE]
    spoken = sorted(varying, key=lambda factor: factor != RULE)
    found: list[Contender] = []
    for chosen in product(*factors.values()):
        levels = dict(zip(factors, chosen, strict=True))
        found.append(
            Contender(
                name="/".join(levels[factor].name for factor in varying),
                label=" · ".join(levels[factor].label for factor in spoken),
                levels=levels,
                lrs=grids[levels[RULE].name],
            )
        )
    return found
