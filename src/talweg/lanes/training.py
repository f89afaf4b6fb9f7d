"""Squads that learn from one feed, and what is read of them on the way."""

import math
from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

from talweg.lanes.evaluate import Reader
from talweg.lanes.feed import Feed
from talweg.lanes.squad import Squad


class Training:
    """Trains squads step by step, all of them on each block of batches before the next.

    Args:
        squads: What is trained.
        feed: Where their batches come from.
        steps: Updates; None for as many as there are batches.
        read_every: Steps between readings; infinite for none before the last step.
        reader: Reads; None if nobody wants to know.
        stop: Asked after each reading for lanes to stop; None to stop none.
        tick: Called after every few steps with the number of steps that all lanes made, those that
            diverged or were stopped counted as if they had gone on.
    """

    def __init__(
        self,
        squads: Sequence[Squad],
        feed: Feed,
        steps: int | None,
        read_every: float,
        reader: Reader | None,
        stop: Callable[[int], Collection[int]] | None,
        tick: Callable[[int], None],
    ) -> None:
        self._squads = squads
        self._feed = feed
        self._steps = math.inf if steps is None else steps
        self._every = read_every
        self._reader = reader
        self._to_stop = stop
        self._tick = tick
        self.lanes = [lane for squad in squads for lane in squad.lanes]
        self._row = {lane: row for row, lane in enumerate(self.lanes)}
        self._told: set[int] = set()
        self._unread: list[Tensor] = []

    def run(self) -> Tensor:
        """Makes all steps; none any more once every lane has diverged or was stopped.

        Returns:
            The batch losses of `lanes`, ``[lane, step]``, each before its update; NaN after the
            step at which a lane diverged, or after which it was stopped.
        """
        losses = [torch.empty(len(self.lanes), 0, dtype=self._squads[0].dtype)]
        step = 0
        self._read(step)
        while step < self._steps and self._any_alive():
            stop = min((step // self._every + 1) * self._every, self._steps)
            block = self._block(step, stop - step)
            if block.shape[1] == 0:
                break
            losses.append(block)
            self._unread.append(block)
            step += block.shape[1]
            if step == stop:
                self._read(step)
                self._stop(step)
        if self._unread:
            self._read(step)
        if not self._any_alive() and math.isfinite(self._steps):
            self._tick(int(self._steps - step) * len(self.lanes))
        return torch.cat(losses, 1)

    def _stop(self, step: int) -> None:
        if self._to_stop is None or step >= self._steps:
            return
        chosen = self._to_stop(step)
        for squad in self._squads:
            squad.stop(chosen, step)

    def _any_alive(self) -> bool:
        return any(squad.lanes for squad in self._squads)

    def _block(self, first: int, most: float) -> Tensor:
        """The next few steps of every squad; their losses ``[lane, step]``."""
        batches = self._feed.block(first, most)
        shape = len(self.lanes), len(batches)
        losses = torch.full(shape, torch.nan, dtype=self._squads[0].dtype)
        for squad in self._squads:
            if squad.lanes and batches:
                taking_part, found = squad.run(first, batches)
                losses[[self._row[lane] for lane in taking_part]] = found
            self._tick(len(batches) * squad.size)
        return losses

    def _read(self, step: int) -> None:
        unread, self._unread = self._unread, []
        if self._reader is None:
            return
        means = torch.cat(unread, 1).double().mean(1).tolist() if unread else []
        for squad in self._squads:
            for lane in sorted(squad.died.keys() - self._told):
                self._reader.read_death(lane, squad.died[lane])
                self._told.add(lane)
            losses = [means[self._row[lane]] for lane in squad.lanes] if means else []
            self._reader.read(squad, step, losses)
