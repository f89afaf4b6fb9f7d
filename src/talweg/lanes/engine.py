"""The engine: one model, one training set, and any number of lanes over them."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from math import inf

import torch
from torch import Tensor

from talweg.core import UserError, counted, memory_size, usable_memory
from talweg.data import Samples, Stored, Stream
from talweg.data.inputs import shown
from talweg.lanes.ahead import FromStored
from talweg.lanes.augment import Augment, Augmented, augmentation_of
from talweg.lanes.checks import classes_of, fitting_loss
from talweg.lanes.compiling import Compiler, keep_freed_memory
from talweg.lanes.evaluate import Reader, Reading
from talweg.lanes.feed import FromSamples, FromStream, Supply, cast
from talweg.lanes.memory import TRIED, Needs, Scales
from talweg.lanes.noise import Noise
from talweg.lanes.packs import Once, Packs
from talweg.lanes.passes import Passes
from talweg.lanes.plan import Ended, Lane, Plan, Result, by_structure, merged, seeds_among
from talweg.lanes.precision import precision_of
from talweg.lanes.squad import Squad
from talweg.lanes.starts import Starts
from talweg.lanes.strategy import Task, decide
from talweg.lanes.training import Training
from talweg.losses import Loss, PerSample
from talweg.models import ModelSource
from talweg.schedules import Span

LONG = 1_000_000
"""What a schedule is told of the length of a run that nobody knows; see `needs_length`."""


class Engine:
    """Trains lanes of one model on one training set; what it has compiled serves every call.

    Args:
        source: Where models come from.
        samples: What is trained on; a stream serves one call of `train`.
        loss: A name, a function, or None for the usual one.
        batch_size: Samples per batch; None for all of them.
        strategy: ``"stacked"``, ``"serial"`` or ``"auto"``.
        device: Where to compute; None for a GPU if there is one.
        compiled: Whether to compile; None to go by the amount of work.
        drop_last: Whether an epoch leaves out a last batch of fewer samples than the others.
        lane_counts: The numbers of lanes that calls will train, for a width that fits them all.
        lane_steps: Steps of all lanes that calls will make, to decide whether compiling pays; None
            if that is not known, which has it wait until it does.
        say: Told what the engine decides, one line each.
        memory: What lanes may take on the device, without PyTorch itself; None for 80% of what is
            free there when they begin.
        augment: Changes the inputs of training batches; None to take them as they are.
        precision: What models compute in: ``"bf16"``, ``"tf32"``, or None for their own type.
    """

    def __init__(
        self,
        source: ModelSource,
        samples: Samples | Stream,
        *,
        loss: str | Loss | PerSample | None,
        batch_size: int | None,
        strategy: str,
        device: str | torch.device | None,
        compiled: bool | None,
        drop_last: bool = False,
        lane_counts: Sequence[int],
        lane_steps: int | None,
        say: Callable[[str], None],
        memory: str | int | None = None,
        augment: Augment | None = None,
        precision: str | None = None,
    ) -> None:
        self._memory = None if memory is None else memory_size(memory)
        self.device = device_of(device)
        self.source = source
        self._most: int | None = None
        self._scales: Scales | None = None
        self._starts = Starts(source, self.device)
        self.layout = self._starts.layout
        computed = precision_of(precision, self.device, self.layout.dtype)
        self._supply = self._supplied(samples, batch_size, drop_last, augment)
        self.samples, self.batch = self._supply.samples, self._supply.batch
        self.epoch_steps = self._supply.epoch_steps
        self.loss = fitting_loss(loss, self._starts.module, self.samples)
        if isinstance(self._supply, FromStream):
            self._supply.classes = self.classes
        self._say = say
        keep_freed_memory()
        if self._starts.all_alike():
            difference = "differ in the order of batches alone"
            say(
                "the model starts from the same parameters with every seed: seeds "
                + (difference if self.epoch_steps else "make no difference")
            )
        self._task = Task(self._starts, self.loss, self._supply, computed)
        chosen = decide(self._task, strategy, compiled, lane_counts, lane_steps, say)
        self._chosen = chosen
        self.strategy, self.width, self.compiles = chosen.name, chosen.width, chosen.compiles

    def train(
        self,
        plan: Plan,
        each: Callable[[Reading], None] | None = None,
        tick: Callable[[int], None] | None = None,
    ) -> Result:
        """Trains the lanes of a plan.

        Args:
            plan: What to do.
            each: Called with readings as they come; an exception it raises stops the training.
            tick: Called after every few steps with the number of steps that all lanes made,
                those that diverged or were stopped counted as if they had gone on.
        """
        packs = self.packs(plan)
        if packs.told:
            self._say(packs.told)
        once = Once(each or _nobody, tick or _nobody)
        reader = each and self._reader(plan, once.read)
        chosen, train = self._chosen, partial(self._train, plan)
        may_divide = self._supply.can_be_copied and chosen.workers.may_divide
        passes = Passes(packs, train, reader, once, chosen.compiler, self._say, may_divide)
        ended: list[Ended] = []
        copies = min(chosen.copies, len(packs.sizes))
        if copies > 1 and may_divide and not plan.stop and packs.allow(copies):
            ended += passes.side_by_side(copies)
        ended += passes.one_after_another()
        chosen.workers.may_divide = chosen.workers.may_divide and passes.may_divide == may_divide
        self.width, self._most = packs.width, passes.most or self._most
        if isinstance(self._supply, FromStream):
            self._say_what_came(self._supply, plan, ended[0].losses.shape[1])
        return Result(
            self._table(plan, ended),
            merged(each.died for each in ended),
            merged(each.stopped for each in ended),
            merged(each.states for each in ended),
        )

    def plain(self) -> "Engine":
        """An engine of the same model and samples that never compiles, and tells nobody."""
        other = copy(self)
        other._say = _nobody
        compiler = Compiler(False, _nobody)
        stacked = self._chosen.stacked and self._task.stacked((), compiler)
        other._chosen = replace(self._chosen, compiler=compiler, stacked=stacked, copies=1)
        return other

    def packs(self, plan: Plan) -> Packs:
        """The lanes of a plan in packs that fit into the memory.

        Raises:
            UserError: If a limit was given that cannot be kept.
        """
        packs = Packs(
            self._together(plan),
            self.needs(plan),
            usable_memory(self.device) if self._memory is None else self._memory,
            self.width if self.strategy == "stacked" else 1,
            self._chosen.workers.count,
            self._why_whole(plan),
            self._most,
        )
        if packs.peak > packs.limit and self._memory is not None:
            raise UserError(f"{packs.told}: allow more (memory), or choose fewer or smaller lanes")
        return packs

    def needs(self, plan: Plan) -> Needs:
        """What the lanes of a plan take."""
        if self._scales is None:
            start = self._starts.start(plan.seeds[0])
            few = Samples(*self._task.few(len(self.samples), TRIED))
            gradients = self.plain()._chosen.stacked or self._task.alone()
            self._scales = Scales(gradients, self.layout, start, few, self.batch)
        return self._scales.needs(plan, self._chosen.workers.count)

    def _why_whole(self, plan: Plan) -> str:
        """Why all lanes must be trained at the same time; empty if they need not."""
        if self.epoch_steps is None:
            return "learning from a stream"
        return "pruning" if plan.stop is not None else ""

    def _together(self, plan: Plan) -> list[list[Lane]]:
        """Lanes that get each batch before the next is made, in the order of squads."""
        if self.strategy == "stacked":
            return [[lane for group in by_structure(plan.lanes) for lane in group]]
        packs = [[lane] for lane in plan.lanes]
        together = [packs] if plan.stop is not None else self._supply.together(packs)
        return [[lane for pack in some for lane in pack] for some in together]

    def _train(
        self,
        plan: Plan,
        lanes: Sequence[Lane],
        width: int,
        may_divide: bool,
        reader: Reader | None,
        tick: Callable[[int], None],
    ) -> Ended:
        every = plan.read_every or self.epoch_steps or inf
        packs = [lanes] if self.strategy == "stacked" else [[lane] for lane in lanes]
        seeds = seeds_among(lanes)
        squads = [self._squad(pack, width, plan, seeds) for pack in packs]
        feed = self._supply.feed(seeds)
        workers = self._chosen.workers
        training = Training(
            squads, feed, plan.steps, every, reader, plan.stop, tick, plan.keep, workers, may_divide
        )
        with workers.at_work():
            return training.run()

    def _table(self, plan: Plan, ended: Sequence[Ended]) -> Tensor:
        """All losses ``[lane, step]``: of a stream as many as were made, else NaN to the end."""
        steps = ended[0].losses.shape[1] if self.epoch_steps is None else plan.steps or 0
        table = torch.full((len(plan.lanes), steps), torch.nan, dtype=self.layout.dtype)
        for found in ended:
            rows = [lane - plan.first_lane for lane in found.lanes]
            table[rows, : found.losses.shape[1]] = found.losses
        return table

    def _say_what_came(self, stream: FromStream, plan: Plan, steps: int) -> None:
        how = "the stream ended after" if stream.is_over else "learned from"
        x, y = self._task.few(1)
        shapes = f"x {shown(x, sample=True)}, y {shown(y, sample=True)}"
        samples, made = counted(stream.given, "sample"), counted(steps, "step")
        self._say(f"{how} {samples} ({shapes}) in {made}")
        if len(set(plan.seeds)) > 1:
            self._say("a stream feeds all lanes alike: seeds differ in initialisation alone")

    def _reader(self, plan: Plan, each: Callable[[Reading], None]) -> Reader:
        scale = torch.ones(()) if plan.scale is None else plan.scale
        return Reader(
            each,
            self.epoch_steps or inf,
            {name: self._cast(samples) for name, samples in plan.evaluate.items()},
            self.loss,
            plan.metrics,
            scale.to(self.device),
            plan.probe,
            plan.read_every or self.epoch_steps or inf,
        )

    def _squad(self, lanes: Sequence[Lane], width: int, plan: Plan, seeds: Sequence[int]) -> Squad:
        first = lanes[0].seed
        steps = LONG if plan.steps is None else plan.steps
        return Squad(
            lanes,
            {seed: self._starts.start(seed) for seed in seeds},
            self.layout,
            self._chosen.stacked or self._task.alone(first),
            width if self.strategy == "stacked" else 1,
            Span(steps, self.epoch_steps or steps),
            self._chosen.compiler,
            Noise(first, self.device),
            self._chosen.workers,
        )

    @property
    def classes(self) -> int | None:
        """How many classes a stream may have; None where the samples show it."""
        if self.epoch_steps is not None:
            return None
        return classes_of(self.loss, self._starts.module, self.samples)

    def _supplied(
        self,
        samples: Samples | Stream,
        batch_size: int | None,
        drop_last: bool,
        augment: Augment | None,
    ) -> Supply:
        augmentation = augmentation_of(augment)
        if isinstance(samples, Stream):
            if augmentation is not None:
                raise UserError("a stream is not augmented: have it give samples that are")
            return FromStream(samples, batch_size, drop_last, self._cast)
        kind = FromStored if isinstance(samples.x, Stored) else FromSamples
        supply = kind(self._cast(samples), batch_size, drop_last)
        return Augmented(supply, augmentation, self.device) if augmentation else supply

    def _cast(self, samples: Samples) -> Samples:
        return cast(samples, self.layout.dtype, self.device)


def device_of(device: str | torch.device | None) -> torch.device:
    """The device asked for, or a GPU if there is one.

    Raises:
        UserError: If there is no such device here.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).item()  # the meta device has no values
    except (RuntimeError, AssertionError, TypeError) as error:
        usable = "cpu, cuda" if torch.cuda.is_available() else "cpu"
        raise UserError(f"device {str(device)!r} cannot be used here (usable: {usable})") from error
    return chosen


def _nobody(_told: object) -> None:
    """Told of steps and readings if nobody else is."""
