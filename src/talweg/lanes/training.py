"""Squads that learn from one feed, and what is read of them on the way."""

import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

import torch
from torch import Tensor

from talweg.lanes.copying import can_divide
from talweg.lanes.evaluate import Reader
from talweg.lanes.feed import Feed
from talweg.lanes.plan import Ended, merged
from talweg.lanes.processes import CannotDivide, Parent, Ticks, divided
from talweg.lanes.squad import Squad
from talweg.lanes.workers import Workers

WORTH = 0.5
"""Seconds of steps to come that make it worthwhile to copy the process."""


class Training:
    """Trains squads step by step, all of them on each block of batches before the next.

    Where much is left to do of a single squad that several workers share, each of them becomes a
    copy of this process that goes on with a part of the lanes.

    Args:
        squads: What is trained.
        feed: Where their batches come from.
        steps: Updates; None for as many as there are batches.
        read_every: Steps between readings; infinite for none before the last step.
        reader: Reads; None if nobody wants to know.
        stop: Asked after each reading for lanes to stop; None to stop none.
        tick: Called after every few steps with the number of steps that all lanes made, those that
            diverged or were stopped counted as if they had gone on.
        keep: Whether to keep what lanes end with.
        workers: Who works on chunks.
        may_divide: Whether copies of this process may go on with parts of the lanes.
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
        keep: bool,
        workers: Workers,
        may_divide: bool,
    ) -> None:
        self._squads = squads
        self._feed = feed
        self._steps = math.inf if steps is None else steps
        self._every = read_every
        self._reader = reader
        self._to_stop = stop
        self._tick = tick
        self._keep = keep
        self._workers = workers
        self._lanes = [lane for squad in squads for lane in squad.lanes]
        self._row = {lane: row for row, lane in enumerate(self._lanes)}
        self._told: set[int] = set()
        self._unread: list[Tensor] = []
        self._meet: Callable[[int], object] = lambda _: None
        self._pace = 0.0
        self._may_divide = may_divide and len(squads) == 1 and can_divide()

    def run(self) -> Ended:
        """Makes all steps; none any more once every lane has diverged or was stopped.

        Returns:
            What came of the lanes. Their batch losses are those before each update; NaN after the
            step at which a lane diverged, or after which it was stopped.
        """
        self._read(0)
        return self._go_on(0)

    def _go_on(self, step: int) -> Ended:
        losses = [torch.empty(len(self._lanes), 0, dtype=self._squads[0].dtype)]
        while step < self._steps and self._any_alive():
            if self._is_worth_dividing(step):
                try:
                    return self._divided(step, torch.cat(losses, 1))
                except CannotDivide:
                    self._may_divide = False
            stop = min((step // self._every + 1) * self._every, self._steps)
            block = self._block(step, stop - step)
            if block.shape[1] == 0:
                break
            losses.append(block)
            self._unread.append(block)
            step += block.shape[1]
            if step == stop:
                self._meet(step)
                self._read(step)
                self._stop(step)
        if self._unread:
            self._read(step)
        if not self._any_alive() and math.isfinite(self._steps):
            self._tick(int(self._steps - step) * len(self._lanes))
        return self._ended(torch.cat(losses, 1))

    def _ended(self, losses: Tensor, copies: Sequence[Ended] = ()) -> Ended:
        """What came of the lanes: of those that are here, and of those that copies went on with."""
        states = [squad.states() for squad in self._squads] if self._keep else []
        return Ended(
            self._lanes,
            losses,
            merged(each.died for each in (*self._squads, *copies)),
            merged(each.stopped for each in (*self._squads, *copies)),
            merged([*states, *(copy.states for copy in copies)]),
        )

    def _is_worth_dividing(self, step: int) -> bool:
        """Whether copies of this process would be done with the rest sooner.

        They are not made while functions are being compiled, which each would do for itself.
        """
        if not self._may_divide or self._workers.count == 1:
            return False
        to_come = self._pace * (self._steps - step) * len(self._squads[0].lanes)
        return to_come > WORTH and len(self._squads[0].parts(2)) > 1

    def _divided(self, step: int, losses: Tensor) -> Ended:
        """Has copies of this process make the steps to come.

        Args:
            step: Steps made.
            losses: Of them, ``[lane, step]``.
        """
        squad = self._squads[0]
        alive = len(squad.lanes)
        self._read_deaths(squad)
        told = {"read": self._reader and self._reader.tell, "tick": self._tick}
        copies = divided(
            [partial(self._part, lanes, step) for lanes in squad.parts(self._workers.count)],
            {name: handler for name, handler in told.items() if handler},
            self._answer,
            squad.leave,
        )
        self._tick(int(self._steps - step) * (squad.size - alive))
        made = max(copy.losses.shape[1] for copy in copies)
        later = torch.full((len(self._lanes), made), torch.nan, dtype=losses.dtype)
        for copy in copies:
            later[self._rows(copy.lanes), : copy.losses.shape[1]] = copy.losses
        return self._ended(torch.cat([losses, later], 1), copies)

    def _answer(self, questions: Sequence[tuple[str, int]]) -> Collection[int]:
        """What copies of this process wait for, all of them at the same step."""
        what, step = questions[0]
        return self._to_stop(step) if self._to_stop and what == "stop" else ()

    def _part(self, lanes: Sequence[int], step: int, parent: Parent) -> Ended:
        """In a copy of the process: goes on with some of the lanes."""
        self._workers.be_alone()
        self._squads[0].keep_only(lanes)
        ticks = Ticks(partial(parent.tell, "tick"))
        self._tick = ticks.add
        if self._reader:
            self._reader = self._reader.telling(partial(parent.tell, "read"))
            # At a Ctrl-C, all lanes have been read as far.
            self._meet = lambda step: parent.ask(("read", step))
        if self._to_stop:
            self._to_stop = lambda step: parent.ask(("stop", step))
        rows = self._rows(lanes)
        self._unread = [block[rows] for block in self._unread]
        self._lanes = list(lanes)
        self._row = {lane: row for row, lane in enumerate(lanes)}
        ended = self._go_on(step)
        ticks.tell()
        return ended

    def _rows(self, lanes: Iterable[int]) -> list[int]:
        return [self._row[lane] for lane in lanes]

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
        shape = len(self._lanes), len(batches)
        losses = torch.full(shape, torch.nan, dtype=self._squads[0].dtype)
        for squad in self._squads:
            if squad.lanes and batches:
                began, was_compiled = time.perf_counter(), squad.is_compiled
                taking_part, found = squad.run(first, batches)
                losses[self._rows(taking_part)] = found
                if was_compiled:  # otherwise the time to compile is in it
                    self._pace = (time.perf_counter() - began) / found.numel()
            self._tick(len(batches) * squad.size)
        return losses

    def _read(self, step: int) -> None:
        unread, self._unread = self._unread, []
        if self._reader is None:
            return
        means = torch.cat(unread, 1).double().mean(1).tolist() if unread else []
        for squad in self._squads:
            self._read_deaths(squad)
            losses = [means[row] for row in self._rows(squad.lanes)] if means else []
            self._reader.read(squad, step, losses)

    def _read_deaths(self, squad: Squad) -> None:
        if self._reader is None:
            return
        for lane in sorted(squad.died.keys() - self._told):
            self._reader.read_death(lane, squad.died[lane])
            self._told.add(lane)
