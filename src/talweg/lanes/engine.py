"""The engine: one model, one training set, and any number of lanes over them."""

from collections.abc import Callable, Sequence
from copy import copy
from math import inf

import torch
from torch import Tensor, nn

from talweg.core import (
    UserError,
    choose,
    counted,
    is_out_of_memory,
    memory_size,
    missing_compiler,
    usable_memory,
)
from talweg.data import Samples, Stored, Stream
from talweg.data.inputs import X, shown
from talweg.lanes.ahead import FromStored
from talweg.lanes.augment import Augment, Augmented, augmentation_of
from talweg.lanes.checks import classes_of, fitting_loss
from talweg.lanes.choosing import Timing, choose_width, remembered, why_serial
from talweg.lanes.compiling import Compiler, keep_freed_memory, worth_compiling
from talweg.lanes.evaluate import Reader, Reading
from talweg.lanes.feed import FromSamples, FromStream, Supply, cast
from talweg.lanes.gradients import OneModule, Stacked
from talweg.lanes.layout import layout_of
from talweg.lanes.memory import TRIED, Needs, Scales
from talweg.lanes.noise import Noise
from talweg.lanes.packs import Once, Packs
from talweg.lanes.plan import Ended, Lane, Plan, Result, by_structure, merged, seeds_among
from talweg.lanes.squad import Squad, Start
from talweg.lanes.stackable import trial_alone, why_not
from talweg.lanes.training import Training
from talweg.lanes.workers import Workers
from talweg.losses import Loss, PerSample
from talweg.models import ModelSource
from talweg.schedules import Span

STRATEGIES = ("auto", "stacked", "serial")
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
    ) -> None:
        self._memory = None if memory is None else memory_size(memory)
        if strategy not in STRATEGIES:
            raise choose("strategy", strategy, STRATEGIES)
        self.device = device_of(device)
        self.source = source
        self._most: int | None = None
        self._scales: Scales | None = None
        self._starts: dict[int, Start] = {}
        self.module = self._build(0)
        self.layout = layout_of(self.module)
        self._supply = self._supplied(samples, batch_size, drop_last, augment)
        self.samples, self.batch = self._supply.samples, self._supply.batch
        self.epoch_steps = self._supply.epoch_steps
        self.loss = fitting_loss(loss, self.module, self.samples)
        if isinstance(self._supply, FromStream):
            self._supply.classes = self.classes
        self._say = say
        keep_freed_memory()
        self._check_seeds()
        draws = self._check_batches()
        self.strategy = self._choose(strategy)
        enough = worth_compiling(self.layout.size, self.batch)
        waits = compiled is None and lane_steps is None
        may_be_serial = strategy == "auto" and compiled is None and not waits
        if compiled is None:
            compiled = lane_steps is None or lane_steps > enough
        to_compile = self.compiles = self._to_compile(compiled)
        # Threads that draw from one generator would do so in any order.
        threads = to_compile and not draws and self.device.type == "cpu"
        self._workers = Workers(torch.get_num_threads() if threads else 1)
        self.width = choose_width(lane_counts, self.layout.size, self.device, self._workers.count)
        self._compiler = Compiler(to_compile, say, enough if waits else 0, self._workers.count)
        self._stacked = None
        if self.strategy == "serial":
            say("lanes run one after another")
            return
        sizes = [self.batch]
        if lane_steps and self.epoch_steps and lane_steps > enough * self.epoch_steps:
            sizes.append(self._supply.tail)
        self._stacked = Stacked(self.module, self.layout, self.loss, sizes, self._compiler)
        reason = self._why_serial(self._stacked) if may_be_serial and to_compile else ""
        if reason:
            say(f"lanes run one after another, which is faster: {reason}")
            self.strategy, self._stacked, self._workers = "serial", None, Workers(1)
            return
        how = "compiled" if to_compile else "uncompiled"
        how += " once that pays" if to_compile and waits else ""
        say(f"lanes are stacked, {self.width} at a time, {how}")

    def _why_serial(self, stacked: Stacked) -> str:
        """Why this model's lanes are faster one after another; empty if they are not."""
        start = self.start(0)
        x, y = self.samples.x[: self.batch], self.samples.y[: self.batch]

        def measured() -> str:
            alone = OneModule(self._build(0), self.layout, self.loss)
            timing = Timing((start.params, start.rest), x, y)
            return why_serial(timing, stacked, alone, self.width, self._workers)

        told = (self.module, self.layout, self.loss.name, shown(x), self.width, self._workers.count)
        reason = remembered((*told, self.device), measured)
        self._compiler.rewind(started=False)  # as if it had been remembered: the same numbers
        return reason

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
        ended: list[Ended] = []
        started = self._compiler.has_started
        for pack in packs:
            self._compiler.rewind(started)
            self.width = packs.width
            once.begin()
            found = self._attempt(pack, plan, reader, once.tick)
            if found is None:
                once.begin_anew()
                self._most = packs.halve(pack)
                self._say(f"out of memory: {counted(self._most, 'lane')} at a time from here on")
            else:
                ended.append(found)
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
        other._compiler = Compiler(False, _nobody)
        if self._stacked is not None:
            other._stacked = Stacked(self.module, self.layout, self.loss, (), other._compiler)
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
            self._workers.count,
            self._why_whole(plan),
            self._most,
        )
        if packs.peak > packs.limit and self._memory is not None:
            raise UserError(f"{packs.told}: allow more (memory), or choose fewer or smaller lanes")
        return packs

    def needs(self, plan: Plan) -> Needs:
        """What the lanes of a plan take."""
        if self._scales is None:
            start, few = self.start(plan.seeds[0]), Samples(*self._few(len(self.samples), TRIED))
            alone = OneModule(self._build(0), self.layout, self.loss)
            gradients = self.plain()._stacked or alone
            self._scales = Scales(gradients, self.layout, start, few, self.batch)
        return self._scales.needs(plan, self._workers.count)

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

    def _attempt(
        self, lanes: Sequence[Lane], plan: Plan, reader: Reader | None, tick: Callable[[int], None]
    ) -> Ended | None:
        """Trains lanes together; None if there was no memory for so many."""
        try:
            return self._train(lanes, plan, reader, tick)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Only here, without the error and the frames that it holds, are buffers free again.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _train(
        self, lanes: Sequence[Lane], plan: Plan, reader: Reader | None, tick: Callable[[int], None]
    ) -> Ended:
        every = plan.read_every or self.epoch_steps or inf
        packs = [lanes] if self.strategy == "stacked" else [[lane] for lane in lanes]
        seeds = seeds_among(lanes)
        squads = [self._squad(pack, plan, seeds) for pack in packs]
        feed = self._supply.feed(seeds)
        training = Training(squads, feed, plan.steps, every, reader, plan.stop, tick)
        with self._workers.at_work():
            losses = training.run()
        return Ended(
            training.lanes,
            losses,
            merged(squad.died for squad in squads),
            merged(squad.stopped for squad in squads),
            merged(squad.states() for squad in squads) if plan.keep else {},
        )

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
        x, y = self._few(1)
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
        )

    def _squad(self, lanes: Sequence[Lane], plan: Plan, seeds: Sequence[int]) -> Squad:
        first = lanes[0].seed
        steps = LONG if plan.steps is None else plan.steps
        return Squad(
            lanes,
            {seed: self.start(seed) for seed in seeds},
            self.layout,
            self._stacked or OneModule(self._build(first), self.layout, self.loss),
            self.width if self.strategy == "stacked" else 1,
            Span(steps, self.epoch_steps or steps),
            self._compiler,
            Noise(first, self.device),
            self._workers,
        )

    @property
    def classes(self) -> int | None:
        """How many classes a stream may have; None where the samples show it."""
        if self.epoch_steps is not None:
            return None
        return classes_of(self.loss, self.module, self.samples)

    def start(self, seed: int) -> Start:
        """Where the lanes of a seed begin."""
        if seed not in self._starts:
            module = self._build(seed)
            self._starts[seed] = Start(self.layout.flatten(module), self.layout.rest(module))
        return self._starts[seed]

    def _build(self, seed: int) -> nn.Module:
        """A new module of that seed, on the device."""
        module = self.source.build(seed).to(self.device)
        if seed != 0 and layout_of(module) != self.layout:
            raise UserError("the model must have the same parameters every time it is built")
        return module

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

    def _few(self, batch: int, most: int = 8) -> tuple[X, Tensor]:
        """As many samples as a batch has, but few."""
        return self.samples.x[: min(batch, most)], self.samples.y[: min(batch, most)]

    def _check_seeds(self) -> None:
        """Complains of a model that is the same object for every seed; says if all start alike."""
        other = self._build(1)
        pairs = list(zip(self.module.parameters(), other.parameters(), strict=True))
        if any(a.numel() and a.data_ptr() == b.data_ptr() for a, b in pairs):
            raise UserError(
                f"{self.source.name} gives the same module at every call, which training would "
                f"change: build a new one, or pass the module itself to have it re-initialised"
            )
        if pairs and all(torch.equal(a, b) for a, b in pairs):
            self._say(
                "the model starts from the same parameters with every seed: "
                + (
                    "seeds differ in the order of batches alone"
                    if self.epoch_steps
                    else "seeds make no difference"
                )
            )

    def _check_batches(self) -> bool:
        """Complains of a model that cannot be trained on the batches to come.

        Returns:
            Whether it draws random numbers in training.
        """

        def trial(batch: int) -> bool:
            few = self._few(batch)
            return trial_alone(lambda: self._build(0), self.layout, self.loss, *few).drew

        draws = trial(self.batch)
        if self._supply.leaves_one:
            try:
                trial(1)
            except UserError as error:
                raise UserError(f"{error}; {self._supply.leaves_one}") from error
        return draws

    def _choose(self, asked: str) -> str:
        """``"stacked"`` or ``"serial"``."""
        if asked == "serial":
            return asked
        reason = why_not(self._build, self.layout, self.loss, *self._few(self.batch))
        if reason is None:
            return "stacked"
        if asked == "stacked":
            raise UserError(f"this model cannot be stacked ({reason}); use strategy='auto'")
        self._say(f"this model cannot be stacked: {reason}")
        return "serial"

    def _to_compile(self, asked: bool) -> bool:
        wanted = self.strategy == "stacked" and asked
        if wanted and self.device.type == "cpu":
            missing = missing_compiler()
            if missing:
                self._say(f"running uncompiled: {missing} found")
                return False
        return wanted


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
