"""The engine: one model, one training set, and any number of lanes over them."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from talweg.core import UserError, choose, missing_compiler
from talweg.data import BatchOrder, Samples
from talweg.lanes.checks import fitting_loss
from talweg.lanes.compiling import Compiler, keep_freed_memory, worth_compiling
from talweg.lanes.evaluate import Reader, Reading
from talweg.lanes.feed import Feed, FromSamples, cast
from talweg.lanes.gradients import OneModule, Stacked
from talweg.lanes.layout import layout_of
from talweg.lanes.noise import Noise
from talweg.lanes.plan import Lane, Plan, Result
from talweg.lanes.squad import Squad, Start
from talweg.lanes.stackable import trial_alone, why_not
from talweg.lanes.training import Training
from talweg.losses import Loss, PerSample
from talweg.models import ModelSource
from talweg.schedules import Span

STRATEGIES = ("auto", "stacked", "serial")
CHUNK_BYTES = 2_000_000
"""Parameters of the lanes that go through the model together: what stays in a core's cache."""


class Engine:
    """Trains lanes of one model on one training set; what it has compiled serves every call.

    Args:
        source: Where models come from.
        samples: What is trained on.
        loss: A name, a function, or None for the usual one.
        batch_size: Samples per batch; None for all of them.
        strategy: ``"stacked"``, ``"serial"`` or ``"auto"``.
        device: Where to compute; None for a GPU if there is one.
        compiled: Whether to compile; None to go by the amount of work.
        drop_last: Whether an epoch leaves out a last batch of fewer samples than the others.
        lane_counts: The numbers of lanes that calls will train, for a width that fits them all.
        lane_steps: Steps of all lanes that calls will make, to decide whether compiling pays.
        say: Told what the engine decides, one line each.
    """

    def __init__(
        self,
        source: ModelSource,
        samples: Samples,
        *,
        loss: str | Loss | PerSample | None,
        batch_size: int | None,
        strategy: str,
        device: str | torch.device | None,
        compiled: bool | None,
        drop_last: bool = False,
        lane_counts: Sequence[int],
        lane_steps: int,
        say: Callable[[str], None],
    ) -> None:
        if strategy not in STRATEGIES:
            raise choose("strategy", strategy, STRATEGIES)
        self.device = device_of(device)
        self.source = source
        self._starts: dict[int, Start] = {}
        self.module = self._build(0)
        self.layout = layout_of(self.module)
        self.samples = self._cast(samples)
        self.loss = fitting_loss(loss, self.module, self.samples)
        self._order = partial(BatchOrder, len(samples), batch_size, drop_last=drop_last)
        order = self._order(seed=0)
        self.epoch_steps, self.batch = order.steps_per_epoch, order.batch_size
        self._leftover = 0 if drop_last else len(samples) % self.batch
        self._say = say
        keep_freed_memory()
        self._check_seeds()
        self._check_batches()
        self.strategy = self._choose(strategy)
        self.width = choose_width(lane_counts, self.layout.size, self.device)
        to_compile = self._to_compile(compiled, lane_steps)
        self._compiler = Compiler(to_compile, say)
        if self.strategy == "stacked":
            how = "compiled" if to_compile else "uncompiled"
            say(f"lanes are stacked, {self.width} at a time, {how}")
            self._stacked = Stacked(self.module, self.layout, self.loss, self.batch, self._compiler)
        else:
            say("lanes run one after another")
            self._stacked = None

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
                those that diverged counted as if they had gone on.
        """
        packs = [plan.lanes] if self.strategy == "stacked" else [[lane] for lane in plan.lanes]
        losses = torch.full((len(plan.lanes), plan.steps), torch.nan, dtype=self.layout.dtype)
        states: dict[int, tuple[Tensor, dict[str, Tensor]]] = {}
        died: dict[int, int] = {}
        reader = each and self._reader(plan, each)
        every = plan.read_every or self.epoch_steps
        for pack in packs:
            seeds = sorted({lane.seed for lane in pack})
            squad = self._squad(pack, seeds, plan)
            training = Training(
                [squad], self._feed(seeds), plan.steps, every, reader, tick or _nobody
            )
            found = training.run()
            rows = [lane - plan.first_lane for lane in training.lanes]
            losses[rows, : found.shape[1]] = found
            died |= squad.died
            if plan.keep:
                states |= squad.states()
        return Result(losses, died, states)

    def _reader(self, plan: Plan, each: Callable[[Reading], None]) -> Reader:
        scale = torch.ones(()) if plan.scale is None else plan.scale
        return Reader(
            each,
            self.epoch_steps,
            {name: self._cast(samples) for name, samples in plan.evaluate.items()},
            self.loss,
            plan.metrics,
            scale.to(self.device),
        )

    def _feed(self, seeds: Sequence[int]) -> Feed:
        return FromSamples(self.samples, [self._order(seed=seed) for seed in seeds])

    def _squad(self, lanes: Sequence[Lane], seeds: Sequence[int], plan: Plan) -> Squad:
        first = lanes[0].seed
        return Squad(
            lanes,
            {seed: self.start(seed) for seed in seeds},
            self.layout,
            self._stacked or OneModule(self._build(first), self.layout, self.loss),
            self.width if self.strategy == "stacked" else 1,
            Span(plan.steps, self.epoch_steps),
            self._compiler,
            Noise(first, self.device),
        )

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

    def _cast(self, samples: Samples) -> Samples:
        return cast(samples, self.layout.dtype, self.device)

    def _few(self, batch: int) -> tuple[Tensor, Tensor]:
        """As many samples as a batch has, but few."""
        return self.samples.x[: min(batch, 8)], self.samples.y[: min(batch, 8)]

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
                "seeds differ in the order of batches alone"
            )

    def _check_batches(self) -> None:
        """Complains of a model that cannot be trained on the batches to come."""

        def trial(batch: int) -> None:
            trial_alone(lambda: self._build(0), self.layout, self.loss, *self._few(batch))

        trial(self.batch)
        if self._leftover == 1:
            try:
                trial(1)
            except UserError as error:
                raise UserError(
                    f"{error}; batches of {self.batch} leave one of the "
                    f"{len(self.samples)} samples for the last of an epoch: choose another "
                    f"batch_size, or drop_last"
                ) from error

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

    def _to_compile(self, asked: bool | None, lane_steps: int) -> bool:
        work_pays = worth_compiling(lane_steps, self.layout.size, self.batch)
        wanted = self.strategy == "stacked" and (work_pays if asked is None else asked)
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


def choose_width(lane_counts: Sequence[int], parameters: int, device: torch.device) -> int:
    """How many lanes go through the model together.

    On a processor, as many as keep their parameters in its cache, then the nearby number that
    leaves the fewest empty places; on a GPU, all of them up to 256.

    >>> choose_width([126, 35], parameters=26_122, device=torch.device("cpu"))
    18
    """
    most = max(lane_counts)
    aim = CHUNK_BYTES // (4 * parameters) if device.type == "cpu" else 256
    aim = max(min(aim, 256), 8)
    if most <= aim:
        return most
    nearby = range(max(aim * 3 // 4, 1), aim * 5 // 4 + 1)
    return min(nearby, key=lambda w: (sum(-count % w for count in lane_counts), abs(w - aim)))


def _nobody(_steps: int) -> None:
    """Told of steps if nobody else is."""
