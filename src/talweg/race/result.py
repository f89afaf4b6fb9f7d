"""What a race gave."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from talweg.core import UserError, write_file, write_page
from talweg.landscapes import Landscape, LineFit
from talweg.race.batches import batch_minima

ALIKE = ("sgd", "momentum", "nesterov")
"""Rules whose rates mean the same, so that they can be compared at one."""


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
        left_at: The same at each rate that was tried: a rule that left at a high rate may be slow
            at a low one.
        gap: How far above the least value it ended, the mean over seeds.
        diverged: How many of all its lanes, of all rates, diverged.
        path: Where the first seed was, ``[step, n]``.
        exact_path: Where it would have been with exact gradients at the same rate; None if they
            were.
    """

    name: str
    label: str
    lr: float
    steps: float | None
    left_saddle: float | None
    left_at: dict[float, float | None]
    gap: float
    diverged: int
    path: Tensor
    exact_path: Tensor | None = None

    @property
    def summary(self) -> str:
        """Its name, and the steps it took."""
        steps = "not there" if self.steps is None else f"{self.steps:.0f} steps"
        return f"{self.label}, {steps}"


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
        batch_size: Samples that a step saw, of a line fit; None for all.
    """

    landscape: Landscape
    racers: tuple[Racer, ...]
    steps: int
    tolerance: float
    rates: int
    seeds: int
    exact: bool
    batch_size: int | None = None

    @property
    def coordinates(self) -> tuple[str, str]:
        """What the two coordinates are called."""
        return ("a", "b") if isinstance(self.landscape.function, LineFit) else ("x", "y")

    @property
    def described(self) -> str:
        """The landscape, the gradients and the rates, in a line."""
        gradients = "exact gradients"
        if not self.exact:
            batches = f" of batches of {self.batch_size}" if self.batch_size else ""
            gradients = f"stochastic gradients{batches}"
        return f"{self.landscape.formula}; {gradients}, each rule at the best of {self.rates} rates"

    @property
    def shared_rate(self) -> float | None:
        """A rate at which the rules' ways off a saddle compare: the least that all have left at.

        Of those rules that have rates in common with the first one that has any; None if there is
        no saddle, or no such rate.
        """
        among = [racer for racer in self.racers if racer.name in ALIKE]
        shared = set.intersection(*(set(racer.left_at) for racer in among)) if among else set()
        usable = [
            lr
            for lr in shared
            if len(among) > 1 and all(racer.left_at[lr] is not None for racer in among)
        ]
        return min(usable, default=None)

    @property
    def best(self) -> Racer:
        """The first."""
        return self.racers[0]

    def picture(self, path: str | Path = "race.html") -> Path:
        """Draws the paths over contours.

        Args:
            path: The file to write or replace; its folder must exist. Its ending says what it is:
                ``.html`` plays, with speeds, pause, a slider and a legend to choose by; ``.png``
                and ``.svg`` are still and need matplotlib.

        Returns:
            The path.

        Raises:
            UserError: If it cannot be written, is none of these, matplotlib is missing, or the
                landscape has not two coordinates.
        """
        from talweg.race.picture import page
        from talweg.race.still import still

        if len(self.landscape.start) != 2:
            raise UserError(f"a picture has two coordinates, {self.landscape.name} has others")
        form = Path(path).suffix.lower() if isinstance(path, (str, Path)) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
        if form in (".png", ".svg"):
            return write_file(path, still(self, form[1:]))
        if form not in (".html", ".htm", ""):
            raise UserError(f"a picture is an html, png or svg file, got {str(path)!r}")
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
        found += [*self._off_the_saddle(), *self._bent()]
        caught = [racer.label for racer in self.racers if racer.left_saddle is None]
        if self.landscape.saddles and caught:
            found.append(f"Caught by the saddle: {', '.join(caught)}.")
        return found

    def _off_the_saddle(self) -> list[str]:
        """Who left the saddle when, all at one rate."""
        rate = self.shared_rate
        if rate is None:
            return []
        left = {racer.label: racer.left_at[rate] for racer in self.racers if racer.name in ALIKE}
        order = sorted(left, key=lambda label: left[label] or 0.0)
        parts = [f"{label} after {left[label]:.0f} steps" for label in order]
        return [f"Off the saddle at one rate, {rate:.2g}: {', '.join(parts)}."]

    def _bent(self) -> list[str]:
        """Why stochastic paths bend, in numbers of the data."""
        if self.batch_size is None:
            return []
        spread = batch_minima(self.landscape, self.batch_size).std(0)
        slope, height = self.landscape.minima[0]
        return [
            f"The exact path (dotted) ends at the line of all samples, a = {slope:.3g}, "
            f"b = {height:.3g}. A batch of {self.batch_size} has a line of its own, ± "
            f"{spread[0]:.2g} in a and ± {spread[1]:.2g} in b: each step goes towards another one, "
            f"so that the path bends, and wanders about the end for as long as the rate stays up."
        ]
