"""The packs of a plan, trained one after another or side by side."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import torch

from talweg.core import counted, is_out_of_memory
from talweg.lanes.compiling import Compiler
from talweg.lanes.evaluate import Reader
from talweg.lanes.packs import Once, Packs
from talweg.lanes.plan import Ended, Lane
from talweg.lanes.processes import CannotDivide, Parent, StandsStill, Ticks, divided

Train: TypeAlias = Callable[
    [Sequence[Lane], int, bool, Reader | None, Callable[[int], None]], Ended
]
"""Trains a pack: its lanes, how many go through the model together, whether copies of this process
may, who reads and who is told of steps."""


class Passes:
    """Trains packs, as many lanes at a time as there is memory for.

    Args:
        packs: The packs.
        train: Trains one.
        reader: Reads; None if nobody wants to know.
        once: Told of readings and steps.
        compiler: What may compile.
        say: Told, in one line each, where memory runs out.
        may_divide: Whether copies of this process may train lanes.

    Attributes:
        most: Lanes in a pack, at most, where memory has run out; else None.
        may_divide: Whether copies of this process have worked so far.
    """

    def __init__(
        self,
        packs: Packs,
        train: Train,
        reader: Reader | None,
        once: Once,
        compiler: Compiler,
        say: Callable[[str], None],
        may_divide: bool,
    ) -> None:
        self._packs = packs
        self._train = train
        self._reader = reader
        self._once = once
        self._compiler = compiler
        self._say = say
        self.most: int | None = None
        self.may_divide = may_divide

    def one_after_another(self) -> list[Ended]:
        """Trains the packs that are left."""
        ended: list[Ended] = []
        started = self._compiler.has_started
        for pack in self._packs:
            self._compiler.rewind(started)
            self._once.begin()
            try:
                found = self._attempt(pack)
            except StandsStill:
                self._give_up_copies()
                self._once.begin_anew()
                self._packs.put_back([pack])
                continue
            if found is None:
                self._once.begin_anew()
                self.most = self._packs.halve(pack)
                self._say(f"out of memory: {counted(self.most, 'lane')} at a time from here on")
            else:
                ended.append(found)
        return ended

    def _attempt(self, lanes: Sequence[Lane]) -> Ended | None:
        """Trains lanes together; None if there was no memory for so many."""
        try:
            may_divide = self.may_divide and self._packs.leave_room(lanes)
            width = self._packs.width
            return self._train(lanes, width, may_divide, self._reader, self._once.tick)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Only here, without the error and the frames that it holds, are buffers free again.
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return None

    def side_by_side(self, copies: int) -> list[Ended]:
        """Has copies of this process train the packs; leaves those that they could not train."""
        ended: list[Ended] = []
        kept = 0

        def end(told: tuple[Ended, int]) -> None:
            nonlocal kept
            ended.append(told[0])
            kept += told[1]

        packs = list(self._packs)
        self._once.begin()
        try:
            divided(
                [partial(self._by_copy, packs[place::copies]) for place in range(copies)],
                {"read": self._once.read, "tick": self._once.tick, "ended": end},
            )
        except CannotDivide:
            self._packs.put_back(packs)
        except Exception as error:
            if isinstance(error, StandsStill):
                self._give_up_copies()
            elif is_out_of_memory(error):
                self._say("out of memory: one lane at a time from here on")
            else:
                raise
            self.may_divide = False
            done = {lane for found in ended for lane in found.lanes}
            self._once.begin_anew(kept)
            self._packs.put_back([pack for pack in packs if pack[0].number not in done])
        return ended

    def _give_up_copies(self) -> None:
        self.may_divide = False
        self._say(
            "copies of this process stand still, as where a model, loss or metric has threads of "
            "its own: going on without"
        )

    def _by_copy(self, packs: Sequence[Sequence[Lane]], parent: Parent) -> None:
        """In a copy of the process: trains some packs, and tells of each."""
        reader = self._reader and self._reader.telling(partial(parent.tell, "read"))
        for pack in packs:
            ticks = Ticks(partial(parent.tell, "tick"))
            found = self._train(pack, self._packs.width, False, reader, ticks.add)
            ticks.tell()
            parent.tell("ended", (found, ticks.all))
