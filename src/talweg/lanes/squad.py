"""A squad: lanes that take their steps together."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from talweg.data.inputs import X
from talweg.lanes.compiling import Compiler
from talweg.lanes.feed import Batch
from talweg.lanes.gradients import Buffers, Gradients
from talweg.lanes.layout import Layout
from talweg.lanes.noise import Noise
from talweg.lanes.plan import Lane, by_structure
from talweg.lanes.probe import Probe
from talweg.lanes.starts import Start
from talweg.lanes.updates import Group, moved_up
from talweg.lanes.workers import Workers
from talweg.schedules import Span


class Squad:
    """Lanes stacked in shared buffers, stepped together, ``width`` at a time.

    Lanes that diverge leave the buffers after a block of steps, and those that are stopped at once,
    so that they no longer cost time; what they last held is kept.

    Args:
        lanes: What they are.
        starts: Seed → start, in the order in which batches know the seeds.
        layout: The model's layout.
        gradients: How losses and gradients are computed.
        width: Lanes per call of ``gradients``.
        span: How long the run is.
        compiler: What may compile updates; told of the steps that are made.
        noise: What lanes draw from while they train.
        workers: Who works on chunks.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        starts: Mapping[int, Start],
        layout: Layout,
        gradients: Gradients,
        width: int,
        span: Span,
        compiler: Compiler,
        noise: Noise,
        workers: Workers,
    ) -> None:
        self._layout = layout
        self._gradients = gradients
        self._width = width
        self._compiler = compiler
        self._noise = noise
        self._workers = workers
        groups = by_structure(lanes)
        ordered = [lane for group in groups for lane in group]
        self.lanes = [lane.number for lane in ordered]
        self.size = len(lanes)
        place = {seed: i for i, seed in enumerate(starts)}
        self._place_of = {lane.number: place[lane.seed] for lane in ordered}
        self.died: dict[int, int] = {}
        self.stopped: dict[int, int] = {}
        self._last: dict[int, tuple[Tensor, dict[str, Tensor]]] = {}
        self._allocate([starts[lane.seed] for lane in ordered])
        self._groups: list[Group] = []
        shapes = [slot.shape for slot in layout.slots]
        row = 0
        for members in groups:
            at = self._at[row : row + len(members)]
            self._groups.append(Group(members, span, shapes, at, compiler))
            row += len(members)

    def _allocate(self, starts: Sequence[Start]) -> None:
        """Buffers for these lanes, filled up to a multiple of the width by copies of the first."""
        filled = [*starts, *[starts[0]] * (-len(starts) % self._width)]
        self._at = torch.stack([start.params for start in filled])
        self._rest: Buffers = {
            name: torch.stack([start.rest[name] for start in filled]) for name in starts[0].rest
        }
        self._after_allocation()

    def _after_allocation(self) -> None:
        device = self._at.device
        rows = [self._place_of[lane] for lane in self.lanes]
        rows += [0] * (len(self._at) - len(rows))
        self._places = torch.tensor(rows, device=device)
        count = len(self.lanes)
        self._bad_step = torch.full((count,), -1, dtype=torch.long, device=device)

    @property
    def dtype(self) -> torch.dtype:
        """Of parameters and losses."""
        return self._at.dtype

    def run(self, first: int, batches: Sequence[Batch]) -> tuple[list[int], Tensor]:
        """A step on each of some batches, for the lanes still alive.

        Args:
            first: The first step, from 0.
            batches: What they learn from.

        Returns:
            The lanes that took part, and their batch losses ``[lane, step]``, each before its
            update; NaN after the step at which a lane diverged.
        """
        taking_part = list(self.lanes)
        with self._noise.drawn():
            losses = self._block(first, batches).cpu()
        self._compiler.made(losses.numel())
        row_of = {lane: row for row, lane in enumerate(taking_part)}
        for lane in self._clean_up():
            losses[row_of[lane], self.died[lane] - first :] = torch.nan
        return taking_part, losses

    def _block(self, first: int, batches: Sequence[Batch]) -> Tensor:
        """A step of all lanes on each batch; their losses ``[lane, step]``.

        A chunk of lanes makes all these steps before the next one begins: what it works on stays
        in the cache.
        """
        row = 0
        for group in self._groups:
            group.prepare(first, len(batches), self._at[row : row + len(group.lanes)])
            row += len(group.lanes)
        with self._gradients.ready():
            chunks = self._workers.map(
                [partial(self._chunk, chunk, batches) for chunk in self._chunks()]
            )
        losses, sums = (torch.cat(parts)[: len(self.lanes)] for parts in zip(*chunks, strict=True))
        end = first + len(batches)
        steps = torch.arange(first, end, device=self._at.device)
        bad = torch.where(losses.isfinite() & sums.isfinite(), end, steps).amin(1)
        self._bad_step = torch.where(bad < end, bad, -1)
        return losses

    def _chunk(self, chunk: slice, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
        """A chunk's steps: losses and, after each, the sums of the parameters ``[lane, step]``.

        A sum is not finite where a parameter is not: a pass over memory just written.
        """
        at, places = self._at[chunk], self._places[chunk]
        rest = {name: value[chunk] for name, value in self._rest.items()}
        all_grads = torch.zeros_like(at)
        differentiate = self._gradients.stepper(at, rest, all_grads)
        pieces = [
            (all_grads[place], group.stepper(rows, at[place]))
            for group, rows, place in self._pieces(chunk)
        ]
        losses = torch.empty(len(batches), self._width, dtype=at.dtype, device=at.device)
        sums = torch.empty_like(losses)
        for i, batch in enumerate(batches):
            self._workers.check()
            x, y = batch(places)
            losses[i] = differentiate(x, y)
            for grads, step in pieces:
                step(i, grads)
            sums[i] = at.sum(1)
        return losses.T, sums.T

    def _chunks(self) -> list[slice]:
        """The rows of each chunk."""
        return [slice(row, row + self._width) for row in range(0, len(self._at), self._width)]

    def _pieces(self, chunk: slice) -> Iterator[tuple[Group, slice, slice]]:
        """The groups that have lanes in a chunk: which of their rows, and where in the chunk."""
        first = 0
        for group in self._groups:
            low, high = max(first, chunk.start), min(first + len(group.lanes), chunk.stop)
            if low < high:
                place = slice(low - chunk.start, high - chunk.start)
                yield group, slice(low - first, high - first), place
            first += len(group.lanes)

    @property
    def is_compiled(self) -> bool:
        """Whether steps are compiled from here on."""
        return self._compiler.has_started

    def parts(self, count: int) -> list[list[int]]:
        """The lanes alive in up to ``count`` parts of whole chunks."""
        starts = range(0, len(self.lanes), self._width)
        count = min(count, len(starts))
        bounds = [len(starts) * i // count * self._width for i in range(count + 1)]
        return [self.lanes[low:high] for low, high in pairwise(bounds)]

    def keep_only(self, lanes: Collection[int]) -> None:
        """Forgets the other lanes, in a copy of the process."""
        self._compiler.be_quiet()
        self.died, self.stopped, self._last = {}, {}, {}
        self.size = len(lanes)
        self._compact([row for row, lane in enumerate(self.lanes) if lane in lanes])

    def leave(self) -> None:
        """Lets go of the lanes alive, for others to go on with, and of what they hold."""
        self.lanes, self._groups = [], []
        self._at = self._at[:0].clone()
        self._rest = {name: value[:0].clone() for name, value in self._rest.items()}

    def _clean_up(self) -> list[int]:
        """Lets go of lanes that diverged; returns their numbers."""
        steps = self._bad_step.tolist()
        dead = {lane: step for lane, step in zip(self.lanes, steps, strict=True) if step >= 0}
        self.died |= {lane: step + 1 for lane, step in dead.items()}
        self._let_go(dead)
        return list(dead)

    def stop(self, lanes: Collection[int], step: int) -> None:
        """Has some lanes make no more steps; those that are not in the squad are left out.

        Args:
            lanes: Their numbers.
            step: Steps made so far.
        """
        chosen = [lane for lane in self.lanes if lane in lanes]
        self.stopped |= dict.fromkeys(chosen, step)
        self._let_go(chosen)

    def _let_go(self, lanes: Collection[int]) -> None:
        """Takes lanes out of the buffers, and keeps what they hold."""
        if not lanes:
            return
        self._last |= self._rows(row for row, lane in enumerate(self.lanes) if lane in lanes)
        self._compact([row for row, lane in enumerate(self.lanes) if lane not in lanes])

    def _compact(self, alive: list[int]) -> None:
        """Moves the rows of these lanes up over the others, which takes no further memory."""
        lanes = [self.lanes[row] for row in alive]
        filled = len(alive) + -len(alive) % self._width
        self._at = moved_up(self._at, alive, filled)
        self._rest = {name: moved_up(value, alive, filled) for name, value in self._rest.items()}
        groups, self._groups = self._groups, []
        keeping = set(lanes)
        row = 0
        for group in groups:
            rows = [i for i, lane in enumerate(group.lanes) if lane in keeping]
            if rows:
                group.keep(rows, self._at[row : row + len(rows)])
                self._groups.append(group)
            row += len(rows)
        self.lanes = lanes
        self._after_allocation()

    def outputs(self, x: X) -> Tensor:
        """What the lanes alive give for ``x [n, …]``: ``[lane, n, …]``."""
        params = self._padded_outputs()

        def outputs(chunk: slice) -> Tensor:
            rest = {name: value[chunk] for name, value in self._rest.items()}
            return self._gradients.outputs(params[chunk], rest, x.clone())

        with self._noise.drawn(), self._gradients.ready():
            parts = self._workers.map([partial(outputs, chunk) for chunk in self._chunks()])
        return torch.cat(parts)[: len(self.lanes)]

    def probed(self, x: X, probe: Probe) -> dict[str, list[float]]:
        """What a probe takes in each of the lanes alive while they are evaluated on ``x``."""
        params = self._padded_outputs()

        def look(chunk: slice) -> dict[str, Tensor]:
            rest = {name: value[chunk] for name, value in self._rest.items()}
            return self._gradients.probed(params[chunk], rest, x, probe)

        with self._noise.drawn(), self._gradients.ready():
            parts = self._workers.map([partial(look, chunk) for chunk in self._chunks()])
        return {
            name: torch.cat([part[name] for part in parts])[: len(self.lanes)].tolist()
            for name in parts[0]
        }

    def _padded_outputs(self) -> Tensor:
        outputs = [group.output() for group in self._groups]
        return torch.cat([*outputs, self._at[len(self.lanes) :]])

    def states(self) -> dict[int, tuple[Tensor, dict[str, Tensor]]]:
        """Each lane's parameters ``[parameter]`` and everything else, as they are or last were."""
        return self._last | self._rows(range(len(self.lanes)))

    def _rows(self, rows: Iterable[int]) -> dict[int, tuple[Tensor, dict[str, Tensor]]]:
        params = self._padded_outputs()
        return {
            self.lanes[row]: (
                params[row].clone(),
                {name: value[row].clone() for name, value in self._rest.items()},
            )
            for row in rows
        }
