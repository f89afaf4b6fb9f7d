"""How the lanes of a model are run: stacked or one by one, compiled or not, on which cores."""

import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from talweg.core import UserError, choose, missing_compiler
from talweg.data.inputs import X, shown
from talweg.lanes.choosing import (
    COMPILED,
    Timing,
    choose_width,
    remembered,
    why_apart,
    why_not_stacked,
)
from talweg.lanes.compiling import Compiler, worth_compiling
from talweg.lanes.feed import Supply
from talweg.lanes.gradients import OneModule, Stacked
from talweg.lanes.precision import PRECISIONS, Precision
from talweg.lanes.stackable import trial_alone, why_not
from talweg.lanes.starts import Starts
from talweg.lanes.workers import Workers
from talweg.losses import Loss

STRATEGIES = ("auto", "stacked", "serial")


@dataclass(frozen=True)
class Task:
    """A model and the batches that it is to learn from.

    Args:
        starts: Its modules.
        loss: The loss.
        supply: The batches.
        precision: What the model computes in.
    """

    starts: Starts
    loss: Loss
    supply: Supply
    precision: Precision

    def few(self, batch: int, most: int = 8) -> tuple[X, Tensor]:
        """As many samples as a batch has, but few."""
        samples = self.supply.samples
        return samples.x[: min(batch, most)], samples.y[: min(batch, most)]

    def alone(self, seed: int = 0) -> OneModule:
        """What trains single lanes, on a module of that seed."""
        return OneModule(self.starts.build(seed), self.starts.layout, self.loss, self.precision)

    def stacked(self, batches: Sequence[int], compiler: Compiler) -> Stacked:
        """What trains stacked lanes; see `Stacked`."""
        starts = self.starts
        return Stacked(starts.module, starts.layout, self.loss, batches, compiler, self.precision)

    def draws(self) -> bool:
        """Whether the model draws random numbers in training.

        Raises:
            UserError: If it cannot be trained on the batches to come.
        """
        drew = self._trial(self.supply.batch)
        if self.supply.leaves_one:
            try:
                self._trial(1)
            except UserError as error:
                raise UserError(f"{error}; {self.supply.leaves_one}") from error
        return drew

    def _trial(self, batch: int) -> bool:
        starts = self.starts
        few = self.few(batch)
        return trial_alone(
            lambda: starts.build(0), starts.layout, self.loss, *few, precision=self.precision
        ).drew


@dataclass
class Strategy:
    """How lanes are run.

    Attributes:
        name: ``"stacked"`` or ``"serial"``.
        stacked: What trains stacked lanes; None if they are not.
        width: Lanes that go through the model together.
        workers: Who works on chunks of stacked lanes.
        compiler: What may compile.
        compiles: Whether it will.
        copies: How many lanes that are not stacked are trained at a time, each by a copy of this
            process.
    """

    name: str
    stacked: Stacked | None
    width: int
    workers: Workers
    compiler: Compiler
    compiles: bool
    copies: int = 1


def decide(
    task: Task,
    asked: str,
    compiled: bool | None,
    lane_counts: Sequence[int],
    lane_steps: int | None,
    say: Callable[[str], None],
) -> Strategy:
    """How to run the lanes of a model; what is unclear is timed, if the run is long.

    Args:
        task: The model and its batches.
        asked: One of `STRATEGIES`.
        compiled: Whether to compile; None to go by the amount of work.
        lane_counts: The numbers of lanes that will be trained.
        lane_steps: Steps of all lanes; None if that is not known.
        say: Told what is decided, one line each.

    Raises:
        UserError: If the model cannot be trained, or not in the way asked for.
    """
    if asked not in STRATEGIES:
        raise choose("strategy", asked, STRATEGIES)
    starts, supply = task.starts, task.supply
    draws = task.draws()
    if task.precision.name:
        say(PRECISIONS[task.precision.name])
    name = _stacked_or_serial(task, asked, say)
    enough = worth_compiling(starts.layout.size, supply.batch)
    waits = compiled is None and lane_steps is None
    is_long = lane_steps is not None and lane_steps > enough
    may_be_timed = asked == "auto" and compiled is None and is_long
    to_compile = name == "stacked" and (waits or is_long if compiled is None else compiled)
    to_compile = to_compile and _can_compile(starts.device, say)
    # Threads that draw from one generator would do so in any order.
    threads = to_compile and not draws and starts.device.type == "cpu"
    workers = Workers(torch.get_num_threads() if threads else 1)
    width = choose_width(lane_counts, starts.layout.size, starts.device, workers.count)
    compiler = Compiler(to_compile, say, enough if waits else 0, workers.count)
    choice = _Choice(task, width, workers)
    if name == "stacked":
        sizes = [supply.batch]
        is_often = lane_steps and supply.epoch_steps and lane_steps > enough * supply.epoch_steps
        if supply.tail and is_often:
            sizes.append(supply.tail)
        stacked = task.stacked(sizes, compiler)
        chosen = choice.why_not_stacked(stacked) if may_be_timed and to_compile else ""
        compiler.rewind(started=False)  # as if it had been remembered: the same numbers
        way, _, reason = chosen.partition(": ")
        if way == COMPILED:
            say(f"lanes run {way}, which is faster: {reason}")
            return Strategy("stacked", stacked, 1, workers, compiler, to_compile)
        if not way:
            how = "compiled" if to_compile else "uncompiled"
            how += " once that pays" if to_compile and waits else ""
            say(f"lanes are stacked, {width} at a time, {how}")
            return Strategy("stacked", stacked, width, workers, compiler, to_compile)
        say(f"lanes run {way}, which is faster: {reason}")
    else:
        say("lanes run one after another")
    copies = min(torch.get_num_threads(), max(lane_counts))
    apart = choice.why_apart(copies) if may_be_timed and copies > 1 else ""
    if apart:
        say(f"{copies} of them side by side, each on a core of its own: {apart}")
    return Strategy("serial", None, width, Workers(1), compiler, to_compile, copies if apart else 1)


class _Choice:
    """What is decided by timing.

    Args:
        task: The model and its batches.
        width: Lanes that go through the model together, if they are stacked.
        workers: Who works on them then.
    """

    def __init__(self, task: Task, width: int, workers: Workers) -> None:
        self._task, self._width, self._workers = task, width, workers

    @cached_property
    def _batch(self) -> tuple[X, Tensor]:
        samples, batch = self._task.supply.samples, self._task.supply.batch
        return samples.x[:batch], samples.y[:batch]

    @property
    def _told(self) -> tuple[object, ...]:
        """What every choice depends on."""
        starts, loss = self._task.starts, self._task.loss
        given, precision = shown(self._batch[0]), self._task.precision.name
        told = (starts.module, _sources(starts.module), starts.layout, loss.name)
        return *told, given, starts.device, precision

    @property
    def _timing(self) -> Timing:
        start = self._task.starts.start(0)
        return Timing((start.params, start.rest), *self._batch)

    def why_not_stacked(self, stacked: Stacked) -> str:
        """In which way lanes are faster than stacked, and why; empty if in none."""
        alone, width, workers = self._task.alone(), self._width, self._workers
        return remembered(
            ("stacked", *self._told, width, workers.count),
            lambda: why_not_stacked(self._timing, stacked, alone, width, workers),
        )

    def why_apart(self, count: int) -> str:
        """Why so many lanes are faster side by side, each by a copy of this process, or empty."""
        if self._task.starts.device.type != "cpu":
            return ""
        alone = self._task.alone()
        return remembered(
            ("apart", *self._told, count), lambda: why_apart(self._timing, alone, count)
        )


def _sources(module: nn.Module) -> list[str]:
    """The code of a module's classes that are not PyTorch's, as far as it can be read."""
    kinds = dict.fromkeys(type(part) for part in module.modules())
    own = [kind for kind in kinds if not kind.__module__.startswith("torch.")]
    found: list[str] = []
    for kind in own:
        with suppress(OSError, TypeError):
            found.append(inspect.getsource(kind))
    return found


def _stacked_or_serial(task: Task, asked: str, say: Callable[[str], None]) -> str:
    if asked == "serial":
        return asked
    starts = task.starts
    few = task.few(task.supply.batch)
    reason = why_not(starts.build, starts.layout, task.loss, *few, task.precision)
    if reason is None:
        return "stacked"
    if asked == "stacked":
        raise UserError(f"this model cannot be stacked ({reason}); use strategy='auto'")
    say(f"this model cannot be stacked: {reason}")
    return "serial"


def _can_compile(device: torch.device, say: Callable[[str], None]) -> bool:
    missing = missing_compiler() if device.type == "cpu" else None
    if missing:
        say(f"running uncompiled: {missing} found")
    return missing is None
