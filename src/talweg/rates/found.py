"""What a search for a learning rate found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talweg.core import counted, write_page


@dataclass(frozen=True)
class FoundRate:
    """A learning rate to start from, and how sure that is.

    Attributes:
        rule: The rule's label.
        task: The model and the data.
        lr: The suggestion: the next rate above the best one, or the best one where that is
            unstable.
        interval: Between what rates 90% of the suggestions of resampled seeds lie.
        best: The rate with the least loss after all steps.
        edge: The largest rate at which no seed diverged, and the least at which one did; None if
            none did.
        rates: All that were tried, ascending.
        losses: The mean training loss over the last tenth of the steps, ``[rate][seed]``; infinite
            where the run diverged.
        steps: That each lane made.
        interrupted: Whether Ctrl-C ended the search early; if it was in the first part, losses
            are means over the last epoch.
    """

    rule: str
    task: str
    lr: float
    interval: tuple[float, float]
    best: float
    edge: tuple[float, float] | None
    rates: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]
    steps: int
    interrupted: bool = False

    @property
    def seeds(self) -> int:
        """How many runs each rate had."""
        return len(self.losses[0])

    @property
    def sentences(self) -> list[str]:
        """What was found, in words."""
        low, high = self.interval
        sure = (
            f"{'all' if low == high else '90%'} of the resampled seeds say "
            f"{'so' if low == high else f'{low:.2g} to {high:.2g}'}"
        )
        found = [
            f"{self.rule} on {self.task}: start from {self.lr:.2g}; {sure}.",
            f"The least loss after {self.steps} steps, over {counted(self.seeds, 'seed')}, was "
            f"that of {self.best:.2g}.",
        ]
        if self.edge is None:
            found.append(f"None diverged up to {self.rates[-1]:.2g}.")
        else:
            found.append(
                f"The first of them diverges between {self.edge[0]:.3g} and {self.edge[1]:.3g}."
            )
        if self.best == self.rates[0]:
            found.append("The best rate is the least that was tried: try lower ones (lrs).")
        elif self.best == self.rates[-1]:
            found.append("The best rate is the largest that was tried: try higher ones (lrs).")
        if self.interrupted:
            found.append("The search was interrupted: this is what it knew by then.")
        return found

    def picture(self, path: str | Path = "find-lr.html") -> Path:
        """Draws loss against rate: one self-contained HTML file.

        Args:
            path: The file to write or replace; its folder must exist.

        Returns:
            The path.

        Raises:
            UserError: If it cannot be written.
        """
        from talweg.rates.picture import page

        return write_page(path, page(self))


def suggestion(rates: Sequence[float], losses: np.ndarray) -> tuple[int, int]:
    """The places of the best rate and of the one to start from: a little above it.

    That is the next one up, unless it is unstable: a seed diverged there, or the mean loss is
    larger than at the next one down, so that a step too far up costs more than one too far down.

    Args:
        rates: Ascending.
        losses: ``[rate, seed]``; infinite where a run diverged.

    Source: Goodfellow, Bengio, Courville (2016), section 8.3.1: a rate higher than the one that
    does best over the first hundred steps, but not one that makes it unstable.
    """
    means = losses.mean(1)
    best = int(np.argmin(means))
    above = best + 1
    bound = means[best - 1] if best > 0 else np.inf
    stable = above < len(rates) and np.isfinite(losses[above]).all() and means[above] <= bound
    return best, above if stable else best


def interval(rates: Sequence[float], losses: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """Between what rates 90% of the suggestions of resampled seeds lie."""
    draw = np.random.default_rng(0)
    seeds = losses.shape[1]
    chosen = [
        rates[suggestion(rates, losses[:, draw.integers(0, seeds, seeds)])[1]] for _ in range(draws)
    ]
    low, high = np.quantile(chosen, [0.05, 0.95], method="nearest")
    return float(low), float(high)
