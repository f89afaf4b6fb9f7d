"""Packs of lanes that are trained one after another, so that each fits into the memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import inf

from talweg.core import UserError, counted, in_bytes
from talweg.lanes.evaluate import Reading
from talweg.lanes.memory import Needs
from talweg.lanes.plan import Lane


class Packs:
    """The lanes of a plan, in packs.

    A pack is a multiple of the lanes that go through the model together, wherever that fits: these
    are the same lanes then as without a limit, and get the same numbers.

    Args:
        groups: Lanes that could be trained together, in the order in which squads hold them.
        needs: What they take.
        limit: Bytes that they may take.
        width: Lanes that go through the model together.
        workers: How many such chunks do so side by side.
        why: Why the lanes of a group cannot be split; empty if they can.
        most: Lanes in a pack, at most; None for as many as fit.

    Attributes:
        width: As given, or fewer if so many do not fit.
        side_by_side: Lanes that go through the model at the same time.
        sizes: Lanes in each pack.
        peak: The most bytes that a pack takes; more than the limit if one lane alone does.
        whole: The same without a limit.
        limit: As given.
        told: What is to be told of them; empty if there is nothing.

    Iterating gives the packs that are left.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Lane]],
        needs: Needs,
        limit: int,
        width: int,
        workers: int,
        why: str = "",
        most: int | None = None,
    ) -> None:
        self.limit, self._why, self._needs = limit, why, needs
        bound = inf if why else limit
        at_once = width * workers
        self.whole = max(needs.peak(group, at_once) for group in groups)
        self._largest = largest = needs.largest([lane for group in groups for lane in group])
        sizes = range(min(width, max(map(len, groups))), 0, -1)
        unit = next((n for n in sizes if needs.peak([largest] * n, n) <= bound), 0)
        if self.whole > bound and unit < sizes[0]:
            width = max(unit, 1)
        # A pack of fewer chunks than there are workers leaves some of them idle.
        side_by_side = width * workers
        too_many = most is not None and most < side_by_side
        if too_many or needs.peak([largest] * side_by_side, side_by_side) > bound:
            side_by_side = width

        def fit(lanes: Sequence[Lane]) -> bool:
            small = most is None or len(lanes) <= most
            return small and needs.peak(lanes, width * workers) <= bound

        self.width, self.side_by_side = width, side_by_side
        self._left: list[Sequence[Lane]] = []
        for group in groups:
            whole = most is None and self.whole <= bound
            self._left += [group] if whole else _filled(group, side_by_side, fit)
        self.sizes = [len(pack) for pack in self._left]
        self.peak = max(needs.peak(pack, width * workers) for pack in self._left)
        self.told = self._telling(max(map(len, groups)), needs.shared)

    def __iter__(self) -> Iterator[Sequence[Lane]]:
        while self._left:
            yield self._left.pop(0)

    def _telling(self, lanes: int, shared: int) -> str:
        takes = f"take {in_bytes(self.whole)}"
        allowed = in_bytes(self.limit)
        some = counted(lanes, "lane")
        if self.whole <= self.limit:
            return ""
        if self._why:
            return f"{self._why} keeps {some} at once, which {takes}, more than {allowed}"
        if self.peak > self.limit:
            one = f"one lane alone takes {in_bytes(self.peak)}"
            return f"{one} ({in_bytes(shared)} of it for all lanes), more than {allowed}"
        return f"{some} {takes}: {max(self.sizes)} at a time, to keep below {allowed}"

    def leave_room(self, lanes: Sequence[Lane]) -> bool:
        """Whether copies of this process may train a pack: pages that they write to are doubled."""
        held = sum(self._needs.each[lane.number].held for lane in lanes)
        return self._needs.peak(lanes, self.side_by_side) + 2 * held <= self.limit

    def allow(self, count: int) -> bool:
        """Whether so many packs of one lane each fit into the memory at the same time."""
        return self._needs.peak([self._largest] * count, count) <= self.limit

    def put_back(self, packs: Sequence[Sequence[Lane]]) -> None:
        """Has packs that were taken come again."""
        self._left = [*packs, *self._left]

    def halve(self, pack: Sequence[Lane]) -> int:
        """Puts a pack for which there was no memory back in halves, and halves those to come.

        Args:
            pack: The pack.

        Returns:
            Lanes in a pack from now on, at most.

        Raises:
            UserError: If they cannot, or if it was a single lane.
        """
        if self._why:
            lanes = counted(len(pack), "lane")
            raise UserError(f"out of memory: {self._why} keeps {lanes} at once; choose fewer")
        if len(pack) == 1:
            raise UserError("out of memory with a single lane: choose a smaller model or batch")
        chunks = -(-len(pack) // self.width)
        if chunks == 1:
            self.width = -(-len(pack) // 2)
        half = self.width * max(-(-chunks // 2), 1)
        self._left = [
            some[begin : begin + half]
            for some in (pack, *self._left)
            for begin in range(0, len(some), half)
        ]
        return half


def _filled(
    lanes: Sequence[Lane], unit: int, fit: Callable[[Sequence[Lane]], bool]
) -> list[Sequence[Lane]]:
    """Packs of as many units of lanes, one after another, as fit."""
    found: list[Sequence[Lane]] = []
    for begin in range(0, len(lanes), unit):
        some = lanes[begin : begin + unit]
        if found and fit([*found[-1], *some]):
            found[-1] = [*found[-1], *some]
        else:
            found.append(some)
    return found


class Once:
    """Passes on what is told of training, but not again what a pack tells that is begun anew.

    Args:
        each: Told the readings.
        tick: Told the steps that all lanes made.
    """

    def __init__(self, each: Callable[[Reading], None], tick: Callable[[int], None]) -> None:
        self._each = each
        self._tick = tick
        self._reached: dict[int, int] = {}
        self._made = self._again = 0

    def begin(self) -> None:
        """Told that a pack begins."""
        self._made = 0

    def begin_anew(self, kept: int = 0) -> None:
        """Told that the pack is begun anew: its steps were counted, all but those that are kept."""
        self._again += self._made - kept

    def read(self, reading: Reading) -> None:
        """Passes on a reading, of the lanes that had not come as far."""
        reached = self._reached
        new = [i for i, lane in enumerate(reading.lanes) if reading.step > reached.get(lane, -1)]
        if not new:
            return
        lanes = tuple(reading.lanes[i] for i in new)
        self._reached |= dict.fromkeys(lanes, reading.step)
        values = {name: [column[i] for i in new] for name, column in reading.values.items()}
        self._each(replace(reading, lanes=lanes, values=values))

    def tick(self, steps: int) -> None:
        """Passes on steps, those beyond what was counted."""
        self._made += steps
        counted = min(steps, self._again)
        self._again -= counted
        self._tick(steps - counted)
