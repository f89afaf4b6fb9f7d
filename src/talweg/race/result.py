"""What a race gave."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from talweg.core import UserError, write_page
from talweg.landscapes import Landscape


@dataclass(frozen=True)
class Racer:
    """One rule at its best rate.

    Attributes:
        name: The rule's name.
        label: What it is called in pictures.
        lr: The rate that served it best, of as many as every rule got.
        steps: Until within the tolerance of the least value, the mean over seeds; None if a seed
            did not get there.
        left_saddle: Steps until lower than the saddle, the mean over seeds; None if there is no
            saddle or a seed stayed there.
        gap: How far above the least value it ended, the mean over seeds.
        diverged: How many of all its lanes, of all rates, diverged.
        path: Where the first seed was, ``[step, n]``.
    """

    name: str
    label: str
    lr: float
    steps: float | None
    left_saddle: float | None
    gap: float
    diverged: int
    path: Tensor


@dataclass(frozen=True)
class Race:
    """A race, best first.

    Attributes:
        landscape: Where it was run.
        racers: By steps to the minimum, then by how near they came.
        steps: That each lane made.
        tolerance: Within what share of the start's height a value counts as the minimum.
        rates: How many rates each rule got.
        seeds: How many runs at each rate.
        exact: Whether gradients were exact.
    """

    landscape: Landscape
    racers: tuple[Racer, ...]
    steps: int
    tolerance: float
    rates: int
    seeds: int
    exact: bool

    @property
    def best(self) -> Racer:
        """The first."""
        return self.racers[0]

    def picture(self, path: str | Path = "race.html") -> Path:
        """Draws the paths over contours, with play, pause, a slider and a legend: one HTML file.

        Args:
            path: The file to write or replace; its folder must exist.

        Returns:
            The path.

        Raises:
            UserError: If it cannot be written, or the landscape has not two coordinates.
        """
        from talweg.race.picture import page

        if len(self.landscape.start) != 2:
            raise UserError(f"a picture has two coordinates, {self.landscape.name} has others")
        return write_page(path, page(self))

    @property
    def sentences(self) -> list[str]:
        """What came of it, in words."""
        first = self.best
        name = self.landscape.name
        if first.steps is None:
            found = [f"None reached the minimum of {name} in {self.steps} steps."]
        else:
            found = [
                f"{first.label} is first on {name}: {first.steps:.0f} steps at lr {first.lr:.2g}."
            ]
        late = [racer.label for racer in self.racers if racer.steps is None]
        if late and first.steps is not None:
            found.append(f"Not there after {self.steps} steps: {', '.join(late)}.")
        caught = [racer.label for racer in self.racers if racer.left_saddle is None]
        if self.landscape.saddles and caught:
            found.append(f"Caught by the saddle: {', '.join(caught)}.")
        return found
