"""Races: every rule from the same start on a landscape, each at its own best rate."""

from talweg.race.result import Race, Racer
from talweg.race.run import race

__all__ = ["Race", "Racer", "race"]
